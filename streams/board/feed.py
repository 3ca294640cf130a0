"""Reads from Kafka what the board follows, without a consumer group: state, alerts, acts, deliveries and losses.

All workers write their state into one changelog topic. It is read from its beginning (it is compacted). During the
first reading a row waits until ``WINDOW`` others have come, so that most rows that are written again soon are judged
once; a subject without an open case is then forgotten, so memory grows with what is open and not with the state. Of the
notifier's deliveries it is noted where each row lies, and of the state too: a page that needs one reads it again
(``streams.board.rows``). Of alerts, acknowledgements, undelivered messages and dead letters the last records of each
partition are read, as many as the board keeps. What retention removed unread stands beside the offsets that the intake
commits. A topic that does not exist yet is looked up again until it does; looking it up never creates it. Nothing is
written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.board.deliveries import MOST_GIVEN_UP, Deliveries
from streams.board.messages import ack_from_bytes, alert_from_bytes
from streams.board.rows import Rows
from streams.core.board import KEPT, Board
from streams.core.open_cases import OpenCases
from streams.core.records import BEGINNING
from streams.core.rulebook import Rulebook
from streams.core.trends import MOST_SUBJECTS, DecidedCases
from streams.errors import BrokerError, InputError
from streams.kafka.admin import partitions_of
from streams.kafka.closing import closed
from streams.kafka.connection import clock_of, kafka_options
from streams.live.clock_partition import fingerprint_of, partition_of_key, subject_of_key
from streams.live.incomplete import MOST_LETTERS, Incompleteness, RecentLetters, incompleteness
from streams.live.quarantine import cause_of
from streams.live.source_positions import ANSWER_SECONDS, Loss, group_offsets, losses_of, name_of
from streams.settings import Settings
from streams.wire.state_rows import (
    Aside,
    DamagedError,
    StateError,
    position_from_bytes,
    snapshot_from_bytes,
    standing_from_bytes,
)

logger = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 60.0
_LOSSES_SECONDS: Final = 10.0
_CHUNK: Final = 200

WINDOW: Final = 20_000
"""Rows that wait during the first reading; some 20 MB."""

MOST_COUNTED: Final = 2 * MOST_SUBJECTS
"""Rows judged during the first reading, beyond which the days before it are given up."""

_NEVER: Final = 10**9

Row = tuple[bytes, bytes | None]


class StateReader:
    """Turns rows of the changelog into open cases. ``cases`` is a new object after each reading from the beginning.

    Rows come with the offset at which they lie, where that is known. With ``keep_for`` (microseconds; for how long the
    workers keep what is over) decided cases are counted by day in ``decided``. For that all rows have to be judged, of
    which else a look at the head is enough where nothing is open: of a large state, with more than ``MOST_COUNTED``
    rows to judge, only the days after the first reading are counted.
    """

    def __init__(self, rulebook: Rulebook, *, keep_for: int | None = None) -> None:
        self._rulebook = rulebook
        self._judged_by = [fingerprint_of(rulebook, tracks_cases=tracks) for tracks in (False, True)]
        self._keep_for = keep_for
        self._waiting: dict[bytes, tuple[bytes | None, int | None]] | None = {}
        self.decided: DecidedCases | None = None
        self.cases = OpenCases(rulebook)
        self._loading = self._fresh()
        self._judged = 0
        self.partitions = 0
        self.aside: dict[int, Sequence[Aside]] = {}
        """By partition: the subjects that are set aside, whose cases are not shown."""
        self.lost: Mapping[str, Sequence[Loss]] = {}
        """By source: what was removed before it was read."""
        self.letters = RecentLetters()

    @property
    def is_loading(self) -> bool:
        """Whether the first reading is still under way."""
        return self._waiting is not None

    @property
    def watermark(self) -> int | None:
        """The minimum of the partitions' watermarks; ``None`` until each partition has one."""
        known = self.cases.watermarks
        return min(known.values()) if known and len(known) >= self.partitions else None

    def incompleteness(self, now: int) -> list[Incompleteness]:
        """Since when, and of what, verdicts may be incomplete."""
        aside = [one for partition in self.aside.values() for one in partition]
        return incompleteness(self.lost, self.letters, aside, now)

    def restart(self, partitions: int) -> None:
        """Drop the rows; they are read from the beginning again. The board shows the old cases until then."""
        self._waiting, self._loading, self._judged = {}, self._fresh(), 0
        self.partitions = partitions

    def _fresh(self) -> tuple[OpenCases, DecidedCases | None]:
        if self._keep_for is None:
            return OpenCases(self._rulebook), None
        decided = DecidedCases(self._rulebook.calendar, keep_for=self._keep_for)
        return OpenCases(self._rulebook, decided.take), decided

    def take(self, row: Row, offset: int | None = None) -> None:
        """Take a row; rows of a partition come in its order.

        Raises:
            StateError: where a newer version wrote it.
        """
        waiting = self._waiting
        if waiting is None:
            self._apply(self.cases, self.decided, row, offset)
        elif subject_of_key(row[0]) is None:
            # At once, so that each subject is judged as of its partition's watermark.
            self._apply(*self._loading, row, offset)
        else:
            waiting.pop(row[0], None)
            waiting[row[0]] = row[1], offset
            if len(waiting) > WINDOW:
                self._apply_oldest(waiting)

    def _apply_oldest(self, waiting: dict[bytes, tuple[bytes | None, int | None]]) -> None:
        key = next(iter(waiting))
        value, offset = waiting.pop(key)
        self._apply(*self._loading, (key, value), offset)

    async def loaded(self) -> None:
        """The first reading is done: judge the rows that still wait, yielding to the event loop in between."""
        while self._waiting:
            for _ in range(min(_CHUNK, len(self._waiting))):
                self._apply_oldest(self._waiting)
            await asyncio.sleep(0)
        (self.cases, self.decided), self._waiting = self._loading, None
        if self.decided is not None and self._judged > MOST_COUNTED:
            latest = max(self.cases.watermarks.values(), default=BEGINNING)
            self.decided.begin(self._rulebook.calendar.local_date(latest) + 1)

    def _apply(self, cases: OpenCases, decided: DecidedCases | None, row: Row, offset: int | None) -> None:
        key, value = row
        subject, partition = subject_of_key(key), partition_of_key(key)
        if subject is None:
            if value is not None:
                position = position_from_bytes(value)
                self.aside[partition] = position.aside
                for one in position.aside:
                    cases.drop(one.subject)
                cases.advance(partition, _or_beginning(position.at))
        elif (
            value is None
            or any(subject == one.subject for one in self.aside.get(partition, ()))
            or self._shows_nothing(value, decided)
        ):
            cases.drop(subject)
        else:
            self._judged += 1
            if decided is not None and self._waiting is not None and self._judged > MOST_COUNTED:
                decided.begin(_NEVER)
            try:
                cases.put(partition, snapshot_from_bytes(subject, value), offset)
            except Exception as error:
                if isinstance(error, StateError) and not isinstance(error, DamagedError):
                    raise
                # The workers set such a subject aside, too; one of theirs must not take the whole board along.
                logger.warning("%s %s is not shown: %s", *subject, cause_of(error))
                cases.drop(subject)

    def _shows_nothing(self, value: bytes, decided: DecidedCases | None) -> bool:
        """Whether a row says at its head that nothing of its subject is shown: then its events need not be judged."""
        standing = standing_from_bytes(value, *self._judged_by)
        if standing is None or not standing.is_at_rest:
            return False
        return decided is None or decided.is_forgotten(standing.decided_at)


