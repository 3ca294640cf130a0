"""Edge decisions 2, 4, 5 and 6 as rows with real times, and what crosses orders, lists, versions and instants.

Rows are those of ``tests.rulebook.rows``: the rule of the id runs alone; outcomes and alerts were worked out by hand.
"""

from __future__ import annotations

from typing import Any

import pytest

from streams.rulebooks.loader import LoadedRulebook, load_rulebook
from tests.rulebook.rows import check, dated, row
from tests.stories import decoded, judge, moment, shipped, wire

VIOLATION_CUT = "disconnection.performed D1 account=A1 cause=violation"
TOLD = "disconnection.notice_delivered N1 account=A1 cause=violation"
CUT = "disconnection.performed D1 account=A1 cause=arrears"
PROVED = "disconnection.notice_delivered N1 account=A1 cause=arrears proof_ref=EMS1"


def broken(at: str) -> tuple[str, str]:
    return "violated", f"violation {at}"


# --- 2. N days' notice: from date D + N on ------------------------------------------------------------------

NOTICE = [
    # the 1st and 7 days: the 8th is the first lawful day, whatever the hour of the notice
    row("arrears-notice-7-days/at-midnight", f"n 03-01T00:00 {PROVED}; x 03-08T00:00 {CUT}", "met"),
    row("arrears-notice-7-days/at-noon", f"n 03-01T12:00 {PROVED}; x 03-08T00:00 {CUT}", "met"),
    row("arrears-notice-7-days/at-night", f"n 03-01T23:59:59.999 {PROVED}; x 03-08T00:00 {CUT}", "met"),
    row(
        "arrears-notice-7-days/a-millisecond-before",
        f"n 03-01T00:00 {PROVED}; x 03-07T23:59:59.999 {CUT}",
        *broken("03-07T23:59:59.999"),
    ),
    row("arrears-notice-7-days/over-the-end-of-february", f"n 02-25T10:00 {PROVED}; x 03-04T00:00 {CUT}", "met"),
    row(
        "arrears-notice-7-days/over-29-february",
        f"n 2024-02-25T10:00 {PROVED}; x 2024-03-03T00:00 {CUT}",
        "met",
    ),
    row(
        "arrears-notice-7-days/over-29-february-a-millisecond-before",
        f"n 2024-02-25T10:00 {PROVED}; x 2024-03-02T23:59:59.999 {CUT}",
        *broken("2024-03-02T23:59:59.999"),
    ),
    row("arrears-notice-7-days/over-the-end-of-the-year", f"n 2025-12-28T10:00 {PROVED}; x 01-04T00:00 {CUT}", "met"),
    # a local date is Shanghai's: 16:00 UTC is the next day's beginning
    row(
        "arrears-notice-7-days/late-in-the-evening-utc",
        f"n 2026-02-28T16:00:00+00:00 {PROVED}; x 2026-03-07T23:59:59.999 {CUT}",
        *broken("2026-03-07T23:59:59.999"),
    ),
    row(
        "arrears-notice-7-days/a-millisecond-earlier-utc",
        f"n 2026-02-28T15:59:59.999+00:00 {PROVED}; x 2026-03-07T00:00 {CUT}",
        "met",
    ),
    # holidays count: they are days, not working days
    row("arrears-notice-7-days/over-the-spring-festival", f"n 02-15T10:00 {PROVED}; x 02-22T00:00 {CUT}", "met"),
    # a reminder does not take away the notice that it reminds of
    row(
        "arrears-notice-7-days/reminded-the-day-before",
        f"n 03-01T10:00 {PROVED}; m 03-09T10:00 {PROVED}; x 03-10T10:00 {CUT}",
        "met",
    ),
    # settled or restored: a new notice is due
    row(
        "arrears-notice-7-days/paid-in-between",
        f"n 03-01T10:00 {PROVED}; p 03-05T10:00 bill.paid - account=A1 owing=false; x 03-20T10:00 {CUT}",
        *broken("03-20T10:00"),
    ),
    row(
        "arrears-notice-7-days/paid-in-part-in-between",
        f"n 03-01T10:00 {PROVED}; p 03-05T10:00 bill.paid - account=A1 owing=true; x 03-20T10:00 {CUT}",
        "met",
    ),
    row(
        "arrears-notice-7-days/cut-restored-and-cut-again",
        f"n 03-01T10:00 {PROVED}; x 03-10T10:00 {CUT}; r 03-11T10:00 disconnection.restored D1 account=A1;"
        f"y 03-20T10:00 {CUT}",
        "met",
        *broken("03-20T10:00"),
    ),
    # minutes are counted on instants
    row(
        "violation-renotice-30-minutes/over-midnight",
        f"r 03-05T23:45 disconnection.renotified D1 account=A1; x 03-06T00:15 {VIOLATION_CUT}",
        "met",
    ),
    row(
        "violation-renotice-30-minutes/over-midnight-a-millisecond-before",
        f"r 03-05T23:45 disconnection.renotified D1 account=A1; x 03-06T00:14:59.999 {VIOLATION_CUT}",
        *broken("03-06T00:14:59.999"),
    ),
]

