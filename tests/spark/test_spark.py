"""Replay on Spark gives the bytes that every other replay gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from streams.cli import run
from streams.engine import native_module
from streams.simulation import simulate
from tests.spark.conftest import Run

pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.timeout(600)]


def simulated(path: Path) -> Path:
    """Orders with corrections, repetitions, ids used twice, lines that are refused, and blank ones."""
    events: list[dict[str, Any]] = [
        dict(event) for event in simulate(orders=200, seed=7, start=date(2026, 3, 2), days=8).events
    ]
    lines = [json.dumps(event, ensure_ascii=False) for event in events]
    again = [dict(event) for event in events[50:90]]
    other = [{**event, "occurred_at": event["recorded_at"]} for event in events[100:110] if "recorded_at" in event]
    void = {**events[10], "event_id": "v1", "corrects": events[10]["event_id"], "void": True}
    lines[60:60] = [json.dumps(event, ensure_ascii=False) for event in (*again, *other, void)]
    lines[5:5] = ["", "{", '{"event_id": "x", "event_type": "no.such"}', "\t"]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def skewed(path: Path, events: int) -> Path:
    """One account with most of the events."""
    with path.open("w", encoding="utf-8") as target:
        for number in range(events):
            hour, rest = divmod(number * 10, 3600)
            at = f"2026-03-{2 + hour // 24:02d}T{hour % 24:02d}:{rest // 60:02d}:{rest % 60:02d}.000+08:00"
            own = "A0" if number % 10 else f"A{number}"
            event = {"event_id": f"r{number}", "event_type": "reading.collected", "occurred_at": at, "account_id": own}
            target.write(json.dumps({**event, "period": "2026-03", "method": "remote"}) + "\n")
    return path


def paused(path: Path) -> Path:
    """Two orders with more pauses than a case lists: Python writes their cases."""
    with path.open("w", encoding="utf-8") as target:
        for order in ("P1", "P2"):
            for number in range(62):
                step = ("service_started", "interrupted", "resumed")[number and 1 + number % 2]
                at = f"2026-03-02T09:00:{number // 2:02d}.{number % 2}00+08:00"
                event = {**STARTED, "event_id": f"{order}-{number}", "order_id": order, "occurred_at": at}
                target.write(json.dumps({**event, "event_type": f"counter.{step}", "reason": "system_failure"}) + "\n")
    return path


STARTED = {
    "event_id": "a", "event_type": "counter.service_started", "occurred_at": "2026-03-02T09:00:00+08:00",
    "order_id": "W1", "business": "fee",
}  # fmt: skip
LATER = "2026-03-02T10:00:00+08:00"


def ending(path: Path) -> list[Path]:
    """Files whose last event does, or does not, say where time ends: W1 is late where it does."""
    other = {**STARTED, "event_id": "b", "order_id": "W2", "occurred_at": LATER}
    last: dict[str, list[dict[str, Any]]] = {
        "other-content": [{**STARTED, "occurred_at": LATER}],
        "corrected-to-earlier": [
            other,
            {**other, "event_id": "c", "corrects": "b", "occurred_at": "2026-03-02T09:01:00+08:00"},
        ],
        "later-version": [{**other, "version": [1]}, {**other, "version": [2], "void": True}],
        "unwatched": [{**other, "event_type": "counter.ticket_taken"}],
        "watched": [other],
    }
    paths = []
    for name, events in last.items():
        paths.append(path / f"{name}.jsonl")
        paths[-1].write_text("".join(f"{json.dumps(event)}\n" for event in (STARTED, *events)), "utf-8")
    return paths


def replayed(path: Path, *options: str) -> tuple[list[bytes], list[bytes], int]:
    """Alerts, cases and the number of dead letters of a replay in this process."""
    alerts, cases, letters = (path.with_suffix(f".{name}") for name in ("a", "c", "l"))
    run(
        [
            "replay",
            str(path),
            "--alerts",
            str(alerts),
            "--cases",
            str(cases),
            "--dead-letters",
            str(letters),
            "--quiet",
            *options,
        ]
    )
    return lines_of(alerts), lines_of(cases), len(lines_of(letters))


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def found(path: Path) -> tuple[list[bytes], list[bytes], int]:
    alerts, cases, letters = (Path(f"{path}.{name}") for name in ("alerts", "cases", "letters"))
    return lines_of(alerts), lines_of(cases), len(lines_of(letters))


@pytest.mark.spark_small
def test_the_same_bytes_as_a_replay(spark: Run, tmp_path: Path) -> None:
    paths = [simulated(tmp_path / "orders.jsonl"), skewed(tmp_path / "skewed.jsonl", 6_000), *ending(tmp_path)]
    spark("tests.spark.job", "local[2]", *paths)
    for path in paths:
        expected = replayed(path)
        assert expected[1]
        assert found(path) == expected


def test_two_hundred_thousand_events_of_one_subject(spark: Run, tmp_path: Path) -> None:
    path = skewed(tmp_path / "skewed.jsonl", 222_223)
    names = [path.with_suffix(f".{kind}.jsonl") for kind in ("alerts", "cases")]
    options = ["--alerts", str(names[0]), "--cases", str(names[1]), "--quiet"]
    spark("streams.cli", "replay", path, *options, "--engine", "spark", "--master", "local[2]")
    found = [name.read_bytes() for name in names]
    assert run(["replay", str(path), *options]) == 0
    assert found == [name.read_bytes() for name in names]
    assert found[1].count(b'"id":"A0"') > 200_000


@pytest.mark.spark_small
@pytest.mark.skipif(native_module() is None, reason="the native engine is not built: see deploy/native")
@pytest.mark.parametrize("make", [simulated, partial(skewed, events=3_000), paused])
def test_executors_judge_natively_and_as_python_does(spark: Run, tmp_path: Path, make: Callable[[Path], Path]) -> None:
    done = json.loads(spark("tests.spark.engines", make(tmp_path / "events.jsonl")).out)
    assert done["same"]
    assert done["lines"] > 9 * done["copies"]


def test_an_executor_killed_in_the_middle_changes_nothing(spark: Run, tmp_path: Path) -> None:
    path, marker = simulated(tmp_path / "orders.jsonl"), tmp_path / "killed"
    until = "2026-03-07T12:00:00+08:00"
    spark("tests.spark.job", "local-cluster[2,1,1024]", path, KILL=str(marker), UNTIL=until)
    assert marker.exists()
    assert found(path) == replayed(path, "--until", until)
