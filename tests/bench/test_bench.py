"""The comparison runs, and its contenders agree; how fast they are is no matter of a test."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from tests.bench.contenders import CONTENDERS
from tests.bench.events import write_events
from tests.bench.replay import measure, table


def test_all_contenders_find_the_same_breaches(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    count = write_events(path, orders=200, seed=1, start=date(2026, 3, 2), days=12)
    rows = [measure(name, path) for name in CONTENDERS]
    assert {row.events for row in rows} == {count}
    assert rows[0].breaches > 5
    assert len({row.digest for row in rows}) == 1
    assert len(table(rows).splitlines()) == len(CONTENDERS) + 2