# --- 4. 3 to 7 days: the difference of the dates is within 3..7; the last notice before the act counts ------

WITHIN = [
    *(
        row(f"violation-notice-3-to-7-days/{days}-days", 
            f"n 03-01T17:00 {TOLD}; x 03-{1 + days:02}T09:00 {VIOLATION_CUT}",
            *(["met"] if 3 <= days <= 7 else broken(f"03-{1 + days:02}T09:00")))
        for days in range(1, 10)
    ),
    row("violation-notice-3-to-7-days/the-first-instant",
        f"n 03-01T23:59 {TOLD}; x 03-04T00:00 {VIOLATION_CUT}", "met"),
    row(
        "violation-notice-3-to-7-days/the-last-instant",
        f"n 03-01T00:00 {TOLD}; x 03-08T23:59:59.999999 {VIOLATION_CUT}",
        "met",
    ),
    row(
        "violation-notice-3-to-7-days/a-later-notice-counts-alone",
        f"n 03-01T17:00 {TOLD}; m 03-05T17:00 {TOLD}; x 03-06T09:00 {VIOLATION_CUT}",
        *broken("03-06T09:00"),
    ),
    row(
        "violation-notice-3-to-7-days/one-that-lapsed-is-renewed",
        f"n 03-01T17:00 {TOLD}; m 03-09T17:00 {TOLD}; x 03-12T00:00 {VIOLATION_CUT}",
        "met",
    ),
    row(
        "violation-notice-3-to-7-days/one-at-the-very-instant-takes-nothing-away",
        f"n 03-01T17:00 {TOLD}; x 03-06T09:00 {VIOLATION_CUT}; m 09:00 {TOLD}",
        "met",
    ),
    row(
        "violation-notice-3-to-7-days/of-arrears-is-none",
        f"n 03-01T17:00 {PROVED}; x 03-06T09:00 {VIOLATION_CUT}",
        *broken("03-06T09:00"),
    ),
    row(
        "violation-notice-3-to-7-days/before-the-last-restoration",
        f"n 03-01T17:00 {TOLD}; r 03-02T09:00 disconnection.restored D0 account=A1; x 03-06T09:00 {VIOLATION_CUT}",
        *broken("03-06T09:00"),
    ),
]  # fmt: skip

# --- 5. 30 days overdue: since_on + 30 is the first lawful day; only full payment resets --------------------

OVERDUE = "o 02-02T09:00 bill.overdue - account=A1 since_on=2026-02-01"  # the first lawful day is 3 March
FULL = "bill.paid - account=A1 amount=300 owing=false"
PART = "bill.paid - account=A1 amount=100 owing=true"
ADVANCED = "bill.advanced - account=A1 amount=300"

