"""The one file that knows Faust: a worker's app, its agent over the log, its table of state.

What Faust does here: consumer groups and their rebalances, the agent's stream over the log, committing its
offsets, and the table: recovery from the changelog, the local store, standbys. What it does not: write the
changelog. Faust's own table write is one message at a time with its own bookkeeping, and it puts a value into
the local store before the broker has it, so a store could be ahead of its changelog after a kill. Here the rows
that one log record changed are sent together, acknowledged, and only then put into the local store, through the
same call by which Faust applies a changelog when it recovers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import faust
from aiokafka import AIOKafkaProducer
from faust.transport.drivers import aiokafka as drivers
from faust.types import TP
from mode import Service

from streams.adapters.clocks import Applied, ClockPartition
from streams.adapters.intake import Intake
from streams.adapters.state import record_from_bytes
from streams.adapters.wall_clock import monotonic

logger = logging.getLogger(__name__)

BLOCK_CACHE = 16 * 1024 * 1024
"""Bytes for each partition's local store; Faust's default is two gigabytes."""


@dataclass(frozen=True, slots=True)
class _Message:
    """As much of a changelog message as the table's store looks at."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None

    @property
    def tp(self) -> TP:
        return TP(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class _Written:
    """A changelog event that has been acknowledged."""

    message: _Message

    @property
    def key(self) -> bytes:
        return self.message.key

    @property
    def value(self) -> bytes | None:
        return self.message.value


def _consumer_that_waits(milliseconds: int) -> Any:
    """Faust's consumer with another wait than its fixed 1.5 seconds.

    A broker answers as soon as it has anything, so there it does not matter. The embedded one holds an empty answer
    to the end of the wait, whatever comes in meanwhile, and gives one batch an answer: with 1.5 seconds it would
    fall behind by minutes.
    """

    class Thread(drivers.AIOKafkaConsumerThread):  # type: ignore[misc]
        def _create_worker_consumer(self, transport: Any) -> Any:
            consumer = super()._create_worker_consumer(transport)
            consumer._fetch_max_wait_ms = milliseconds
            return consumer

    class Consumer(drivers.Consumer):  # type: ignore[misc]
        def _new_consumer_thread(self) -> Any:
            return Thread(self, loop=self.loop, beacon=self.beacon)

    return Consumer


class Worker:
    """One worker process: intake and clocks in one Faust app. ``run`` until ``stop`` is set.

    ``emit`` brings out the alerts and dead letters of one log record and returns when the broker has them.
    ``engine_of`` makes the empty engine of a partition. ``partitions`` shows the engines now at work here.
    """

    def __init__(
        self,
        *,
        bootstrap: str,
        name: str,
        log_topic: str,
        log_partitions: int,
        data_dir: str,
        store: str,
        credentials: Any,
        fetch_wait_ms: int,
        producer: AIOKafkaProducer,
        intake: Intake,
        engine_of: Callable[[int], ClockPartition],
        emit: Callable[[Applied], Awaitable[None]],
        on_applied: Callable[[Applied, float], None],
        partitions: dict[int, ClockPartition],
    ) -> None:
        self.partitions = partitions
        self._producer = producer
        self._intake = intake
        self._engine_of = engine_of
        self._emit = emit
        self._on_applied = on_applied
        self.app = app = faust.App(
            name,
            broker=[f"kafka://{server}" for server in bootstrap.split(",")],
            broker_credentials=credentials,
            store=f"{store}://",
            datadir=data_dir,
            topic_allow_declare=False,  # topics are made, with their settings, before the app starts
            topic_disable_leader=True,
            web_enabled=False,
            processing_guarantee="at_least_once",
            consumer_auto_offset_reset="earliest",
            stream_buffer_maxsize=16,  # records of the log are batches of up to half a megabyte
            stream_wait_empty=True,  # a record under way is finished before its partition goes
            broker_max_poll_records=16,
            consumer_max_fetch_size=2 * 1024 * 1024,
            broker_commit_interval=1.0,
            broker_session_timeout=15.0,
            broker_heartbeat_interval=3.0,
            loghandlers=[],
        )
        app.conf.table_cleanup_interval = 3600
        app.transport.Consumer = _consumer_that_waits(fetch_wait_ms)
        raw = faust.Schema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        self.table = app.Table(
            "state",
            key_type=bytes,
            value_type=bytes,
            partitions=log_partitions,
            options={"driver": "rocksdict", "block_cache_size": BLOCK_CACHE} if store == "rocksdb" else None,
        )
        log = app.topic(
            log_topic,
            schema=raw,
            partitions=log_partitions,
        )
        app.agent(log, name="clocks")(self._clocks)
        app.on_partitions_revoked.connect(self._forget_partitions)

    # -- clocks ------------------------------------------------------------------------------------------

    async def _clocks(self, stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            try:
                await self._apply(message.partition, message.offset, message.value)
            except Exception as error:
                # Faust would log it, call the record done and go on with the next: a loss. The worker ends
                # instead, and whoever takes the partition over begins with this record.
                await self.app.crash(error)
                await asyncio.Event().wait()

    async def _apply(self, number: int, offset: int, raw: bytes) -> None:
        began = monotonic()
        partition = self.partitions.get(number)
        if partition is None:
            partition = self._engine_of(number)
            partition.restore(self.table.items())
            self.partitions[number] = partition
        record = record_from_bytes(raw)
        try:
            applied = partition.apply(record, offset)
            if applied is None:
                return
            await self._emit(applied)
            await self._keep(number, applied)
        except BaseException:
            # The engine in memory is ahead of what is kept: whoever goes on here begins again from the rows.
            self.partitions.pop(number, None)
            raise
        self._on_applied(applied, monotonic() - began)

    async def _keep(self, partition: int, applied: Applied) -> None:
        topic = self.table.changelog_topic_name
        *subjects, last = applied.rows
        written: list[_Written] = []
        for rows in (subjects, [last]):  # the position is written when everything that it stands for has been
            sends = [await self._producer.send(topic, value, key=key, partition=partition) for key, value in rows]
            for (key, value), sent in zip(rows, sends, strict=True):
                done = await sent
                written.append(_Written(_Message(topic, partition, done.offset, key, value)))
        self.table.apply_changelog_batch(written)

    async def _forget_partitions(self, _app: Any, revoked: set[TP], **_kwargs: Any) -> None:
        for tp in revoked:
            self.partitions.pop(tp.partition, None)

    # -- run ---------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Start, work until ``stop`` is set, end in order.

        Raises:
            Exception: whatever crashed the app.
        """
        app = self.app
        intake = _IntakeService(self._intake)
        await app.start()
        try:
            await app.add_runtime_dependency(intake)
            on_ready()
            waiting = asyncio.ensure_future(stop.wait())
            crashing = asyncio.ensure_future(app.wait_until_stopped())
            await asyncio.wait({waiting, crashing}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            crashing.cancel()
        finally:
            self._intake.stop()
            await app.stop()
        reason = app.crash_reason if app.crashed else None
        if reason is not None:
            raise reason


class _IntakeService(Service):  # type: ignore[misc]
    """The intake as a part of the app: if it fails, the app fails."""

    def __init__(self, intake: Intake) -> None:
        super().__init__()
        self._intake = intake

    @Service.task  # type: ignore[untyped-decorator]
    async def _read(self) -> None:
        await self._intake.run()
