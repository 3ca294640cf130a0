"""Every word of the rulebook matters: what pauses, cancels, resets and which values count, rule by rule.

The six rows of a rule are about its time; these are about the rest of it. ``test_mutants`` says that nothing is left.
"""

from __future__ import annotations

import pytest

from tests.rulebook.rows import check, row

# --- connection: what ends a case and what stops its clock --------------------------------------------------

HV = "a 03-02T10:00 application.accepted W1 category=hv_single"
LOW = "a 03-02T10:00 application.accepted W1 category=low_voltage"
HOME = "a 03-02T10:00 application.accepted W1 category=residential"
# rule: (its start, an instant at which it runs, its deadline)
RUNNING = {
    "grid-project-on-time": ("g 03-02T09:00 grid_project.agreed W1 due_on=2026-04-30", "03-03T09:00", "05-01T00:00"),
    "scheme-reply": (HV, "03-03T09:00", "03-31T00:00"),
    "design-review": (f"{HV}; s 03-02T11:00 design_review.requested W1", "03-03T09:00", "03-31T00:00"),
    "mid-inspection": (f"{LOW}; s 03-02T11:00 mid_inspection.requested W1", "03-03T09:00", "03-06T00:00"),
    "completion-inspection": (f"{LOW}; s 03-02T11:00 completion_inspection.requested W1", "03-03T09:00", "03-10T00:00"),
    "energize": (
        f"{HOME}; s 03-06T15:00 completion_inspection.completed W1 passed=true; c 03-09T10:00 contract.signed W1",
        "03-10T09:00",
        "03-13T00:00",
    ),
    "whole-connection": (HOME, "03-03T09:00", "03-10T00:00"),
    "customer-informed-after-application": ("s 03-02T10:00 application.received W1", "03-03T09:00", "03-04T00:00"),
    "documents-completed": ("s 03-02T10:00 application.accepted W1 conditional=true", "03-03T09:00", "03-17T00:00"),
    "design-review-result-told": ("s 03-02T10:00 design_review.completed W1", "03-03T09:00", "03-04T00:00"),
    "mid-inspection-result-told": ("s 03-02T10:00 mid_inspection.completed W1", "03-03T09:00", "03-04T00:00"),
    "completion-inspection-result-told": (
        "s 03-02T10:00 completion_inspection.completed W1",
        "03-03T09:00",
        "03-04T00:00",
    ),
    # Asked for by an application, which ends them with itself.
    "calibration-5-working-days": ("s 03-02T10:00 calibration.requested W1 meter=M1", "03-03T09:00", "03-10T00:00"),
    "third-party-test-sent": ("s 03-02T10:00 calibration.disputed W1 meter=M1", "03-03T09:00", "03-10T00:00"),
    "reading-dispute-5-working-days": ("s 03-02T10:00 reading.disputed W1 account=A1", "03-03T09:00", "03-10T00:00"),
    "sealed-as-requested": (
        "s 03-02T09:00 capacity.change_requested W1 effective_on=2026-03-20",
        "03-03T09:00",
        "03-21T00:00",
    ),
}
PAUSED = ("scheme-reply", "design-review", "mid-inspection", "completion-inspection", "energize", "whole-connection")

