"""Inputs from public data and from bug reports of other products that once gave wrong verdicts, with the right ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.replay.runs import Runner, data_of
from tests.stories import wire

BERLIN = Path(__file__).parents[2] / "deploy" / "examples" / "water-berlin"
DESK = """\
chapter: T
title: {zh: 服务台, en: Service desk}
events:
  ticket.opened: {title: {zh: 建单, en: Opened}, fields: {due_at: time}}
  ticket.waiting: {title: {zh: 挂起, en: Waiting}}
  ticket.working: {title: {zh: 处理, en: Working}}
  ticket.note: {title: {zh: 备注, en: Note}}
  ticket.closed: {title: {zh: 关闭, en: Closed}}
rules:
  - {id: ticket, effective_from: 2020-01-01, clauses: [T-1], source: a test, kind: deadline, subject: order,
     title: {zh: 及时, en: In time}, stop: ticket.closed, REST}
"""
USUAL = "start: ticket.opened, pause: ticket.waiting, resume: ticket.working, limit: "
OPENED = "e1 2026-03-02T09:00 ticket.opened A"


@dataclass(frozen=True)
class Row:
    """``only``: the rest of the desk's rule, a directory, or the rules of the shipped rulebook whose id it is."""

    name: str
    only: str | Path
    story: str
    until: str
    alerts: tuple[str, ...]
    cases: tuple[str, ...]
    words: tuple[str, ...] = ()


