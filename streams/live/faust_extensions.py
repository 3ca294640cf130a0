"""Changes to Faust, and the app with this program's settings.

A consumer with a different fetch wait and an orderly stop, a recovery that fills the table's store in batches first,
credentials from aiokafka's options, and changelog events as the table's store reads them.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import faust
from aiokafka.errors import KafkaError
from faust.stores.rocksdb import RocksDBOptions
from faust.tables import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery
from faust.transport.drivers import aiokafka as drivers
from faust.types import TP
from rocksdict import DBCompressionType, WriteBufferManager

from streams.kafka.connection import kafka_options
from streams.kafka.range_reader import Reader
from streams.live.applied import Row
from streams.live.local_store import directory_of
from streams.settings import Settings
from streams.wall_clock import monotonic

logger = logging.getLogger(__name__)

BLOCK_CACHE = 16 * 1024 * 1024
"""Bytes for each partition's local store; Faust's default is two gigabytes."""

WRITE_BUFFER = 16 * 1024 * 1024
"""Bytes in memory, at most, before a local store writes a file, at most twice that; Faust's default is three times
64 MB. A row that is written again meanwhile goes into the file once."""

WRITE_BUFFERS = 4
"""So many of these for all local stores of a process, before one writes a file earlier."""

_COMPRESSED: Final = [*[DBCompressionType.none()] * 2, *[DBCompressionType.lz4()] * 5]
"""By level: what is soon merged into the next is not worth it."""


class LocalStores(RocksDBOptions):  # type: ignore[misc]
    """Faust's local stores with less work in the background.

    ``memory`` (bytes) is that of the worker's subjects, and bounds the buffers, too. The log before the files stays: a
    store without one waits for ever where its disk is full, instead of failing.
    """

    def __init__(self, memory: int) -> None:
        size = min(WRITE_BUFFER, memory // 4)
        super().__init__(
            block_cache_size=BLOCK_CACHE, write_buffer_size=size, max_write_buffer_number=2, use_rocksdict=True
        )
        self._buffers = WriteBufferManager(WRITE_BUFFERS * size, False)

    def as_options(self) -> Any:
        """See Faust."""
        options = super().as_options()
        options.set_write_buffer_manager(self._buffers)
        options.set_compression_per_level(_COMPRESSED)
        return options


@dataclass(slots=True)
class _Written:
    """A changelog event that has been acknowledged, with the parts of its message that the table's store reads."""

    tp: TP
    offset: int
    key: bytes
    value: bytes | None

    @property
    def message(self) -> _Written:
        return self

    @property
    def partition(self) -> int:
        partition: int = self.tp.partition
        return partition


def _consumer_of(fetch_wait_ms: int) -> Any:
    """Faust's consumer with another fetch wait than its fixed 1.5 seconds, which keeps its partitions until it is done.

    A real broker answers as soon as it has data, so the wait does not matter. The embedded broker holds an empty answer
    to the end of the wait, also when data arrives meanwhile, and gives one batch per answer: with 1.5 seconds it would
    lag by minutes.

    Where the group rebalances while the app stops, Faust closes the client at once: under the last records and their
    commit, which is then tried for ever. Here the rebalance waits for them, and the client closes at its turn.
    """

    class Thread(drivers.AIOKafkaConsumerThread):  # type: ignore[misc]
        def _create_worker_consumer(self, transport: Any) -> Any:
            consumer = super()._create_worker_consumer(transport)
            consumer._fetch_max_wait_ms = fetch_wait_ms
            return consumer

        def close(self) -> None:
            """Nothing, see above."""

        async def on_partitions_revoked(self, revoked: set[TP]) -> None:
            await super().on_partitions_revoked(revoked)
            if self.app.should_stop:
                await self.wait_until_stopped()

    class Consumer(drivers.Consumer):  # type: ignore[misc]
        def _new_consumer_thread(self) -> Any:
            return Thread(self, loop=self.loop, beacon=self.beacon)

    return Consumer