CONNECTION = [
    *(
        row(f"{rule}/{end}", f"{start}; z {at} application.{end} W1", f"cancelled {deadline}")
        for rule, (start, at, deadline) in RUNNING.items()
        for end in ("withdrawn", "rejected", "terminated")
        if (rule, end) != ("customer-informed-after-application", "rejected")
    ),
    *(
        row(f"{rule}/another-order-withdrawn",
            f"{RUNNING[rule][0]}; z {RUNNING[rule][1]} application.withdrawn W2 {of}",
            f"breached {RUNNING[rule][2]}", f"breach {RUNNING[rule][2]}")
        for rule, of in (("calibration-5-working-days", "meter=M1"), ("third-party-test-sent", "meter=M1"),
                         ("reading-dispute-5-working-days", "account=A1"))
    ),
    *(
        row(f"{rule}/suspended-for-no-reason", f"{RUNNING[rule][0]}; z {RUNNING[rule][1]} application.suspended W1",
            f"breached {RUNNING[rule][2]}", f"breach {RUNNING[rule][2]}")
        for rule in PAUSED
    ),
    *(
        row(f"{rule}/suspended-for-{reason}",
            f"{RUNNING[rule][0]}; z {RUNNING[rule][1]} application.suspended W1 reason={reason}", "running")
        for rule in PAUSED
        for reason in ("customer", "third_party", "force_majeure")
    ),
    row(
        "whole-connection/hv-single-22",  # 30 March is the 20th; 31, 1
        HV,
        "breached 04-02T00:00",
        "breach 04-02T00:00",
    ),
    row(
        "whole-connection/hv-dual-32",  # 1 April is the 22nd; 2, 3, 7 to 10, 13 to 16
        "a 03-02T10:00 application.accepted W1 category=hv_dual",
        "breached 04-17T00:00",
        "breach 04-17T00:00",
    ),
    row(
        "whole-connection/suspended-and-resumed",  # 3, 6, 9, 10, 11: the 4th and the 5th stood still
        HOME + "; p 03-03T15:00 application.suspended W1 reason=customer; r 03-06T09:00 application.resumed W1",
        "breached 03-12T00:00",
        "breach 03-12T00:00",
    ),
    # 3, 4, then 16, 17, 18, 19: between an inspection and the next request it is the customer's time
    *(
        row(
            f"whole-connection/after-{step}",
            f"{LOW}; r 03-03T10:00 {step}.requested W1; d 03-04T10:00 {step}.completed W1 passed=false;"
            f"s 03-16T10:00 {step}.requested W1",
            "breached 03-20T00:00",
            "breach 03-20T00:00",
        )
        for step in ("design_review", "mid_inspection", "completion_inspection")
    ),
    row(
        "whole-connection/passed-the-rest-is-the-supplier-s",
        LOW + "; c 03-02T15:00 contract.signed W1; r 03-03T10:00 completion_inspection.requested W1;"
        "d 03-04T10:00 completion_inspection.completed W1 passed=true",
        "breached 03-11T00:00",
        "breach 03-11T00:00",
    ),
    *(
        row(
            f"whole-connection/passed-and-not-signed-{category}",
            f"a 03-02T10:00 application.accepted W1 category={category};"
            "d 03-04T10:00 completion_inspection.completed W1 passed=true",
            "running",
        )
        for category in ("low_voltage", "hv_single", "hv_dual")
    ),
    # The customer's own time counts for nobody but residential and low-voltage zero-cost connections.
    *(
        row(f"whole-connection/{what.replace(' ', '-').replace('=', '-')}-of-{name}",
            f"a 03-02T10:00 application.accepted W1{fields}; d 03-04T10:00 {what}", "running")
        for name, fields in (
            ("an-unknown-category", ""),
            ("an-unknown-category-at-no-cost", " zero_cost=true"),
            ("hv-single-marked-zero-cost", " category=hv_single zero_cost=true"),
            ("hv-dual-marked-zero-cost", " category=hv_dual zero_cost=true"),
        )
        for what in ("scheme.replied W1", "design_review.completed W1", "mid_inspection.completed W1",
                     "completion_inspection.completed W1 passed=false",
                     "completion_inspection.completed W1 passed=true")
    ),
    *(
        row(f"whole-connection/{what.replace(' ', '-').replace('=', '-')}-residential",
            f"{HOME}; d 03-04T10:00 {what}", "breached 03-10T00:00", "breach 03-10T00:00")
        for what in ("scheme.replied W1", "design_review.completed W1", "mid_inspection.completed W1",
                     "completion_inspection.completed W1 passed=false")
    ),
    row(
        "whole-connection/passed-and-not-signed-zero-cost",  # every day counts
        LOW + " zero_cost=true; d 03-04T10:00 completion_inspection.completed W1 passed=true",
        "breached 03-24T00:00",
        "breach 03-24T00:00",
    ),
    row(
        "whole-connection/passed-while-suspended",
        LOW + "; c 03-02T15:00 contract.signed W1; d 03-03T10:00 completion_inspection.completed W1 passed=false;"
        "p 03-04T10:00 application.suspended W1 reason=customer;"
        "e 03-05T10:00 completion_inspection.completed W1 passed=true",
        "running",
    ),
    *(
        row(f"customer-informed-after-application/by-{what}",
            f"s 03-02T10:00 application.received W1; z 03-02T15:00 application.{what} W1", "met 03-04T00:00")
        for what in ("accepted", "notice_issued", "rejected")
    ),
]  # fmt: skip

