"""Writes the rows of the state to the changelog topic, acknowledged and in a crash-safe order.

All rows of one log record go to one partition of the topic, in batches that the broker appends atomically. Each batch
is sent after the one before it was acknowledged; the position is the last row. So after a crash the topic holds a
prefix of the rows. A batch costs the producer much less than single rows.

Two writers. A partition of the log has one worker, but a worker that was suspended for longer than its session (a
paused machine, a network partition) may resume with unsent rows after another has taken over. Kafka would fence it by
transactions; Faust's recovery cannot read past their markers. Instead each writer checks the offsets of its
acknowledged rows: while they are consecutive, no other process has written. Where they are not, ``keep`` reports it:
the caller then rewrites every row of the partition, from an engine that has read the whole log, and deletes rows of
subjects it does not have; so the last rows are right. A worker that was suspended must not do so: it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.live.applied import Row


@dataclass(frozen=True, slots=True)
class Kept:
    """Acknowledged rows. ``alone``: no other process wrote since the rows before.

    ``among`` are the offsets of all rows since then, of any writer; the last of these rows has the last one.
    """

    rows: Sequence[Row]
    alone: bool
    among: range


class Changelog:
    """Writes rows; tracks the expected next offset of each partition."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self.topic = topic
        self._producer = producer
        self._next: dict[int, int] = {}

    def begin(self, partition: int, next_offset: int | None) -> None:
        """Take over a partition that was read up to an offset; ``None`` where it is not known."""
        if next_offset is None:
            self._next.pop(partition, None)
        else:
            self._next[partition] = next_offset

    async def keep(self, partition: int, rows: Sequence[Row]) -> Kept:
        """Write the rows in their order.

        Raises:
            KafkaError: where the broker refuses them.
        """
        firsts: list[int] = []
        batch, number = self._producer.create_batch(), 0
        for key, value in rows:
            if batch.append(timestamp=None, key=key, value=value) is None:  # full
                firsts.append(await self._written(partition, batch))
                batch, number = self._producer.create_batch(), 0
                batch.append(timestamp=None, key=key, value=value)  # an empty batch takes a row of any size
            number += 1
        firsts.append(await self._written(partition, batch))
        end = firsts[-1] + number
        expected = self._next.get(partition, firsts[0])
        self._next[partition] = end
        return Kept(rows, firsts[0] == expected and end == expected + len(rows), range(expected, end))

    async def _written(self, partition: int, batch: BatchBuilder) -> int:
        """The offset of its first row."""
        batch.close()
        sent = await self._producer.send_batch(batch, self.topic, partition=partition)
        first: int = (await sent).offset
        return first
