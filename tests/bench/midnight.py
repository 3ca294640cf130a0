"""Many clocks that end at one instant, as day limits do at midnight: ``python -m tests.bench.midnight``.

One partition of the clocks takes a record in which they start, then the watermark of their deadline. A worker applies
such a record in pieces and sends its heartbeats between two of them, so the longest piece is what counts: it must be
far shorter than the session (15 s). Said are the pieces, the longest one, and what a deadline of the next minute waits
until the record has been applied. Kafka has no part in it. Exits 1 where the alerts are not one for each clock.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from time import perf_counter

from streams.core.driver import Entry
from streams.core.event import Event
from streams.engine import ENGINES
from streams.engine.clocks import native_clocks
from streams.live.applied import Applied
from streams.live.clock_partition import ClockPartition
from streams.live.gc_tuning import short_collections
from streams.wire.state_rows import LogRecord
from tests.stories import shipped, us

START = us("2026-03-02T09:00")
LIMIT = 5 * 60_000_000
TOGETHER = 1_000
"""Starts in one record."""

DONE = object()


def pieces_of(partition: ClockPartition, record: LogRecord, offset: int) -> tuple[Applied, list[float]]:
    """What came of the record, and the seconds that each piece of applying it took."""
    took: list[float] = []
    found: list[Applied | None] = []

    def driven() -> Iterator[None]:
        found.append((yield from partition.applying(record, offset)))

    pieces = driven()
    is_done = False
    while not is_done:
        began = perf_counter()
        is_done = next(pieces, DONE) is DONE
        took.append(perf_counter() - began)
    (applied,) = found
    assert applied is not None, "the record was applied before"
    return applied, took


def entry(number: int) -> Entry:
    """The start of one clock."""
    order = f"WO{number:07d}"
    event = Event(f"e{number}", "counter.service_started", START, START, {"business": "fee"}, order_id=order)
    return ("order", order), event, f"in/0/{number}"


def measure(clocks: int, engine: str = "python") -> tuple[int, list[float]]:
    """Breaches of that many clocks due at one instant, and the seconds of each piece."""
    loaded = shipped("fee-5-minutes")
    native = native_clocks(loaded.rulebook, loaded.catalogue, engine)
    partition = ClockPartition(0, loaded.rulebook, keep_for=30 * 86_400_000_000, native=native)
    offset = 0
    for first in range(0, clocks, TOGETHER):
        entries = [entry(number) for number in range(first, min(first + TOGETHER, clocks))]
        partition.apply(LogRecord(entries, {"in/0": START}, {"in": 1}), offset)
        offset += 1
    partition.apply(LogRecord([], {"in/0": START + LIMIT - 1}, {"in": 1}), offset)
    applied, took = pieces_of(partition, LogRecord([], {"in/0": START + LIMIT}, {"in": 1}), offset + 1)
    return sum(alert.kind == "breach" for alert in applied.told), took


def main(arguments: list[str] | None = None) -> int:
    """Measure and say it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.midnight", description=__doc__.partition("\n")[0])
    parser.add_argument("--clocks", type=int, default=100_000, help="clocks due at one instant (default 100000)")
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="as of a worker (default auto)")
    given = parser.parse_args(arguments)
    clocks = given.clocks
    with short_collections():  # as in a worker: a full collection of a million subjects takes longer than a session
        breaches, took = measure(clocks, given.engine)
    sys.stdout.write(
        f"{clocks:,} clocks: {breaches:,} breaches, {len(took):,} pieces in {sum(took):.1f} s, "
        f"the longest {max(took) * 1000:.0f} ms\n"
    )
    return 0 if breaches == clocks else 1


if __name__ == "__main__":
    sys.exit(main())