# --- counter ------------------------------------------------------------------------------------------------

COUNTER = [
    row(
        "fee-5-minutes/lunch-is-no-failure",
        "s 03-02T11:50 counter.service_started W1 business=fee; p 11:52 counter.interrupted W1 reason=lunch",
        "breached 03-02T11:55",
        "breach 03-02T11:55",
    ),
    *(
        row(f"one-time-notice/{end}", f"a 03-02T09:10 application.accepted W1; w 09:14 {end} W1;"
            "z 09:15 counter.service_completed W1", "cancelled")
        for end in ("application.withdrawn", "application.rejected", "application.terminated", "connection.energized",
                    "order.closed")
    ),
    *(
        row(f"receipt-given/{end}", f"a 03-02T09:10 counter.service_started W1 business=fee; w 09:14 {end} W1;"
            "z 09:15 counter.service_completed W1", "cancelled")
        for end in ("counter.turned_away", "order.closed")
    ),
    *(
        row(f"acceptance-recorded-late/{act}", f"x 03-06T16:00 {act} W1 recorded=03-10T00:00:00.001",
            "violated", "violation 03-10T00:00")
        for act in ("survey.performed", "scheme.replied", "design_review.completed", "mid_inspection.completed",
                    "completion_inspection.completed", "contract.signed", "connection.energized")
    ),
    row(
        "inquiry-transferred/answered",
        "q 03-06T16:00 inquiry.received - account=A1; z 03-06T16:10 inquiry.answered - account=A1",
        "met 03-10T00:00",
    ),
]  # fmt: skip

# --- disconnections: another cause is another rule's; restored, a new beginning -----------------------------

CUT = "disconnection.performed D1 account=A1"
TOLD = "disconnection.notice_delivered N1 account=A1"
RESTORED = "r 03-07T10:00 disconnection.restored D1 account=A1"
# rule: (what makes a cut of that cause lawful on 6 March, the cause)
LAWFUL = {
    "violation-notice-3-to-7-days": (f"n 03-03T10:00 {TOLD} cause=violation", "violation"),
    "violation-renotice-30-minutes": ("n 03-06T09:00 disconnection.renotified D1 account=A1", "violation"),
    "theft-told-first": (f"n 03-03T10:00 {TOLD} cause=theft", "theft"),
    "administrative-order-document": (
        "n 03-03T10:00 inspection.order_document_received D1 account=A1",
        "administrative",
    ),
    "arrears-notice-7-days": (f"n 02-23T10:00 {TOLD} cause=arrears proof_ref=EMS1", "arrears"),
    "important-customer-approval": ("n 03-03T10:00 disconnection.approved D1 account=A1 level=county", "violation"),
}