def _or_beginning(at: int | None) -> int:
    return BEGINNING if at is None else at


@dataclass(frozen=True, slots=True)
class _Followed:
    """A topic and what becomes of its records.

    The last ``back`` records of each partition are read, or all of them. ``restart`` gets the number of partitions
    before the first, and ``loaded`` is called once all that was there is read.
    """

    topic: str
    take: Callable[[ConsumerRecord], None]
    back: int | None = None
    restart: Callable[[int], None] = lambda _partitions: None
    loaded: Callable[[], Awaitable[None]] | None = None
    isolation: str = "read_uncommitted"


class BoardFeed:
    """Follows the topics until cancelled."""

    def __init__(
        self, settings: Settings, board: Board, state: StateReader, *, rows: Rows, deliveries: Deliveries
    ) -> None:
        self._board = board
        self._state = state
        self._rows = rows
        self._deliveries = deliveries
        self._settings = settings
        self._clock = clock_of(settings)
        board.is_reading = True
        self.refused = 0
        """Records of alerts, acknowledgements and undelivered messages that could not be read."""

    async def run(self) -> None:
        """Follow until cancelled.

        Raises:
            StateError: where a newer version of this program wrote the state.
        """
        settings = self._settings
        followed = (
            _Followed(settings.changelog_topic, self._row, restart=self._restart_state, loaded=self._state_loaded),
            _Followed(
                settings.deliveries_topic,
                self._delivery,
                restart=self._deliveries.restart,
                loaded=self._deliveries_loaded,
                isolation="read_committed",
            ),
            _Followed(settings.alerts_topic, self._alert, back=KEPT, loaded=self._alerts_loaded),
            _Followed(settings.acks_topic, self._ack, back=KEPT),
            _Followed(settings.undelivered_topic, self._undelivered, back=MOST_GIVEN_UP, isolation="read_committed"),
            _Followed(settings.dead_letters_topic, self._letter, back=MOST_LETTERS),
        )
        async with asyncio.TaskGroup() as tasks:
            for one in followed:
                tasks.create_task(self._follow(one))
            tasks.create_task(self._watch_losses())

    async def _watch_losses(self) -> None:
        group = f"{self._settings.name}-intake"
        committed = group_offsets(group, kafka_options(self._settings))
        while True:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    found = await committed(None)
                self._state.lost = {name_of(tp): losses_of(offset.metadata) for tp, offset in found.items()}
            except (KafkaError, OSError, TimeoutError) as error:
                logger.warning("group %s: %r; trying again", group, error)
            await asyncio.sleep(_LOSSES_SECONDS)

    def _letter(self, record: ConsumerRecord) -> None:
        self._state.letters.take(record.key or b"", record.value, self._clock.at(record.timestamp * 1000))

    def _row(self, record: ConsumerRecord) -> None:
        key, value = record.key, record.value
        if key is not None:
            self._state.take((key, value), record.offset)
            if subject_of_key(key) is not None:
                self._rows.note(key, record.partition, record.offset, is_deleted=value is None)

    def _restart_state(self, partitions: int) -> None:
        self._state.restart(partitions)
        self._rows.restart(partitions)

    async def _state_loaded(self) -> None:
        await self._state.loaded()
        self._rows.is_loading = False
        self._board.running = self._state.cases
        logger.info("%d open cases", len(self._state.cases.cases))

    def _delivery(self, record: ConsumerRecord) -> None:
        if record.key is not None:
            self._deliveries.take(record.key, record.value, record.partition, record.offset)

    async def _deliveries_loaded(self) -> None:
        self._deliveries.rows.is_loading = False

    def _alert(self, record: ConsumerRecord) -> None:
        try:
            self._board.take_alert(alert_from_bytes(record.value or b""))
        except InputError as error:
            self._refuse(error)

    async def _alerts_loaded(self) -> None:
        self._board.is_reading = False

    def _ack(self, record: ConsumerRecord) -> None:
        try:
            self._board.take_ack(*ack_from_bytes(record.value or b""))
        except InputError as error:
            self._refuse(error)

    def _undelivered(self, record: ConsumerRecord) -> None:
        try:
            self._deliveries.take_undelivered(record.value or b"")
        except InputError as error:
            self._refuse(error)

    def _refuse(self, error: InputError) -> None:
        self.refused += 1
        if self.refused <= 10:
            logger.warning("a record of alerts, acks or undelivered cannot be read and is skipped: %s", error)

    async def _partitions_of(self, topic: str) -> int | None:
        settings = self._settings
        return await asyncio.to_thread(partitions_of, settings.bootstrap, topic, security=settings.security())

    async def _follow(self, followed: _Followed) -> None:
        """Read one topic; again after any failure."""
        topic = followed.topic
        while True:
            try:
                count = await self._partitions_of(topic)
                if count:
                    await self._read(followed, count)
                elif followed.topic == self._settings.alerts_topic:
                    await self._alerts_loaded()
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # Nobody cancelled us: the client gave up a request of its own, as it does when brokers go away.
                logger.warning("%s: %r; trying again", topic, error)
            except (KafkaError, BrokerError, OSError) as error:
                logger.warning("%s: %s; trying again", topic, error)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _read(self, followed: _Followed, count: int) -> None:
        """Read until the number of partitions changes."""
        consumer = AIOKafkaConsumer(
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=followed.isolation,
            max_partition_fetch_bytes=2 * 1024 * 1024,
            **kafka_options(self._settings),
        )
        try:
            await consumer.start()
            parts = [TopicPartition(followed.topic, number) for number in range(count)]
            consumer.assign(parts)
            ends = await consumer.end_offsets(parts)
            await self._seek(consumer, parts, ends, followed.back)
            followed.restart(count)
            behind, loaded = set(parts), followed.loaded
            loop = asyncio.get_running_loop()
            look_at = loop.time() + _LOOK_SECONDS
            while True:
                for part in [part for part in behind if await consumer.position(part) >= ends[part]]:
                    behind.discard(part)
                if loaded is not None and not behind:
                    await loaded()
                    loaded = None
                for records in (await consumer.getmany(timeout_ms=200, max_records=2000)).values():
                    for number, record in enumerate(records):
                        followed.take(record)
                        if number % _CHUNK == 0:
                            await asyncio.sleep(0)
                if loop.time() > look_at:
                    look_at = loop.time() + _LOOK_SECONDS
                    if await self._partitions_of(followed.topic) != count:
                        return
        finally:
            await closed(consumer.stop())

    async def _seek(
        self, consumer: Any, parts: list[TopicPartition], ends: Mapping[TopicPartition, int], back: int | None
    ) -> None:
        begins = await consumer.beginning_offsets(parts)
        for part in parts:
            consumer.seek(part, begins[part] if back is None else max(begins[part], ends[part] - back))
