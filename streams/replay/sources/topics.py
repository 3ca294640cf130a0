"""Topics of Kafka, a partition at a time, from an instant on; kafka-python, without Faust and without a group.

The beginning is an offset, which the broker finds by timestamp. Records written after the replay began are not read, so
that reading a busy topic ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from kafka import TopicPartition

from streams.errors import BrokerError, InputError
from streams.kafka.topic_reader import consumer_of
from streams.replay.sources import Record
from streams.rulebooks.mapping_files import MappingFile
from streams.settings import Settings
from streams.wall_clock import WallClock
from streams.wire.decoder import Arrival
from streams.wire.envelopes import changes_of
from streams.wire.mapping import MappedEvent, Place
from streams.wire.records import arrival_of

BATCH = 5_000
FETCH: Final = 16 * 1024 * 1024
FETCH_OF_ONE: Final = 64 * 1024
"""Bytes to ask for where one record is wanted; a larger one comes, too."""
_POLL_MS = 1_000
_PATIENCE = 60
"""Consecutive empty polls after which a broker that should have more is given up."""


def _consumer(settings: Settings, *, fetch: int = FETCH) -> AbstractContextManager[Any]:
    return consumer_of(
        settings.bootstrap,
        gapless=True,
        **settings.kafka_python(),
        group_id=None,
        isolation_level="read_committed",
        max_poll_records=BATCH,
        max_partition_fetch_bytes=fetch,
    )


class TopicSlice:
    """Offsets ``first`` (inclusive) to ``last`` (exclusive) of one partition; positions are offsets.

    ``removed``: whether those before ``first`` were removed by the topic's retention, and not left out by request.
    """

    size = None

    def __init__(
        self, settings: Settings, topic: str, partition: int, first: int, last: int, *, removed: bool = False
    ) -> None:
        self.name = f"{topic}/{partition}"
        self.topic = topic
        self.mapping: MappingFile | None = None
        self._settings = settings
        self._max_ahead = settings.max_ahead_s * 1_000_000
        self._now = WallClock().now()
        self._tp = TopicPartition(topic, partition)
        self.first = first
        self.last = last
        self.removed = removed

    def records(self) -> Iterator[Record]:
        """See ``Source``; a record's arrival time is from its timestamp, as for a worker (``arrival_of``).

        Raises:
            BrokerError: where the broker cannot be reached, or has removed records that were to be read.
        """
        if self.first >= self.last:
            return
        with _consumer(self._settings) as consumer:
            for record in self._between(consumer, self.first):
                yield from self._read(record)

    def ends(self) -> list[str]:
        """Digests of the first and the last record, which tell the topic from one that was made anew by its name.

        Fewer where there is no record, or none at the last offset.

        Raises:
            BrokerError: as ``records``.
        """
        if self.first >= self.last:
            return []
        with _consumer(self._settings, fetch=FETCH_OF_ONE) as consumer:
            found = [next(self._between(consumer, first), None) for first in (self.first, self.last - 1)]
        return [_digest_of(record) for record in found if record is not None]

    def _between(self, consumer: Any, first: int) -> Iterator[Any]:
        """Kafka's records from ``first`` (inclusive) to ``last`` (exclusive)."""
        consumer.assign([self._tp])
        consumer.seek(self._tp, first)
        idle = 0
        while consumer.position(self._tp) < self.last:
            batch = consumer.poll(timeout_ms=_POLL_MS).get(self._tp, ())
            idle = 0 if batch else idle + 1
            if idle > _PATIENCE:
                raise BrokerError(f"{self.name}: nothing came after offset {consumer.position(self._tp)}")
            for record in batch:
                if record.offset >= self.last:
                    return
                yield record

    def _read(self, record: Any) -> Iterator[Record]:
        try:
            arrival = Arrival(arrival_of(record, self._now, self._max_ahead), self._max_ahead)
        except InputError as error:
            yield record.offset, record.value or b"", error
            return
        if self.mapping is None:
            yield record.offset, record.value or b"", arrival
            return
        place = Place.of_record(self._tp.partition, record.offset, arrival)
        for made in changes_of(self.mapping.rows, record.value, record.headers, place):
            yield record.offset, made.raw if isinstance(made, MappedEvent) else record.value or b"", made


def _digest_of(record: Any) -> str:
    parts = repr((record.offset, record.timestamp, record.key, record.value))
    return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


def topic_slices(settings: Settings, topics: Sequence[str], since: int | None = None) -> list[TopicSlice]:
    """The records of topics from an instant on (microseconds, inclusive; broker timestamps), by partition.

    Timestamps do not decide the end: an old event may have been sent today, and one wrong stamp would hide all later
    records. So a topic is read to its end, and time ends by the events, as with files.

    Raises:
        BrokerError: where the broker cannot be reached or a topic does not exist.
    """
    found: list[TopicSlice] = []
    with _consumer(settings) as consumer:
        for topic in topics:
            numbers = consumer.partitions_for_topic(topic)
            if not numbers:
                raise BrokerError(f"{settings.bootstrap}: no topic {topic}")
            parts = [TopicPartition(topic, number) for number in sorted(numbers)]
            first = beginning = consumer.beginning_offsets(parts)
            last = consumer.end_offsets(parts)
            if since is not None:
                first = {**last, **_offsets(consumer, parts, -(-since // 1000))}
            found += [
                TopicSlice(settings, topic, tp.partition, first[tp], last[tp], removed=first[tp] == beginning[tp] != 0)
                for tp in parts  # what the broker answers is in any order
            ]
    return found


def _offsets(consumer: Any, parts: Sequence[TopicPartition], at_ms: int) -> dict[TopicPartition, int]:
    """The first offset at or after a timestamp, of the partitions that have one."""
    found = consumer.offsets_for_times({tp: max(at_ms, 0) for tp in parts})
    return {tp: hit.offset for tp, hit in found.items() if hit is not None}