DISCONNECTION = [
    *(
        row(f"{rule}/restored-and-cut-again",
            f"{lawful}; x 03-06T10:00 {CUT} cause={cause}; {RESTORED}; y 03-08T10:00 {CUT} cause={cause}",
            "met", "violated", "violation 03-08T10:00")
        for rule, (lawful, cause) in LAWFUL.items()
    ),
    *(
        row(f"{rule}/for-works", f"o 03-01T09:00 bill.overdue - account=A1; x 03-06T10:00 {CUT} cause=works")
        for rule in (*LAWFUL, "arrears-30-days", "recheck-before-disconnection", "no-disconnection-once-paid")
        if rule != "important-customer-approval"
    ),
    *(
        row(f"{rule}/prepaid",
            f"o 03-01T09:00 bill.overdue - account=A1; x 03-06T10:00 {CUT} cause=arrears prepay=true")
        for rule in ("arrears-30-days", "recheck-before-disconnection", "arrears-notice-7-days")
    ),
    row(
        "violation-notice-3-to-7-days/a-notice-of-arrears-is-none",
        f"n 03-03T10:00 {TOLD} cause=arrears; x 03-06T10:00 {CUT} cause=violation",
        "violated",
        "violation 03-06T10:00",
    ),
    row(
        "arrears-notice-7-days/a-notice-of-a-violation-is-none",
        f"n 02-23T10:00 {TOLD} cause=violation proof_ref=EMS1; x 03-06T10:00 {CUT} cause=arrears",
        "violated",
        "violation 03-06T10:00",
    ),
    row(
        "violation-renotice-30-minutes/a-notice-of-arrears-in-between",
        f"r 03-06T09:00 disconnection.renotified D1 account=A1; n 09:10 {TOLD} cause=arrears;"
        f"x 10:00 {CUT} cause=violation",
        "met",
    ),
    row(
        "recheck-before-disconnection/a-look-that-says-nothing",
        "a 03-06T08:00 arrears.status_rechecked D1 account=A1 owing=true;"
        f"b 09:00 arrears.status_rechecked D1 account=A1; x 10:00 {CUT} cause=arrears",
        "met",
    ),
]  # fmt: skip

# --- settled: paid, advanced or adjusted until nothing is owing ---------------------------------------------

SETTLED = ("bill.paid", "bill.advanced", "bill.adjusted")
VERIFIED = "v 03-02T09:00 arrears.customer_verified - account=A1"
PROVED = f"v 03-01T09:00 {TOLD} cause=arrears proof_ref=EMS1"
OLD = "v 02-02T09:00 bill.overdue - account=A1 since_on=2026-02-01"
NEW = "w 03-06T09:00 bill.overdue - account=A1 since_on=2026-03-06"
UNDELIVERABLE = "v 03-05T09:00 arrears.notice_undeliverable - account=A1"

ARREARS = [
    *(
        row(f"verify-before-dunning/{how}-{'in-part' if owing else 'in-full'}",
            f"{VERIFIED}; p 03-05T10:00 {how} - account=A1 owing={str(owing).lower()};"
            "n 03-09T10:00 arrears.notice_delivered - account=A1",
            *(["met"] if owing else ["violated", "violation 03-09T10:00"]))
        for how in SETTLED
        for owing in (True, False)
    ),
    *(
        row(f"arrears-notice-7-days/{how}-{'in-part' if owing else 'in-full'}",
            f"{PROVED}; p 03-05T10:00 {how} - account=A1 owing={str(owing).lower()}; x 03-09T10:00 {CUT} cause=arrears",
            *(["met"] if owing else ["violated", "violation 03-09T10:00"]))
        for how in SETTLED
        for owing in (True, False)
    ),
    *(
        row(f"arrears-30-days/{how}-{'in-part' if owing else 'in-full'}",
            f"{OLD}; p 03-05T10:00 {how} - account=A1 owing={str(owing).lower()}; {NEW};"
            f"x 03-09T10:00 {CUT} cause=arrears",
            *(["met"] if owing else ["violated", "violation 03-09T10:00"]))
        for how in SETTLED
        for owing in (True, False)
    ),
    *(
        row(f"undeliverable-by-other-channel/{how}-{'in-part' if owing else 'in-full'}",
            f"{UNDELIVERABLE}; p 03-05T10:00 {how} - account=A1 owing={str(owing).lower()}",
            *(["breached 03-07T00:00", "breach 03-07T00:00"] if owing else ["cancelled 03-07T00:00"]))
        for how in SETTLED
        for owing in (True, False)
    ),
]  # fmt: skip

# --- metering and repair ------------------------------------------------------------------------------------

REPORTED = "s 03-07T22:30 repair.reported W1"
OTHERS = {
    "received": ("arrived", "completed"),
    "arrived": ("received", "completed"),
    "completed": ("received", "arrived"),
}

