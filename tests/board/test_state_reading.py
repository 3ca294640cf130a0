"""The board's first reading of the state: what is open afterwards, and what it holds meanwhile."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Iterable
from functools import cache
from itertools import chain

import pytest

from streams.board import feed
from streams.board.feed import StateReader
from streams.core.alerts import Subject
from streams.core.filters import Filter
from streams.core.open_cases import OpenCase
from streams.core.trends import Days, Figures
from streams.live.clock_partition import fingerprint_of, position_key, subject_key, subject_of_key
from streams.wire.state_rows import Aside, Position, position_to_bytes, snapshot_from_bytes, snapshot_to_bytes
from tests.bench.board_state import NOW, Row, read, rows_of, templates
from tests.boards import KEEP_FOR, MINUTE, started
from tests.stories import shipped

RULEBOOK = shipped().rulebook


@cache
def made() -> tuple[list[Row], list[Row]]:
    """Rows at rest and open ones, of simulated orders under the whole rulebook."""
    return templates(250)


def subject_of(row: Row) -> Subject:
    subject = subject_of_key(row[0])
    assert subject is not None
    return subject


def without_standing(row: Row) -> Row:
    return row[0], snapshot_to_bytes(snapshot_from_bytes(subject_of(row), row[1]))


def position(*aside: Subject) -> Row:
    held = tuple(Aside(one, 0, 0, "a test", None) for one in aside)
    return position_key(0), position_to_bytes(Position(0, NOW, {}, {}, aside=held))


def opened(rows: Iterable[tuple[bytes, bytes | None]], *, keep_for: int | None = None) -> dict[str, OpenCase]:
    state = StateReader(RULEBOOK, keep_for=keep_for)
    for row in rows:
        state.take(row)
    asyncio.run(state.loaded())
    return dict(state.cases.cases)


def test_a_row_that_says_that_nothing_is_open_need_not_be_judged() -> None:
    at_rest, still_open = made()
    rows = [position(), *at_rest, *still_open]
    expected = opened([position(), *map(without_standing, rows[1:])])  # all judged
    assert len(expected) > 50
    assert opened(rows) == opened(rows, keep_for=KEEP_FOR) == expected
    # And so with a position that comes last, as compaction leaves it.
    assert opened([*rows[1:], rows[0]]) == expected
    assert opened(at_rest) == {}


def test_a_row_of_other_rules_is_judged() -> None:
    row = made()[1][0]
    other = row[0], row[1].replace(fingerprint_of(RULEBOOK, tracks_cases=False).encode(), b"another")
    assert other[1] != row[1]
    assert opened([position(), other]) == opened([position(), row]) != {}


@pytest.mark.parametrize("window", [1, 3, 20_000])
def test_of_rows_written_again_the_last_counts(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "WINDOW", window)
    at_rest, (first, second, third, *_) = made()
    over = first[0], at_rest[0][1].replace(subject_of(at_rest[0])[1].encode(), subject_of(first)[1].encode())
    expected = opened([position(), third])
    assert expected
    rows = [first, second, position(), over, (second[0], None), second, third, (second[0], None)]
    assert opened(rows) == expected
    aside = [third, first, second, position(subject_of(first), subject_of(second)), second]
    assert opened(aside) == expected


def held(rows: Iterable[Row], keep_for: int | None = None) -> tuple[float, float]:
    """Kilobytes that stay after the first reading, and the most during it."""
    gc.collect()
    tracemalloc.start()
    state = StateReader(RULEBOOK, keep_for=keep_for)
    for row in rows:
        state.take(row)
    asyncio.run(state.loaded())
    gc.collect()
    stays, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(state.cases.cases) > 0
    return stays / 1000, most / 1000


def test_subjects_at_rest_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "WINDOW", 50)
    at_rest, still_open = made()

    def rows(count: int) -> Iterable[Row]:
        return chain([position()], rows_of(still_open, 20), rows_of(at_rest, count))

    opened(rows(100))  # what is made once
    few, many = held(rows(200)), held(rows(4_000))
    # A row has some 2 kB: of 3,800 more not as much as ten stay, nor are they there at one time.
    assert many[0] - few[0] < 20
    assert many[1] - few[1] < 20


def test_of_a_large_state_only_days_to_come_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    at_rest, _ = made()
    everything = Filter(), Days(0, 10**6)
    rows = [position(), *at_rest]
    counted, _ = read(RULEBOOK, iter(at_rest), KEEP_FOR)
    assert counted.decided is not None
    assert len(counted.decided) > 50
    monkeypatch.setattr(feed, "MOST_COUNTED", 20)
    state = StateReader(RULEBOOK, keep_for=KEEP_FOR)
    for row in rows:
        state.take(row)
    asyncio.run(state.loaded())
    assert state.decided is not None
    assert len(state.decided) == 0
    assert state.decided.trends(*everything, NOW).last is None
    tomorrow = NOW + 24 * 3600 * 1_000_000
    assert state.decided.trends(*everything, tomorrow).first == RULEBOOK.calendar.local_date(tomorrow)
    late = started("WO1", tomorrow)
    state.take((subject_key(0, late.subject), snapshot_to_bytes(late)))
    state.take((position_key(0), position_to_bytes(Position(1, tomorrow + 10 * MINUTE, {}, {}))))
    found = state.decided.trends(*everything, tomorrow + 10 * MINUTE)
    assert found.rules["fee-5-minutes"] == Figures(1, 0, 1, 0, 0)