THIRTY = [
    row("arrears-30-days/the-first-lawful-day", f"{OVERDUE}; x 03-03T00:00 {CUT}", "met"),
    row(
        "arrears-30-days/a-millisecond-before",
        f"{OVERDUE}; x 03-02T23:59:59.999 {CUT}",
        *broken("03-02T23:59:59.999"),
    ),
    row(
        "arrears-30-days/in-a-leap-year-it-is-the-2nd",
        f"o 2024-02-02T09:00 bill.overdue - account=A1 since_on=2024-02-01; x 2024-03-02T00:00 {CUT}",
        "met",
    ),
    row("arrears-30-days/paid-in-part", f"{OVERDUE}; p 02-20T09:00 {PART}; x 03-03T09:00 {CUT}", "met"),
    row(
        "arrears-30-days/paid-in-part-and-too-early",
        f"{OVERDUE}; p 02-20T09:00 {PART}; x 03-02T09:00 {CUT}",
        *broken("03-02T09:00"),
    ),
    row(
        "arrears-30-days/paid-in-full-and-overdue-again",  # since 1 March: the first lawful day is the 31st
        f"{OVERDUE}; p 02-20T09:00 {FULL}; q 03-02T09:00 bill.overdue - account=A1 since_on=2026-03-01;"
        f"x 03-30T23:59:59.999 {CUT}; y 03-31T00:00 {CUT}",
        "violated",
        "met",
        "violation 03-30T23:59:59.999",
    ),
    row(
        "arrears-30-days/advanced-by-somebody-and-overdue-again",
        f"{OVERDUE}; p 02-20T09:00 {ADVANCED} owing=false; q 03-02T09:00 bill.overdue - account=A1 since_on=2026-03-01;"
        f"x 03-20T09:00 {CUT}",
        *broken("03-20T09:00"),
    ),
    row(
        "arrears-30-days/advanced-in-part",
        f"{OVERDUE}; p 02-20T09:00 {ADVANCED} owing=true; x 03-03T09:00 {CUT}",
        "met",
    ),
    row(
        "arrears-30-days/of-several-bills-the-oldest-counts",
        f"q 02-20T09:00 bill.overdue - account=A1 since_on=2026-02-20; {OVERDUE}; x 03-03T09:00 {CUT}",
        "met",
    ),
    row(
        "arrears-30-days/two-bills-too-early-for-either",
        f"{OVERDUE}; q 02-20T09:00 bill.overdue - account=A1 since_on=2026-02-20; x 03-02T09:00 {CUT}",
        *broken("03-02T09:00"),
    ),
    row(
        "arrears-30-days/without-a-date-the-event-itself",
        f"o 02-01T23:00 bill.overdue - account=A1; x 03-02T23:59:59.999 {CUT}; y 03-03T00:00 {CUT}",
        "violated",
        "met",
        "violation 03-02T23:59:59.999",
    ),
    # never heard of an overdue bill: how long it has been is not known, and is not judged
    row("arrears-30-days/nothing-known", f"x 03-03T09:00 {CUT}"),
    row("arrears-30-days/paid-and-nothing-known-since", f"{OVERDUE}; p 02-20T09:00 {FULL}; x 03-20T09:00 {CUT}"),
    row("arrears-30-days/paid-at-the-very-instant", f"{OVERDUE}; p 03-03T09:00 {FULL}; x 03-03T09:00 {CUT}", "met"),
]

# --- 6. One billing cycle: to the next-but-one reading day, else one natural month --------------------------


def kept(name: str, removed: str, first: str, reading_day: int | None = None) -> list[Any]:
    """Disposed of on the first lawful day, and a millisecond before it."""
    told = f"r {removed} meter.removed W1 meter=M1" + (f" reading_day={reading_day}" if reading_day else "")
    before = (moment(dated(first)) - moment("2026-01-01T00:00:00.001") + moment("2026-01-01T00:00")).isoformat()
    before = before.removesuffix("+08:00")
    rule = "removed-meter-one-cycle"
    return [
        row(f"{rule}/{name}", f"{told}; d {first} meter.disposed - meter=M1", "met"),
        row(f"{rule}/{name}-too-early", f"{told}; d {before} meter.disposed - meter=M1", *broken(before)),
    ]


