"""What a subject at rest takes of a worker's memory: ``python -m tests.bench.resting``, without Kafka.

Meters with one reading each wait for the next month's, under the whole rulebook, in one partition of the native engine,
with a megabyte for those that are not at rest. A month later each is read again. Rows lie in SQLite, whose memory does
not grow: a worker's own store has buffers and a cache beside these figures. Exits 1 where a meter was lost.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import process_time

from streams.core.event import Event
from streams.engine.clocks import native_clocks
from streams.live.clock_partition import ClockPartition
from streams.live.gc_tuning import short_collections
from streams.rulebooks.loader import load_rulebook
from streams.settings import load_settings
from streams.wire.state_rows import entry_to_bytes, record_to_bytes
from tests.bench.measuring import memory_of, say
from tests.stories import us

MONTHS = ("2026-03", "2026-04")
TOGETHER = 1_000
"""Readings in one record."""
FIRST = 5_000
"""Meters before memory is looked at for the first time: what the rest of the program needs is there then."""
MEMORY = 1_000_000
"""Bytes for those that are not at rest."""


class Meters:
    """Meters of one partition, the rows of which lie in a database."""

    def __init__(self, database: sqlite3.Connection) -> None:
        loaded = load_rulebook()
        self._database = database
        database.execute("PRAGMA synchronous = OFF")
        database.execute("CREATE TABLE kept (key BLOB PRIMARY KEY, row BLOB) WITHOUT ROWID")
        native = native_clocks(loaded.rulebook, loaded.catalogue, "native")
        self._partition = ClockPartition(0, loaded.rulebook, keep_for=load_settings().keep_for, native=native)
        self._partition.read_rows_by(self._row)
        self._offset = 0

    def _row(self, key: bytes) -> bytes | None:
        found = self._database.execute("SELECT row FROM kept WHERE key = ?", (key,)).fetchone()
        return None if found is None else found[0]

    def read(self, month: str, meters: range) -> None:
        """Take a reading of each of these meters for a month."""
        for first in range(meters.start, meters.stop, TOGETHER):
            at = us(f"{month}-10T09:00") + first * 1_001
            entries = [
                entry_to_bytes(("meter", event.meter_id or ""), event, f"in/0/{number}")
                for number, event in self._readings(month, range(first, min(first + TOGETHER, meters.stop)), at)
            ]
            raw = record_to_bytes(entries, {"in/0": at}, {"in": 1})
            applied = self._partition.apply(self._partition.read(raw), self._offset)
            assert applied is not None
            self._offset += 1
            changed = [(key, row) for key, row in applied.rows if row is not None]
            self._database.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", changed)
            self._database.commit()
            self._partition.engine.rest(MEMORY)

    @staticmethod
    def _readings(month: str, meters: range, at: int) -> Iterator[tuple[int, Event]]:
        for number in meters:
            meter = f"M{number:09d}"
            fields = {"method": "remote", "period": month}
            at -= 1_000  # of each another millisecond
            yield number, Event(f"{meter}-{month}", "reading.collected", at, at, fields, meter_id=meter)

    def __len__(self) -> int:
        return len(self._partition.engine)


def measure(meters: int, directory: Path) -> Iterator[tuple[str, int, float, float]]:
    """By month, how many meters there are, and of each the bytes of memory and the seconds of processor time."""
    with closing(sqlite3.connect(directory / "rows.db")) as database, short_collections():
        kept = Meters(database)
        for month in MONTHS:
            began = process_time()
            if month == MONTHS[0]:
                kept.read(month, range(FIRST))
                before = memory_of(os.getpid())
                kept.read(month, range(FIRST, FIRST + meters))
            else:
                kept.read(month, range(FIRST + meters))
            grown = memory_of(os.getpid()) - before
            yield month, len(kept), grown / meters, (process_time() - began) / (FIRST + meters)


def main(arguments: list[str] | None = None) -> int:
    """Measure and say it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.resting", description=__doc__.partition("\n")[0])
    parser.add_argument("--meters", type=int, default=100_000, help=f"at rest, beside {FIRST:,} (default 100000)")
    given = parser.parse_args(arguments)
    is_good = True
    with tempfile.TemporaryDirectory(prefix="gridclock-bench-") as directory:
        for month, kept, each, seconds in measure(given.meters, Path(directory)):
            say(f"{month}: {kept:,} meters, {each:.0f} B of memory and {seconds * 1e6:.0f} µs for each")
            is_good &= kept == FIRST + given.meters
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
