"""The position in each source partition, and records removed by its topic's retention before they were read.

Retention may remove records that no worker has read yet; the client then continues silently with the oldest remaining
one. So each position is compared with the one before, which after a rebalance is the committed offset. Skipped offsets
are a loss if the partition now begins after them; otherwise they are transaction markers or were compacted away. A loss
is logged, counted, and written into the metadata of the committed offset, where ``gridclock status`` finds it for a
day, whichever worker reads the partition by then.

Records of an open transaction and all later ones are not delivered, and the watermark waits for them
(``Intake._watermarks``). The metric has the time for which the last stable offset has not moved while records follow
it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from schemas.limits import DAY
from streams.kafka.closing import closed
from streams.wall_clock import WallClock, monotonic

ANSWER_SECONDS: Final = 5.0
"""Seconds that brokers may take to answer; a partition without a leader must not stop the reading."""

MOST_LOSSES: Final = 20
"""The newest losses of one partition that are kept; brokers take 4,096 bytes of metadata."""

GroupOffsets = Callable[[Sequence[TopicPartition] | None], Awaitable[Mapping[TopicPartition, OffsetAndMetadata]]]
"""What a group has committed for partitions, or for all."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loss:
    """Offsets ``first`` to ``last`` (inclusive) were removed unread; noticed ``at`` (microseconds)."""

    first: int
    last: int
    at: int

    @property
    def count(self) -> int:
        """The number of offsets; transaction markers may be among them, so it is an upper bound of the loss."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Tried:
    """Offsets ``first`` to ``last`` (inclusive) are being tried, after they killed ``tries - 1`` processes.

    ``is_alone``: a trial of one record, decoded and routed without effect (``poison_records``).
    """

    first: int
    last: int
    tries: int
    is_alone: bool = False


class PositionMetrics(Protocol):
    """The counters of the sources; ``source`` is ``topic/partition``."""

    def records_lost(self, source: str, count: int) -> None:
        """Records removed by retention before they were read; a count of 0 creates the counter."""

    def transaction_open(self, source: str, seconds: float | None) -> None:
        """How long a source has been blocked by an open transaction; ``None`` where another worker reads it."""


class SourcePositions:
    """The positions of one worker's source partitions, and the offsets it commits."""

    def __init__(
        self, consumer: AIOKafkaConsumer, committed: GroupOffsets, *, clock: WallClock, metrics: PositionMetrics
    ) -> None:
        self._consumer = consumer
        self._group_offsets = committed
        self._clock = clock
        self._metrics = metrics
        self._losses: dict[TopicPartition, list[Loss]] = {}  # of every assigned partition
        self._next: dict[TopicPartition, int] = {}
        self._gaps: dict[TopicPartition, list[range]] = {}  # skipped offsets whose cause is not known yet
        self._committed: dict[TopicPartition, OffsetAndMetadata] = {}
        self._held: dict[TopicPartition, tuple[int, float]] = {}  # last stable offset, and since when

    async def take_up(self, partitions: Collection[TopicPartition]) -> None:
        """Get the offsets committed for newly assigned partitions by their previous readers."""
        new = [tp for tp in partitions if tp not in self._losses]
        if not new:
            return
        found: Mapping[TopicPartition, OffsetAndMetadata] = {}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await self._group_offsets(new)
        except (KafkaError, OSError, TimeoutError) as error:
            logger.warning(
                "%s: the committed offsets are not known, so nobody says what was removed before it was read: %r",
                ", ".join(map(name_of, new)), error,
            )  # fmt: skip
        for tp in new:
            self._metrics.records_lost(name_of(tp), 0)
            committed = found.get(tp)
            if committed is None or committed.offset < 0:
                self._losses[tp] = []
            else:
                self._losses[tp] = losses_of(committed.metadata)
                self._next[tp] = committed.offset
                self._committed[tp] = committed

    def revoked(self, tp: TopicPartition) -> None:
        """Drop a revoked partition."""
        for known in (self._losses, self._next, self._gaps, self._committed, self._held):
            known.pop(tp, None)
        self._metrics.transaction_open(name_of(tp), None)

    def reached(self, tp: TopicPartition, first: int, following: int) -> None:
        """Offsets from ``first`` (inclusive) to ``following`` (exclusive) were read."""
        expected = self._next.get(tp, first)
        if first > expected:
            self._gaps.setdefault(tp, []).append(range(expected, first))
        self._next[tp] = following

    @property
    def unclear(self) -> Collection[TopicPartition]:
        """The partitions with skipped offsets of unknown cause: their watermarks must not advance."""
        return self._gaps.keys()

    async def find_losses(self) -> set[TopicPartition]:
        """Distinguish losses from markers among the skipped offsets; without an answer it is repeated next time.

        Returns the partitions with a loss.
        """
        lost: set[TopicPartition] = set()
        if not self._gaps:
            return lost
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                begins = await self._consumer.beginning_offsets(list(self._gaps))
        except (KafkaError, TimeoutError) as error:
            logger.info("the beginnings of the sources are not known: %r", error)
            return lost
        for tp, gaps in self._gaps.items():
            for gap in gaps:
                if begins[tp] > gap.start:
                    self._lost(tp, Loss(gap.start, min(begins[tp], gap.stop) - 1, self._clock.now()))
                    lost.add(tp)
        self._gaps.clear()
        return lost

    def _lost(self, tp: TopicPartition, loss: Loss) -> None:
        logger.error(
            "%s: offsets %d to %d (up to %d records) were removed by the topic's retention before they were read: "
            "verdicts may be wrong; send these events again, and keep the topic for longer (retention.ms)",
            name_of(tp), loss.first, loss.last, loss.count,
        )  # fmt: skip
        self._metrics.records_lost(name_of(tp), loss.count)
        self._losses.setdefault(tp, []).append(loss)

    def tried(self, tp: TopicPartition) -> Tried | None:
        """The offsets tried by the last writer of the partition's metadata; ``None`` if it had finished."""
        committed = self._committed.get(tp)
        return None if committed is None else tried_of(committed.metadata)

    def marked(self, tp: TopicPartition, tried: Tried) -> OffsetAndMetadata:
        """The committed offset, with the tried offsets as metadata; the next commit removes them."""
        committed = self._committed.get(tp)
        offset = tried.first if committed is None else committed.offset
        return OffsetAndMetadata(offset, _metadata_of(self._losses.get(tp, ()), tried))

    def measure_transactions(self) -> None:
        """Report how long each partition has been blocked, from the last fetch responses."""
        now = monotonic()
        for tp in self._consumer.assignment():
            stable, end = self._consumer.last_stable_offset(tp), self._consumer.highwater(tp)
            if stable is None or end is None or stable >= end:
                self._held.pop(tp, None)
            elif tp not in self._held or self._held[tp][0] != stable:
                self._held[tp] = stable, now
            self._metrics.transaction_open(name_of(tp), now - self._held[tp][1] if tp in self._held else 0.0)

    def to_commit(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """The offsets to commit now with their metadata, where either has changed.

        Not past skipped offsets of unknown cause: their reader may end before the cause is known.
        """
        oldest = self._clock.now() - DAY
        found = {}
        for tp, following in self._next.items():
            losses = [loss for loss in self._losses.get(tp, ()) if loss.at > oldest]
            offset = OffsetAndMetadata(following, _metadata_of(losses))
            if tp not in self._gaps and self._committed.get(tp) != offset:
                found[tp] = offset
        return found

    def committed(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """The commit of these has succeeded."""
        self._committed.update(offsets)


def _metadata_of(losses: Sequence[Loss], tried: Tried | None = None) -> str:
    """The newest losses, and the tried offsets."""
    found: dict[str, Any] = {}
    if losses:
        found["lost"] = [[loss.first, loss.last, loss.at] for loss in losses[-MOST_LOSSES:]]
    if tried is not None:
        found["tried"] = [tried.first, tried.last, tried.tries, tried.is_alone]
    return json.dumps(found) if found else ""


def losses_of(metadata: str | None) -> list[Loss]:
    """The losses in a committed offset's metadata; empty for metadata of another program."""
    try:
        return [Loss(int(first), int(last), int(at)) for first, last, at in json.loads(metadata or "")["lost"]]
    except (ValueError, KeyError, TypeError):
        return []


def tried_of(metadata: str | None) -> Tried | None:
    """The tried offsets in a committed offset's metadata; ``None`` if there are none."""
    try:
        first, last, tries, is_alone = json.loads(metadata or "")["tried"]
        return Tried(int(first), int(last), int(tries), bool(is_alone))
    except (ValueError, KeyError, TypeError):
        return None


def name_of(tp: TopicPartition) -> str:
    """``topic/partition``."""
    return f"{tp.topic}/{tp.partition}"


def group_offsets(group: str, options: Mapping[str, Any]) -> GroupOffsets:
    """Queries the brokers each time, on a separate connection; aiokafka's consumers do not expose the metadata."""
    return partial(_group_offsets, group, options)


async def _group_offsets(
    group: str, options: Mapping[str, Any], partitions: Sequence[TopicPartition] | None
) -> Mapping[TopicPartition, OffsetAndMetadata]:
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        found: Mapping[TopicPartition, OffsetAndMetadata] = await admin.list_consumer_group_offsets(
            group, partitions=None if partitions is None else list(partitions)
        )
    finally:
        await closed(admin.close())
    return found