def credentials_of(security: Mapping[str, Any]) -> faust.Credentials | None:
    """Faust's credentials from aiokafka's options, so that both connect to the brokers in the same way."""
    context = security.get("ssl_context")
    if str(security["security_protocol"]).startswith("SASL"):
        return faust.SASLCredentials(
            mechanism=security["sasl_mechanism"],
            username=security["sasl_plain_username"],
            password=security["sasl_plain_password"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)


SLICE: Final = 20.0
"""Seconds for filling stores at a time; Faust ends a step of its recovery after 90 seconds."""


class FillingRecovery(Recovery):  # type: ignore[misc]
    """Faust's recovery, whose first step fills the stores of new partitions in batches, much faster than Faust does.

    It is a step of the recovery and not of the rebalance: there are no heartbeats in a rebalance. Each slice begins
    where the store ends, as Faust's own reading does; a slice that ends early lets the recovery begin anew. Rows come
    in the order of their offsets, each later than all that the store has. What the brokers do not give is left to
    Faust.
    """

    def __init__(self, *args: Any, read: Reader, **options: Any) -> None:
        super().__init__(*args, **options)
        self._read = read
        self._assignments = 0
        self._unfilled: set[TP] = set()
        self._filled, self._began = 0, 0.0

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """See Faust; a batch that is being read is not applied any more, as its partition may be another worker's."""
        self._assignments += 1
        super().on_partitions_revoked(revoked)

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """See Faust."""
        if not self._unfilled:
            self._filled, self._began = 0, monotonic()
        self._unfilled = {tp for tp in self._unfilled & assigned | newly_assigned if self._is_changelog_tp(tp)}
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    async def _build_highwaters(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        if title == "active" and self._unfilled:
            await self._fill()
        await super()._build_highwaters(consumer, tps, destination, title)

    async def _fill(self) -> None:
        """Fill the stores as far as the changelog goes.

        Raises:
            RebalanceAgain: where the time of a slice is over, or there is a rebalance.
        """
        offsets, assignments, before = self.active_offsets, self._assignments, self._filled
        (topic,) = {tp.topic for tp in self._unfilled}
        starts = {tp.partition: offsets.get(tp) for tp in self._unfilled}
        spans = {number: range(0 if at is None else at + 1, sys.maxsize) for number, at in starts.items()}
        table = self.tables._changelogs[topic]
        try:
            async with asyncio.timeout(SLICE), aclosing(self._read(spans)) as found:
                async for number, records in found:
                    if assignments != self._assignments:
                        raise RebalanceAgain
                    self.flush_buffers()  # what Faust has read before must not come over newer rows later
                    rows = [(record.key, record.value) for record in records]
                    apply_rows(table, topic, number, rows, records[-1].offset)
                    offsets[TP(topic, number)] = records[-1].offset
                    self._filled += len(rows)
        except (KafkaError, TimeoutError) as error:
            if isinstance(error, TimeoutError) and self._filled > before:
                logger.info("%d rows of %s put into the local copy so far", self._filled, topic)
                self.signal_recovery_start.set()
                raise RebalanceAgain from error
            logger.info("the local copy is not filled yet, the rest comes one by one: %r", error)
        if assignments == self._assignments:
            self._unfilled.clear()
        logger.info("%d rows of %s put into the local copy in %.1f s", self._filled, topic, monotonic() - self._began)


def _tables_filled_from(read: Reader) -> type[TableManager]:
    """Faust's tables with that recovery, and started at once: ours are made with the app.

    Faust waits a second for tables that may still be declared.
    """

    class Tables(TableManager):  # type: ignore[misc]
        _recovery: Recovery | None

        async def on_start(self) -> None:
            await self._update_channels()
            await self.recovery.start()

        @property
        def recovery(self) -> Recovery:
            if self._recovery is None:
                self._recovery = FillingRecovery(self.app, self, read=read, beacon=self.beacon, loop=self.loop)
            return self._recovery

    return Tables


def app_of(settings: Settings, client_id: str, read_changelog: Reader) -> Any:
    """Faust's app with this program's settings."""
    options = kafka_options(settings)
    app = faust.App(
        settings.name,
        broker=[f"kafka://{server}" for server in settings.bootstrap.split(",")],
        broker_client_id=client_id,
        broker_credentials=credentials_of(options),
        store=f"{settings.store}://",
        datadir=str(directory_of(settings)),
        topic_allow_declare=False,  # topics are created, with their settings, before the app starts
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        processing_guarantee="at_least_once",
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=16,  # records of the log are batches of up to half a megabyte
        stream_wait_empty=True,  # a record being applied is finished before its partition is revoked
        broker_max_poll_records=16,
        consumer_metadata_max_age_ms=5_000,  # how soon a recreated log is noticed
        consumer_max_fetch_size=2 * 1024 * 1024,
        broker_commit_interval=1.0,
        broker_session_timeout=settings.session_s,
        broker_heartbeat_interval=settings.session_s / 5,
        loghandlers=[],
        TableManager=_tables_filled_from(read_changelog),
    )
    app.conf.table_cleanup_interval = 3600
    app.transport.Consumer = _consumer_of(settings.fetch_wait_ms)
    return app


def apply_rows(table: Any, topic: str, partition: int, rows: Sequence[Row], last: int) -> None:
    """Put rows that were acknowledged, up to an offset (inclusive), into the table's local store."""
    if hasattr(table.data, "put_rows"):
        table.data.put_rows(partition, rows, last)
        return
    table.apply_changelog_batch(changelog_events(topic, partition, rows, last))


def changelog_events(topic: str, partition: int, rows: Iterable[Row], last: int) -> list[_Written]:
    """Rows that were acknowledged, as Faust's stores take them: these keep the last offset only."""
    tp = TP(topic, partition)
    return [_Written(tp, last, key, value) for key, value in rows]