CYCLE = [
    # a natural month: the same day of the next one, or its last
    *kept("a-month", "03-10T16:00", "04-10T00:00"),
    *kept("from-31-january", "01-31T16:00", "02-28T00:00"),
    *kept("from-31-january-of-a-leap-year", "2024-01-31T16:00", "2024-02-29T00:00"),
    *kept("from-28-february", "02-28T16:00", "03-28T00:00"),
    *kept("from-31-march", "03-31T16:00", "04-30T00:00"),
    *kept("from-31-december", "2025-12-31T16:00", "2026-01-31T00:00"),
    # the reading day is known: the next but one
    *kept("read-on-the-5th", "03-10T16:00", "05-05T00:00", 5),
    *kept("read-on-the-20th", "03-10T16:00", "04-20T00:00", 20),
    *kept("removed-on-the-reading-day", "03-05T16:00", "05-05T00:00", 5),
    *kept("removed-the-day-before-it", "03-04T16:00", "04-05T00:00", 5),
    *kept("read-on-the-31st", "01-30T16:00", "02-28T00:00", 31),
    *kept("read-on-the-31st-and-removed-on-it", "01-31T16:00", "03-31T00:00", 31),
    *kept("read-on-the-30th-over-29-february", "2024-01-30T16:00", "2024-03-30T00:00", 30),
    *kept("read-on-the-31st-removed-on-29-february", "2024-02-29T16:00", "2024-04-30T00:00", 31),
    *kept("over-the-end-of-the-year", "2025-11-20T16:00", "2026-01-15T00:00", 15),
    row(
        "removed-meter-one-cycle/the-reading-day-of-its-readings",
        "a 02-05T09:00 reading.collected - meter=M1 method=remote reading_day=5;"
        "r 03-10T16:00 meter.removed W1 meter=M1; d 05-04T23:59:59.999 meter.disposed - meter=M1",
        *broken("05-04T23:59:59.999"),
    ),
    row(
        "removed-meter-one-cycle/the-reading-day-was-changed",
        "a 02-05T09:00 reading.collected - meter=M1 method=remote reading_day=5;"
        "c 02-20T09:00 reading.cycle_changed - meter=M1 reading_day=12 approval_ref=PF-1;"
        "r 03-10T16:00 meter.removed W1 meter=M1; d 04-12T00:00 meter.disposed - meter=M1",
        "met",
    ),
    row(
        "removed-meter-one-cycle/put-up-and-taken-down-again",
        "q 01-10T16:00 meter.removed W1 meter=M1; r 03-10T16:00 meter.removed W2 meter=M1;"
        "d 03-20T09:00 meter.disposed - meter=M1",
        *broken("03-20T09:00"),
    ),
    row("removed-meter-one-cycle/never-seen-removed", "d 03-20T09:00 meter.disposed - meter=M1"),
]

# --- subjects that cross orders -----------------------------------------------------------------------------

ACROSS = [
    row(
        "arrears-30-days/bill-payment-and-cut-in-three-orders",
        "o 02-02T09:00 bill.overdue B1 account=A1 since_on=2026-02-01;"
        "p 02-20T09:00 bill.paid B2 account=A1 owing=true;"
        "x 03-02T09:00 disconnection.performed D9 account=A1 cause=arrears",
        *broken("03-02T09:00"),
    ),
    row(
        "arrears-30-days/another-account",
        "o 02-20T09:00 bill.overdue B1 account=A2 since_on=2026-02-20;"
        "x 03-02T09:00 disconnection.performed B1 account=A1 cause=arrears",
    ),
    row(
        "restore-after-payment/cut-in-one-order-restored-in-another",
        "x 03-02T09:00 disconnection.performed D1 account=A1 cause=arrears; p 03-03T09:00 bill.paid C7 account=A1;"
        "r 03-04T09:00 disconnection.restored D2 account=A1",
        "met 03-04T09:00",
    ),
    row(
        "removed-meter-one-cycle/removed-in-one-order-disposed-of-in-another",
        "r 03-10T16:00 meter.removed W1 meter=M1 account=A1; d 03-30T16:00 meter.disposed W2 meter=M1 account=A2",
        *broken("03-30T16:00"),
    ),
    row(
        "no-disconnection-once-paid/paid-at-the-counter-cut-from-the-list",
        "s 03-02T09:00 counter.service_started C1 business=fee; p 09:01 bill.paid C1 account=A1 owing=false;"
        "x 15:00 disconnection.performed L1 account=A1 cause=arrears",
        *broken("03-02T15:00"),
    ),
]

# --- the same instant: what speaks for the person counts as earlier, what speaks against as later -----------

