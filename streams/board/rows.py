"""Single rows of a compacted topic, read when a page asks for them: the board does not hold the rows themselves.

``Rows`` notes where the newest row of a key lies, of the keys written last. The row of any other key is found by
reading its partition from the beginning, which takes as long as the partition is large; where nothing was forgotten,
a key that is not known does not exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.errors import BrokerError
from streams.kafka.closing import closed
from streams.kafka.connection import kafka_options
from streams.settings import Settings

NOTED: Final = 200_000
"""Keys of a topic of which the board notes where their rows lie; some 50 MB."""

SCANS: Final = 2
"""Rows that are looked for at the same time."""

SCAN_SECONDS: Final = 120.0

_FETCH_SECONDS: Final = 10.0
_CHUNK: Final = 200

Row = tuple[bytes, bytes | None]


class RowReader(Protocol):
    """Reads rows of one topic."""

    async def at(self, places: Sequence[tuple[int, int]]) -> list[Row]:
        """The rows at some places, partition and offset; those that were removed are left out."""

    async def newest(self, partitions: Iterable[int], wanted: Callable[[bytes], bool]) -> Mapping[bytes, bytes]:
        """The newest rows of all keys that are wanted, by key; deleted ones are left out."""


class Rows:
    """The newest rows of one topic by key."""

    def __init__(self, reader: RowReader, *, most: int = NOTED) -> None:
        self._reader = reader
        self._most = most
        self._places: dict[bytes, tuple[int, int]] = {}
        self._is_whole = False
        self.partitions = 0
        self.is_loading = True

    def restart(self, partitions: int) -> None:
        """The topic is read from its beginning again."""
        self._places, self._is_whole = {}, True
        self.partitions = partitions
        self.is_loading = True

    def note(self, key: bytes, partition: int, offset: int, *, is_deleted: bool) -> None:
        """A row has been seen."""
        self._places.pop(key, None)  # written again, it moves to the end
        if is_deleted:
            return
        self._places[key] = partition, offset
        if len(self._places) > self._most:
            del self._places[next(iter(self._places))]
            self._is_whole = False

    async def several(self, places: Mapping[bytes, tuple[int, int | None]]) -> dict[bytes, bytes]:
        """The rows of some keys, each with its partition and, where that is known, its offset."""
        noted = {key: self._places.get(key, place) for key, place in places.items()}
        exact = [(partition, offset) for partition, offset in noted.values() if offset is not None]
        rows = dict(await self._reader.at(exact)) if exact else {}
        # What is not there as noted was written again since, or too long ago to be noted.
        unknown = {
            key: partition
            for key, (partition, offset) in noted.items()
            if key not in rows and (offset is not None or self.is_loading or not self._is_whole)
        }
        if unknown:
            rows |= await self._reader.newest(sorted(set(unknown.values())), unknown.__contains__)
        return {key: value for key, value in rows.items() if key in places and value is not None}

    async def one(self, key: bytes, partition: int, offset: int | None = None) -> bytes | None:
        """The row of one key."""
        return (await self.several({key: (partition, offset)})).get(key)

    async def matching(self, wanted: Callable[[bytes], bool]) -> Mapping[bytes, bytes]:
        """The rows of all keys that are wanted."""
        places = dict(self._places)
        noted = await asyncio.to_thread(lambda: [key for key in places if wanted(key)])
        if noted or (self._is_whole and not self.is_loading):
            return await self.several({key: places[key] for key in noted})
        return await self._reader.newest(range(self.partitions), wanted)


class KafkaRows:
    """Reads the rows of one topic from Kafka, with a consumer for each time."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._turn = asyncio.Semaphore(SCANS)

    async def at(self, places: Sequence[tuple[int, int]]) -> list[Row]:
        """The rows at some places, partition and offset; those that were removed are left out.

        Raises:
            BrokerError: where they do not come in time.
        """
        found: list[Row] = []
        async with self._turn, _Consumer(self._settings) as consumer:
            try:
                async with asyncio.timeout(_FETCH_SECONDS):
                    for partition, offset in places:
                        part = TopicPartition(self._topic, partition)
                        consumer.assign([part])
                        consumer.seek(part, offset)
                        # What was removed is passed over: the next row there is comes, or the end.
                        end = (await consumer.end_offsets([part]))[part]
                        while await consumer.position(part) < end:
                            records = (await consumer.getmany(part, timeout_ms=500, max_records=1)).get(part, ())
                            if records:
                                found += [(one.key, one.value) for one in records if one.offset == offset]
                                break
            except TimeoutError as error:
                raise BrokerError(f"{self._topic}: rows do not come within {_FETCH_SECONDS:.0f} s") from error
        return found

    async def newest(self, partitions: Iterable[int], wanted: Callable[[bytes], bool]) -> Mapping[bytes, bytes]:
        """The newest rows of all keys that are wanted, by key; deleted ones are left out.

        Raises:
            BrokerError: where the partitions cannot be read to their ends in time.
        """
        parts = [TopicPartition(self._topic, number) for number in partitions]
        found: dict[bytes, bytes | None] = {}
        async with self._turn, _Consumer(self._settings) as consumer:
            consumer.assign(parts)
            try:
                async with asyncio.timeout(SCAN_SECONDS):
                    ends = await consumer.end_offsets(parts)
                    await consumer.seek_to_beginning(*parts)
                    behind = set(parts)
                    while behind := {part for part in behind if await consumer.position(part) < ends[part]}:
                        for records in (await consumer.getmany(*behind, timeout_ms=200, max_records=2000)).values():
                            for number, record in enumerate(records):
                                if record.key is not None and wanted(record.key):
                                    found[record.key] = record.value
                                if number % _CHUNK == 0:
                                    await asyncio.sleep(0)
            except TimeoutError as error:
                raise BrokerError(f"{self._topic}: not read to its end in {SCAN_SECONDS:.0f} s") from error
        return {key: value for key, value in found.items() if value is not None}


class _Consumer:
    """A consumer without a group, started and stopped."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = AIOKafkaConsumer(
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=2 * 1024 * 1024,
            **kafka_options(settings),
        )

    async def __aenter__(self) -> AIOKafkaConsumer:
        try:
            await self._consumer.start()
        except BaseException:
            await closed(self._consumer.stop())
            raise
        return self._consumer

    async def __aexit__(self, *_: object) -> None:
        await closed(self._consumer.stop())
