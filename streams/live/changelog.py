"""The changelog of the state: rows in, acknowledged, in an order that a crash cannot spoil.

All rows of one record go to one partition of the topic, in batches that the broker appends whole, each when the one
before it has been acknowledged; the position is the last row of the last. So what is there after a crash is always a
beginning of what was to be there. A batch costs the producer a fraction of what its rows would one by one.

Two writers. A partition of the log has one worker, but a worker that stood still for longer than its session
(a paused machine, a network cut) may wake up with rows under way after another has taken over. Kafka would fence
it by transactions; Faust's recovery cannot read past their markers. Instead each writer looks at the offsets that
the broker gives its rows: as long as they follow one another nobody else has written. Where they do not,
``keep`` says so: the caller then writes every row of the partition anew, from an engine that has read the whole
log, and deletes those that are none of its own any more; so the last word is right whoever else spoke. A writer that
stood still must not do so: it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.live.clock_partition import Row


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows acknowledged, with their offsets. ``alone`` where nobody else wrote since the last ones.

    ``among`` are the offsets at which all rows since then are, whoever wrote them.
    """

    rows: Sequence[tuple[int, bytes, bytes | None]] = field(default_factory=list)
    alone: bool = True
    among: range = range(0)


class Changelog:
    """Writes rows; knows at which offset each partition's next row is to land."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self.topic = topic
        self._producer = producer
        self._next: dict[int, int] = {}

    def begin(self, partition: int, next_offset: int | None) -> None:
        """Take a partition over, read up to an offset; ``None`` where that is not known."""
        if next_offset is None:
            self._next.pop(partition, None)
        else:
            self._next[partition] = next_offset

    async def keep(self, partition: int, rows: Sequence[Row]) -> Kept:
        """Write the rows in their order.

        Raises:
            KafkaError: where the broker does not take them.
        """
        kept: list[tuple[int, bytes, bytes | None]] = []
        batch, waiting = self._producer.create_batch(), list[Row]()
        for row in rows:
            if batch.append(timestamp=None, key=row[0], value=row[1]) is None:  # full
                kept += await self._written(partition, batch, waiting)
                batch, waiting = self._producer.create_batch(), list[Row]()
                batch.append(timestamp=None, key=row[0], value=row[1])  # an empty one takes a row of any size
            waiting.append(row)
        kept += await self._written(partition, batch, waiting)
        expected = self._next.get(partition, kept[0][0])
        alone = kept[0][0] == expected and kept[-1][0] == expected + len(kept) - 1
        self._next[partition] = kept[-1][0] + 1
        return Kept(kept, alone, range(expected, kept[-1][0] + 1))

    async def _written(
        self, partition: int, batch: BatchBuilder, rows: Sequence[Row]
    ) -> list[tuple[int, bytes, bytes | None]]:
        batch.close()
        sent = await self._producer.send_batch(batch, self.topic, partition=partition)
        first = (await sent).offset
        return [(first + number, key, value) for number, (key, value) in enumerate(rows)]