ROWS = (
    Row(
        "x1: a month without a resume has no deadline",
        USUAL + "1 natural month",
        f"{OPENED}\ne2 +1h ticket.waiting A",
        "2026-04-10T00:00:00+08:00",
        (),
        ("A running none",),
    ),
    Row(
        "x2: a warning is a fraction of counted days",
        "whole-connection",
        """e1 2026-03-02T09:00 application.accepted WO1 category=hv_dual
           e2 2026-03-20T09:00 scheme.replied WO1
           e3 2026-08-20T09:00 design_review.requested WO1
           e4 2026-08-28T09:00 design_review.completed WO1
           e5 2026-10-20T10:00 completion_inspection.requested WO1""",
        "2026-11-03T00:00:00+08:00",
        ("WO1 warning 2026-10-26T14:24:00.000",),
        ("WO1 running 2026-11-04T00:00:00.000",),
        ("80% used, due 2026-11-04 00:00:00", "not counted while paused: 2026-03-23 to 2026-08-19"),
    ),
    Row(
        "x3: half an hour leaves no day out",
        USUAL + "3 working days",
        f"{OPENED}\ne2 +3h30m ticket.waiting A\ne3 +4h ticket.working A",
        "2026-03-06T00:00:00+08:00",
        ("A warning 2026-03-05T09:36:00.000", "A breach 2026-03-06T00:00:00.000"),
        ("A breached 2026-03-06T00:00:00.000",),
        ("limit 3 working days, due 2026-03-06 00:00:00",),
    ),
    Row(
        "x4: closed at noon, corrected later to three",
        USUAL + "4 h",
        f"{OPENED}\ne2 +3h ticket.closed A\ne3 +6h ticket.closed A corrects=e2 recorded=+6h10m",
        "2026-03-02T13:30:00+08:00",
        ("A warning 2026-03-02T12:12:00.000", "A breach 2026-03-02T13:00:00.000"),
        ("A breached 2026-03-02T13:00:00.000",),
    ),
    Row(
        "x4: closed at two, corrected later to noon",
        USUAL + "4 h",
        f"{OPENED}\ne2 +5h ticket.closed A\ne3 +3h ticket.closed A corrects=e2 recorded=+6h10m",
        "2026-03-02T13:30:00+08:00",
        (),
        ("A met 2026-03-02T13:00:00.000",),
    ),
    Row(
        "x5: the opening voided by a record of later",
        USUAL + "4 h",
        f"{OPENED}\ne2 +6h ticket.opened A corrects=e1 void=true recorded=+6h10m",
        "2026-03-02T13:30:00+08:00",
        (),
        (),
    ),
    Row(
        "x6: a local time that occurs twice has its offset",
        BERLIN,
        "e1 2026-10-25T00:45:00+02:00 burst.reported A main=true\ne2 2026-10-25T02:15:00+01:00 burst.secured A",
        "2026-11-01T00:00:00+01:00",
        (
            "A warning 2026-10-25T02:21:00.000",
            "A breach 2026-10-25T02:45:00.000",
            "A late_completion 2026-10-25T02:15:00.000",
        ),
        ("A met_late 2026-10-25T02:45:00.000",),
        ("due 2026-10-25 02:45:00 +02:00, done 2026-10-25 02:15:00 +01:00, 30 min late",),
    ),
    Row(
        "x7: times that differ are written so that they differ",
        USUAL + "4 h",
        "e1 2026-03-02T09:00:00.123456 ticket.opened A\ne2 2026-03-02T13:00:00.123457 ticket.closed A",
        "2026-03-03T00:00:00+08:00",
        (
            "A warning 2026-03-02T12:12:00.123456",
            "A breach 2026-03-02T13:00:00.123456",
            "A late_completion 2026-03-02T13:00:00.123457",
        ),
        ("A met_late 2026-03-02T13:00:00.123456",),
        ("due 2026-03-02 13:00:00.123456, done 2026-03-02 13:00:00.123457, 1 µs late",),
    ),
    Row(
        "x9: a start that pauses starts a clock that stands still",
        "start: [ticket.opened, ticket.waiting], pause: ticket.waiting, resume: ticket.working, limit: 2 h",
        """e1 2026-03-02T09:00 ticket.waiting A
           e2 +1h ticket.working A
           e3 +2h30m ticket.closed A
           e4 +0m ticket.opened C
           e5 +0m ticket.waiting C
           e6 +1h ticket.working C
           e7 +2h30m ticket.closed C""",
        "2026-03-03T00:00:00+08:00",
        (),
        ("A met 2026-03-02T12:00:00.000", "C met 2026-03-02T12:00:00.000"),
    ),
    Row(
        "x10: a start that resumes starts a clock that runs",
        "start: ticket.working, pause: ticket.waiting, resume: [ticket.working, ticket.note], limit: 2 h",
        """e1 2026-03-02T08:00 ticket.waiting A
           e2 +1h ticket.working A
           e3 +10h ticket.closed A
           e4 +0m ticket.waiting B
           e5 +1h ticket.note B
           e6 +1h ticket.working B
           e7 +10h ticket.closed B
           e8 +0m ticket.waiting E
           e9 +1h ticket.working E""",
        "2026-03-03T00:00:00+08:00",
        (
            *(f"{order} warning 2026-03-02T10:36:00.000" for order in "ABE"),
            *(f"{order} breach 2026-03-02T11:00:00.000" for order in "ABE"),
            "A late_completion 2026-03-02T18:00:00.000",
            "B late_completion 2026-03-02T18:00:00.000",
        ),
        (*(f"{order} met_late 2026-03-02T11:00:00.000" for order in "AB"), "E breached 2026-03-02T11:00:00.000"),
    ),
    Row(
        "x11: an instant that the event carries",
        "start: ticket.opened, limit: {until: due_at}",
        """e1 2026-03-02T09:00 ticket.opened A due_at=2026-03-02T12:00:00+08:00
           e2 2026-03-02T09:00 ticket.opened B due_at=2026-03-02T12:00:00+08:00
           e3 2026-03-05T09:00 ticket.closed A""",
        "2026-03-06T00:00:00+08:00",
        (
            *(f"{order} warning 2026-03-02T11:24:00.000" for order in "AB"),
            *(f"{order} breach 2026-03-02T12:00:00.000" for order in "AB"),
            "A late_completion 2026-03-05T09:00:00.000",
        ),
        ("A met_late 2026-03-02T12:00:00.000", "B breached 2026-03-02T12:00:00.000"),
    ),
    Row(
        "x13: a restoration that names one disconnection ends that one",
        "restore-after-payment",
        """e1 2026-03-02T09:00 disconnection.performed W1 account=K1 cause=arrears customer_class=ordinary prepay=false
           e2 +10m disconnection.performed W2 account=K1 cause=arrears customer_class=ordinary prepay=false
           e3 +1d bill.paid - account=K1 owing=false
           e4 +1d1h disconnection.restored W1 account=K1""",
        "2026-03-20T00:00:00+08:00",
        ("K1 warning 2026-03-04T04:12:00.000", "K1 breach 2026-03-04T09:00:00.000"),
        ("K1 met 2026-03-04T09:00:00.000", "K1 breached 2026-03-04T09:00:00.000"),
    ),
)


