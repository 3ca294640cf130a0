"""What the board holds of the state: ``python -m tests.bench.board_state --rest 200000 --open 1000``.

Rows of simulated orders that are over, and of some that are not, under ids of their own, go through the board's first
reading as the feed gives them. Printed are the bytes of Python's objects that stay afterwards and the most in between
(under tracemalloc), and the processor time without it; with the board's own days of trends, and without them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
import tracemalloc
from collections.abc import Iterator
from datetime import date
from itertools import cycle, islice

from streams.board.feed import StateReader
from streams.board.rows import NOTED, Rows
from streams.core.driver import Driver, Step
from streams.core.engine import Engine
from streams.core.rulebook import Rulebook
from streams.live.clock_partition import fingerprint_of, position_key, subject_key, subject_of_key
from streams.simulation import simulate
from streams.wire.state_rows import Position, position_to_bytes, snapshot_to_bytes
from tests.boards import KEEP_FOR, ListedRows
from tests.stories import decoded, shipped, us

Row = tuple[bytes, bytes]
NOW = us("2026-03-06T10:30")


def templates(orders: int = 1500) -> tuple[list[Row], list[Row]]:
    """Rows of one partition as a worker writes them: of subjects at rest, and of those with an open case."""
    loaded = shipped()
    engine, step = Engine(loaded.rulebook), Step()
    driver = Driver(engine, stepwise=True)
    events = simulate(orders=orders, seed=7, start=date(2026, 3, 2), days=5).events
    for event in sorted(decoded(events, loaded), key=lambda one: one.order):
        if event.at < NOW:
            driver.advance(event.at - 1, step)
            driver.feed([(subject, copy, "") for subject, copy in loaded.rulebook.copies_of(event)], step)
    driver.advance(NOW, step)
    judged_by = fingerprint_of(loaded.rulebook, tracks_cases=False)
    at_rest: list[Row] = []
    still_open: list[Row] = []
    for subject in engine.subjects():
        snapshot, standing = engine.snapshot(subject), engine.standing(subject)
        if snapshot is not None and standing is not None:
            row = subject_key(0, subject), snapshot_to_bytes(snapshot, standing, judged_by)
            (at_rest if standing.is_at_rest else still_open).append(row)
    return at_rest, still_open


def rows_of(made: list[Row], count: int) -> Iterator[Row]:
    """So many rows, each under an id of its own."""
    for number, (key, value) in enumerate(islice(cycle(made), count)):
        subject = subject_of_key(key)
        assert subject is not None
        own = f"{subject[1]}x{number}"
        yield subject_key(0, (subject[0], own)), value.replace(subject[1].encode(), own.encode())


def read(rulebook: Rulebook, rows: Iterator[Row], keep_for: int | None) -> tuple[StateReader, Rows]:
    """The first reading, as the feed does it."""
    state, noted = StateReader(rulebook, keep_for=keep_for), Rows(ListedRows())
    state.restart(1)
    noted.restart(1)
    state.take((position_key(0), position_to_bytes(Position(0, NOW, {}, {}))), 0)
    for offset, row in enumerate(rows, 1):
        state.take(row, offset)
        noted.note(row[0], 0, offset, is_deleted=False)
    asyncio.run(state.loaded())
    return state, noted


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rest", type=int, default=200_000)
    parser.add_argument("--open", type=int, default=1_000)
    asked = parser.parse_args()
    at_rest, still_open = templates()
    rulebook = shipped().rulebook

    def rows() -> Iterator[Row]:
        yield from rows_of(still_open, asked.open)
        yield from rows_of(at_rest, asked.rest)

    size = sum(len(value) for _, value in at_rest) / len(at_rest)
    sys.stdout.write(
        f"{asked.rest:,} rows at rest of {size:,.0f} bytes, {asked.open:,} open; places noted: {NOTED:,}\n"
    )
    for name, keep_for in (("with a database for trends", None), ("with its own days", KEEP_FOR)):
        began = time.process_time()
        state, noted = read(rulebook, rows(), keep_for)
        seconds = time.process_time() - began
        cases = len(state.cases.cases)
        del state, noted
        gc.collect()
        tracemalloc.start()
        kept = read(rulebook, rows(), keep_for)
        gc.collect()
        stays, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        per_million = seconds / (asked.rest + asked.open) * 1e6
        sys.stdout.write(
            f"{name}: {cases:,} open cases; {stays / 1e6:.1f} MB stay, {most / 1e6:.1f} MB at most; "
            f"{seconds:.1f} s of processor time, {per_million:.0f} s a million rows\n"
        )
        del kept


if __name__ == "__main__":
    main()
