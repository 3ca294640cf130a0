"""Chapter B 业扩办电: every rule's rows. Off in spring 2026: 4 to 6 April, 1 to 5 May; worked: Saturday 9 May."""

from __future__ import annotations

import pytest

from tests.rulebook.rows import check, clock, row

HV_SINGLE = "a 03-02T10:00 application.accepted W1 category=hv_single"
LOW = "a 03-02T10:00 application.accepted W1 category=low_voltage"
HOME = "a 03-02T10:00 application.accepted W1 category=residential"

ROWS = [
    *clock(
        "grid-project-on-time",
        "g 03-02T09:00 grid_project.agreed W1 due_on=2026-04-30",
        "z {} grid_project.completed W1",
        met="04-30T17:00",
        deadline="05-01T00:00",
        broken="05-01T00:00:00.001",
    ),
    row("grid-project-on-time/no-date-no-deadline", "g 03-02T09:00 grid_project.agreed W1", "running"),
    row(
        "grid-project-on-time/withdrawn-on-the-last-day",
        "g 03-02T09:00 grid_project.agreed W1 due_on=2026-04-30; w 04-30T12:00 application.withdrawn W1",
        "cancelled 05-01T00:00",
    ),
    *clock(
        "scheme-reply",
        HV_SINGLE,  # 3 to 6 (4), 9 to 13 (9), 16 to 20 (14), 23 to 27 (19), the 30th is the 20th
        "z {} scheme.replied W1",
        met="03-20T10:00",
        deadline="03-31T00:00",
        broken="03-31T00:00:00.001",
    ),
    row("scheme-reply/residential-3", HOME, "breached 03-06T00:00", "breach 03-06T00:00"),
    row("scheme-reply/low-voltage-8", LOW, "breached 03-13T00:00", "breach 03-13T00:00"),
    row(
        "scheme-reply/hv-dual-45",  # 31 March is the 21st, 30 April the 42nd, 6, 7 and 8 May follow
        "a 03-02T10:00 application.accepted W1 category=hv_dual",
        "breached 05-09T00:00",
        "breach 05-09T00:00",
    ),
    row(
        "scheme-reply/unknown-category-is-treated-as-the-longest",
        "a 03-02T10:00 application.accepted W1",
        "breached 05-09T00:00",
        "breach 05-09T00:00",
    ),
    row(
        "scheme-reply/suspended-for-the-customer",  # residential: Tuesday counts, Wednesday and Thursday stand still
        HOME + "; p 03-03T15:00 application.suspended W1 reason=customer; r 03-06T09:00 application.resumed W1",
        "breached 03-10T00:00",
        "breach 03-10T00:00",
    ),
    *clock(
        "design-review",
        HV_SINGLE + "; s 03-02T11:00 design_review.requested W1",
        "z {} design_review.completed W1",
        met="03-30T16:00",
        deadline="03-31T00:00",
        broken="03-31T00:00:00.001",
    ),
    row(
        "design-review/low-voltage-8",
        LOW + "; s 03-02T11:00 design_review.requested W1",
        "breached 03-13T00:00",
        "breach 03-13T00:00",
    ),
    *clock(
        "mid-inspection",
        LOW + "; s 04-02T16:00 mid_inspection.requested W1",  # Thursday: 3, 7 and 8 April
        "z {} mid_inspection.completed W1",
        met="04-07T10:00",
        deadline="04-09T00:00",
        broken="04-09T00:00:00.001",
    ),
    row(
        "mid-inspection/hv-5",
        HV_SINGLE + "; s 04-02T16:00 mid_inspection.requested W1",  # and 9 and 10 April
        "breached 04-11T00:00",
        "breach 04-11T00:00",
    ),
    *clock(
        "completion-inspection",
        HV_SINGLE + "; s 04-27T16:00 completion_inspection.requested W1",  # 28, 29, 30 April, 6, 7, 8 and 9 May
        "z {} completion_inspection.completed W1 passed=true",
        met="05-08T10:00",
        deadline="05-10T00:00",
        broken="05-10T00:00:00.001",
    ),
    row(
        "completion-inspection/low-voltage-5",
        LOW + "; s 04-27T16:00 completion_inspection.requested W1",
        "breached 05-08T00:00",
        "breach 05-08T00:00",
    ),
    *clock(
        "energize",
        HOME + "; s 03-06T15:00 completion_inspection.completed W1 passed=true; c 03-09T10:00 contract.signed W1",
        "z {} connection.energized W1",
        met="03-10T10:00",  # counted from the contract, the later of the two: 10, 11, 12
        deadline="03-13T00:00",
        broken="03-13T00:00:00.001",
    ),
    row(
        "energize/low-voltage-5-from-the-inspection",
        LOW + "; c 03-04T10:00 contract.signed W1; s 03-09T15:00 completion_inspection.completed W1 passed=true",
        "breached 03-17T00:00",
        "breach 03-17T00:00",
    ),
    row(
        "energize/hv-7",
        HV_SINGLE + "; c 03-04T10:00 contract.signed W1; s 03-09T15:00 completion_inspection.completed W1 passed=true",
        "breached 03-19T00:00",
        "breach 03-19T00:00",
    ),
    row(
        "energize/not-without-passing",
        HOME + "; s 03-06T15:00 completion_inspection.completed W1 passed=false; c 03-09T10:00 contract.signed W1",
    ),
    *clock(
        "whole-connection",
        HOME,  # 3, 4, 5, 6 and 9 March
        "z {} connection.energized W1",
        met="03-06T10:00",
        deadline="03-10T00:00",
        broken="03-10T00:00:00.001",
    ),
    row(
        "whole-connection/low-voltage-zero-cost-15",  # 3 to 6 (4), 9 to 13 (9), 16 to 20 (14), 23
        LOW + " zero_cost=true; q 03-04T10:00 scheme.replied W1",
        "breached 03-24T00:00",
        "breach 03-24T00:00",
    ),
    row(
        "whole-connection/only-the-supplier-s-own-steps",
        # Counted: 3, 4 (replied at 10), 16 (requested at 10), 17 (passed at 10), 25 (requested), 26.
        LOW + "; q 03-04T10:00 scheme.replied W1; r 03-16T10:00 design_review.requested W1;"
        "d 03-17T10:00 design_review.completed W1; i 03-25T09:00 completion_inspection.requested W1",
        "breached 03-27T00:00",
        "breach 03-27T00:00",
    ),
    row(
        "whole-connection/hv-waits-for-the-customer",
        HV_SINGLE + "; q 03-04T10:00 scheme.replied W1",
        "running",
    ),
    row(
        "whole-connection/suspended-and-resumed-in-the-customer-s-own-step",
        HV_SINGLE + "; q 03-04T10:00 scheme.replied W1;"
        "p 03-10T10:00 application.suspended W1 reason=customer; r 03-20T10:00 application.resumed W1",
        "running",
    ),
    row(
        "whole-connection/counted-again-from-the-customer-s-request",
        # 3, 4; 1 to 5, 8 to 12, 15 to 18 June (the 19th is a holiday), 22 to 26, 29.
        HV_SINGLE + "; q 03-04T10:00 scheme.replied W1;"
        "p 03-10T10:00 application.suspended W1 reason=customer; r 03-20T10:00 application.resumed W1;"
        "d 06-01T10:00 design_review.requested W1",
        "breached 06-30T00:00",
        "breach 06-30T00:00",
    ),
    row(
        "whole-connection/replied-while-suspended",
        HV_SINGLE + "; p 03-03T10:00 application.suspended W1 reason=third_party; q 03-04T10:00 scheme.replied W1;"
        "r 03-20T10:00 application.resumed W1",
        "running",
    ),
    row(
        "whole-connection/suspended-in-the-supplier-s-step",
        # 3, 20 (resumed), 23 to 27, 30 to 3 April, 7 to 10 (the 6th is a holiday), 13 to 17, 20.
        HV_SINGLE + "; p 03-03T10:00 application.suspended W1 reason=customer; r 03-20T10:00 application.resumed W1",
        "breached 04-21T00:00",
        "breach 04-21T00:00",
    ),
    row(
        "whole-connection/requested-while-suspended",  # 3, 4; 1 to 3 April, 7 to 10, 13 to 17, 20 to 24, 27 to 29
        HV_SINGLE + "; q 03-04T10:00 scheme.replied W1; p 03-05T10:00 application.suspended W1 reason=customer;"
        "d 04-01T10:00 design_review.requested W1",
        "breached 04-30T00:00",
        "breach 04-30T00:00",
    ),
    row(
        "whole-connection/signed-by-the-customer-later",  # 3, 6, 9; 1 to 5 June, 8 to 12, 15 to 18, 22 to 26
        HV_SINGLE + "; q 03-03T10:00 scheme.replied W1; i 03-06T10:00 completion_inspection.requested W1;"
        "s 03-09T10:00 completion_inspection.completed W1 passed=true; c 06-01T10:00 contract.signed W1;"
        "z 06-03T10:00 connection.energized W1",
        "met 06-27T00:00",
    ),
    row(
        "whole-connection/not-signed-yet",
        HV_SINGLE + "; s 03-09T10:00 completion_inspection.completed W1 passed=true",
        "running",
    ),
    row(
        "whole-connection/signed-before-the-inspection",
        # 3 to 6, 9 to 13, 16 to 20, 23 to 27, 30 to 1 April
        HV_SINGLE + "; c 03-02T09:30 contract.signed W1; s 03-09T10:00 completion_inspection.completed W1 passed=true",
        "breached 04-02T00:00",
        "breach 04-02T00:00",
    ),
    row(
        "whole-connection/signed-while-the-customer-mends-what-failed",
        HV_SINGLE + "; s 03-09T10:00 completion_inspection.completed W1 passed=false; c 03-10T10:00 contract.signed W1",
        "running",
    ),
    row(
        "whole-connection/passed-without-another-request",  # 3 to 6, 9; 16 to 20, 23 to 27, 30 to 3 April, 7 and 8
        HV_SINGLE + "; c 03-03T10:00 contract.signed W1; s 03-09T10:00 completion_inspection.completed W1 passed=false;"
        "t 03-16T10:00 completion_inspection.completed W1 passed=true",
        "breached 04-09T00:00",
        "breach 04-09T00:00",
    ),
    row(
        "whole-connection/signed-while-suspended",
        HV_SINGLE + "; s 03-09T10:00 completion_inspection.completed W1 passed=true;"
        "p 03-10T10:00 application.suspended W1 reason=customer; c 03-11T10:00 contract.signed W1",
        "running",
    ),
    row(
        "whole-connection/not-signed-but-every-day-counts",  # residential: 3, 4, 5, 6 and 9 March
        HOME + "; s 03-05T10:00 completion_inspection.completed W1 passed=true",
        "breached 03-10T00:00",
        "breach 03-10T00:00",
    ),
    # survey-by-appointment
    row(
        "survey-by-appointment/met",
        "p 03-02T09:00 survey.appointed W1 for_at=2026-03-03T10:00:00+08:00; s 03-03T10:00 survey.performed W1",
        "met",
    ),
    row(
        "survey-by-appointment/just-met",
        "s 03-03T10:00 survey.performed W1; t 03-03T10:00 survey.rescheduled W1",
        "met",
    ),
    row(
        "survey-by-appointment/just-broken",
        "s 03-03T09:59:59.999 survey.performed W1; p 10:00 survey.appointed W1",
        "violated",
        "violation 03-03T09:59:59.999",
    ),
    row("survey-by-appointment/never", "p 03-02T09:00 survey.appointed W1"),
    row(
        "survey-by-appointment/late",
        "s 03-03T10:00 survey.performed W1; p 03-02T09:00 survey.appointed W1 recorded=03-05T09:00",
        "met",
        "violation 03-03T10:00",
        "retraction 03-03T10:00",
    ),
    row(
        "survey-by-appointment/correction",
        "p 03-02T09:00 survey.appointed W1; s 03-03T10:00 survey.performed W1;"
        "k 03-02T09:00 survey.appointed W1 corrects=p void=true recorded=03-05T09:00",
        "violated",
        "violation 03-03T10:00",
    ),
    # one-survey 一次勘查
    row("one-survey/met", "s 03-03T10:00 survey.performed W1; t 03-04T10:00 survey.performed W2", "met", "met"),
    row("one-survey/just-met", "s 03-03T10:00 survey.performed W1", "met"),
    row(
        "one-survey/just-broken",
        "s 03-03T10:00 survey.performed W1; t 03-03T10:00:00.001 survey.performed W1",
        "met",
        "violated",
        "violation 03-03T10:00:00.001",
    ),
    row("one-survey/never", "p 03-02T09:00 survey.appointed W1"),
    row(
        "one-survey/late",
        "t 03-05T10:00 survey.performed W1; s 03-03T10:00 survey.performed W1 recorded=03-06T09:00",
        "met",
        "violated",
        "violation 03-05T10:00",
    ),
    row(
        "one-survey/correction",
        "s 03-03T10:00 survey.performed W1; t 03-05T10:00 survey.performed W1;"
        "k 03-03T10:00 survey.performed W1 corrects=s void=true recorded=03-06T09:00",
        "met",
        "violation 03-05T10:00",
        "retraction 03-05T10:00",
    ),
    # termination-evidence
    row(
        "termination-evidence/met",
        "t 03-10T10:00 application.terminated W1 reason=customer evidence_ref=REC-20260310-01",
        "met",
    ),
    row(
        "termination-evidence/just-met",
        "t 03-10T10:00 application.terminated W1 reason=customer evidence_ref=x",
        "met",
    ),
    row(
        "termination-evidence/just-broken",
        "t 03-10T10:00 application.terminated W1 reason=customer",
        "violated",
        "violation 03-10T10:00",
    ),
    row("termination-evidence/never", "t 03-10T10:00 application.terminated W1 reason=grid_works"),
    row(
        "termination-evidence/late",
        "a 03-02T10:00 application.accepted W1;"
        "t 03-10T10:00 application.terminated W1 reason=customer recorded=03-12T10:00",
        "violated",
        "violation 03-10T10:00",
    ),
    row(
        "termination-evidence/correction",
        "t 03-10T10:00 application.terminated W1 reason=customer;"
        "k 03-10T10:00 application.terminated W1 reason=customer evidence_ref=R1 corrects=t recorded=03-12T10:00",
        "met",
        "violation 03-10T10:00",
        "retraction 03-10T10:00",
    ),
    # abolished-fees
    row("abolished-fees/met", "f 03-02T10:00 fee.charged W1 code=electricity amount=1200.50 payer=customer", "met"),
    row("abolished-fees/just-met", "f 03-02T10:00 fee.charged W1 amount=1", "met"),  # no code: not on the list
    row(
        "abolished-fees/just-broken",
        "f 03-02T10:00 fee.charged W1 code=meter_test_fee amount=0.01",
        "violated",
        "violation 03-02T10:00",
    ),
    row("abolished-fees/never", "c 03-02T10:00 contract.signed W1"),
    row(
        "abolished-fees/late",
        "f 03-02T10:00 fee.charged - account=A1 code=reconnection_fee recorded=04-01T08:00",
        "violated",
        "violation 03-02T10:00",
    ),
    row(
        "abolished-fees/correction",
        "f 03-02T10:00 fee.charged W1 code=survey_fee amount=200;"
        "k 03-02T10:00 fee.charged W1 code=survey_fee amount=200 corrects=f void=true recorded=03-02T16:00",
        "violation 03-02T10:00",
        "retraction 03-02T10:00",
    ),
    *clock(
        "customer-informed-after-application",
        "s 03-06T10:00 application.received W1",
        "z {} application.accepted W1",
        met="03-06T15:00",
        deadline="03-10T00:00",
        broken="03-10T00:00:00.001",
    ),
    *clock(
        "survey-on-time",
        "s 03-06T10:00 survey.appointed W1 for_at=2026-03-09T14:30:00+08:00",
        "z {} survey.performed W1",
        met="03-09T14:00",
        deadline="03-09T14:30",
        broken="03-09T14:30:00.001",
    ),
    row(
        "survey-on-time/rescheduled",
        "s 03-06T10:00 survey.appointed W1 for_at=2026-03-09T14:30:00+08:00; r 03-09T09:00 survey.rescheduled W1;"
        "t 03-09T09:01 survey.appointed W1 for_at=2026-03-10T09:00:00+08:00; z 03-10T09:00 survey.performed W1",
        "cancelled 03-09T14:30",
        "met 03-10T09:00",
    ),
    row(
        "survey-on-time/withdrawn",
        "s 03-06T10:00 survey.appointed W1 for_at=2026-03-09T14:30:00+08:00; c 03-09T09:00 application.withdrawn W1",
        "cancelled 03-09T14:30",
    ),
    row(
        "survey-on-time/rejected",
        "s 03-06T10:00 survey.appointed W1 for_at=2026-03-09T14:30:00+08:00; c 03-09T09:00 application.rejected W1",
        "cancelled 03-09T14:30",
    ),
    row(
        "survey-on-time/terminated",
        "s 03-06T10:00 survey.appointed W1 for_at=2026-03-09T14:30:00+08:00; c 03-09T09:00 application.terminated W1",
        "cancelled 03-09T14:30",
    ),
    row(
        "survey-on-time/no-time-agreed-or-one-in-the-past",
        "s 03-06T10:00 survey.appointed W1; t 03-06T10:00 survey.appointed W2 for_at=2026-03-06T09:59:59+08:00",
        "running",
        "running",
    ),
    *clock(
        "documents-completed",
        "s 03-02T10:00 application.accepted W1 conditional=true",  # 3 to 6 (4), 9 to 13 (9), 16
        "z {} application.documents_completed W1",
        met="03-12T10:00",
        deadline="03-17T00:00",
        broken="03-17T00:00:00.001",
    ),
    row("documents-completed/nothing-was-missing", "s 03-02T10:00 application.accepted W1 conditional=false"),
    *clock(
        "design-review-result-told",
        "s 04-03T10:00 design_review.completed W1 passed=true",  # a Friday before three days off
        "z {} design_review.notified W1 written=true",
        met="04-03T16:00",
        deadline="04-08T00:00",
        broken="04-08T00:00:00.001",
    ),
    *clock(
        "mid-inspection-result-told",
        "s 04-30T10:00 mid_inspection.completed W1 passed=true",  # a Thursday before five days off
        "z {} mid_inspection.notified W1",
        met="05-06T09:00",
        deadline="05-07T00:00",
        broken="05-07T00:00:00.001",
    ),
    *clock(
        "completion-inspection-result-told",
        "s 05-08T10:00 completion_inspection.completed W1 passed=false",  # Saturday 9 May is worked
        "z {} completion_inspection.notified W1",
        met="05-08T11:00",
        deadline="05-10T00:00",
        broken="05-10T00:00:00.001",
    ),
]


@pytest.mark.parametrize(("rule", "story", "until", "outcomes", "told"), ROWS)
def test_connection(rule: str, story: str, until: str, outcomes: list[str], told: list[str]) -> None:
    check(rule, story, until, outcomes, told)
