"""What a replay finds does not depend on how much of it fits into memory, nor on the order of its lines."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from streams.replay.replay import Replay, ReplayOptions
from streams.replay.sources.lines import Lines
from streams.wire.decoder import Decoder
from tests.replay import orders
from tests.replay.runs import Runner, data_of, of_rule
from tests.stories import FAR, shipped


def results(gridclock: Runner, name: str, *arguments: str | Path) -> tuple[int, str, dict[str, bytes]]:
    files = {kind: gridclock.path / f"{name}-{kind}.jsonl" for kind in ("alerts", "cases", "dead-letters")}
    options = [part for kind, path in files.items() for part in (f"--{kind}", path)]
    ran = gridclock("replay", *arguments, *options)
    return ran.code, ran.err, {kind: path.read_bytes() for kind, path in files.items()}


@pytest.mark.parametrize("memory", ["90K", "1"])
def test_a_small_budget_changes_nothing(gridclock: Runner, memory: str) -> None:
    path = gridclock.file("events.jsonl", orders.text(240 if memory != "1" else 60))
    code, err, whole = results(gridclock, "whole", path)
    assert code == 3
    assert all(whole.values())
    assert results(gridclock, "parts", path, "--memory", memory) == (code, err, whole)


def test_nothing_is_left_of_what_was_put_on_disk(gridclock: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(gridclock.path / "aside"))
    (gridclock.path / "aside").mkdir()
    path = gridclock.file("events.jsonl", orders.text(60))
    assert gridclock("replay", path, "--memory", "9K", "--quiet").code == 3
    assert list((gridclock.path / "aside").iterdir()) == []


def test_events_are_put_on_disk_when_they_exceed_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = tmp_path / "events.jsonl"
    path.write_text(orders.text(60), "utf-8")
    found = {}
    for memory in (2_000, 10**9):
        replay = Replay(shipped().rulebook, Decoder(shipped().catalogue), ReplayOptions(FAR, memory=memory))
        replay.read([Lines(str(path))])
        found[memory] = [spilled.stat().st_size > 10_000 for spilled in tmp_path.glob("gridclock-*/events*")]
        replay.close()
    assert found == {2_000: [True], 10**9: []}


@pytest.mark.parametrize("memory", ["512M", "120K"])
def test_the_order_of_lines_changes_nothing(gridclock: Runner, memory: str) -> None:
    lines = list(dict.fromkeys(line for line in orders.lines(120) if line.endswith("}") and '"321' not in line))
    path = gridclock.file("events.jsonl", "\n".join(lines))
    code, _, once = results(gridclock, "once", path)
    assert code == 0
    random.Random(7).shuffle(lines)
    shuffled = gridclock.file("shuffled.jsonl", "\n".join(lines))
    assert results(gridclock, "again", shuffled, "--memory", memory)[2] == once


@pytest.mark.parametrize("memory", ["512M", "1"])
def test_a_refused_repetition_does_not_move_the_end_of_time(gridclock: Runner, memory: str) -> None:
    start = {"event_type": "counter.service_started", "order_id": "WO1", "business": "fee"}
    path = gridclock.lines(
        "events.jsonl",
        [
            {**start, "event_id": "e1", "occurred_at": "2026-03-02T09:00:00+08:00"},
            {**start, "event_id": "e1", "occurred_at": "2026-03-02T10:00:00+08:00"},
        ],
    )
    cases = gridclock.path / "cases.jsonl"
    assert gridclock("replay", path, "--cases", cases, "--quiet", "--memory", memory).code == 3
    assert [(case["outcome"], case["as_of"]) for case in of_rule(data_of(cases), "fee-5-minutes")] == [
        ("running", "2026-03-02T09:00:00.000+08:00")
    ]


def test_one_id_on_two_orders_is_no_repetition_though_they_share_an_account(gridclock: Runner) -> None:
    event = {"event_id": "e1", "event_type": "counter.service_started", "occurred_at": "2026-03-02T09:00:00+08:00"}
    path = gridclock.lines(
        "events.jsonl", [{**event, "order_id": order, "business": "fee"} for order in ("WO1", "WO2")]
    )
    cases = gridclock.path / "cases.jsonl"
    ran = gridclock("replay", path, "--cases", cases, "--quiet", "--until", "2026-03-02T09:01:00+08:00")
    assert (ran.code, [case["subject"]["id"] for case in of_rule(data_of(cases), "fee-5-minutes")]) == (
        0,
        ["WO1", "WO2"],
    )


def test_as_of_judges_by_what_was_recorded_by_then(gridclock: Runner) -> None:
    path = gridclock.lines(
        "events.jsonl",
        [
            {"event_id": "e1", "event_type": "counter.service_started", "order_id": "WO1", "business": "fee",
             "occurred_at": "2026-03-02T09:00:00+08:00"},
            {"event_id": "e2", "event_type": "counter.service_completed", "order_id": "WO1",
             "occurred_at": "2026-03-02T09:04:00+08:00", "recorded_at": "2026-03-02T11:00:00+08:00"},
        ],
    )  # fmt: skip
    cases = gridclock.path / "cases.jsonl"
    found = {}
    for as_of in ("2026-03-02T09:03:00+08:00", "2026-03-02T10:00:00+08:00", "2026-03-02T11:00:00+08:00"):
        ran = gridclock("replay", path, "--as-of", as_of, "--cases", cases, "--quiet")
        assert ran.code == 0
        case = of_rule(data_of(cases), "fee-5-minutes")[0]
        kinds = [alert["kind"] for alert in of_rule(ran.alerts, "fee-5-minutes")]
        found[as_of[11:16]] = (case["outcome"], case["as_of"][11:16], kinds)
    assert found == {
        "09:03": ("running", "09:03", []),
        "10:00": ("breached", "10:00", ["warning", "breach"]),
        "11:00": ("met", "11:00", []),
    }
