"""Chapter I 用电检查: every rule's rows."""

from __future__ import annotations

import pytest

from tests.rulebook.rows import check, clock, row
from tests.stories import judge, shipped

VIOLATION_CUT = "disconnection.performed D1 account=A1 cause=violation"
NOTICE = "n 03-01T17:00 disconnection.notice_delivered N1 account=A1 cause=violation"
THEFT = "inspection.performed J1 account=A1 kind=theft crew_size=2"

ASKED = "s 03-02T09:00 capacity.change_requested W1 effective_on=2026-03-05"

ROWS = [
    *clock(
        "sealed-as-requested",
        "s 03-02T09:00 capacity.change_requested W1 account=A1 effective_on=2026-03-20 kva=315",
        "z {} capacity.sealed W1 account=A1",
        met="03-20T09:00",
        deadline="03-21T00:00",
        broken="03-21T00:00:00.001",
    ),
    row("sealed-as-requested/no-day-asked-for", "s 03-02T09:00 capacity.change_requested W1 kva=315"),
    row(
        "sealed-as-requested/withdrawn",
        "s 03-02T09:00 capacity.change_requested W1 effective_on=2026-03-20; w 03-10T09:00 application.withdrawn W1",
        "cancelled 03-21T00:00",
    ),
    # sealed-not-early: asked for the 5th
    row("sealed-not-early/met", f"{ASKED}; z 03-05T09:00 capacity.sealed W1", "met"),
    row("sealed-not-early/just-met", f"{ASKED}; z 03-05T00:00 capacity.sealed W1", "met"),
    row(
        "sealed-not-early/just-broken",
        f"{ASKED}; z 03-04T23:59:59.999 capacity.sealed W1",
        "violated",
        "violation 03-04T23:59:59.999",
    ),
    row("sealed-not-early/never", ASKED),
    row(
        "sealed-not-early/late",
        f"z 03-04T09:00 capacity.sealed W1; {ASKED} recorded=03-06T09:00",
        "violated",
        "violation 03-04T09:00",
    ),
    row(
        "sealed-not-early/correction",
        f"{ASKED}; z 03-04T09:00 capacity.sealed W1; k 03-05T09:00 capacity.sealed W1 corrects=z recorded=03-06T09:00",
        "met",
        "violation 03-04T09:00",
        "retraction 03-04T09:00",
    ),
    row(
        "sealed-not-early/no-day-asked-for",
        "s 03-02T09:00 capacity.change_requested W1 kva=315; z 03-02T08:00 capacity.sealed W1",
    ),
    # inspection-by-appointment
    row(
        "inspection-by-appointment/met",
        "p 03-02T09:00 inspection.appointed J1; i 03-05T09:00 inspection.performed J1 kind=routine",
        "met",
    ),
    row(
        "inspection-by-appointment/just-met",
        "i 03-05T09:00 inspection.performed J1 kind=hazard; p 03-05T09:00 inspection.appointed J1",
        "met",
    ),
    row(
        "inspection-by-appointment/just-broken",
        "i 03-05T08:59:59.999 inspection.performed J1; p 09:00 inspection.appointed J1",
        "violated",
        "violation 03-05T08:59:59.999",
    ),
    row("inspection-by-appointment/never", "p 03-02T09:00 inspection.appointed J1"),
    row(
        "inspection-by-appointment/late",
        "i 03-05T09:00 inspection.performed J1; p 03-02T09:00 inspection.appointed J1 recorded=03-06T09:00",
        "met",
        "violation 03-05T09:00",
        "retraction 03-05T09:00",
    ),
    row(
        "inspection-by-appointment/correction",  # it was about theft, and nobody announces that
        "i 03-05T09:00 inspection.performed J1 kind=routine;"
        "k 03-05T09:00 inspection.performed J1 kind=theft corrects=i recorded=03-06T09:00",
        "violation 03-05T09:00",
        "retraction 03-05T09:00",
    ),
    # inspection-on-time
    *clock(
        "inspection-on-time",
        "s 03-06T10:00 inspection.appointed J1 for_at=2026-03-09T14:30:00+08:00",
        "z {} inspection.performed J1",
        met="03-09T14:00",
        deadline="03-09T14:30",
        broken="03-09T14:30:00.001",
    ),
    row(
        "inspection-on-time/called-off",
        "s 03-06T10:00 inspection.appointed J1 for_at=2026-03-09T14:30:00+08:00; c 03-09T09:00 order.closed J1",
        "cancelled 03-09T14:30",
    ),
    # two-inspectors
    row("two-inspectors/met", "i 03-05T09:00 inspection.performed J1 crew_size=3", "met"),
    row("two-inspectors/just-met", "i 03-05T09:00 inspection.performed J1 crew_size=2", "met"),
    row(
        "two-inspectors/just-broken",
        "i 03-05T09:00 inspection.performed J1 crew_size=1",
        "violated",
        "violation 03-05T09:00",
    ),
    row("two-inspectors/never", "p 03-02T09:00 inspection.appointed J1"),
    row(
        "two-inspectors/late",
        "i 03-05T09:00 inspection.performed J1 crew_size=1 recorded=03-09T09:00",
        "violated",
        "violation 03-05T09:00",
    ),
    row(
        "two-inspectors/correction",
        "i 03-05T09:00 inspection.performed J1 crew_size=1;"
        "k 03-05T09:00 inspection.performed J1 crew_size=2 corrects=i recorded=03-09T09:00",
        "met",
        "violation 03-05T09:00",
        "retraction 03-05T09:00",
    ),
    row("two-inspectors/size-not-said", "i 03-05T09:00 inspection.performed J1", "violated", "violation 03-05T09:00"),
    # finding-delivered
    row(
        "finding-delivered/met",
        "f 03-05T11:00 inspection.finding_notified J1 kind=hazard signed=true",
        "met",
    ),
    row(
        "finding-delivered/just-met",  # refused to sign: sent by post
        "f 03-05T11:00 inspection.finding_notified J1 kind=violation signed=false delivery=EMS123",
        "met",
    ),
    row(
        "finding-delivered/just-broken",
        "f 03-05T11:00 inspection.finding_notified J1 kind=violation signed=false",
        "violated",
        "violation 03-05T11:00",
    ),
    row("finding-delivered/never", "i 03-05T09:00 inspection.performed J1 kind=hazard"),
    row(
        "finding-delivered/late",
        "f 03-05T11:00 inspection.finding_notified J1 kind=hazard recorded=03-09T09:00",
        "violated",
        "violation 03-05T11:00",
    ),
    row(
        "finding-delivered/correction",
        "f 03-05T11:00 inspection.finding_notified J1 kind=theft signed=false;"
        "k 03-05T11:00 inspection.finding_notified J1 kind=theft signed=false delivery=EMS9 corrects=f"
        " recorded=03-09T09:00",
        "met",
        "violation 03-05T11:00",
        "retraction 03-05T11:00",
    ),
    # theft-inspection-recorded
    row("theft-inspection-recorded/met", f"i 03-05T21:00 {THEFT} recorded=true customer_present=true", "met"),
    row("theft-inspection-recorded/just-met", f"i 03-05T21:00 {THEFT} recorded=true witness=true", "met"),
    row(
        "theft-inspection-recorded/just-broken",  # recorded, but with nobody there
        f"i 03-05T21:00 {THEFT} recorded=true customer_present=false witness=false",
        "violated",
        "violation 03-05T21:00",
    ),
    row("theft-inspection-recorded/never", "i 03-05T21:00 inspection.performed J1 account=A1 kind=routine crew_size=2"),
    row(
        "theft-inspection-recorded/late",
        f"i 03-05T21:00 {THEFT} recorded=03-07T09:00 customer_present=true",
        "violated",
        "violation 03-05T21:00",
    ),
    row(
        "theft-inspection-recorded/correction",
        f"i 03-05T21:00 {THEFT} customer_present=true;"
        f"k 03-05T21:00 {THEFT} recorded=true customer_present=true corrects=i recorded=03-07T09:00",
        "met",
        "violation 03-05T21:00",
        "retraction 03-05T21:00",
    ),
    row(
        "theft-inspection-recorded/a-witness-and-no-record",
        f"i 03-05T21:00 {THEFT} recorded=false witness=true",
        "violated",
        "violation 03-05T21:00",
    ),
    # violation-notice-3-to-7-days: notice on the 1st, lawful from the 4th to the 8th
    row("violation-notice-3-to-7-days/met", f"{NOTICE}; x 03-06T10:00 {VIOLATION_CUT}", "met"),
    row("violation-notice-3-to-7-days/just-met", f"{NOTICE}; x 03-04T00:00 {VIOLATION_CUT}", "met"),
    row(
        "violation-notice-3-to-7-days/just-met-at-the-other-end",
        f"{NOTICE}; x 03-08T23:59:59.999 {VIOLATION_CUT}",
        "met",
    ),
    row(
        "violation-notice-3-to-7-days/just-broken",
        f"{NOTICE}; x 03-03T23:59:59.999 {VIOLATION_CUT}",
        "violated",
        "violation 03-03T23:59:59.999",
    ),
    row(
        "violation-notice-3-to-7-days/lapsed",
        f"{NOTICE}; x 03-09T00:00 {VIOLATION_CUT}",
        "violated",
        "violation 03-09T00:00",
    ),
    row("violation-notice-3-to-7-days/never", NOTICE),
    row(
        "violation-notice-3-to-7-days/late",
        f"x 03-06T10:00 {VIOLATION_CUT}; {NOTICE} recorded=03-07T09:00",
        "met",
        "violation 03-06T10:00",
        "retraction 03-06T10:00",
    ),
    row(
        "violation-notice-3-to-7-days/correction",
        f"{NOTICE}; x 03-06T10:00 {VIOLATION_CUT};"
        "k 03-04T17:00 disconnection.notice_delivered N1 account=A1 cause=violation corrects=n recorded=03-07T09:00",
        "violated",
        "violation 03-06T10:00",
    ),
    # violation-renotice-30-minutes
    row(
        "violation-renotice-30-minutes/met",
        f"r 03-06T09:00 disconnection.renotified D1 account=A1; x 10:00 {VIOLATION_CUT}",
        "met",
    ),
    row(
        "violation-renotice-30-minutes/just-met",
        f"r 03-06T09:30 disconnection.renotified D1 account=A1; x 10:00 {VIOLATION_CUT}",
        "met",
    ),
    row(
        "violation-renotice-30-minutes/just-broken",
        f"r 03-06T09:30 disconnection.renotified D1 account=A1; x 09:59:59.999 {VIOLATION_CUT}",
        "violated",
        "violation 03-06T09:59:59.999",
    ),
    row("violation-renotice-30-minutes/never", "r 03-06T09:30 disconnection.renotified D1 account=A1"),
    row(
        "violation-renotice-30-minutes/late",
        f"x 03-06T10:00 {VIOLATION_CUT}; r 09:15 disconnection.renotified D1 account=A1 recorded=12:00",
        "met",
        "violation 03-06T10:00",
        "retraction 03-06T10:00",
    ),
    row(
        "violation-renotice-30-minutes/correction",
        f"r 03-06T09:00 disconnection.renotified D1 account=A1; x 10:00 {VIOLATION_CUT};"
        "k 09:45 disconnection.renotified D1 account=A1 corrects=r recorded=12:00",
        "violated",
        "violation 03-06T10:00",
    ),
    row(
        "violation-renotice-30-minutes/missing-altogether",
        f"{NOTICE}; x 03-06T10:00 {VIOLATION_CUT}",
        "violated",
        "violation 03-06T10:00",
    ),
    row(
        "violation-renotice-30-minutes/before-the-notice-is-not-again",
        f"r 02-27T09:00 disconnection.renotified D1 account=A1; {NOTICE}; x 03-06T10:00 {VIOLATION_CUT}",
        "violated",
        "violation 03-06T10:00",
    ),
    # theft-told-first
    row(
        "theft-told-first/met",
        "n 03-05T21:10 disconnection.notice_delivered J1 account=A1 cause=theft;"
        "x 21:20 disconnection.performed J1 account=A1 cause=theft",
        "met",
    ),
    row(
        "theft-told-first/just-met",
        "x 03-05T21:20 disconnection.performed J1 account=A1 cause=theft;"
        "n 21:20 disconnection.notice_delivered J1 account=A1 cause=theft",
        "met",
    ),
    row(
        "theft-told-first/just-broken",
        "x 03-05T21:19:59.999 disconnection.performed J1 account=A1 cause=theft;"
        "n 21:20 disconnection.notice_delivered J1 account=A1 cause=theft",
        "violated",
        "violation 03-05T21:19:59.999",
    ),
    row("theft-told-first/never", "n 03-05T21:10 disconnection.notice_delivered J1 account=A1 cause=theft"),
    row(
        "theft-told-first/late",
        "x 03-05T21:20 disconnection.performed J1 account=A1 cause=theft;"
        "n 21:10 disconnection.notice_delivered J1 account=A1 cause=theft recorded=23:00",
        "met",
        "violation 03-05T21:20",
        "retraction 03-05T21:20",
    ),
    row(
        "theft-told-first/correction",  # told of arrears, not of theft
        "n 03-05T21:10 disconnection.notice_delivered J1 account=A1 cause=theft;"
        "x 21:20 disconnection.performed J1 account=A1 cause=theft;"
        "k 21:10 disconnection.notice_delivered J1 account=A1 cause=arrears corrects=n recorded=23:00",
        "violated",
        "violation 03-05T21:20",
    ),
    # administrative-order-document
    row(
        "administrative-order-document/met",
        "o 03-05T09:00 inspection.order_document_received J1 account=A1 ref=GOV-12;"
        "x 03-06T09:00 disconnection.performed J1 account=A1 cause=administrative",
        "met",
    ),
    row(
        "administrative-order-document/just-met",
        "x 03-06T09:00 disconnection.performed J1 account=A1 cause=administrative;"
        "o 09:00 inspection.order_document_received J1 account=A1 ref=GOV-12",
        "met",
    ),
    row(
        "administrative-order-document/just-broken",
        "x 03-06T08:59:59.999 disconnection.performed J1 account=A1 cause=administrative;"
        "o 09:00 inspection.order_document_received J1 account=A1 ref=GOV-12",
        "violated",
        "violation 03-06T08:59:59.999",
    ),
    row(
        "administrative-order-document/never",
        "o 03-05T09:00 inspection.order_document_received J1 account=A1 ref=GOV-12",
    ),
    row(
        "administrative-order-document/late",
        "x 03-06T09:00 disconnection.performed J1 account=A1 cause=administrative;"
        "o 03-05T09:00 inspection.order_document_received J1 account=A1 ref=GOV-12 recorded=03-08T09:00",
        "met",
        "violation 03-06T09:00",
        "retraction 03-06T09:00",
    ),
    row(
        "administrative-order-document/correction",
        "o 03-05T09:00 inspection.order_document_received J1 account=A1 ref=GOV-12;"
        "x 03-06T09:00 disconnection.performed J1 account=A1 cause=administrative;"
        "k 03-07T09:00 inspection.order_document_received J1 account=A1 ref=GOV-12 corrects=o recorded=03-08T09:00",
        "violated",
        "violation 03-06T09:00",
    ),
    # important-customer-inspection: the next one within six months, by the end of that day
    row(
        "important-customer-inspection/met",
        "i 2026-01-15T09:00 inspection.performed J1 account=A1 customer_class=important;"
        "j 2026-06-20T09:00 inspection.performed J2 account=A1 customer_class=important",
        "met 07-16T00:00",
        "running 12-21T00:00",
        until="12-01T00:00",
    ),
    row(
        "important-customer-inspection/just-met",
        "i 2026-01-15T09:00 inspection.performed J1 account=A1 customer_class=important;"
        "j 2026-07-16T00:00 inspection.performed J2 account=A1 customer_class=important",
        "met 07-16T00:00",
        "running 2027-01-17T00:00",
    ),
    row(
        "important-customer-inspection/just-broken",
        "i 2026-01-15T09:00 inspection.performed J1 account=A1 customer_class=important;"
        "j 2026-07-16T00:00:00.001 inspection.performed J2 account=A1 customer_class=sensitive",
        "met_late 07-16T00:00",
        "running 2027-01-17T00:00",
        "breach 07-16T00:00",
        "late_completion 07-16T00:00:00.001",
    ),
    row(
        "important-customer-inspection/never",
        "i 2025-08-31T09:00 inspection.performed J1 account=A1 customer_class=important",
        "breached 03-01T00:00",  # 28 February is the last day of the sixth month
        "breach 03-01T00:00",
    ),
    row(
        "important-customer-inspection/late",
        "i 2026-01-15T09:00 inspection.performed J1 account=A1 customer_class=important;"
        "j 2026-07-10T09:00 inspection.performed J2 account=A1 customer_class=important recorded=07-20T09:00",
        "met 07-16T00:00",
        "running 2027-01-11T00:00",
        "breach 07-16T00:00",
        "retraction 07-16T00:00",
    ),
    row(
        "important-customer-inspection/correction",  # an ordinary customer after all
        "i 2026-01-15T09:00 inspection.performed J1 account=A1 customer_class=important;"
        "k 2026-01-15T09:00 inspection.performed J1 account=A1 customer_class=ordinary corrects=i recorded=07-20T09:00",
        "breach 07-16T00:00",
        "retraction 07-16T00:00",
    ),
]


@pytest.mark.parametrize(("rule", "story", "until", "outcomes", "told"), ROWS)
def test_inspection(rule: str, story: str, until: str, outcomes: list[str], told: list[str]) -> None:
    check(rule, story, until, outcomes, told)


def test_the_sentence_on_a_violator_without_approval_names_violators_in_both_languages() -> None:
    # An ordinary customer: nobody who is told of this may take it for one of the important ones.
    judged = judge(
        "x 2026-03-06T10:00 disconnection.performed - account=A1 cause=violation customer_class=ordinary",
        "2026-03-07T00:00",
        loaded=shipped("important-customer-approval"),
    )
    [says] = [alert.explanation for alert in judged.alerts]
    assert "违约用电" in says.zh
    assert "violators" in says.en
