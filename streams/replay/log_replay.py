"""Replays the internal log: the alerts that the workers must have sent, whatever crashes happened.

The log holds events and watermarks in the order in which the clocks read them, so this is the live engine over the live
input. Its alerts have the ids, the contents and the ``detected_at`` of those on the alerts topic. The crash tests
compare with it, and it shows why and when an alert was sent, for as long as the log is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from streams.core.alerts import Alert, Subject
from streams.core.rulebook import Rulebook
from streams.kafka.topic_reader import from_beginning
from streams.live.applied import Applied
from streams.live.clock_partition import ClockPartition
from streams.wire.state_rows import CONTROL_KEY, LogRecord, checksum_of, record_from_bytes

LogPosition = tuple[int, int, bytes]
"""Partition, offset and value of one record."""


OnRemoved = Callable[[int, int, int | None], None]
"""Partition, first offset that is left, and that record's timestamp (milliseconds; ``None`` where none is left)."""


def _ignored(_partition: int, _first: int, _at_ms: int | None) -> None:
    """Nobody is told."""


def read_topic(
    bootstrap: str,
    topic: str,
    *,
    security: Mapping[str, Any] | None = None,
    key: bytes | None = None,
    on_removed: OnRemoved = _ignored,
) -> Iterator[LogPosition]:
    """Every record of a topic up to its present end; in order within each partition.

    With a ``key`` only the records of that key. ``on_removed`` is told of each partition of which the broker no longer
    has the beginning, before its first record.

    Raises:
        BrokerError: where the broker cannot be read, has removed records that were to be read, or there is no such
            topic.
    """
    options = {"bootstrap_servers": bootstrap.split(","), "max_partition_fetch_bytes": 8 * 1024 * 1024}
    missing = f"{bootstrap}: no topic {topic}"
    with from_beginning(topic, bootstrap, missing=missing, gapless=True, **options, **(security or {})) as (
        consumer,
        parts,
    ):
        ends = consumer.end_offsets(parts)
        cut = {part: at for part in parts if (at := consumer.position(part))}
        for part in [part for part, at in cut.items() if at >= ends[part]]:
            on_removed(part.partition, cut.pop(part), None)
        while unread := [part for part in parts if consumer.position(part) < ends[part]]:
            for part, records in consumer.poll(timeout_ms=500, max_records=2000).items():
                if part in cut and records:
                    on_removed(part.partition, cut.pop(part), records[0].timestamp)
                yield from (
                    (part.partition, record.offset, record.value)
                    for record in records
                    if record.offset < ends[part] and key in (None, record.key)
                )
            consumer.pause(*(part for part in parts if part not in unread))


class LogReplay:
    """Feeds records of the log to its own engines, one per partition.

    ``keep_for`` (microseconds) must be the workers' own, because it decides when a subject is dropped; so must
    ``tracks_cases``, because a subject whose cases are written is decided more often, and kept from then on. The
    control record of a subject set aside is later in the log than the record it applies to: so control records must be
    given to ``expect`` first.
    """

    def __init__(self, rulebook: Rulebook, *, keep_for: int | None, tracks_cases: bool = False) -> None:
        self.partitions: dict[int, ClockPartition] = {}
        self._engine_of: Callable[[int], ClockPartition] = lambda number: ClockPartition(
            number, rulebook, keep_for=keep_for, tracks_cases=tracks_cases, prunes=False
        )
        self._aside: dict[tuple[int, int], dict[Subject, str]] = {}
        self._skipped: dict[tuple[int, int], LogRecord] = {}

    def expect(self, partition: int, value: bytes) -> None:
        """Register a control record; it applies from an earlier record on.

        Raises:
            StateError: where a newer version wrote it.
        """
        record = record_from_bytes(value)
        for subject, since, reason in record.aside:
            self._aside.setdefault((partition, since), {})[subject] = reason
        for offset, cause in record.skipped.items():
            self._skipped[partition, offset] = LogRecord(skipped={offset: cause})

    def apply(self, partition: int, offset: int, value: bytes) -> list[Alert]:
        """The alerts of one record; empty where it was applied before.

        Raises:
            StateError: where a newer version wrote it.
        """
        if partition not in self.partitions:
            self.partitions[partition] = self._engine_of(partition)
        clocks = self.partitions[partition]
        for subject, reason in self._aside.get((partition, offset), {}).items():
            if offset > clocks.offset:
                clocks.set_aside(subject, offset, reason)
        skipped = self._skipped.get((partition, offset))
        record = record_from_bytes(value) if skipped is None else replace(skipped, checksum=checksum_of(value))
        applied: Applied | None = clocks.apply(record, offset)
        return [] if applied is None else applied.alerts

    def watermark(self, partitions: int) -> int | None:
        """The time (microseconds) that all of so many partitions have reached; ``None`` while one has none."""
        found = [partition.watermark for partition in self.partitions.values()]
        if len(found) < partitions or None in found:
            return None
        return min(at for at in found if at is not None)


def replay_log(
    bootstrap: str,
    topic: str,
    rulebook: Rulebook,
    *,
    keep_for: int | None,
    tracks_cases: bool = False,
    security: Mapping[str, Any] | None = None,
    on_removed: OnRemoved = _ignored,
) -> Iterator[Alert]:
    """The alerts that follow from a log topic up to its present end; in order within each partition.

    Where the beginning of a partition is gone (``on_removed``) they may be others than those that were sent.

    Raises:
        BrokerError: where the broker cannot be read, or there is no such topic.
        StateError: where a newer version wrote the log.
    """
    replay = LogReplay(rulebook, keep_for=keep_for, tracks_cases=tracks_cases)
    for partition, _, value in read_topic(bootstrap, topic, security=security, key=CONTROL_KEY):
        replay.expect(partition, value)
    for partition, offset, value in read_topic(bootstrap, topic, security=security, on_removed=on_removed):
        yield from replay.apply(partition, offset, value)
