"""Source topics to the ordered log: decode, route, and write watermarks.

Theory of operation. One loop reads a batch, decodes it, and writes one log record to every partition of the log with
events in it, the source partitions' watermarks after the events; the other partitions get the watermarks only. When the
broker has acknowledged all of it, the position in the sources is committed. A crash in between repeats the batch: the
log then holds events twice, and a subject's history recognises them by their ids.

A source partition's watermark is *now* less the grace, when the partition was read to an end that the broker named
after that *now*: every record appended before it has then been read. *Now* is the earlier of this machine's clock and
the brokers' (``TrustedClock``); until both are known there are no watermarks. Otherwise the watermark is the broker's
timestamp of the last record read, less the grace: so a backlog holds the watermark back until it has been read, and an
idle partition does not. Where the broker does not give the end offsets, only records read advance the watermark. The
watermarks are written with the numbers of source partitions, also read after that *now* (``PartitionCounts``): so the
watermark waits for a partition that has just been added. While a number is not known, there are no watermarks.

A watermark does not depend on ownership: its writer has read all records up to it, and has written their events to the
same partition of the log before. So a worker that has lost its partitions without notice does no harm: it repeats
events, and its watermarks are correct.

A Kafka transaction around log and positions would avoid the repetitions, but a worker killed inside one blocks every
reader of the log until the transaction times out, and Faust's consumer reads uncommitted records unless the whole app
runs as exactly-once, which is not reliable. Repeated events cost nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median_low
from typing import TYPE_CHECKING, Any, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from streams.core.event import Event
from streams.engine.clocks import PlainRecord
from streams.errors import InputError, RegistryAwayError
from streams.kafka.partition_counts import PartitionCounts
from streams.kafka.producer import BackPressure
from streams.live.linger import Linger
from streams.live.poison_records import PoisonRecords
from streams.live.quarantine import cause_of, letter_of, quarantined
from streams.live.routing import Router, partition_of, split
from streams.live.source_positions import ANSWER_SECONDS, GroupOffsets, PositionMetrics, SourcePositions, name_of
from streams.live.trusted_clock import TrustedClock
from streams.settings import Settings
from streams.wall_clock import monotonic
from streams.wire.mapping import Skipped
from streams.wire.records import CLOCKS_AGREE, LOG_APPEND_TIME, RecordDecoder, arrival_of, stamps_of
from streams.wire.state_rows import record_to_bytes

if TYPE_CHECKING:
    from streams.live.spans import Spans

REGISTRY_SECONDS = 1.0
"""Seconds after which a partition that waits for a schema registry is read again."""

Positions = dict[TopicPartition, int]

logger = logging.getLogger(__name__)


class IntakeMetrics(PositionMetrics, Protocol):
    """What the intake counts."""

    def event_in(self, event_type: str, count: int) -> None:
        """Events decoded."""

    def dead_letter(self, reason: str) -> None:
        """A record refused."""

    def unwatched(self, count: int) -> None:
        """Events that no rule watches."""

    def passed_over(self, topic: str) -> None:
        """A record, or a part of one, that gives no event by the topic's mapping."""


def time_of(records: Sequence[Any], stamps: Sequence[int | None]) -> int | None:
    """The progress of a partition not yet read to its end: real time in microseconds.

    The timestamp of the last record if the broker set it. Producers' clocks differ, and no single one may advance the
    watermark: of theirs the median. ``None`` where no record has a plausible timestamp.

    ``stamps`` are those of the records, as ``stamps_of`` gives them.
    """
    if records[-1].timestamp_type == LOG_APPEND_TIME:
        stamps = stamps[-1:]
    found = [stamp for stamp in stamps if stamp is not None]
    return median_low(found) if found else None


