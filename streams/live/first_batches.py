"""Finds the record of a source that kills the intake's process, which leaves no exception.

A process that has taken a source partition over writes beside the committed offset (in its metadata), before it tries
the partition's first batch, which offsets it tries. What stands there already is what a process died of. Then each of
these records is decoded and routed by itself, for nothing, and written down before. What a process died of alone is set
aside: it becomes a dead letter. Where none is found, half of the batch is taken: perhaps it is too much together.

A partition is beyond that once this process has taken as many records of it as a batch can have, or all that there were
when it began: what killed the process before was among them. From then on nothing is written down, so the ordinary
case costs one commit for each start or rebalance.
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
"""After which a record is set aside that does no harm where it is only decoded and routed."""

Batches = Mapping[TopicPartition, Sequence[Any]]
"""Records by partition, in the order of their offsets; none is empty."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Left:
    """Until a partition is beyond its first batches: how many records, or up to which offset (exclusive)."""

    records: int
    end: int


class _MovedError(Exception):
    """The partitions have gone to another worker."""


class FirstBatches:
    """``before`` a batch is taken, and ``after`` it.

    ``commit`` writes offsets and gives false where the partitions have gone to another worker. ``trial`` decodes and
    routes a record for nothing, and gives false where it lacks a schema. ``batch`` is the most records of a batch.
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
        """By partition and offset: how many processes died of a record that is to be set aside."""

    def revoked(self, tp: TopicPartition) -> None:
        """Forget a partition that another worker may get."""
        self._left.pop(tp, None)

    async def before(self, batches: Batches) -> Batches:
        """What of the batches is to be taken now, written down before; the rest is read again.

        Nothing where the partitions have gone to another worker.
        """
        try:
            return await self._written_down(batches)
        except _MovedError:
            for tp, records in batches.items():
                if tp in self._consumer.assignment():
                    self._consumer.seek(tp, records[0].offset)  # else time would go past what nobody has taken
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
        """What to take now of records of which some are what a process died of; nothing where a schema is awaited."""
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
        # Else the last one would be blamed where the process dies of another partition.
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
            for record in records:
                self.fatal.pop((tp, record.offset), None)
