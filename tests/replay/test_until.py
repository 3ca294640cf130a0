"""``--until`` and corrections: all that are known are applied first, whatever their own instant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.limits import DAY, HOUR, MINUTE
from streams.core.instants import format_us
from streams.core.working_days import zone_named
from streams.wall_clock import WallClock
from tests.replay.runs import Runner

DESK = """
chapter: T
title: {zh: 服务台, en: Service desk}
events:
  ticket.opened: {title: {zh: 建单, en: Ticket opened}}
  ticket.closed: {title: {zh: 关闭, en: Ticket closed}}
rules:
  - {id: four-hours, effective_from: 2020-01-01, clauses: [T-1], source: own, kind: deadline, subject: order,
     title: {zh: 4小时, en: Within 4 hours}, start: ticket.opened, stop: ticket.closed, limit: 4 h}
"""
UNTIL = "2026-03-02T13:30:00+08:00"
TOLD = {"warning": "2026-03-02T12:12", "breach": "2026-03-02T13:00"}


def event(number: str, what: str, at: str, corrects: str | None = None, **more: Any) -> dict[str, Any]:
    found = {"event_id": number, "event_type": f"ticket.{what}", "occurred_at": f"2026-03-02T{at}:00+08:00"}
    if corrects is not None:
        found |= {"corrects": corrects, "recorded_at": "2026-03-02T16:00:00+08:00"}
    return {**found, "order_id": "A", **more}


OPENED = event("e1", "opened", "09:00")
STORIES = {
    "corrected to after the end": (
        [OPENED, event("e2", "closed", "12:00"), event("e3", "closed", "15:00", "e2")],
        TOLD,
    ),
    "corrected to before the end": ([OPENED, event("e2", "closed", "14:00"), event("e3", "closed", "12:00", "e2")], {}),
    "a stop voided after the end": (
        [OPENED, event("e2", "closed", "12:00"), event("e3", "closed", "15:00", "e2", void=True)],
        TOLD,
    ),
    "the start voided after the end": ([OPENED, event("e2", "opened", "15:00", "e1", void=True)], {}),
    "the start corrected to after the end": ([OPENED, event("e2", "opened", "14:00", "e1")], {}),
    "a correction after the end corrected again": (
        [
            OPENED,
            event("e2", "closed", "12:00"),
            event("e3", "closed", "15:00", "e2"),
            event("e4", "closed", "12:30", "e3", recorded_at="2026-03-02T17:00:00+08:00"),
        ],
        {"warning": TOLD["warning"]},
    ),
    "a correction before the end, closed after it": (
        [
            event("e0", "closed", "08:00"),
            OPENED,
            event("e2", "closed", "14:00"),
            event("e3", "opened", "13:10"),
            event("e4", "opened", "13:20", "e3"),
        ],
        TOLD,
    ),
    "closed after the end": ([OPENED, event("e2", "closed", "14:00")], TOLD),
}


@pytest.mark.parametrize("how", [(), ("--jobs", "2"), ("--memory", "64K"), ("--checkpoint", "point")], ids=" ".join)
@pytest.mark.parametrize("story", STORIES)
def test_until(gridclock: Runner, story: str, how: tuple[str, ...]) -> None:
    events, expected = STORIES[story]
    rules = gridclock.path / "rules"
    rules.mkdir()
    (rules / "desk.yaml").write_text(DESK, "utf-8")
    path = gridclock.lines("events.jsonl", events)
    options = [str(gridclock.path / "point") if word == "point" else word for word in how]
    ran = gridclock("replay", path, "--only", rules, "--until", UNTIL, "--quiet", *options)
    assert ran.code == 0, ran.err
    assert {alert["kind"]: alert["detected_at"][:16] for alert in ran.alerts} == expected
    explained = gridclock("explain", "A", "--events", path, "--only", rules, "--until", UNTIL)
    assert ("▲ breach" in explained.out) == ("breach" in expected)


def test_what_was_recorded_after_as_of_corrects_nothing(gridclock: Runner, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "desk.yaml").write_text(DESK, "utf-8")
    events, _ = STORIES["corrected to after the end"]
    path = gridclock.lines("events.jsonl", events)
    for as_of, expected in (("15:59", {}), ("16:00", TOLD)):
        moment = f"2026-03-02T{as_of}:00+08:00"
        ran = gridclock("replay", path, "--only", rules, "--as-of", moment, "--until", UNTIL, "--quiet")
        assert {alert["kind"]: alert["detected_at"][:16] for alert in ran.alerts} == expected, as_of


def test_a_dash_is_standard_output_for_alerts_and_refused_for_what_is_no_stream(
    gridclock: Runner, tmp_path: Path
) -> None:
    path = gridclock.lines("events.jsonl", [OPENED])
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "desk.yaml").write_text(DESK, "utf-8")
    ran = gridclock("replay", path, "--only", rules, "--until", UNTIL, "--quiet", "--alerts", "-")
    assert [alert["kind"] for alert in ran.alerts] == ["warning", "breach"]
    refused = gridclock("replay", path, "--only", rules, "--quiet", "--cases", "-")
    assert refused.code == 2
    assert "--cases needs a file" in refused.err


def test_an_end_of_time_in_the_future_is_said(gridclock: Runner, tmp_path: Path) -> None:
    path = gridclock.lines("events.jsonl", [OPENED])
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "desk.yaml").write_text(DESK, "utf-8")
    far = "2999-01-01T00:00:00+08:00"
    for options, is_said in (
        (("--until", far), True),
        (("--as-of", far), True),
        (("--until", far, "--as-of", UNTIL), False),
        ((), False),
    ):
        ran = gridclock("replay", path, "--only", rules, *options, "--quiet")
        assert (ran.code, "note: time ends in the future" in ran.err) == (0, is_said), options
    explained = gridclock("explain", "A", "--events", path, "--only", rules, "--until", far)
    assert "note: time ends in the future" in explained.err


@pytest.mark.parametrize("engine", ["python", "auto"])
@pytest.mark.parametrize(
    ("ahead", "effect", "options", "is_said"),
    [
        (31 * DAY, "stands", (), True),
        (1 * MINUTE, "stands", (), False),  # clocks differ
        (31 * DAY, "is taken back", (), False),
        (31 * DAY, "stands", ("--until", UNTIL), False),
    ],
)
def test_a_last_event_in_the_future_is_said(
    gridclock: Runner, tmp_path: Path, engine: str, ahead: int, effect: str, options: Sequence[str], is_said: bool
) -> None:
    """One wrong date ends time later than now, and every order that is open until then is a breach."""
    now = WallClock().now()
    last = {**event("e2", "opened", "09:00"), "order_id": "B", "occurred_at": format_us(now + ahead)}
    events = [{**OPENED, "occurred_at": format_us(now - HOUR)}, last]
    if effect == "is taken back":
        events = [events[0], {**last, "version": [1]}, {**last, "version": [2], "void": True}]
    path = gridclock.lines("events.jsonl", events)
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "desk.yaml").write_text(DESK, "utf-8")
    note = f"note: time ends at the last event, {format_us(now + ahead, zone_named('Asia/Shanghai'))}, which is in the"
    ran = gridclock("replay", path, "--only", rules, "--quiet", "--engine", engine, *options)
    assert (ran.code, note in ran.err, "time ends" in ran.err) == (0, is_said, is_said)
    assert bool(ran.alerts) == (is_said and effect == "stands")
    if "--until" not in options:
        explained = gridclock("explain", "A", "--events", path, "--only", rules)
        assert (explained.code, note in explained.err) == (0, is_said)