TIES = [
    row(
        "verify-before-dunning/verified-at-the-same-instant",
        "a 03-02T10:00 arrears.notice_delivered - account=A1; z 10:00 arrears.customer_verified - account=A1",
        "met",
    ),
    row(
        "verify-before-dunning/paid-at-the-instant-of-the-notice",
        "v 03-02T09:00 arrears.customer_verified - account=A1; a 10:00 bill.paid - account=A1 owing=false;"
        "n 10:00 arrears.notice_delivered - account=A1",
        "met",
    ),
    row(
        "verify-before-dunning/paid-at-the-instant-of-the-verification",
        "v 03-02T09:00 arrears.customer_verified - account=A1; w 09:00 bill.paid - account=A1 owing=false;"
        "n 10:00 arrears.notice_delivered - account=A1",
        "met",
    ),
    row(
        "verify-before-dunning/paid-a-millisecond-after-the-verification",
        "v 03-02T09:00 arrears.customer_verified - account=A1; w 09:00:00.001 bill.paid - account=A1 owing=false;"
        "n 10:00 arrears.notice_delivered - account=A1",
        *broken("03-02T10:00"),
    ),
    row(
        "no-disconnection-once-paid/cut-at-the-instant-of-the-payment",
        f"a 03-02T10:00 bill.paid - account=A1 owing=false; x 10:00 {CUT}",
        "met",
    ),
    row(
        "no-disconnection-once-paid/cut-at-the-instant-of-the-next-overdue-bill",
        f"p 03-02T09:00 bill.paid - account=A1 owing=false; x 10:00 {CUT}; z 10:00 bill.overdue - account=A1",
        "met",
    ),
    row(
        "no-disconnection-once-paid/paid-and-overdue-at-one-instant",
        f"p 03-02T09:00 bill.paid - account=A1 owing=false; q 09:00 bill.overdue - account=A1; x 10:00 {CUT}",
        "met",
    ),
    row(
        "one-time-notice/withdrawn-and-closed-at-one-instant",
        "a 03-02T09:00 application.accepted W1; b 09:30 counter.service_completed W1; c 09:30 application.withdrawn W1",
        "cancelled",
    ),
    row(
        "one-time-notice/accepted-and-told-at-the-close",
        "a 03-02T09:30 counter.service_completed W1; b 09:30 application.notice_issued W1;"
        "c 09:30 application.accepted W1",
        "met",
    ),
    row(
        "times-in-order/all-at-one-instant",
        "a 03-02T09:00 repair.completed W1; b 09:00 repair.supply_restored W1; c 09:00 repair.arrived W1;"
        "d 09:00 repair.dispatched W1; e 09:00 repair.reported W1",
        *["met"] * 5,
    ),
    row(
        "one-survey/two-at-one-instant-are-two",
        "a 03-02T09:00 survey.performed W1; b 09:00 survey.performed W1",
        "met",
        *broken("03-02T09:00"),
    ),
    row(
        "recheck-before-disconnection/looked-up-at-the-instant-of-the-cut",
        f"x 03-02T10:00 {CUT}; z 10:00 arrears.status_rechecked - account=A1 owing=true",
        "met",
    ),
]


@pytest.mark.parametrize(
    ("rule", "story", "until", "outcomes", "told"), [*NOTICE, *WITHIN, *THIRTY, *CYCLE, *ACROSS, *TIES]
)
def test_edges(rule: str, story: str, until: str, outcomes: list[str], told: list[str]) -> None:
    check(rule, story, until, outcomes, told)


# --- a notice for many --------------------------------------------------------------------------------------


def story_of_many(*replaced: str) -> list[dict[str, Any]]:
    """A notice of 1 March for the meters M0 to M4999, in batch B1; then what was done."""
    (notice,) = wire("n 2026-03-01T17:00 meter.batch_notice_posted - batch=B1")
    return [{**notice, "meters": [f"M{number}" for number in range(5000)]}, *wire("\n".join(replaced))]


def test_a_notice_concerns_its_batch_and_each_of_5000_meters_once() -> None:
    (notice,) = decoded(story_of_many())
    found = shipped("batch-meter-notice-7-days").rulebook.copies_of(notice)
    assert len(found) == 5001
    assert len({subject for subject, _ in found}) == 5001
    assert found[0] == (("batch", "B1"), notice)
    assert all(copy.meter_id == subject[1] and copy.batch_id is None for subject, copy in found[1:])
    assert not any("meters" in copy.data for _, copy in found[1:])


