"""Reads state, alerts and acknowledgements from Kafka for the board, without a consumer group; writes nothing.

All workers write their state into one changelog topic. It is read from its beginning (it is compacted); during the
first reading only the last row of each key is kept, and all rows are judged at its end. Of alerts and
acknowledgements the last records of each partition are read, as many as the board keeps. A topic that does not exist
yet is looked up again until it does; looking it up never creates it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.board.messages import ack_from_bytes, alert_from_bytes
from streams.core.board import KEPT, Board
from streams.core.open_cases import OpenCases
from streams.core.records import BEGINNING
from streams.core.rulebook import Rulebook
from streams.errors import BrokerError, InputError
from streams.kafka.admin import partitions_of
from streams.kafka.connection import kafka_options
from streams.live.clock_partition import partition_of_key, subject_of_key
from streams.live.quarantine import cause_of
from streams.settings import Settings
from streams.wire.state_rows import Aside, DamagedError, StateError, position_from_bytes, snapshot_from_bytes

logger = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 60.0
_CHUNK: Final = 200

Row = tuple[bytes, bytes | None]


class StateReader:
    """Turns rows of the changelog into open cases. ``cases`` is a new object after each reading from the beginning."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self._waiting: dict[bytes, bytes | None] | None = {}
        self.cases = OpenCases(rulebook)
        self.partitions = 0
        self.aside: dict[int, Sequence[Aside]] = {}
        """By partition: the subjects that are set aside, whose cases are not shown."""

    @property
    def is_loading(self) -> bool:
        """Whether the first reading is still under way."""
        return self._waiting is not None

    @property
    def watermark(self) -> int | None:
        """The minimum of the partitions' watermarks; ``None`` until each partition has one."""
        known = self.cases.watermarks
        return min(known.values()) if known and len(known) >= self.partitions else None

    def restart(self, partitions: int) -> None:
        """Drop the rows; they are read from the beginning again. The board shows the old cases until then."""
        self._waiting = {}
        self.partitions = partitions

    def take(self, row: Row) -> None:
        """Take a row; rows of a partition come in its order.

        Raises:
            StateError: where a newer version wrote it.
        """
        if self._waiting is None:
            self._apply(self.cases, row)
        else:
            self._waiting[row[0]] = row[1]

    async def loaded(self) -> None:
        """The first reading is done: judge the rows, yielding to the event loop in between."""
        rows, fresh = self._waiting or {}, OpenCases(self._rulebook)
        # Positions first, so that each subject is judged once and as of its partition's watermark.
        ordered = sorted(rows.items(), key=lambda row: subject_of_key(row[0]) is not None)
        for number, row in enumerate(ordered):
            self._apply(fresh, row)
            if number % _CHUNK == 0:
                await asyncio.sleep(0)
        self.cases, self._waiting = fresh, None

    def _apply(self, cases: OpenCases, row: Row) -> None:
        key, value = row
        subject, partition = subject_of_key(key), partition_of_key(key)
        if subject is None:
            if value is not None:
                position = position_from_bytes(value)
                self.aside[partition] = position.aside
                for one in position.aside:
                    cases.drop(one.subject)
                cases.advance(partition, _or_beginning(position.at))
        elif value is None or any(subject == one.subject for one in self.aside.get(partition, ())):
            cases.drop(subject)
        else:
            try:
                cases.put(partition, snapshot_from_bytes(subject, value))
            except Exception as error:
                if isinstance(error, StateError) and not isinstance(error, DamagedError):
                    raise
                # The workers set such a subject aside, too; one of theirs must not take the whole board along.
                logger.warning("%s %s is not shown: %s", *subject, cause_of(error))
                cases.drop(subject)


def _or_beginning(at: int | None) -> int:
    return BEGINNING if at is None else at


class BoardFeed:
    """Follows the three topics until cancelled."""

    def __init__(self, settings: Settings, board: Board, state: StateReader) -> None:
        self._board = board
        self._state = state
        self._settings = settings
        self.refused = 0
        """Records of alerts and acknowledgements that could not be read."""

    async def run(self) -> None:
        """Follow until cancelled.

        Raises:
            StateError: where a newer version of this program wrote the state.
        """
        settings = self._settings
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(settings.changelog_topic, self._row, back=None))
            tasks.create_task(self._follow(settings.alerts_topic, self._alert, back=KEPT))
            tasks.create_task(self._follow(settings.acks_topic, self._ack, back=KEPT))

    def _row(self, row: Row) -> None:
        self._state.take(row)

    def _alert(self, row: Row) -> None:
        try:
            self._board.take_alert(alert_from_bytes(row[1] or b""))
        except InputError as error:
            self._refuse(error)

    def _ack(self, row: Row) -> None:
        try:
            self._board.take_ack(*ack_from_bytes(row[1] or b""))
        except InputError as error:
            self._refuse(error)

    def _refuse(self, error: InputError) -> None:
        self.refused += 1
        if self.refused <= 10:
            logger.warning("a record of alerts or acknowledgements cannot be read and is skipped: %s", error)

    async def _partitions_of(self, topic: str) -> int | None:
        settings = self._settings
        return await asyncio.to_thread(partitions_of, settings.bootstrap, topic, security=settings.security())

    async def _follow(self, topic: str, take: Callable[[Row], None], *, back: int | None) -> None:
        """Read one topic, from its beginning or the last ``back`` records a partition; again after any failure."""
        while True:
            try:
                count = await self._partitions_of(topic)
                if count:
                    await self._read(topic, count, take, back)
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # Nobody cancelled us: the client gave up a request of its own, as it does when brokers go away.
                logger.warning("%s: %r; trying again", topic, error)
            except (KafkaError, BrokerError, OSError) as error:
                logger.warning("%s: %s; trying again", topic, error)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _read(self, topic: str, count: int, take: Callable[[Row], None], back: int | None) -> None:
        """Read until the number of partitions changes."""
        consumer = AIOKafkaConsumer(
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=2 * 1024 * 1024,
            **kafka_options(self._settings),
        )
        try:
            await consumer.start()
            parts = [TopicPartition(topic, number) for number in range(count)]
            consumer.assign(parts)
            ends = await consumer.end_offsets(parts)
            await self._seek(consumer, parts, ends, back)
            if back is None:
                self._state.restart(count)
            behind = set(parts)
            loop = asyncio.get_running_loop()
            look_at = loop.time() + _LOOK_SECONDS
            while True:
                for part in [part for part in behind if await consumer.position(part) >= ends[part]]:
                    behind.discard(part)
                if back is None and not behind and self._state.is_loading:
                    await self._state.loaded()
                    self._board.running = self._state.cases
                    logger.info("%d open cases", len(self._state.cases.cases))
                for records in (await consumer.getmany(timeout_ms=200, max_records=2000)).values():
                    for number, record in enumerate(records):
                        if record.key is not None or back is not None:
                            take((record.key or b"", record.value))
                        if number % _CHUNK == 0:
                            await asyncio.sleep(0)
                if loop.time() > look_at:
                    look_at = loop.time() + _LOOK_SECONDS
                    if await self._partitions_of(topic) != count:
                        return
        finally:
            await consumer.stop()

    async def _seek(
        self, consumer: Any, parts: list[TopicPartition], ends: Mapping[TopicPartition, int], back: int | None
    ) -> None:
        begins = await consumer.beginning_offsets(parts)
        for part in parts:
            consumer.seek(part, begins[part] if back is None else max(begins[part], ends[part] - back))