REST = [
    row(
        "sporadic-replacement-contact/appointed-without-contact",
        "p 03-09T09:05 meter.replacement_appointed W1; x 03-10T10:00 meter.replaced W1 planned=sporadic",
        "violated",
        "violation 03-10T10:00",
    ),
    row(
        "removed-meter-one-cycle/the-reading-day-of-its-readings",  # the 5th: kept until 5 May
        "a 02-05T09:00 reading.collected - meter=M1 method=remote reading_day=5;"
        "r 03-10T16:00 meter.removed W1 meter=M1; d 04-20T09:00 meter.disposed - meter=M1",
        "violated",
        "violation 04-20T09:00",
    ),
    row(
        "removed-meter-one-cycle/the-reading-day-of-a-new-cycle",
        "a 02-05T09:00 reading.cycle_changed - meter=M1 approval_ref=PF-1 reading_day=5;"
        "r 03-10T16:00 meter.removed W1 meter=M1; d 04-20T09:00 meter.disposed - meter=M1",
        "violated",
        "violation 04-20T09:00",
    ),
    row(
        "third-party-test-fee/another-fee",
        "t 03-10T09:00 calibration.third_party_result W1 passed=false;"
        "f 03-11T09:00 fee.charged W1 code=electricity payer=customer",
    ),
    row(
        "two-calls-one-answer/closed-as-an-order",
        f"{REPORTED}; z 03-08T00:30 order.closed W1",
        "violated",
        "violation 03-08T00:30",
    ),
    *(
        row(
            f"two-calls-one-answer/no-call-when-{stage}",
            f"{REPORTED}; a 22:35 repair.customer_contacted W1 stage={first};"
            f"b 23:00 repair.customer_contacted W1 stage={second}; z 23:30 repair.closed W1",
            "violated",
            "violation 03-07T23:30",
        )
        for stage, (first, second) in OTHERS.items()
    ),
    *(
        row(
            f"contact-at-each-stage-{stage}/a-call-of-another-stage",
            f"s 03-07T22:30 repair.{'reported' if stage == 'received' else stage} W1;"
            f"a 22:31 repair.customer_contacted W1 stage={first}",
            "breached 03-07T22:35",
            "breach 03-07T22:35",
        )
        for stage, (first, _) in OTHERS.items()
    ),
]

# --- what the rules leave open, and who is meant by them ----------------------------------------------------

STEPS = ("scheme.replied", "design_review.completed", "mid_inspection.completed", "completion_inspection.completed")
CODES = ("connection_fee", "capacity_fee", "meter_test_fee", "meter_fee", "meter_box_fee", "lead_in_fee", "survey_fee",
         "design_review_fee", "mid_inspection_fee", "completion_inspection_fee", "material_fee", "load_management_fee",
         "collection_fee", "agency_fee", "reconnection_fee", "pre_payment_fee")  # fmt: skip
SENSITIVE = f"x 03-06T10:00 {CUT} cause=arrears customer_class=sensitive"
IMPORTANT = f"x 03-06T10:00 {CUT} cause=violation customer_class=important"
TO_GOVERNMENT = "g 03-04T09:00 disconnection.government_reported D1 account=A1"
BY_PROVINCE = "v 03-04T15:00 disconnection.approved D1 account=A1 level=province"
BY_COUNTY = "v 03-04T15:00 disconnection.approved D1 account=A1 level=county"
CUT_6 = f"x 03-06T10:00 {CUT} cause=arrears"

