"""One partition of the clocks: log records in; alerts, dead letters and changed rows out.

It knows neither Kafka nor Faust. Applying a record changes the engine in memory at once; the caller must bring
out what came of it in this order: alerts, then the changed rows with the partition's own row last, then the
record's offset. A crash in between repeats the record from the rows as they were, and gives the same alerts
with the same ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streams.adapters.driver import Driver, Step
from streams.adapters.state import (
    LogRecord,
    Position,
    position_from_bytes,
    position_to_bytes,
    snapshot_from_bytes,
    snapshot_to_bytes,
    sources_of,
)
from streams.core.alerts import Subject
from streams.core.engine import Engine
from streams.core.rulebook import Rulebook
from streams.core.watermark import SourceWatermarks

Row = tuple[bytes, bytes | None]
"""A key of the changelog with its new value; ``None`` deletes it."""


@dataclass(slots=True)
class Applied:
    """What came of one record. ``rows`` end with the partition's own."""

    step: Step
    rows: list[Row]


def _prefix(partition: int) -> bytes:
    # The table shows the rows of all its partitions as one mapping.
    return b"%d/" % partition


def _subject_key(partition: int, subject: Subject) -> bytes:
    return _prefix(partition) + f"{subject[0]}/{subject[1]}".encode()


def _position_key(partition: int) -> bytes:
    return _prefix(partition) + b"*"


def partition_of_key(key: bytes) -> int:
    """The partition whose row this is."""
    return int(key.split(b"/", 1)[0])


class ClockPartition:
    """The engine of one partition and how far it has read."""

    def __init__(self, partition: int, rulebook: Rulebook, *, keep_for: int | None) -> None:
        self.partition = partition
        self.engine = Engine(rulebook, keep_for=keep_for)
        self.offset = -1
        self.sources: dict[str, int] = {}
        self._watermarks = SourceWatermarks()
        self._driver = Driver(self.engine, stepwise=False)

    @property
    def watermark(self) -> int | None:
        """Microseconds; ``None`` until every source has spoken."""
        return self._watermarks.at

    def lag_of(self, source: str) -> int | None:
        """The watermark of one source partition."""
        return self._watermarks.by_source.get(source)

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the state back from this partition's rows, in any order.

        Raises:
            StateError: where a row was written by a newer version.
        """
        own = {key: value for key, value in rows if partition_of_key(key) == self.partition}
        position = own.pop(_position_key(self.partition), None)
        if position is not None:
            found = position_from_bytes(position)
            self.offset, self.sources = found.offset, dict(found.sources)
            self._watermarks = SourceWatermarks(found.watermarks, found.at)
            self._watermarks.expect(sources_of(found.sources))
            if found.at is not None:
                self.engine.watermark = found.at
        skip = len(_prefix(self.partition))
        for key, value in own.items():
            kind, _, number = key[skip:].decode().partition("/")
            self.engine.restore(snapshot_from_bytes((kind, number), value))

    def apply(self, record: LogRecord, offset: int) -> Applied | None:
        """Apply the record at an offset of the log; ``None`` where its rows were kept before."""
        if offset <= self.offset:
            return None
        step = Step()
        self._driver.feed(record.entries, step)
        self.sources.update(record.sources)
        self._watermarks.expect(sources_of(record.sources))
        at = self._watermarks.update(record.watermarks)
        if at is not None:
            self._driver.advance(at, step)
        self.offset = offset
        rows: list[Row] = []
        for subject in self.engine.take_changed():
            snapshot = self.engine.snapshot(subject)
            value = None if snapshot is None else snapshot_to_bytes(snapshot)
            rows.append((_subject_key(self.partition, subject), value))
        position = Position(offset, at, self._watermarks.by_source, self.sources)
        rows.append((_position_key(self.partition), position_to_bytes(position)))
        return Applied(step, rows)