@dataclass(frozen=True, slots=True)
class IntakeClients:
    """The intake's connections: reader of the sources, writer of the log, partition counts; its waits.

    ``consumer`` reads committed records only; ``uncommitted`` has no group and gives the end offsets of all records.
    ``group_offsets`` are the offsets committed by the reader's group. ``spans`` are there where traces are wanted.
    """

    consumer: AIOKafkaConsumer
    uncommitted: AIOKafkaConsumer
    producer: AIOKafkaProducer
    counts: PartitionCounts
    waits: BackPressure
    group_offsets: GroupOffsets
    spans: Spans | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    """Watermarks (microseconds), positions, and the partitions that were read to their end."""

    watermarks: dict[str, int]
    positions: Positions
    at_end: set[TopicPartition]


class Intake(ConsumerRebalanceListener):  # type: ignore[misc]
    """One worker's share of the source partitions; ``run`` until cancelled or ``stop``."""

    def __init__(
        self,
        settings: Settings,
        router: Router,
        decoder: RecordDecoder,
        clients: IntakeClients,
        *,
        time: TrustedClock,
        metrics: IntakeMetrics,
    ) -> None:
        self._consumer = clients.consumer
        self._uncommitted = clients.uncommitted
        self._producer = clients.producer
        self._counts = clients.counts
        self._sources = settings.source_topics
        self._log_topic = settings.log_topic
        self._log_partitions = router.partitions
        self._dead_letters_topic = settings.dead_letters_topic
        self._refused: dict[int, list[tuple[str, str, int]]] = {}  # by log partition: subjects that letters name
        self._decoder = decoder
        self._router = router
        self._clock = time.clock
        self._time = time
        self._metrics = metrics
        self._waits = clients.waits
        self._spans = clients.spans
        self._grace = settings.grace_ms * 1000
        self._tick = settings.tick_ms * 1000
        self._batch = settings.batch
        self._max_ahead = settings.max_ahead_s * 1_000_000
        self._last_read: dict[TopicPartition, int] = {}
        self._behind_loss: set[TopicPartition] = set()  # the next record there is the first after a loss
        self._positions = SourcePositions(clients.consumer, clients.group_offsets, clock=time.clock, metrics=metrics)
        self._first = PoisonRecords(
            clients.consumer, self._positions, batch=settings.batch, commit=self._commit, trial=self._try
        )
        self._waiting: dict[TopicPartition, float] = {}
        self.may_prune: Callable[[], bool] = lambda: False
        """Whether histories may be pruned: every worker must read their rows."""
        self.linger = Linger({})
        self._busy = asyncio.Lock()
        self._stopping = False

    # -- rebalance ---------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Finish and commit the current batch before its partitions are revoked."""
        async with self._busy:
            for partition in revoked:
                self._last_read.pop(partition, None)
                self._positions.revoked(partition)
                self._first.revoked(partition)
                self._behind_loss.discard(partition)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing to prepare: the next batch includes them."""

    # -- loop --------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop after the current batch."""
        self._stopping = True

    async def run(self) -> None:
        """Read, route and write watermarks until ``stop``.

        Raises:
            KafkaError: where the broker refuses for good; the worker then ends and must be restarted.
        """
        self._consumer.subscribe(topics=self._sources, listener=self)
        await self._write([()] * self._log_partitions, {}, ())  # to learn the brokers' time
        while not self._stopping:
            self._resume()
            batches = await self._consumer.getmany(timeout_ms=self._tick // 1000, max_records=self._batch)
            began = monotonic()
            async with self._busy:
                # A rebalance may have happened meanwhile: another worker reads the revoked partitions again.
                ours = self._consumer.assignment()
                await self._take_up({tp: records for tp, records in batches.items() if tp in ours})
            if sum(map(len, batches.values())) < self._batch // 4:
                await self._wait_until(began + self.linger.seconds())

    async def _wait_until(self, instant: float) -> None:
        """Wait until that ``monotonic`` instant, or until ``stop``."""
        while not self._stopping and (seconds := instant - monotonic()) > 0:
            await asyncio.sleep(min(seconds, self._tick / 1_000_000))

    async def _take_up(self, batches: Mapping[TopicPartition, Sequence[Any]]) -> None:
        """Take batches; the offsets of a partition's first batches are written before (``poison_records``)."""
        await self._positions.take_up(self._consumer.assignment())
        ready = await self._ready(await self._first.before(batches))
        await self._step(ready)
        self._first.after(ready)

    async def _ready(self, batches: Mapping[TopicPartition, Sequence[Any]]) -> dict[TopicPartition, Sequence[Any]]:
        """The records whose schemas are known. While the registry is away, the others wait in their partition.

        Its position is set back to them, so its watermark does not pass them, and no later offset is committed.
        """
        found: dict[TopicPartition, Sequence[Any]] = {}
        for tp, records in batches.items():
            for place, record in enumerate(records if self._decoder.has_schemas(tp.topic) else ()):
                if (tp, record.offset) in self._first.fatal or self._decoder.is_ready(tp.topic, record):
                    continue
                try:
                    await asyncio.to_thread(self._decoder.prepare, tp.topic, record)
                except RegistryAwayError:
                    self._consumer.seek(tp, record.offset)
                    self._consumer.pause(tp)
                    self._waiting[tp] = monotonic() + REGISTRY_SECONDS
                    records = records[:place]
                    break
            if records:
                found[tp] = records
        return found

    def _resume(self) -> None:
        """Read again the partitions that have waited for a schema registry."""
        now, ours = monotonic(), self._consumer.assignment()
        for tp in [tp for tp, until in self._waiting.items() if now >= until or tp not in ours]:
            del self._waiting[tp]
            if tp in ours:
                self._consumer.resume(tp)

    async def _step(self, batches: Mapping[TopicPartition, Sequence[Any]]) -> None:
        entries: list[list[bytes]] = [[] for _ in range(self._log_partitions)]
        letters: list[tuple[bytes, bytes]] = []
        now = self._time.brokers_now()
        for tp, records in batches.items():
            self._positions.reached(tp, records[0].offset, records[-1].offset + 1)
            stamps = stamps_of(records, now, self._max_ahead)
            read = time_of(records, stamps)
            if read is not None:
                self._last_read[tp] = self._clock.at(read)
            self._take_all(tp, self._plain(tp, records, stamps, now), records, entries, letters)
        read_on = await self._positions.find_losses() | (self._behind_loss & batches.keys())
        seen = await self._watermarks()
        # Also past transaction markers at the end: they are not a backlog.
        for tp, position in seen.positions.items():
            self._positions.reached(tp, position, position)
        waiting = (self._behind_loss - read_on) | await self._positions.find_losses()
        lost_before = self._lost_before(read_on, waiting & seen.at_end)
        self._behind_loss = waiting - seen.at_end
        for tp in self._positions.unclear:
            seen.watermarks.pop(name_of(tp), None)
        self._positions.measure_transactions()
        if letters or seen.watermarks or any(entries) or lost_before is not None:
            await self._write(entries, seen.watermarks, letters, lost_before)
        await self._commit(self._positions.to_commit())

    def _lost_before(self, read_on: Iterable[TopicPartition], at_end: Iterable[TopicPartition]) -> int | None:
        """The instant before which lost records had been appended: that of the next record read, or now."""
        bounds = [self._last_read[tp] if tp in self._last_read else self._time.now() for tp in read_on]
        bounds += [self._time.now() for _ in at_end]
        return max(bounds, default=None)

    async def _write(
        self,
        entries: Sequence[Sequence[bytes]],
        watermarks: Mapping[str, int],
        letters: Sequence[tuple[bytes, bytes]],
        lost_before: int | None = None,
    ) -> None:
        counts, prunes, named, self._refused = self._counts.known, self.may_prune(), self._refused, {}
        carried = {} if self._spans is None else self._spans.carried()
        with self._waits.on(f"topic {self._log_topic} or {self._dead_letters_topic}"):
            refused = [await self._producer.send(self._dead_letters_topic, value, key=key) for key, value in letters]
            logged = []
            for partition, own in enumerate(entries):
                *full, last = split(own)
                headers = carried.get(partition)
                for chunk in full:
                    value = record_to_bytes(chunk, {}, counts, lost_before, prunes=prunes)
                    logged.append(
                        await self._producer.send(self._log_topic, value, partition=partition, headers=headers)
                    )
                of_letters = named.get(partition, ())
                value = record_to_bytes(last, watermarks, counts, lost_before, prunes=prunes, refused=of_letters)
                logged.append(await self._producer.send(self._log_topic, value, partition=partition, headers=headers))
            for sent in refused:
                await sent
            written = [await sent for sent in logged]
            self._time.observe(written)
            self.linger.wrote(written)

    async def _commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        """Commit offsets; false where the partitions were revoked."""
        if not offsets:
            return True
        try:
            await self._consumer.commit({tp: tuple(offset) for tp, offset in offsets.items()})
            self._positions.committed(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            # The partitions were revoked; the other worker reads this batch again: duplicates, recognised by id.
            logger.info("positions not committed, the partitions have moved: %s", error)
            return False
        return True

    async def _try(self, tp: TopicPartition, record: Any) -> bool:
        """Decode and route a record without effect; false where it waits for a schema."""
        if not await self._ready({tp: [record]}):
            return False
        with suppress(Exception):  # the error is raised again when the record is taken
            now = self._time.brokers_now()
            plain = self._plain(tp, [record], stamps_of([record], now, self._max_ahead), now)
            unused: list[list[bytes]] = [[] for _ in range(self._log_partitions)]
            if plain and self._router.route(plain, 0, name_of(tp), unused) is not None:
                return True
            for found in self._events_of(tp, record):
                if isinstance(found, Event):
                    self._router.entries_of(found, f"{name_of(tp)}/{record.offset}")
        return True

    def _take_all(
        self,
        tp: TopicPartition,
        plain: list[PlainRecord],
        records: Sequence[Any],
        entries: list[list[bytes]],
        letters: list[tuple[bytes, bytes]],
    ) -> None:
        """Decode and route records in their order: natively as many together as can be, the others one by one."""
        take = self._take if self._spans is None else self._spans.around(self._take)
        source, place = name_of(tp), 0
        while place < len(records):
            routed = self._router.route(plain, place, source, entries) if plain else None
            if routed is None:
                take(tp, records[place], entries, letters)
                place += 1
                continue
            place = routed.end
            for event_type, count in routed.counts:
                self._metrics.event_in(event_type, count)
            if routed.unwatched:
                self._metrics.unwatched(routed.unwatched)

    def _plain(
        self, tp: TopicPartition, records: Sequence[Any], stamps: Sequence[int | None], now: int
    ) -> list[PlainRecord]:
        """Records as they are routed natively; none where their topic's cannot be. ``now`` is the brokers'."""
        if not self._router.is_native or self._spans is not None or not self._decoder.keeps_all(tp.topic):
            return []
        fatal = {offset for at, offset in self._first.fatal if at == tp}
        latest, offsets = now + CLOCKS_AGREE, [record.offset for record in records]
        bounds = [
            None if stamp is None or offset in fatal else min(stamp, latest)
            for offset, stamp in zip(offsets, stamps, strict=True)
        ]
        values = [record.value or b"" for record in records]
        return list(zip(offsets, values, self._clock.all_at(bounds, self._max_ahead), strict=True))

    def _take(
        self, tp: TopicPartition, record: Any, entries: list[list[bytes]], letters: list[tuple[bytes, bytes]]
    ) -> None:
        """Decode and route a record. One that fails twice is set aside; events routed twice are recognised by id."""
        if (deaths := self._first.fatal.get((tp, record.offset))) is not None:
            logger.error(
                "%s/%d/%d: set aside: the process died at it, %d times; gridclock dead-letters retry brings it back",
                tp.topic, tp.partition, record.offset, deaths,
            )  # fmt: skip
            self._refuse(tp, record, quarantined(f"the process died at it, {deaths} times"), letters)
            return
        try:
            self._take_events(tp, record, entries, letters)
        except Exception as first:
            logger.warning("%s/%d/%d: tried again after %s", tp.topic, tp.partition, record.offset, cause_of(first))
            try:
                self._take_events(tp, record, entries, letters)
            except Exception as error:
                cause = cause_of(error)
                logger.error(
                    "%s/%d/%d: set aside after two faults: %s; gridclock dead-letters retry brings it back",
                    tp.topic, tp.partition, record.offset, cause,
                )  # fmt: skip
                self._refuse(tp, record, quarantined(cause), letters)

    def _take_events(
        self, tp: TopicPartition, record: Any, entries: list[list[bytes]], letters: list[tuple[bytes, bytes]]
    ) -> None:
        try:
            events = self._events_of(tp, record)
        except InputError as error:
            self._refuse(tp, record, error, letters)
            return
        for found in events:
            if isinstance(found, Skipped):
                self._metrics.passed_over(tp.topic)
                continue
            try:
                if isinstance(found, InputError):
                    raise found
                own = self._router.entries_of(found, f"{name_of(tp)}/{record.offset}")
            except InputError as error:
                self._refuse(tp, record, error, letters)
            else:
                for partition, entry in own:
                    entries[partition].append(entry)
                self._metrics.event_in(found.type, 1)
                if not own:
                    self._metrics.unwatched(1)
                if self._spans is not None:
                    self._spans.routed(found.event_id, [partition for partition, _ in own])

    def _events_of(self, tp: TopicPartition, record: Any) -> Iterator[Event | InputError | Skipped]:
        """What a record decodes to, one by one.

        Raises:
            InputError: at once, where its timestamp is impossible.
        """
        received = self._came_in(record)
        return self._decoder.events(tp.topic, tp.partition, record, received=received, max_ahead=self._max_ahead)

    def _came_in(self, record: Any) -> int:
        return self._clock.at(arrival_of(record, self._time.brokers_now(), self._max_ahead))

    def _refuse(self, tp: TopicPartition, record: Any, error: InputError, letters: list[tuple[bytes, bytes]]) -> None:
        letter = letter_of(record.value or b"", error, source=name_of(tp), position=record.offset)
        came = self._came_in(record) if error.subjects else 0
        for subject in error.subjects:
            own = self._refused.setdefault(partition_of(subject, self._log_partitions), [])
            own.append((*subject, came if error.at is None else min(error.at, came)))
        self._metrics.dead_letter(error.reason)
        letters.append((letter.id.encode(), letter.model_dump_json().encode()))

    async def _watermarks(self) -> _Seen:
        """The watermark and the position of each assigned partition; unknown ones are left out.

        Records of an open transaction and all later ones are not delivered. So a partition is read to its end only if
        that is the end of all records: the watermark stops at an open transaction.
        """
        assigned = sorted(self._consumer.assignment())
        if not assigned:
            return _Seen({}, {}, set())
        now = self._time.now()
        # Both are requested after `now` was read; the watermark relies on this.
        counted, (ends, positions) = await asyncio.gather(self._are_counted(), self._ends(assigned))
        found: dict[str, int] = {}
        at_end = {tp for tp in assigned if tp in positions and positions[tp] >= ends[tp]}
        if not counted:
            return _Seen(found, positions, at_end)
        for tp in assigned:
            if tp in at_end:
                found[name_of(tp)] = now - self._grace
            elif tp in self._last_read:
                found[name_of(tp)] = min(self._last_read[tp], now) - self._grace
        return _Seen(found, positions, at_end)

    async def _are_counted(self) -> bool:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._counts.ask()
        except (KafkaError, TimeoutError) as error:
            logger.info("how many partitions the sources have is not known: %r", error)
            return False
        return True

    async def _ends(self, assigned: Sequence[TopicPartition]) -> tuple[Mapping[TopicPartition, int], Positions]:
        ends: Mapping[TopicPartition, int] = {}
        positions: Positions = {}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                ends = await self._uncommitted.end_offsets(assigned)
                for tp in assigned:
                    positions[tp] = await self._consumer.position(tp)
        except (IllegalStateError, KafkaError, TimeoutError) as error:  # no leader at the moment, or revoked
            logger.info("the ends of the sources are not known: %r", error)
        return ends, positions