def test_replaced_without_a_batch_a_listed_meter_is_judged_by_its_own_notice() -> None:
    judged = judge(
        story_of_many(
            "a 2026-03-07T23:59:59.999 meter.replaced W1 meter=M0 planned=batch",
            "b 2026-03-08T00:00 meter.replaced W2 meter=M4999 planned=batch",
            "c 2026-03-08T00:00 meter.replaced W3 meter=M5000 planned=batch",  # not on the list
        ),
        "2026-03-09T00:00",
        loaded=shipped("batch-meter-notice-7-days"),
    )
    found = {case.subject: case.verdict.outcome for case in judged.cases}
    assert found == {("meter", "M0"): "violated", ("meter", "M4999"): "met", ("meter", "M5000"): "violated"}
    assert [(alert.subject[1], alert.evidence) for alert in judged.alerts] == [("M0", ("n", "a")), ("M5000", ("c",))]


def test_replaced_under_a_batch_it_is_judged_there_and_only_there() -> None:
    judged = judge(
        story_of_many(
            "f 2026-03-02T09:00 meter.batch_filed - batch=B1",
            "b 2026-03-10T09:00 meter.replaced W2 batch=B1 meter=M4999 planned=batch",
            "c 2026-03-10T10:00 meter.replaced W3 batch=B1 meter=M5000 planned=batch",
        ),
        "2026-03-11T00:00",
        loaded=shipped("batch-meter-notice-7-days"),
    )
    assert [(case.subject, case.verdict.root, case.verdict.outcome) for case in judged.cases] == [
        (("batch", "B1"), "b", "met"),
        (("batch", "B1"), "c", "violated"),
    ]


@pytest.mark.parametrize(
    ("community", "outcome"), [("community=yihe", "met"), ("community=other", "violated"), ("", "met")]
)
def test_a_notice_for_a_community_covers_its_meters(community: str, outcome: str) -> None:
    story = f"""
        n 2026-03-01T17:00 meter.batch_notice_posted - batch=B1 community=yihe
        f 2026-03-02T09:00 meter.batch_filed - batch=B1
        x 2026-03-10T09:00 meter.replaced W1 batch=B1 meter=M1 planned=batch {community}
    """
    judged = judge(story, "2026-03-11T00:00", loaded=shipped("batch-meter-notice-7-days"))
    assert judged.outcomes() == [(outcome, None)]


@pytest.mark.parametrize(
    ("correction", "outcomes"),
    [
        # never posted: the correction names every meter that the notice named
        ('void=true meters=["M1","M2"]', {"M1": "violated", "M2": "violated"}),
        # posted five days later, for the same meters
        ('meters=["M1","M2"]', {"M1": "violated", "M2": "violated"}),
    ],
)
def test_a_correction_of_a_notice_reaches_every_meter_that_it_names(correction: str, outcomes: dict[str, str]) -> None:
    story = f"""
        n 2026-03-01T10:00 meter.batch_notice_posted - batch=B1 meters=["M1","M2"]
        x 2026-03-10T09:00 meter.replaced W1 meter=M1 planned=batch
        y 2026-03-10T10:00 meter.replaced W2 meter=M2 planned=batch
        k 2026-03-06T10:00 meter.batch_notice_posted - batch=B1 corrects=n {correction} recorded=2026-03-11T09:00
    """
    rules = shipped("batch-meter-notice-7-days")
    judged = judge(story, "2026-03-12T00:00", loaded=rules, arrival=True)
    assert {case.subject[1]: case.verdict.outcome for case in judged.cases} == outcomes
    assert judged.net() == judge(story, "2026-03-12T00:00", loaded=rules).net()


# --- an event for several subjects --------------------------------------------------------------------------


def test_an_event_for_several_subjects_is_judged_once_by_each_rule() -> None:
    """A meter changed under a batch, on an order, for an account: the batch's rule there, the order's rules there."""
    story = """
        x 2026-03-10T09:00 meter.replaced W1 batch=B1 meter=M1 account=A1 planned=batch
        f 2026-03-10T09:30 fee.charged W1 meter=M1 account=A1 code=meter_fee
        z 2026-03-11T09:00 order.closed W1
    """
    judged = judge(story, "2026-03-12T00:00")
    assert [(alert.rule, alert.kind, alert.subject) for alert in judged.alerts] == [
        ("batch-meter-notice-7-days", "violation", ("batch", "B1")),
        ("abolished-fees", "violation", ("order", "W1")),
        ("old-reading-photo", "violation", ("order", "W1")),
        ("wiring-verified", "violation", ("order", "W1")),
    ]
    assert len({case.case_id for case in judged.cases}) == len(judged.cases) == 4


