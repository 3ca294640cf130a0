"""Chapter F 故障抢修: every rule's rows."""

from __future__ import annotations

import pytest

from tests.rulebook.rows import check, clock, row

REPORTED = "s 03-07T22:30 repair.reported W1 area=urban"
SINGLE = "s 03-07T22:30 repair.reported W1 scope=single"
CALLED = (
    "s 03-07T22:30 repair.reported W1; a 22:32 repair.customer_contacted W1 stage=received;"
    "b 23:05 repair.customer_contacted W1 stage=arrived; "
)

ROWS = [
    *clock(
        "repair-arrival",
        REPORTED,
        "z {} repair.arrived W1",
        met="03-07T23:00",
        deadline="03-07T23:15",
        broken="03-07T23:15:00.001",
    ),
    row(
        "repair-arrival/rural-90-minutes-across-midnight",
        "s 03-07T22:31 repair.reported W1 area=rural; z 03-08T00:01:00.001 repair.arrived W1",
        "met_late 03-08T00:01",
        "breach 03-08T00:01",
        "late_completion 03-08T00:01:00.001",
    ),
    row(
        "repair-arrival/remote-2-hours",
        "s 03-07T22:30 repair.reported W1 area=remote; z 03-08T00:30 repair.arrived W1",
        "met 03-08T00:30",
    ),
    row(
        "repair-arrival/area-unknown", "s 03-07T22:30 repair.reported W1", "breached 03-08T00:30", "breach 03-08T00:30"
    ),
    # times-in-order: a case for each stage
    row(
        "times-in-order/met",
        "s 03-07T22:30 repair.reported W1; d 22:35 repair.dispatched W1; a 23:00 repair.arrived W1;"
        "r 23:20 repair.supply_restored W1; z 23:50 repair.completed W1",
        *["met"] * 5,
    ),
    row(
        "times-in-order/just-met",
        "s 03-07T22:30 repair.reported W1; d 22:30 repair.dispatched W1; a 22:30 repair.arrived W1",
        *["met"] * 3,
    ),
    row(
        "times-in-order/just-broken",
        "s 03-07T22:30 repair.reported W1; a 22:59:59.999 repair.arrived W1; d 23:00 repair.dispatched W1",
        "met",
        "violated",
        "met",
        "violation 03-07T23:00",
    ),
    row("times-in-order/never", "f 03-07T22:30 repair.feedback_asked W1"),
    row(
        "times-in-order/late",
        "s 03-07T22:30 repair.reported W1; d 23:00 repair.dispatched W1;a 22:50 repair.arrived W1 recorded=03-08T02:00",
        "met",
        "violated",
        "met",
        "violation 03-07T23:00",
    ),
    row(
        "times-in-order/correction",
        "s 03-07T22:30 repair.reported W1; a 22:50 repair.arrived W1; d 23:00 repair.dispatched W1;"
        "k 22:35 repair.dispatched W1 corrects=d recorded=03-08T02:00",
        *["met"] * 3,
        "violation 03-07T23:00",
        "retraction 03-07T23:00",
    ),
    row(
        "times-in-order/a-second-crew-is-not-held-against-the-first",
        "s 03-07T22:30 repair.reported W1; d 22:35 repair.dispatched W1; a 23:00 repair.arrived W1;"
        "e 23:10 repair.dispatched W1; b 23:40 repair.arrived W1; z 03-08T00:50 repair.completed W1",
        *["met"] * 4,
    ),
    row(
        "times-in-order/switched-on-from-afar-before-the-crew-came",
        "s 03-07T22:30 repair.reported W1; r 22:40 repair.supply_restored W1 remote=true; a 23:00 repair.arrived W1",
        *["met"] * 2,
    ),
    row(
        "times-in-order/restored-by-a-crew-that-had-not-come",
        "s 03-07T22:30 repair.reported W1; r 22:40 repair.supply_restored W1 remote=false; a 23:00 repair.arrived W1",
        "met",
        "violated",
        "met",
        "violation 03-07T23:00",
    ),
    # two-calls-one-answer 两告知一回复
    row(
        "two-calls-one-answer/met",
        CALLED + "c 03-08T00:10 repair.customer_contacted W1 stage=completed; z 00:30 repair.closed W1",
        "met",
    ),
    row(
        "two-calls-one-answer/just-met",
        CALLED + "z 03-08T00:30 repair.closed W1; c 00:30 repair.customer_contacted W1 stage=completed",
        "met",
    ),
    row(
        "two-calls-one-answer/just-broken",
        CALLED + "z 03-08T00:30 repair.closed W1; c 00:30:00.001 repair.customer_contacted W1 stage=completed",
        "violated",
        "violation 03-08T00:30",
    ),
    row("two-calls-one-answer/never", CALLED, "running"),
    row(
        "two-calls-one-answer/late",
        CALLED + "z 03-08T00:30 repair.closed W1;"
        "c 00:10 repair.customer_contacted W1 stage=completed recorded=03-09T08:00",
        "met",
        "violation 03-08T00:30",
        "retraction 03-08T00:30",
    ),
    row(
        "two-calls-one-answer/correction",  # the third call was again one on arrival
        CALLED + "c 03-08T00:10 repair.customer_contacted W1 stage=completed; z 00:30 repair.closed W1;"
        "k 00:10 repair.customer_contacted W1 stage=arrived corrects=c recorded=03-09T08:00",
        "violated",
        "violation 03-08T00:30",
    ),
    # restore-before-repair 先复电后抢修
    row(
        "restore-before-repair/met",
        "d 03-07T23:00 repair.meter_damage_found W1; r 23:20 repair.supply_restored W1;"
        "i 23:25 repair.metering_informed W1; m 03-08T09:00 repair.meter_repaired W1",
        "met",
    ),
    row(
        "restore-before-repair/just-met",
        "m 03-08T09:00 repair.meter_repaired W1; r 09:00 repair.supply_restored W1;i 09:00 repair.metering_informed W1",
        "met",
    ),
    row(
        "restore-before-repair/just-broken",
        "i 03-07T23:25 repair.metering_informed W1; m 03-08T08:59:59.999 repair.meter_repaired W1;"
        "r 09:00 repair.supply_restored W1",
        "violated",
        "violation 03-08T08:59:59.999",
    ),
    row(
        "restore-before-repair/never",
        "d 03-07T23:00 repair.meter_damage_found W1; r 23:20 repair.supply_restored W1; z 23:50 repair.closed W1",
    ),
    row(
        "restore-before-repair/late",
        "r 03-07T23:20 repair.supply_restored W1; m 03-08T09:00 repair.meter_repaired W1;"
        "i 03-07T23:25 repair.metering_informed W1 recorded=03-08T10:00",
        "met",
        "violation 03-08T09:00",
        "retraction 03-08T09:00",
    ),
    row(
        "restore-before-repair/correction",
        "r 03-07T23:20 repair.supply_restored W1; i 23:25 repair.metering_informed W1;"
        "m 03-08T09:00 repair.meter_repaired W1; k 09:30 repair.supply_restored W1 corrects=r recorded=03-08T10:00",
        "violated",
        "violation 03-08T09:00",
    ),
    # payment-check-first, where a single household reports
    row(
        "payment-check-first/met",
        SINGLE + "; p 22:33 repair.payment_checked W1; a 23:00 repair.arrived W1",
        "met",
    ),
    row(
        "payment-check-first/just-met",
        SINGLE + "; a 23:00 repair.arrived W1; p 23:00 repair.payment_checked W1",
        "met",
    ),
    row(
        "payment-check-first/just-broken",
        SINGLE + "; a 22:59:59.999 repair.arrived W1; p 23:00 repair.payment_checked W1",
        "violated",
        "violation 03-07T22:59:59.999",
    ),
    row("payment-check-first/never", SINGLE + "; p 22:33 repair.payment_checked W1"),
    row(
        "payment-check-first/late",
        SINGLE + "; a 23:00 repair.arrived W1; p 22:33 repair.payment_checked W1 recorded=03-08T08:00",
        "met",
        "violation 03-07T23:00",
        "retraction 03-07T23:00",
    ),
    row(
        "payment-check-first/correction",  # several households after all
        SINGLE + "; a 23:00 repair.arrived W1;"
        "k 22:30 repair.reported W1 scope=multiple corrects=s recorded=03-08T08:00",
        "violation 03-07T23:00",
        "retraction 03-07T23:00",
    ),
    row(
        "payment-check-first/several-households",
        "s 03-07T22:30 repair.reported W1 scope=multiple; a 23:00 repair.arrived W1",
    ),
    # feedback-asked
    row(
        "feedback-asked/met",
        "s 03-07T22:30 repair.reported W1; f 23:50 repair.feedback_asked W1; z 03-08T00:30 repair.closed W1",
        "met",
    ),
    row(
        "feedback-asked/just-met",
        "s 03-07T22:30 repair.reported W1; z 03-08T00:30 repair.closed W1; f 00:30 repair.feedback_asked W1",
        "met",
    ),
    row(
        "feedback-asked/just-broken",
        "s 03-07T22:30 repair.reported W1; z 03-08T00:30 order.closed W1; f 00:30:00.001 repair.feedback_asked W1",
        "violated",
        "violation 03-08T00:30",
    ),
    row("feedback-asked/never", "s 03-07T22:30 repair.reported W1; f 23:50 repair.feedback_asked W1", "running"),
    row(
        "feedback-asked/late",
        "s 03-07T22:30 repair.reported W1; z 03-08T00:30 repair.closed W1;"
        "f 00:10 repair.feedback_asked W1 recorded=03-09T08:00",
        "met",
        "violation 03-08T00:30",
        "retraction 03-08T00:30",
    ),
    row(
        "feedback-asked/correction",  # closed later than was entered
        "s 03-07T22:30 repair.reported W1; z 03-08T00:30 repair.closed W1; f 09:00 repair.feedback_asked W1;"
        "k 10:00 repair.closed W1 corrects=z recorded=03-08T10:05",
        "met",
        "violation 03-08T00:30",
        "retraction 03-08T00:30",
    ),
    *clock(
        "contact-at-each-stage-received",
        REPORTED,
        "z {} repair.customer_contacted W1 stage=received",
        met="03-07T22:32",
        deadline="03-07T22:35",
        broken="03-07T22:35:00.001",
    ),
    row(
        "contact-at-each-stage-received/another-call-does-not-stop-it",
        REPORTED + "; z 22:32 repair.customer_contacted W1 stage=arrived",
        "breached 03-07T22:35",
        "breach 03-07T22:35",
    ),
    *clock(
        "contact-at-each-stage-arrived",
        "s 03-07T23:58 repair.arrived W1",
        "z {} repair.customer_contacted W1 stage=arrived",
        met="03-08T00:00",
        deadline="03-08T00:03",
        broken="03-08T00:03:00.001",
    ),
    *clock(
        "contact-at-each-stage-completed",
        "s 03-07T23:50 repair.completed W1",
        "z {} repair.customer_contacted W1 stage=completed",
        met="03-07T23:52",
        deadline="03-07T23:55",
        broken="03-07T23:55:00.001",
    ),
    *clock(
        "outage-published",
        "s 03-07T22:00 outage.detected W1 households=120",
        "z {} outage.published W1",
        met="03-07T22:08",
        deadline="03-07T22:10",
        broken="03-07T22:10:00.001",
    ),
    # progress-published: every two hours from publication until supply is back; each gap is a case
    row(
        "progress-published/met",
        "p 03-07T10:00 outage.published W1; q 11:30 outage.progress_published W1; r 12:30 outage.restored W1",
        "met 03-07T12:00",
        "cancelled 03-07T13:30",
    ),
    row(
        "progress-published/just-met",
        "p 03-07T10:00 outage.published W1; q 12:00 outage.progress_published W1; r 14:00 outage.restored W1",
        "met 03-07T12:00",
        "cancelled 03-07T14:00",
    ),
    row(
        "progress-published/just-broken",
        "p 03-07T10:00 outage.published W1; q 12:00:00.001 outage.progress_published W1; r 12:30 outage.restored W1",
        "met_late 03-07T12:00",
        "cancelled 03-07T14:00:00.001",
        "breach 03-07T12:00",
        "late_completion 03-07T12:00:00.001",
    ),
    row("progress-published/never", "p 03-07T10:00 outage.published W1", "breached 03-07T12:00", "breach 03-07T12:00"),
    row(
        "progress-published/late",
        "p 03-07T10:00 outage.published W1; r 13:00 repair.supply_restored W1;"
        "q 11:30 outage.progress_published W1 recorded=15:00",
        "met 03-07T12:00",
        "cancelled 03-07T13:30",
        "breach 03-07T12:00",
        "retraction 03-07T12:00",
    ),
    row(
        "progress-published/correction",
        "p 03-07T10:00 outage.published W1; r 13:00 outage.restored W1;"
        "k 11:55 outage.restored W1 corrects=r recorded=15:00",
        "cancelled 03-07T12:00",
        "breach 03-07T12:00",
        "retraction 03-07T12:00",
    ),
    *clock(
        "own-facility-outage-reported",
        "s 03-07T22:00 outage.detected W1 own_facility=true",
        "z {} outage.notified W1",
        met="03-07T22:04",
        deadline="03-07T22:10",
        broken="03-07T22:10:00.001",
    ),
    row("own-facility-outage-reported/the-customer-s-own", "s 03-07T22:00 outage.detected W1 own_facility=false"),
    *clock(
        "restoration",
        REPORTED + "; v 23:00 repair.arrived W1",
        "z {} repair.supply_restored W1",
        met="03-08T01:00",
        deadline="03-08T02:00",
        broken="03-08T02:00:00.001",
    ),
    row(
        "restoration/rural-4-hours",
        "s 03-07T22:30 repair.reported W1 area=rural; v 23:00 repair.arrived W1",
        "breached 03-08T03:00",
        "breach 03-08T03:00",
    ),
    row("restoration/nobody-arrived", "s 03-07T22:30 repair.reported W1 area=rural"),
]


@pytest.mark.parametrize(("rule", "story", "until", "outcomes", "told"), ROWS)
def test_repair(rule: str, story: str, until: str, outcomes: list[str], told: list[str]) -> None:
    check(rule, story, until, outcomes, told)