OPEN = [
    # suspended on the first day that counts, resumed a week later: the whole days in between are left out
    *(
        row(f"{rule}/resumed",
            f"{RUNNING[rule][0]}; p {RUNNING[rule][1]} application.suspended W1 reason=customer;"
            f"r {resumed} application.resumed W1",
            f"breached {deadline}", f"breach {deadline}")
        for rule, resumed, deadline in (
            ("design-review", "03-10T15:00", "04-04T00:00"),  # 3, 10 to 13, 16 to 20, 23 to 27, 30, 31, 1, 2, 3
            ("mid-inspection", "03-10T15:00", "03-12T00:00"),  # 3, 10, 11
            ("completion-inspection", "03-10T15:00", "03-14T00:00"),  # 3, 10, 11, 12, 13
            ("energize", "03-17T15:00", "03-19T00:00"),  # 10, 17, 18
        )
    ),
    *(
        row(f"{rule}/residential", f"{HOME}; s 03-02T11:00 {start} W1", f"breached {deadline}", f"breach {deadline}")
        for rule, start, deadline in (
            ("design-review", "design_review.requested", "03-13T00:00"),
            ("mid-inspection", "mid_inspection.requested", "03-06T00:00"),
            ("completion-inspection", "completion_inspection.requested", "03-10T00:00"),
        )
    ),
    # after each of the supplier's steps the customer has the time: not with homes, not with zero-cost connections
    *(
        row(f"whole-connection/{category}-after-{step}",
            f"a 03-02T10:00 application.accepted W1 category={category};"
            f"d 03-04T10:00 {step} W1 passed=false", "running")
        for category in ("low_voltage", "hv_single", "hv_dual")
        for step in STEPS
    ),
    *(
        row(f"whole-connection/residential-after-{step}", f"{HOME}; d 03-04T10:00 {step} W1 passed=false",
            "breached 03-10T00:00", "breach 03-10T00:00")
        for step in STEPS
    ),
    *(
        row(f"whole-connection/zero-cost-after-{step}", f"{LOW} zero_cost=true; d 03-04T10:00 {step} W1 passed=false",
            "breached 03-24T00:00", "breach 03-24T00:00")
        for step in STEPS
    ),
    row("whole-connection/zero-cost-is-of-low-voltage", HV + " zero_cost=true",
        "breached 04-02T00:00", "breach 04-02T00:00"),
    *(
        row(f"abolished-fees/{code}", f"f 03-02T10:00 fee.charged W1 code={code}", "violated", "violation 03-02T10:00")
        for code in CODES
    ),
    row("power-20-minutes/another-business", "s 03-02T09:00 counter.service_started W1 business=fee"),
    row("power-20-minutes/system-failure",
        "s 03-02T09:00 counter.service_started W1 business=power; p 09:05 counter.interrupted W1 reason=system_failure;"
        "r 09:15 counter.resumed W1",
        "breached 03-02T09:30", "breach 03-02T09:30"),
    row("one-time-notice/given-the-day-before",
        "n 03-01T15:00 application.notice_issued W1; a 03-02T09:10 application.accepted W1;"
        "z 09:15 counter.service_completed W1", "met"),
    row("receipt-given/over-midnight",
        "s 03-02T23:59 counter.service_started W1 business=fee; q 03-03T00:01 counter.receipt_issued W1;"
        "z 00:02 counter.service_completed W1", "met"),
    row("batch-meter-notice-7-days/another-community",
        "n 03-01T17:00 meter.batch_notice_posted - batch=B1 community=yihe; f 03-02T09:00 meter.batch_filed - batch=B1;"
        "x 03-12T09:00 meter.replaced W1 batch=B1 planned=batch community=other", "violated", "violation 03-12T09:00"),
    row("batch-meter-notice-7-days/no-batch-no-filing",
        'n 03-01T17:00 meter.batch_notice_posted - batch=B1 meters=["M1"];'
        "x 03-12T09:00 meter.replaced W1 meter=M1 planned=batch", "met"),
    # all three are pressed when the job is done: which of them first is not asked
    row("wiring-verified/entered-before-the-change",
        "v 03-09T09:00 meter.wiring_verified W1; x 03-10T10:00 meter.replaced W1;"
        "z 03-12T09:00 order.closed W1", "met"),
    row("old-reading-photo/taken-before-the-change",
        "v 03-09T09:00 meter.reading_photo_uploaded W1 signed=true; x 03-10T10:00 meter.replaced W1;"
        "z 03-12T09:00 order.closed W1", "met"),
    row("third-party-test-fee/result-without-a-verdict",
        "t 03-10T09:00 calibration.third_party_result W1;"
        "f 03-11T09:00 fee.charged W1 code=third_party_test_fee payer=customer", "met"),
    row("third-party-test-fee/passed-when-tested-again",
        "t 03-10T09:00 calibration.third_party_result W1 passed=false;"
        "u 03-11T09:00 calibration.third_party_result W1 passed=true;"
        "f 03-12T09:00 fee.charged W1 code=third_party_test_fee payer=customer", "met"),
    row("wiring-refund/refunded-and-checked-again",
        "w 01-28T09:00 meter.wiring_reported - account=A1; s 01-31T10:00 meter.site_checked - account=A1 faulty=true;"
        "z 02-02T10:00 reading.refunded - account=A1; t 02-03T10:00 meter.site_checked - account=A1 faulty=true",
        "met 03-01T00:00"),
    row("no-disconnection-once-paid/advanced-in-part",
        f"p 03-05T09:00 bill.advanced - account=A1 owing=true; {CUT_6}", "met"),
    row("no-disconnection-once-paid/adjusted-and-not-said-to-what",
        f"p 03-05T09:00 bill.adjusted - account=A1; {CUT_6}", "met"),
    *(
        row(f"no-disconnection-once-paid/owing-again-by-{how}",
            f"p 03-04T09:00 bill.paid - account=A1 owing=false; q 03-05T09:00 {how} - account=A1 owing=true; {CUT_6}",
            "met")
        for how in ("bill.paid", "bill.adjusted")
    ),
    row("restore-after-payment/advanced",
        f"{CUT_6}; p 03-07T10:00 bill.advanced - account=A1 owing=false", "breached 03-08T10:00", "breach 03-08T10:00"),
    row("restore-after-payment/advanced-in-part", f"{CUT_6}; p 03-07T10:00 bill.advanced - account=A1 owing=true"),
    row("restore-after-payment/restored-before-it-was-paid",
        f"{CUT_6}; {RESTORED}; p 03-08T10:00 bill.paid - account=A1 owing=false"),
    row("important-customer-approval/sensitive", f"{TO_GOVERNMENT}; {BY_PROVINCE}; {SENSITIVE}", "met"),
    row("important-customer-approval/sensitive-and-no-approval",
        f"{TO_GOVERNMENT}; {SENSITIVE}", "violated", "violation 03-06T10:00"),
    row("important-customer-approval/sensitive-and-no-report",
        f"{BY_PROVINCE}; {SENSITIVE}", "violated", "violation 03-06T10:00"),
    row("important-customer-approval/important-violation-approved-by-the-county",
        f"{TO_GOVERNMENT}; {BY_COUNTY}; {IMPORTANT}", "violated", "violation 03-06T10:00"),
    row("important-customer-approval/important-violation-and-no-report",
        f"{BY_PROVINCE}; {IMPORTANT}", "violated", "violation 03-06T10:00"),
    row("important-customer-approval/theft-is-cut-at-once",
        f"x 03-06T10:00 {CUT} cause=theft customer_class=important", "met"),
    row("two-calls-one-answer/over-midnight",
        "s 03-07T23:55 repair.reported W1; a 03-08T00:05 repair.customer_contacted W1 stage=received;"
        "b 00:30 repair.customer_contacted W1 stage=arrived; c 01:00 repair.customer_contacted W1 stage=completed;"
        "z 01:10 repair.closed W1", "met"),
    # a report that is typed in when everything is over: the calls stand before it
    row("two-calls-one-answer/the-report-entered-last",
        "a 03-07T22:05 repair.customer_contacted W1 stage=received; b 22:30 repair.customer_contacted W1 stage=arrived;"
        "c 23:00 repair.customer_contacted W1 stage=completed; s 23:10 repair.reported W1; z 23:15 repair.closed W1",
        "met"),
    row("feedback-asked/the-report-entered-last",
        "f 03-07T23:00 repair.feedback_asked W1; s 23:10 repair.reported W1; z 23:15 repair.closed W1", "met"),
    row("payment-check-first/over-midnight",
        "s 03-07T23:50 repair.reported W1 scope=single; p 23:59 repair.payment_checked W1;"
        "a 03-08T00:20 repair.arrived W1", "met"),
]  # fmt: skip

ROWS = [*CONNECTION, *COUNTER, *DISCONNECTION, *ARREARS, *REST, *OPEN]


@pytest.mark.parametrize(("rule", "story", "until", "outcomes", "told"), ROWS)
def test_words(rule: str, story: str, until: str, outcomes: list[str], told: list[str]) -> None:
    check(rule, story, until, outcomes, told)