def test_an_order_s_event_reaches_the_account_too_and_each_is_judged_there() -> None:
    """Two accounts of one order: the reading dispute is the order's, the arrears are each account's own."""
    story = """
        a 2026-02-02T09:00 bill.overdue L1 account=A1 since_on=2026-02-01
        b 2026-02-12T09:00 bill.overdue L1 account=A2 since_on=2026-02-11
        x 2026-03-04T09:00 disconnection.performed L1 account=A1 cause=arrears
        y 2026-03-04T09:00 disconnection.performed L1 account=A2 cause=arrears
    """
    judged = judge(story, "2026-03-05T00:00", loaded=shipped("arrears-30-days"))
    found = {case.subject: case.verdict.outcome for case in judged.cases}
    assert found == {("account", "A1"): "met", ("account", "A2"): "violated"}


# --- two versions side by side ------------------------------------------------------------------------------

TIGHTENED = """\
chapter: M
title: {zh: 装表接电, en: Metering}
rules:
  - id: calibration-5-working-days
    effective_from: 2026-03-09
    version: tightened
    clauses: [M-S8]
    source: 某省电力公司 2026-03-01 通知
    kind: deadline
    subject: [order, meter, account]
    title: {zh: 电能表校验3个工作日, en: Meter test within 3 working days}
    start: calibration.requested
    stop: calibration.result_issued
    limit: 3 working days
  - id: arrears-notice-7-days
    effective_from: 2026-03-09
    version: tightened
    clauses: [R-S7]
    source: 某省电力公司 2026-03-01 通知
    kind: minimum_notice
    subject: account
    title: {zh: 欠费停电提前10日通知, en: Arrears disconnection announced 10 days before}
    act: {type: disconnection.performed, where: {cause: arrears}}
    notice: {type: disconnection.notice_delivered, where: {cause: arrears}}
    limit: 10 days
"""


@pytest.fixture(scope="module")
def tightened(tmp_path_factory: pytest.TempPathFactory) -> LoadedRulebook:
    """The shipped rulebook, and on top of it a province's own versions from Monday 9 March 2026 on."""
    directory = tmp_path_factory.mktemp("province")
    (directory / "metering.yaml").write_text(TIGHTENED, encoding="utf-8")
    return load_rulebook(rules=[directory])


@pytest.mark.parametrize(
    ("start", "version", "deadline"),
    [
        ("2026-03-06T10:00", "1", "2026-03-14T00:00:00.000"),  # Friday: 9 to 13, all of them under the new one
        ("2026-03-08T23:59:59.999", "1", "2026-03-14T00:00:00.000"),
        ("2026-03-09T00:00", "tightened", "2026-03-13T00:00:00.000"),  # 10, 11, 12
    ],
)
def test_a_case_keeps_the_version_it_started_under(
    tightened: LoadedRulebook, start: str, version: str, deadline: str
) -> None:
    judged = judge(f"s {start} calibration.requested W1 meter=M1", "2026-04-01T00:00", loaded=tightened)
    assert judged.outcomes() == [("breached", deadline)]
    assert [alert.rule_version for alert in judged.alerts] == [version] * len(judged.alerts)
    assert judged.told() == [("calibration-5-working-days", "breach", deadline)]


@pytest.mark.parametrize(
    ("act", "version", "outcome"),
    [
        ("2026-03-08T23:59:59.999", "1", "met"),  # notice of the 1st: seven days are enough on the 8th
        ("2026-03-09T00:00", "tightened", "violated"),  # and not on the 9th, though the notice is of the old time
        ("2026-03-10T23:59:59.999", "tightened", "violated"),
        ("2026-03-11T00:00", "tightened", "met"),
    ],
)
def test_an_act_is_judged_by_the_version_in_force_at_the_act(
    tightened: LoadedRulebook, act: str, version: str, outcome: str
) -> None:
    story = f"n 2026-03-01T10:00 {PROVED}\nx {act} {CUT}"
    judged = judge(story, "2026-04-01T00:00", loaded=tightened)
    (case,) = [case for case in judged.cases if case.verdict.rule.id == "arrears-notice-7-days"]
    assert (case.verdict.rule.version, case.verdict.outcome) == (version, outcome)
