"""What the notes of the shipped rules say holds: a row for each statement of how a rule reads its clause."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.rulebooks.loader import load_rulebook
from tests.rulebook.rows import check, dated, row
from tests.stories import judge, shipped

_OWED = "o 03-03T09:00 bill.overdue - account=A1 since_on=2026-01-01; "
_CUT = "d 03-14T09:00 disconnection.performed - account=A1 cause=arrears"
_TWO_METERS = (
    "a 03-03T09:00 meter.replaced W1 meter=M1 planned=sporadic; b 09:10 meter.replaced W1 meter=M2 planned=sporadic; "
)
_AFAR = (
    "s 03-03T09:00 repair.reported W1 area=urban; r 09:10 repair.supply_restored W1 remote=true;c 09:12 order.closed W1"
)
_READ = "a 03-15T00:00 reading.collected - meter=M1 method=remote; "
_TURNED_AWAY = "t 09:02 counter.turned_away W1; c 09:03 order.closed W1"

ROWS = [
    row("repair-arrival/nobody-arrived", _AFAR, "breached 03-03T09:45", "breach 03-03T09:45"),
    row("two-calls-one-answer/nobody-arrived", _AFAR, "violated", "violation 03-03T09:12"),
    row(
        "fee-5-minutes/turned-away",
        f"s 03-03T09:00 counter.service_started W1 business=fee; {_TURNED_AWAY}",
        "breached 03-03T09:05",
        "breach 03-03T09:05",
    ),
    row(
        "power-20-minutes/turned-away",
        f"s 03-03T09:00 counter.service_started W1 business=power; {_TURNED_AWAY}",
        "breached 03-03T09:20",
        "breach 03-03T09:20",
    ),
    row(
        "calibration-5-working-days/closed",
        "s 03-03T09:00 calibration.requested W1; c 03-04T09:00 order.closed W1",
        "breached 03-11T00:00",
        "breach 03-11T00:00",
    ),
    row(
        "reading-dispute-5-working-days/closed",
        "s 03-03T09:00 reading.disputed W1; c 03-04T09:00 order.closed W1",
        "breached 03-11T00:00",
        "breach 03-11T00:00",
    ),
    row(
        "wiring-verified/two-meters",
        f"{_TWO_METERS}v 09:30 meter.wiring_verified W1 meter=M1; c 10:00 order.closed W1",
        *["met"] * 2,
    ),
    row(
        "old-reading-photo/two-meters",
        f"{_TWO_METERS}p 09:30 meter.reading_photo_uploaded W1 meter=M1 signed=true; c 10:00 order.closed W1",
        *["met"] * 2,
    ),
    row(
        "monthly-reading/at-midnight",
        f"{_READ}b 05-01T00:00 reading.collected - meter=M1 method=remote",
        "breached 05-01T00:00",
        "met 06-01T00:00",
        "breach 05-01T00:00",
        until="2026-05-20T00:00",
    ),
    row(
        "monthly-reading/at-midnight-of-the-month-before",
        f"{_READ}b 05-01T00:00 reading.collected - meter=M1 method=remote period=2026-04",
        "met 05-01T00:00",
        "running 06-01T00:00",
        until="2026-05-20T00:00",
    ),
    row(
        "monthly-reading/replaced",
        f"{_READ}b 03-16T09:00 meter.replaced W1 meter=M1 planned=sporadic",
        "breached 05-01T00:00",
        "running 06-01T00:00",
        "breach 05-01T00:00",
        until="2026-05-20T00:00",
    ),
    row(
        "no-disconnection-once-paid/a-part-without-owing",
        f"{_OWED}p 03-05T09:00 bill.paid - account=A1; {_CUT}",
        "violated",
        "violation 03-14T09:00",
    ),
    row("no-disconnection-once-paid/a-part", f"{_OWED}p 03-05T09:00 bill.paid - account=A1 owing=true; {_CUT}", "met"),
    row(
        "no-disconnection-once-paid/prepaid",
        f"p 03-05T09:00 bill.paid - account=A1; {_CUT} prepay=true",
        "violated",
        "violation 03-14T09:00",
    ),
    row(
        "no-disconnection-once-paid/prepaid-and-used-up",
        "p 03-05T09:00 bill.paid - account=A1; o 03-13T09:00 bill.overdue - account=A1 since_on=2026-03-13;"
        f"{_CUT} prepay=true",
        "met",
    ),
    row("restore-after-payment/paid-before", f"{_OWED}p 03-13T09:00 bill.paid - account=A1; {_CUT}"),
    row(
        "restore-after-payment/paid-without-owing",
        f"{_OWED}{_CUT}; p 03-15T09:00 bill.paid - account=A1",
        "breached 03-16T09:00",
        "breach 03-16T09:00",
    ),
    row(
        "arrears-notice-7-days/without-proof",
        f"n 03-01T09:00 disconnection.notice_delivered - account=A1 cause=arrears; {_CUT}",
        "violated",
        "violation 03-14T09:00",
    ),
    row("arrears-notice-7-days/prepaid", f"{_CUT} prepay=true"),
    row(
        "sealed-as-requested/two-requests",
        "a 03-03T09:00 capacity.change_requested W1 effective_on=2026-03-10;"
        "b 03-05T09:00 capacity.change_requested W1 effective_on=2026-04-10; s 04-10T09:00 capacity.sealed W1",
        "met_late 03-11T00:00",
        "breach 03-11T00:00",
        "late_completion 04-10T09:00",
    ),
    row(
        "sealed-as-requested/another-day",
        "a 03-03T09:00 capacity.change_requested W1 effective_on=2026-03-10;"
        "b 03-03T09:00 capacity.change_requested W1 effective_on=2026-04-10 corrects=a;"
        "s 04-10T09:00 capacity.sealed W1",
        "met 04-11T00:00",
    ),
    row(
        "grid-project-on-time/two-agreements",
        "a 03-03T09:00 grid_project.agreed W1 due_on=2026-03-10;"
        "b 03-05T09:00 grid_project.agreed W1 due_on=2026-04-10; s 04-10T09:00 grid_project.completed W1",
        "met_late 03-11T00:00",
        "breach 03-11T00:00",
        "late_completion 04-10T09:00",
    ),
    row(
        "whole-connection/no-contract",
        "a 03-03T09:00 application.accepted W1 category=hv_single;"
        "b 03-04T09:00 completion_inspection.completed W1 passed=true; c 06-04T09:00 connection.energized W1",
        "met 07-04T00:00",  # 22 working days of which one was over
    ),
    row(
        "abolished-fees/a-code-that-is-not-listed",
        "a 03-03T09:00 fee.charged W1 code=our_own_code",
        "met",
    ),
]


@pytest.mark.parametrize(("rule", "story", "until", "outcomes", "told"), ROWS)
def test_a_note(rule: str, story: str, until: str, outcomes: list[str], told: list[str]) -> None:
    check(rule, story, until, outcomes, told)


def test_every_note_has_its_row() -> None:
    noted = {item.rule.id for item in shipped().loaded if item.rule.note is not None}
    assert noted == {str(one.id).split("/")[0] for one in ROWS}


def test_an_order_restored_from_afar_is_no_breach_where_a_version_says_so(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        """chapter: F
title: {zh: 故障抢修, en: Fault repair}
rules:
  - id: repair-arrival
    effective_from: 2023-08-23
    version: "2"
    clauses: [F-R1]
    source: 本单位规定
    kind: deadline
    severity: red_line
    subject: order
    title: {zh: 抢修到达现场时限, en: Repair crew on site in time}
    start: repair.reported
    stop: repair.arrived
    cancel: {type: repair.supply_restored, where: {remote: true}}
    limit: 45 min
""",
        "utf-8",
    )
    told = judge(dated(_AFAR), "2026-12-31T00:00", loaded=load_rulebook((tmp_path,))).told()
    assert [one for one in told if one[0] == "repair-arrival"] == []
