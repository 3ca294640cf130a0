"""The comparison runs, and its contenders agree; how fast they are is no matter of a test."""

from __future__ import annotations

import json
import re
import sys
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from schemas.rules import Rule
from streams.core.engine import DECIDED_AT_ONCE
from streams.engine import native_module
from tests.bench import live_judging, workers
from tests.bench.contenders import CONTENDERS
from tests.bench.events import write_events
from tests.bench.large import main
from tests.bench.measuring import Used
from tests.bench.midnight import measure as measure_midnight
from tests.bench.native import write_events as write_mix
from tests.bench.replay import measure, table
from tests.bench.resting import FIRST, MONTHS
from tests.bench.resting import measure as measure_resting
from tests.bench.subject import CASES
from tests.bench.subject import measure as measure_subject
from tests.bench.tiled import write_tiled

DATE = re.compile(r"\d{4}-\d\d-\d\d")


def test_all_contenders_find_the_same_breaches(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    count = write_events(path, orders=200, seed=1, start=date(2026, 3, 2), days=12)
    rows = [measure(name, path) for name in CONTENDERS]
    assert {row.events for row in rows} == {count}
    assert rows[0].breaches > 5
    assert len({row.digest for row in rows}) == 1
    assert len(table(rows).splitlines()) == len(CONTENDERS) + 2


@pytest.mark.whole
@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked up in /proc, which this system does not have")
def test_the_large_replay_in_small(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    small = ["--events", "3000", "--open", "1000", "--orders", "150", "--kills", "2", "--bound", "0", "--directory"]
    assert main([*small, str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("3,000 events in 3,001 lines")
    assert "results after 2 kills: the same bytes" in said


def test_tiles_are_other_subjects_and_later_days(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    made = write_tiled(path, events=3_000, subjects_open=400, seed=1, orders=200)
    assert (made.events, made.lines) == (3_000, 3_001)
    events = [json.loads(line) for line in dict.fromkeys(path.read_bytes().splitlines())]
    recorded = [event["recorded_at"] for event in events]
    assert recorded == sorted(recorded)
    tiles: dict[str, dict[str, str]] = {"0000": {}, "0001": {}, "0002": {}}
    for event in events:
        tile = event["order_id"][2:6]
        tiles[tile][event["event_id"].replace(tile, "", 1)] = json.dumps(event).replace(f"{tile}0000", "0000")
    both = tiles["0000"].keys() & tiles["0002"].keys()
    assert len(both) > 900
    later = {
        date.fromisoformat(after).toordinal() - date.fromisoformat(before).toordinal()
        for key in both
        for before, after in zip(*(DATE.findall(tiles[tile][key]) for tile in ("0000", "0002")), strict=True)
    }
    assert len(later) == 1
    assert min(later) > 0
    assert [DATE.sub("", tiles["0000"][key]) for key in both] == [DATE.sub("", tiles["0002"][key]) for key in both]


def test_many_clocks_of_one_instant_are_applied_in_pieces() -> None:
    breaches, took = measure_midnight(3_000)
    assert breaches == 3_000
    assert len(took) >= 3_000 // DECIDED_AT_ONCE


@pytest.mark.skipif(native_module() is None, reason="the native engine is not built: cargo is not here")
@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked up in /proc, which this system does not have")
def test_meters_at_rest_are_all_kept(tmp_path: Path) -> None:
    found = list(measure_resting(1_500, tmp_path))
    assert [(month, meters) for month, meters, _, _ in found] == [(month, FIRST + 1_500) for month in MONTHS]


@pytest.mark.whole
def test_the_live_path_finds_what_replays_find(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found: dict[str, list[str]] = {}

    def measure_here(name: str, path: Path, together: int, *, with_cases: bool) -> dict[str, Any]:
        run = live_judging.measure(name, path, together, with_cases=with_cases)
        found[name] = run["standing"]
        return run

    monkeypatch.setattr(live_judging, "_in_process", measure_here)
    path = tmp_path / "events.jsonl"
    write_mix(path, orders=150, broken=None)
    table_of_stages = live_judging.compare(path, together=7, rounds=1, with_cases=True)
    assert len(found[live_judging.BASE]) > 20
    assert {f"{live_judging.BASE}: {stage}" in table_of_stages for stage in live_judging.STAGES} == {True}
    numbers = count()
    monkeypatch.setattr(live_judging, "standing", lambda _alerts: [str(next(numbers))])
    with pytest.raises(SystemExit, match="do not find the same"):
        live_judging.compare(path, together=7, rounds=1)


def test_every_kind_has_its_events_of_one_subject_and_of_many() -> None:
    kinds = {kind.model_fields["kind"].annotation for kind in get_args(get_args(Rule)[0])}
    assert {Literal[case.rule["kind"]] for case in CASES.values()} == kinds
    for name, case in CASES.items():
        few, many = (measure_subject(case, 60, together, one=True)[1] for together in (20, 60))
        assert few == many, name
        assert measure_subject(case, 60, 20, one=False)[0] > 0, name


@pytest.mark.parametrize(("alone", "said"), [(1000.0, "1.50 times the events"), (0.0, "too few events to say")])
def test_where_all_was_taken_before_the_measurement_there_is_no_ratio(alone: float, said: str) -> None:
    used = Used(0.1, (0.1,), 0.0, 0.0, 0.2)
    runs = [workers.Run("alone", 1, alone, 0.0, used), workers.Run("both", 2, 1500.0, 0.5, used)]
    assert list(workers.report(runs))[-1] == f"two workers for one, on the same cores: {said}"
