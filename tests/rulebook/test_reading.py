"""Chapter R 抄表收费: every rule's rows. Most are about an account, whatever the orders."""

from __future__ import annotations

import pytest

from tests.rulebook.rows import check, clock, row

CUT = "x 03-20T10:00 disconnection.performed D1 account=A1 cause=arrears"
NOTICE = "n 03-01T17:00 disconnection.notice_delivered N1 account=A1 cause=arrears proof_ref=EMS1"
OVERDUE = "o 02-18T00:00 bill.overdue - account=A1 since_on=2026-02-18"
PAID = "p 03-20T09:00 bill.paid - account=A1 amount=300 owing=false"
CUT_IMPORTANT = "x 03-20T10:00 disconnection.performed D1 account=A1 cause=arrears customer_class=important"
REPORTED = "g 03-18T09:00 disconnection.government_reported D1 account=A1"
APPROVED = "v 03-18T15:00 disconnection.approved D1 account=A1 level=province ref=S1"

ROWS = [
    # monthly-reading: every month after the first one read; February read, March is the first that is owed
    row(
        "monthly-reading/met",
        "a 02-26T09:00 reading.collected - meter=M1 method=remote period=2026-02;"
        "b 03-26T09:00 reading.collected - meter=M1 method=remote period=2026-03",
        "met 04-01T00:00",
        until="03-31T12:00",
    ),
    row(
        "monthly-reading/just-met",
        "a 02-26T09:00 reading.collected - meter=M1 method=remote period=2026-02;"
        "b 04-01T00:00 reading.collected - meter=M1 method=manual period=2026-03",
        "met 04-01T00:00",
        "running 05-01T00:00",
        until="04-02T00:00",
    ),
    row(
        "monthly-reading/just-broken",
        "a 02-26T09:00 reading.collected - meter=M1 method=remote period=2026-02;"
        "b 04-01T00:00:00.001 reading.collected - meter=M1 method=manual period=2026-03",
        "met_late 04-01T00:00",
        "running 05-01T00:00",
        "breach 04-01T00:00",
        "late_completion 04-01T00:00:00.001",
        until="04-02T00:00",
    ),
    row(
        "monthly-reading/not-yet",
        "a 02-26T09:00 reading.collected - meter=M1 method=remote period=2026-02",
        "running 04-01T00:00",
        until="03-31T23:59:59.999",
    ),
    row(
        "monthly-reading/never",
        "a 02-26T09:00 reading.collected - meter=M1 method=remote period=2026-02",
        "breached 04-01T00:00",
        "breached 05-01T00:00",
        "running 06-01T00:00",
        "breach 04-01T00:00",
        "breach 05-01T00:00",
        until="05-20T00:00",
    ),
    row(
        "monthly-reading/late",
        "a 02-26T09:00 reading.collected - meter=M1 method=remote period=2026-02;"
        "b 03-26T09:00 reading.collected - meter=M1 method=remote period=2026-03 recorded=04-02T08:00",
        "met 04-01T00:00",
        "running 05-01T00:00",
        "breach 04-01T00:00",
        "retraction 04-01T00:00",
        until="04-10T00:00",
    ),
    row(
        "monthly-reading/correction",  # an estimate is no reading
        "a 02-26T09:00 reading.collected - meter=M1 method=remote period=2026-02;"
        "b 03-26T09:00 reading.collected - meter=M1 method=remote period=2026-03;"
        "k 03-26T09:00 reading.collected - meter=M1 method=estimated period=2026-03 corrects=b recorded=04-05T08:00",
        "breached 04-01T00:00",
        "running 05-01T00:00",
        "breach 04-01T00:00",
        until="04-10T00:00",
    ),
    row(
        "monthly-reading/taken-down",
        "a 02-26T09:00 reading.collected - meter=M1 method=remote period=2026-02;"
        "r 03-20T09:00 meter.removed - meter=M1",
        "cancelled 04-01T00:00",
    ),
    *clock(
        "reading-dispute-5-working-days",
        # In the National Day week: 8 and 9 October, the make-up Saturday the 10th, 12 and 13.
        "s 10-05T10:00 reading.disputed W1 account=A1",
        "z {} reading.dispute_answered W1 account=A1",
        met="10-12T10:00",
        deadline="10-14T00:00",
        broken="10-14T00:00:00.001",
    ),
    # verify-before-dunning
    row(
        "verify-before-dunning/met",
        "v 03-02T09:00 arrears.customer_verified - account=A1; n 03-02T10:00 arrears.notice_delivered - account=A1",
        "met",
    ),
    row(
        "verify-before-dunning/just-met",
        "n 03-02T10:00 arrears.notice_delivered - account=A1; v 10:00 arrears.customer_verified - account=A1",
        "met",
    ),
    row(
        "verify-before-dunning/just-broken",
        "n 03-02T09:59:59.999 arrears.notice_delivered - account=A1; v 10:00 arrears.customer_verified - account=A1",
        "violated",
        "violation 03-02T09:59:59.999",
    ),
    row("verify-before-dunning/never", "v 03-02T09:00 arrears.customer_verified - account=A1"),
    row(
        "verify-before-dunning/late",
        "n 03-02T10:00 arrears.notice_delivered - account=A1;"
        "v 09:00 arrears.customer_verified - account=A1 recorded=03-04T09:00",
        "met",
        "violation 03-02T10:00",
        "retraction 03-02T10:00",
    ),
    row(
        "verify-before-dunning/correction",  # verified for another account
        "v 03-02T09:00 arrears.customer_verified - account=A1; n 10:00 arrears.notice_delivered - account=A1;"
        "k 03-02T09:00 arrears.customer_verified - account=A1 corrects=v void=true recorded=03-04T09:00",
        "violated",
        "violation 03-02T10:00",
    ),
    row(
        "verify-before-dunning/paid-in-between",
        "v 03-02T09:00 arrears.customer_verified - account=A1; p 03-05T09:00 bill.paid - account=A1 owing=false;"
        "n 04-02T10:00 arrears.notice_delivered - account=A1",
        "violated",
        "violation 04-02T10:00",
    ),
    row(
        "verify-before-dunning/paid-in-part-in-between",
        "v 03-02T09:00 arrears.customer_verified - account=A1; p 03-05T09:00 bill.paid - account=A1 owing=true;"
        "n 04-02T10:00 arrears.notice_delivered - account=A1",
        "met",
    ),
    # dunning-content
    row(
        "dunning-content/met",
        "n 03-02T10:00 arrears.notice_delivered - account=A1 amount=318.20 due_on=2026-03-18 proof_ref=EMS1",
        "met",
    ),
    row(
        "dunning-content/just-met",
        "n 03-02T10:00 arrears.notice_delivered - account=A1 amount=0 due_on=2026-03-18",
        "met",
    ),
    row(
        "dunning-content/just-broken",
        "n 03-02T10:00 arrears.notice_delivered - account=A1 amount=318.20",
        "violated",
        "violation 03-02T10:00",
    ),
    row("dunning-content/never", "u 03-02T10:00 arrears.notice_undeliverable - account=A1"),
    row(
        "dunning-content/late",
        "n 03-02T10:00 arrears.notice_delivered - account=A1 due_on=2026-03-18 recorded=03-09T10:00",
        "violated",
        "violation 03-02T10:00",
    ),
    row(
        "dunning-content/correction",
        "n 03-02T10:00 arrears.notice_delivered - account=A1 amount=318.20;"
        "k 03-02T10:00 arrears.notice_delivered - account=A1 amount=318.20 due_on=2026-03-18 corrects=n"
        " recorded=03-03T10:00",
        "met",
        "violation 03-02T10:00",
        "retraction 03-02T10:00",
    ),
    # arrears-notice-7-days: delivered on the 1st, with proof; the 8th is the first lawful day
    row("arrears-notice-7-days/met", NOTICE + "; " + CUT, "met"),
    row(
        "arrears-notice-7-days/just-met",
        NOTICE + "; x 03-08T00:00 disconnection.performed D1 account=A1 cause=arrears",
        "met",
    ),
    row(
        "arrears-notice-7-days/just-broken",
        NOTICE + "; x 03-07T23:59:59.999 disconnection.performed D1 account=A1 cause=arrears",
        "violated",
        "violation 03-07T23:59:59.999",
    ),
    row("arrears-notice-7-days/never", NOTICE),
    row(
        "arrears-notice-7-days/late",
        CUT + "; " + NOTICE + " recorded=03-21T09:00",
        "met",
        "violation 03-20T10:00",
        "retraction 03-20T10:00",
    ),
    row(
        "arrears-notice-7-days/correction",  # in truth delivered six days before
        NOTICE + "; " + CUT + ";"
        "k 03-14T17:00 disconnection.notice_delivered N1 account=A1 cause=arrears proof_ref=EMS1 corrects=n"
        " recorded=03-21T09:00",
        "violated",
        "violation 03-20T10:00",
    ),
    row(
        "arrears-notice-7-days/without-proof",
        "n 03-01T17:00 disconnection.notice_delivered N1 account=A1 cause=arrears; " + CUT,
        "violated",
        "violation 03-20T10:00",
    ),
    row("arrears-notice-7-days/prepaid", CUT + " prepay=true"),
    # arrears-30-days: since 18 February, the 30th day after is 20 March
    row("arrears-30-days/met", OVERDUE + "; " + CUT, "met"),
    row(
        "arrears-30-days/just-met",
        OVERDUE + "; x 03-20T00:00 disconnection.performed D1 account=A1 cause=arrears",
        "met",
    ),
    row(
        "arrears-30-days/just-broken",
        OVERDUE + "; x 03-19T23:59:59.999 disconnection.performed D1 account=A1 cause=arrears",
        "violated",
        "violation 03-19T23:59:59.999",
    ),
    row("arrears-30-days/never", OVERDUE),
    row(
        "arrears-30-days/late",  # entered after the cut: the older bill makes it lawful
        "o 03-01T00:00 bill.overdue - account=A1 since_on=2026-03-01;" + CUT + ";"
        "q 02-01T00:00 bill.overdue - account=A1 since_on=2026-02-01 recorded=03-21T09:00",
        "met",
        "violation 03-20T10:00",
        "retraction 03-20T10:00",
    ),
    row(
        "arrears-30-days/correction",
        OVERDUE + "; " + CUT + "; k 02-19T00:00 bill.overdue - account=A1 since_on=2026-02-19 corrects=o"
        " recorded=03-21T09:00",
        "violated",
        "violation 03-20T10:00",
    ),
    row(
        "arrears-30-days/a-contract-says-otherwise",
        OVERDUE + "; x 03-01T10:00 disconnection.performed D1 account=A1 cause=arrears contract_basis_ref=C-7",
    ),
    # recheck-before-disconnection: on the day, still owing
    row(
        "recheck-before-disconnection/met",
        "c 03-20T08:30 arrears.status_rechecked - account=A1 owing=true; " + CUT,
        "met",
    ),
    row(
        "recheck-before-disconnection/just-met",
        "c 03-20T00:00 arrears.status_rechecked - account=A1 owing=true; " + CUT,
        "met",
    ),
    row(
        "recheck-before-disconnection/just-broken",
        "c 03-19T23:59:59.999 arrears.status_rechecked - account=A1 owing=true; " + CUT,
        "violated",
        "violation 03-20T10:00",
    ),
    row("recheck-before-disconnection/never", "c 03-20T08:30 arrears.status_rechecked - account=A1 owing=true"),
    row(
        "recheck-before-disconnection/late",
        CUT + "; c 03-20T08:30 arrears.status_rechecked - account=A1 owing=true recorded=18:00",
        "met",
        "violation 03-20T10:00",
        "retraction 03-20T10:00",
    ),
    row(
        "recheck-before-disconnection/correction",  # looked up after the cut
        "c 03-20T08:30 arrears.status_rechecked - account=A1 owing=true; " + CUT + ";"
        "k 10:00:00.001 arrears.status_rechecked - account=A1 owing=true corrects=c recorded=18:00",
        "violated",
        "violation 03-20T10:00",
    ),
    row(
        "recheck-before-disconnection/nothing-owing",
        "c 03-20T08:30 arrears.status_rechecked - account=A1 owing=false; " + CUT,
        "violated",
        "violation 03-20T10:00",
    ),
    row(
        "recheck-before-disconnection/nothing-owing-at-the-last-look",
        "c 03-20T08:00 arrears.status_rechecked - account=A1 owing=true;"
        "d 03-20T09:00 arrears.status_rechecked - account=A1 owing=false; " + CUT,
        "violated",
        "violation 03-20T10:00",
    ),
    # no-disconnection-once-paid
    row("no-disconnection-once-paid/met", OVERDUE + "; " + CUT, "met"),
    row(
        "no-disconnection-once-paid/just-met",  # at one instant nobody can say which came first
        OVERDUE + "; p 03-20T10:00 bill.paid - account=A1 owing=false; " + CUT,
        "met",
    ),
    row(
        "no-disconnection-once-paid/just-broken",
        OVERDUE + "; p 03-20T09:59:59.999 bill.paid - account=A1 owing=false; " + CUT,
        "violated",
        "violation 03-20T10:00",
    ),
    row("no-disconnection-once-paid/never", OVERDUE + "; " + PAID),
    row(
        "no-disconnection-once-paid/late",
        OVERDUE + "; " + CUT + "; " + PAID + " recorded=03-20T23:00",
        "violated",
        "violation 03-20T10:00",
    ),
    row(
        "no-disconnection-once-paid/correction",  # the payment was only in part
        OVERDUE + "; " + PAID + "; " + CUT + ";"
        "k 03-20T09:00 bill.paid - account=A1 amount=30 owing=true corrects=p recorded=03-20T23:00",
        "met",
        "violation 03-20T10:00",
        "retraction 03-20T10:00",
    ),
    row(
        "no-disconnection-once-paid/advanced-by-the-reader",
        OVERDUE + "; p 03-19T09:00 bill.advanced - account=A1 amount=300 owing=false; " + CUT,
        "violated",
        "violation 03-20T10:00",
    ),
    row(
        "no-disconnection-once-paid/adjusted-to-nothing",
        OVERDUE + "; p 03-19T09:00 bill.adjusted - account=A1 owing=false; " + CUT,
        "violated",
        "violation 03-20T10:00",
    ),
    row(
        "no-disconnection-once-paid/adjusted-in-part",
        OVERDUE + "; p 03-19T09:00 bill.adjusted - account=A1 owing=true; " + CUT,
        "met",
    ),
    row(
        "no-disconnection-once-paid/overdue-again",
        OVERDUE + "; p 02-20T09:00 bill.paid - account=A1 owing=false;"
        "q 03-18T00:00 bill.overdue - account=A1 since_on=2026-03-18;" + CUT,
        "met",
    ),
    row(
        "no-disconnection-once-paid/prepaid-too",  # the red line knows no exception for prepaid meters
        OVERDUE + "; " + PAID + "; " + CUT + " prepay=true",
        "violated",
        "violation 03-20T10:00",
    ),
    *clock(
        "restore-after-payment",
        "x 02-27T10:00 disconnection.performed D1 account=A1 cause=arrears;"
        "s 02-28T23:30 bill.paid - account=A1 owing=false",
        "z {} disconnection.restored D2 account=A1",
        met="03-01T09:00",
        deadline="03-01T23:30",
        broken="03-01T23:30:00.001",
    ),
    row(
        "restore-after-payment/part-payment",
        "x 02-27T10:00 disconnection.performed D1 account=A1 cause=arrears;"
        "s 02-28T23:30 bill.paid - account=A1 owing=true",
    ),
    # Two disconnections of one account: a restoration that names one ends that one, any other ends both.
    row(
        "restore-after-payment/two-cuts-one-named",
        "x 03-02T09:00 disconnection.performed W1 account=A1 cause=arrears;"
        "y 03-02T09:10 disconnection.performed W2 account=A1 cause=arrears;"
        "s 03-03T09:00 bill.paid - account=A1 owing=false; z 03-03T10:00 disconnection.restored W1 account=A1",
        "met 03-04T09:00",
        "breached 03-04T09:00",
        "breach 03-04T09:00",
    ),
    row(
        "restore-after-payment/two-cuts-one-named-by-its-meter",
        "x 03-02T09:00 disconnection.performed W1 account=A1 meter=M1 cause=arrears;"
        "y 03-02T09:10 disconnection.performed W2 account=A1 meter=M2 cause=arrears;"
        "s 03-03T09:00 bill.paid - account=A1 owing=false; z 03-03T10:00 disconnection.restored W9 account=A1 meter=M2",
        "breached 03-04T09:00",
        "met 03-04T09:00",
        "breach 03-04T09:00",
    ),
    row(
        "restore-after-payment/two-cuts-both-named-in-turn",
        "x 03-02T09:00 disconnection.performed W1 account=A1 cause=arrears;"
        "y 03-02T09:10 disconnection.performed W2 account=A1 cause=arrears;"
        "s 03-03T09:00 bill.paid - account=A1 owing=false; z 03-03T10:00 disconnection.restored W1 account=A1;"
        "w 03-04T09:00 disconnection.restored W2 account=A1",
        "met 03-04T09:00",
        "met 03-04T09:00",
    ),
    row(
        "restore-after-payment/two-cuts-restored-under-an-order-of-its-own",
        "x 03-02T09:00 disconnection.performed W1 account=A1 cause=arrears;"
        "y 03-02T09:10 disconnection.performed W2 account=A1 cause=arrears;"
        "s 03-03T09:00 bill.paid - account=A1 owing=false; z 03-03T10:00 disconnection.restored W3 account=A1",
        "met 03-04T09:00",
        "met 03-04T09:00",
    ),
    row(
        "restore-after-payment/two-cuts-restored-without-an-order",
        "x 03-02T09:00 disconnection.performed W1 account=A1 cause=arrears;"
        "y 03-02T09:10 disconnection.performed W2 account=A1 cause=arrears;"
        "s 03-03T09:00 bill.paid - account=A1 owing=false; z 03-03T10:00 disconnection.restored - account=A1",
        "met 03-04T09:00",
        "met 03-04T09:00",
    ),
    row(
        "restore-after-payment/one-restored-before-the-payment",
        "x 03-02T09:00 disconnection.performed W1 account=A1 cause=arrears;"
        "y 03-02T09:10 disconnection.performed W2 account=A1 cause=arrears;"
        "z 03-02T20:00 disconnection.restored W1 account=A1; s 03-03T09:00 bill.paid - account=A1 owing=false",
        "breached 03-04T09:00",
        "breach 03-04T09:00",
    ),
    row(
        "restore-after-payment/not-cut-for-arrears",
        "x 02-27T10:00 disconnection.performed D1 account=A1 cause=violation;"
        "s 02-28T23:30 bill.paid - account=A1 owing=false",
    ),
    # important-customer-approval
    row("important-customer-approval/met", f"{REPORTED}; {APPROVED}; {CUT_IMPORTANT}", "met"),
    row(
        "important-customer-approval/just-met",
        f"{REPORTED}; v 03-20T10:00 disconnection.approved D1 account=A1 level=province; {CUT_IMPORTANT}",
        "met",
    ),
    row(
        "important-customer-approval/just-broken",
        f"{REPORTED}; v 03-20T10:00:00.001 disconnection.approved D1 account=A1 level=province; {CUT_IMPORTANT}",
        "violated",
        "violation 03-20T10:00",
    ),
    row("important-customer-approval/never", f"{REPORTED}; {APPROVED}"),
    row(
        "important-customer-approval/late",
        f"{APPROVED}; {CUT_IMPORTANT}; {REPORTED} recorded=03-21T09:00",
        "met",
        "violation 03-20T10:00",
        "retraction 03-20T10:00",
    ),
    row(
        "important-customer-approval/correction",  # approved by the city only
        f"{REPORTED}; {APPROVED}; {CUT_IMPORTANT};"
        "k 03-18T15:00 disconnection.approved D1 account=A1 level=city ref=S1 corrects=v recorded=03-21T09:00",
        "violated",
        "violation 03-20T10:00",
    ),
    row("important-customer-approval/ordinary-arrears", CUT + " customer_class=ordinary", "met"),
    row(
        "important-customer-approval/ordinary-violation",
        "x 03-20T10:00 disconnection.performed D1 account=A1 cause=violation customer_class=ordinary",
        "violated",
        "violation 03-20T10:00",
    ),
    row(
        "important-customer-approval/ordinary-violation-approved-by-the-county",
        "v 03-18T15:00 disconnection.approved D1 account=A1 level=county;"
        "x 03-20T10:00 disconnection.performed D1 account=A1 cause=violation customer_class=ordinary",
        "met",
    ),
    # no-estimates
    row("no-estimates/met", "a 03-26T09:00 reading.collected - meter=M1 method=remote period=2026-03", "met"),
    row("no-estimates/just-met", "a 03-26T09:00 reading.collected - meter=M1 period=2026-03", "met"),  # not said how
    row(
        "no-estimates/just-broken",
        "a 03-26T09:00 reading.collected - meter=M1 method=estimated period=2026-03",
        "violated",
        "violation 03-26T09:00",
    ),
    row("no-estimates/never", "a 03-26T09:00 reading.remote_failed - meter=M1"),
    row(
        "no-estimates/late",
        "a 03-26T09:00 reading.collected - account=A1 method=estimated recorded=04-10T09:00",
        "violated",
        "violation 03-26T09:00",
    ),
    row(
        "no-estimates/correction",
        "a 03-26T09:00 reading.collected - meter=M1 method=estimated;"
        "k 03-26T15:00 reading.collected - meter=M1 method=manual corrects=a recorded=03-27T09:00",
        "met",
        "violation 03-26T09:00",
        "retraction 03-26T09:00",
    ),
    # cycle-change-approved
    row("cycle-change-approved/met", "c 03-02T09:00 reading.cycle_changed - account=A1 approval_ref=PF-1", "met"),
    row("cycle-change-approved/just-met", "c 03-02T09:00 reading.cycle_changed - account=A1 approval_ref=x", "met"),
    row(
        "cycle-change-approved/just-broken",
        "c 03-02T09:00 reading.cycle_changed - account=A1 reading_day=15",
        "violated",
        "violation 03-02T09:00",
    ),
    row("cycle-change-approved/never", "c 03-02T09:00 reading.collected - account=A1 reading_day=15"),
    row(
        "cycle-change-approved/late",
        "c 03-02T09:00 reading.cycle_changed - account=A1 recorded=03-05T09:00",
        "violated",
        "violation 03-02T09:00",
    ),
    row(
        "cycle-change-approved/correction",
        "c 03-02T09:00 reading.cycle_changed - account=A1;"
        "k 03-02T09:00 reading.cycle_changed - account=A1 approval_ref=PF-1 corrects=c recorded=03-05T09:00",
        "met",
        "violation 03-02T09:00",
        "retraction 03-02T09:00",
    ),
    *clock(
        "remote-reading-recollected",
        "s 03-06T08:00 reading.remote_failed - meter=M1",  # three days: 7, 8 and 9 March
        "z {} reading.collected - meter=M1 method=manual",
        met="03-07T10:00",
        deadline="03-10T00:00",
        broken="03-10T00:00:00.001",
    ),
    row(
        "remote-reading-recollected/an-estimate-is-no-reading",
        "s 03-06T08:00 reading.remote_failed - meter=M1; z 03-07T10:00 reading.collected - meter=M1 method=estimated",
        "breached 03-10T00:00",
        "breach 03-10T00:00",
    ),
    *clock(
        "usage-anomaly-verified",
        "s 06-18T10:00 reading.anomaly_detected - meter=M1",  # Dragon Boat 19 to 21 June; 22, 23, 24
        "z {} reading.anomaly_verified - meter=M1",
        met="06-22T10:00",
        deadline="06-25T00:00",
        broken="06-25T00:00:00.001",
    ),
    *clock(
        "question-followed-up",
        "s 09-18T10:00 bill.question_raised - account=A1",  # Friday; Sunday 20 September is worked: 20, 21, 22
        "z {} bill.question_answered - account=A1",
        met="09-20T10:00",
        deadline="09-23T00:00",
        broken="09-23T00:00:00.001",
    ),
    *clock(
        "undeliverable-by-other-channel",
        "s 03-06T10:00 arrears.notice_undeliverable - account=A1",
        "z {} arrears.notice_delivered - account=A1",
        met="03-06T18:00",
        deadline="03-08T00:00",
        broken="03-08T00:00:00.001",
    ),
    row(
        "undeliverable-by-other-channel/paid-meanwhile",
        "s 03-06T10:00 arrears.notice_undeliverable - account=A1; p 03-07T10:00 bill.paid - account=A1 owing=false",
        "cancelled 03-08T00:00",
    ),
    *clock(
        "resale-overcharge-reported",
        "s 02-11T10:00 resale.overcharge_found - account=A1",
        "z {} resale.overcharge_reported - account=A1",
        met="02-14T10:00",
        deadline="02-26T00:00",
        broken="02-26T00:00:00.001",
    ),
]


@pytest.mark.parametrize(("rule", "story", "until", "outcomes", "told"), ROWS)
def test_reading(rule: str, story: str, until: str, outcomes: list[str], told: list[str]) -> None:
    check(rule, story, until, outcomes, told)