def replayed(gridclock: Runner, row: Row, engine: str) -> tuple[list[str], list[str], str]:
    rule = None
    if isinstance(row.only, Path):
        rules = ["--only", str(row.only)]
    elif ":" in row.only:
        directory = gridclock.path / "desk"
        directory.mkdir()
        (directory / "desk.yaml").write_text(DESK.replace("REST", row.only), encoding="utf-8")
        rules = ["--only", str(directory)]
    else:
        rules, rule = [], row.only
    cases = gridclock.path / "cases.jsonl"
    events = gridclock.lines("events.jsonl", wire(row.story))
    ran = gridclock("replay", events, *rules, "--until", row.until, "--engine", engine, "--cases", cases)
    assert ran.code == 0, ran.err
    alerts = [alert for alert in ran.alerts if rule in (None, alert["rule"])]
    stood = [case for case in data_of(cases) if rule in (None, case["rule"])]
    return (
        [f"{alert['subject']['id']} {alert['kind']} {alert['due_at'][:-6]}" for alert in alerts],
        [f"{case['subject']['id']} {case['outcome']} {(case['deadline'] or 'none+08:00')[:-6]}" for case in stood],
        "\n".join(alert["explanation"]["en"] for alert in alerts),
    )


@pytest.mark.parametrize("engine", ["python", "auto"])
@pytest.mark.parametrize("row", ROWS, ids=[row.name.split(":")[0] for row in ROWS])
def test_the_verdict_is_the_right_one(gridclock: Runner, row: Row, engine: str) -> None:
    alerts, cases, words = replayed(gridclock, row, engine)
    assert sorted(alerts) == sorted(row.alerts)
    assert sorted(cases) == sorted(row.cases)
    for said in row.words:
        assert said in words


@pytest.mark.parametrize("engine", ["python", "auto"])
def test_x8_an_offset_of_sixty_minutes_is_no_time(gridclock: Runner, engine: str) -> None:
    line = '{"event_id":"e1","event_type":"repair.reported","occurred_at":"2026-03-02T15:00:00+08:60","order_id":"A"}\n'
    ran = gridclock("replay", gridclock.file("events.jsonl", line), "--engine", engine)
    assert ran.code == 3
    assert "events.jsonl:1: impossible_time: occurred_at" in ran.err


@pytest.mark.parametrize(
    ("limit", "taken"),
    [
        ("99999 natural months", False),
        ("100000000 h", False),
        ("30000 days", False),
        ("601 natural months", False),
        ("600 natural months", True),
    ],
)
def test_x12_a_limit_above_fifty_years_is_refused_where_it_stands(gridclock: Runner, limit: str, taken: bool) -> None:
    directory = gridclock.path / "desk"
    directory.mkdir()
    (directory / "desk.yaml").write_text(DESK.replace("REST", USUAL + limit), encoding="utf-8")
    ran = gridclock("rules", "check", "--only", directory)
    assert (ran.code == 0) is taken, ran.err
    assert taken or ("desk.yaml:11" in ran.err and "limit" in ran.err and "50 years" in ran.err)
