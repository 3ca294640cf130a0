"""Finds the record of a source that kills the intake's process without an exception.

A process that has taken over a source partition writes the offsets of the first batch into the metadata of the
committed offset before it tries them. Offsets found there already killed an earlier process. Then each of these records
is decoded and routed by itself as a trial, and its offset is written first. A record that kills a process alone is set
aside: it becomes a dead letter. Where none does, half of the batch is taken: the whole batch may be too large.

This ends for a partition once this process has taken as many records of it as a batch can have, or all that there were
when it began: the record that killed the process before was among them. From then on nothing is written, so the usual
cost is one commit per start or rebalance.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from streams.live.source_positions import SourcePositions, Tried, name_of

MOST_DEATHS: Final = 5
"""Deaths after which a record is set aside although the trial (decode and route) succeeds."""

Batches = Mapping[TopicPartition, Sequence[Any]]
"""Records by partition, in the order of their offsets; none is empty."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Left:
    """The end of a partition's first batches: a number of records, or an offset (exclusive)."""

    records: int
    end: int


class _MovedError(Exception):
    """The partitions were revoked."""


class PoisonRecords:
    """``before`` a batch is taken, and ``after`` it.

    ``commit`` writes offsets and returns false where the partitions were revoked. ``trial`` decodes and routes a record
    without effect, and returns false where its schema is missing. ``batch`` is the most records of a batch.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        positions: SourcePositions,
        *,
        batch: int,
        commit: Callable[[Mapping[TopicPartition, OffsetAndMetadata]], Awaitable[bool]],
        trial: Callable[[TopicPartition, Any], Awaitable[bool]],
    ) -> None:
        self._consumer = consumer
        self._positions = positions
        self._batch = batch
        self._commit = commit
        self._trial = trial
        self._left: dict[TopicPartition, _Left] = {}
        self.fatal: dict[tuple[TopicPartition, int], int] = {}
        """By partition and offset: the number of processes killed by a record that is to be set aside."""

    def revoked(self, tp: TopicPartition) -> None:
        """Drop a revoked partition."""
        self._left.pop(tp, None)

    async def before(self, batches: Batches) -> Batches:
        """The part of the batches to take now, written before; the rest is read again.

        Empty where the partitions were revoked.
        """
        try:
            return await self._written_down(batches)
        except _MovedError:
            for tp, records in batches.items():
                if tp in self._consumer.assignment():
                    self._consumer.seek(tp, records[0].offset)  # else the watermark would pass records not taken
            return {}

    async def _written_down(self, batches: Batches) -> Batches:
        found, marks = dict(batches), dict[TopicPartition, Tried]()
        for tp, records in batches.items():
            end = self._consumer.highwater(tp)
            left = self._left.setdefault(tp, _Left(self._batch, sys.maxsize if end is None else end))
            if left.records <= 0 or records[0].offset >= left.end:
                continue
            died_of = self._positions.tried(tp)
            taken, tries = records, 1
            if died_of is not None and any(died_of.first <= one.offset <= died_of.last for one in records):
                taken, tries = await self._narrowed(tp, records, died_of), died_of.tries + 1
            if taken:
                found[tp], marks[tp] = taken, Tried(taken[0].offset, taken[-1].offset, tries)
            else:
                del found[tp]
            if len(taken) < len(records):
                self._consumer.seek(tp, records[len(taken)].offset)
        await self._mark(marks)
        return found

    async def _narrowed(self, tp: TopicPartition, records: Sequence[Any], died_of: Tried) -> Sequence[Any]:
        """The records to take now, where some killed a process; empty while a schema is missing."""
        inside = [at for at, one in enumerate(records) if died_of.first <= one.offset <= died_of.last]
        begin, end = inside[0], inside[-1] + 1
        if died_of.first == died_of.last and (died_of.is_alone or died_of.tries >= MOST_DEATHS):
            self.fatal[tp, died_of.first] = died_of.tries
            return records[:end]
        logger.warning(
            "%s: a process died while it tried offsets %d to %d: they are tried one by one",
            name_of(tp), died_of.first, died_of.last,
        )  # fmt: skip
        tries = died_of.tries + 1
        for at in range(begin, end):
            offset = records[at].offset
            await self._mark({tp: Tried(offset, offset, tries, is_alone=True)})
            if not await self._trial(tp, records[at]):
                end = at
                break
        else:
            end = begin + max(1, (end - begin) // 2)
        # Else the last one would be blamed when another partition kills the process.
        await self._mark({tp: Tried(records[0].offset, records[max(end, 1) - 1].offset, tries)})
        return records[:end]

    async def _mark(self, marks: Mapping[TopicPartition, Tried]) -> None:
        if not await self._commit({tp: self._positions.marked(tp, tried) for tp, tried in marks.items()}):
            raise _MovedError

    def after(self, batches: Batches) -> None:
        """The batches have been taken and committed."""
        for tp, records in batches.items():
            self._left[tp].records -= len(records)
            if records[-1].offset + 1 >= self._left[tp].end:
                self._left[tp].records = 0
            for record in records if self.fatal else ():
                self.fatal.pop((tp, record.offset), None)
