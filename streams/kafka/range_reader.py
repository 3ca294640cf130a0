"""Records at given offsets of a topic, read in batches and without a group.

For rereading single records, and for filling a copy from the changelog: Faust's own recovery reads record by record and
takes ten times as long.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.kafka.closing import closed

Batch = tuple[int, Sequence[ConsumerRecord]]
"""A partition, and some of its records, in order."""

Reader = Callable[[Mapping[int, range]], AsyncGenerator[Batch, None]]
"""Gives the records of one topic at these offsets of each partition, as far as they exist now."""

TOGETHER = 1_000
"""Records given at once, over all partitions."""


async def read_ranges(
    spans: Mapping[int, range], *, topic: str, fetch_size: int, options: Mapping[str, Any]
) -> AsyncGenerator[Batch, None]:
    """See ``Reader``. ``fetch_size`` is in bytes for each partition; ``options`` are those of every client.

    It waits for a partition without a leader. Close the iterator if you do not read it to its end.

    Raises:
        KafkaError: where the brokers refuse.
    """
    if not spans:  # a client that is stopped before its tasks began raises CancelledError
        return
    reader = AIOKafkaConsumer(
        enable_auto_commit=False, auto_offset_reset="earliest", max_partition_fetch_bytes=fetch_size, **options
    )
    await reader.start()
    try:
        parts = {TopicPartition(topic, number): span for number, span in spans.items()}
        reader.assign(list(parts))
        ends = await reader.end_offsets(list(parts))
        unread = {part: min(span.stop, ends[part]) for part, span in parts.items() if span.start < ends[part]}
        for part in unread:
            reader.seek(part, parts[part].start)
        while unread:
            batches = await reader.getmany(*unread, timeout_ms=1000, max_records=TOGETHER)
            for part, records in batches.items():
                wanted = [record for record in records if record.offset in parts[part]]
                if wanted:
                    yield part.partition, wanted
            unread = {part: stop for part, stop in unread.items() if await reader.position(part) < stop}
    finally:
        await closed(reader.stop())
