"""Chapter M 装表接电: every rule's rows."""

from __future__ import annotations

import pytest

from tests.rulebook.rows import check, clock, row

CHANGED = "x 03-10T10:00 meter.replaced W1 meter=M1 planned=sporadic"

ROWS = [
    *clock(
        "calibration-5-working-days",
        # 12, 13 and the make-up Saturday 14 February; the Spring Festival to the 23rd; 24 and 25.
        "s 02-11T10:00 calibration.requested W1 meter=M1",
        "z {} calibration.result_issued W1 meter=M1 passed=true",
        met="02-24T09:00",
        deadline="02-26T00:00",
        broken="02-26T00:00:00.001",
    ),
    # batch-meter-notice-7-days: posted on the 1st, the 8th is the first lawful day; filed as well
    row(
        "batch-meter-notice-7-days/met",
        "n 03-01T17:00 meter.batch_notice_posted - batch=B1 community=yihe;"
        "f 03-02T09:00 meter.batch_filed - batch=B1;"
        "x 03-12T09:00 meter.replaced W1 batch=B1 meter=M1 planned=batch community=yihe",
        "met",
    ),
    row(
        "batch-meter-notice-7-days/just-met",
        "n 03-01T23:59:59.999 meter.batch_notice_posted - batch=B1 community=yihe;"
        "f 03-02T09:00 meter.batch_filed - batch=B1;"
        "x 03-08T00:00 meter.replaced W1 batch=B1 meter=M1 planned=batch community=yihe",
        "met",
    ),
    row(
        "batch-meter-notice-7-days/just-broken",
        "n 03-01T00:00 meter.batch_notice_posted - batch=B1 community=yihe;"
        "f 03-02T09:00 meter.batch_filed - batch=B1;"
        "x 03-07T23:59:59.999 meter.replaced W1 batch=B1 meter=M1 planned=batch community=yihe",
        "violated",
        "violation 03-07T23:59:59.999",
    ),
    row(
        "batch-meter-notice-7-days/never",
        'n 03-01T17:00 meter.batch_notice_posted - batch=B1 meters=["M1","M2"];'
        "f 03-02T09:00 meter.batch_filed - batch=B1",
    ),
    row(
        "batch-meter-notice-7-days/late",
        'n 03-01T17:00 meter.batch_notice_posted - batch=B1 meters=["M1"];'
        "x 03-12T09:00 meter.replaced W1 batch=B1 meter=M1 planned=batch;"
        "f 03-12T09:00 meter.batch_filed - batch=B1 recorded=03-13T09:00",
        "met",
        "violation 03-12T09:00",
        "retraction 03-12T09:00",
    ),
    row(
        "batch-meter-notice-7-days/correction",
        'n 03-01T17:00 meter.batch_notice_posted - batch=B1 meters=["M1"];'
        "f 03-02T09:00 meter.batch_filed - batch=B1;"
        "x 03-12T09:00 meter.replaced W1 batch=B1 meter=M1 planned=batch;"
        'k 03-06T17:00 meter.batch_notice_posted - batch=B1 meters=["M1"] corrects=n recorded=03-13T09:00',
        "violated",
        "violation 03-12T09:00",
    ),
    row(
        "batch-meter-notice-7-days/without-notice",
        "f 03-02T09:00 meter.batch_filed - batch=B1;x 03-12T09:00 meter.replaced W1 batch=B1 meter=M1 planned=batch",
        "violated",
        "violation 03-12T09:00",
    ),
    row(
        "batch-meter-notice-7-days/a-meter-not-on-the-list",
        'n 03-01T17:00 meter.batch_notice_posted - batch=B1 meters=["M1","M2"];'
        "f 03-02T09:00 meter.batch_filed - batch=B1;"
        "x 03-12T09:00 meter.replaced W1 batch=B1 meter=M2 planned=batch;"
        "y 03-12T10:00 meter.replaced W2 batch=B1 meter=M3 planned=batch",
        "met",
        "violated",
        "violation 03-12T10:00",
    ),
    row("batch-meter-notice-7-days/sporadic-is-another-rule", CHANGED),
    # sporadic-replacement-contact
    row(
        "sporadic-replacement-contact/met",
        "c 03-09T09:00 meter.customer_contacted W1 meter=M1; p 03-09T09:05 meter.replacement_appointed W1 meter=M1;"
        + CHANGED,
        "met",
    ),
    row(
        "sporadic-replacement-contact/just-met",
        CHANGED + "; c 10:00 meter.customer_contacted W1 meter=M1; p 10:00 meter.replacement_appointed W1 meter=M1",
        "met",
    ),
    row(
        "sporadic-replacement-contact/just-broken",
        "c 03-09T09:00 meter.customer_contacted W1 meter=M1;"
        + CHANGED
        + "; p 10:00:00.001 meter.replacement_appointed W1 meter=M1",
        "violated",
        "violation 03-10T10:00",
    ),
    row("sporadic-replacement-contact/never", "c 03-09T09:00 meter.customer_contacted W1 meter=M1"),
    row(
        "sporadic-replacement-contact/late",
        "c 03-09T09:00 meter.customer_contacted W1 meter=M1;"
        + CHANGED
        + "; p 03-09T09:05 meter.replacement_appointed W1 meter=M1 recorded=03-11T09:00",
        "met",
        "violation 03-10T10:00",
        "retraction 03-10T10:00",
    ),
    row(
        "sporadic-replacement-contact/correction",
        CHANGED + "; k 03-10T10:00 meter.replaced W1 meter=M1 planned=batch corrects=x recorded=03-11T09:00",
        "violation 03-10T10:00",
        "retraction 03-10T10:00",
    ),
    # wiring-verified, by the order's close
    row(
        "wiring-verified/met",
        CHANGED + "; v 10:20 meter.wiring_verified W1 meter=M1; z 03-12T09:00 order.closed W1",
        "met",
    ),
    row(
        "wiring-verified/just-met",
        CHANGED + "; z 03-12T09:00 order.closed W1; v 09:00 meter.wiring_verified W1 meter=M1",
        "met",
    ),
    row(
        "wiring-verified/just-broken",
        CHANGED + "; z 03-12T09:00 order.closed W1; v 09:00:00.001 meter.wiring_verified W1 meter=M1",
        "violated",
        "violation 03-12T09:00",
    ),
    row("wiring-verified/never", CHANGED, "running"),
    row(
        "wiring-verified/late",
        CHANGED
        + "; z 03-12T09:00 order.closed W1; v 03-10T10:20 meter.wiring_verified W1 meter=M1 recorded=03-13T08:00",
        "met",
        "violation 03-12T09:00",
        "retraction 03-12T09:00",
    ),
    row(
        "wiring-verified/correction",
        CHANGED + "; v 10:20 meter.wiring_verified W1 meter=M1; z 03-12T09:00 order.closed W1;"
        "k 03-12T10:20 meter.wiring_verified W1 meter=M1 corrects=v recorded=03-13T08:00",
        "violated",
        "violation 03-12T09:00",
    ),
    # old-reading-photo, signed
    row(
        "old-reading-photo/met",
        CHANGED + "; v 10:20 meter.reading_photo_uploaded W1 meter=M1 signed=true; z 03-12T09:00 order.closed W1",
        "met",
    ),
    row(
        "old-reading-photo/just-met",
        CHANGED + "; z 03-12T09:00 order.closed W1; v 09:00 meter.reading_photo_uploaded W1 meter=M1 signed=true",
        "met",
    ),
    row(
        "old-reading-photo/just-broken",
        CHANGED
        + "; z 03-12T09:00 order.closed W1; v 09:00:00.001 meter.reading_photo_uploaded W1 meter=M1 signed=true",
        "violated",
        "violation 03-12T09:00",
    ),
    row("old-reading-photo/never", CHANGED + "; v 10:20 meter.reading_photo_uploaded W1 signed=false", "running"),
    row(
        "old-reading-photo/late",
        CHANGED + "; z 03-12T09:00 order.closed W1;"
        "v 03-10T10:20 meter.reading_photo_uploaded W1 meter=M1 signed=true recorded=03-13T08:00",
        "met",
        "violation 03-12T09:00",
        "retraction 03-12T09:00",
    ),
    row(
        "old-reading-photo/correction",
        CHANGED + "; v 10:20 meter.reading_photo_uploaded W1 meter=M1 signed=false; z 03-12T09:00 order.closed W1;"
        "k 03-10T10:20 meter.reading_photo_uploaded W1 meter=M1 signed=true corrects=v recorded=03-13T08:00",
        "met",
        "violation 03-12T09:00",
        "retraction 03-12T09:00",
    ),
    row(
        "old-reading-photo/not-signed",
        CHANGED + "; v 10:20 meter.reading_photo_uploaded W1 meter=M1 signed=false; z 03-12T09:00 order.closed W1",
        "violated",
        "violation 03-12T09:00",
    ),
    # removed-meter-one-cycle: a natural month where no reading day is known
    row(
        "removed-meter-one-cycle/met",
        "r 03-10T16:00 meter.removed W1 meter=M1; d 04-20T09:00 meter.disposed - meter=M1",
        "met",
    ),
    row(
        "removed-meter-one-cycle/just-met",
        "r 03-10T16:00 meter.removed W1 meter=M1; d 04-10T00:00 meter.disposed - meter=M1",
        "met",
    ),
    row(
        "removed-meter-one-cycle/just-broken",
        "r 03-10T16:00 meter.removed W1 meter=M1; d 04-09T23:59:59.999 meter.disposed - meter=M1",
        "violated",
        "violation 04-09T23:59:59.999",
    ),
    row(
        "removed-meter-one-cycle/never",
        "r 03-10T16:00 meter.removed W1 meter=M1; t 03-11T09:00 meter.stored - meter=M1",
    ),
    row(
        "removed-meter-one-cycle/late",  # disposed of before anybody had entered the removal
        "d 03-20T09:00 meter.disposed - meter=M1; r 03-10T16:00 meter.removed W1 meter=M1 recorded=03-25T09:00",
        "violated",
        "violation 03-20T09:00",
    ),
    row(
        "removed-meter-one-cycle/correction",
        "r 03-10T16:00 meter.removed W1 meter=M1; d 03-20T09:00 meter.disposed - meter=M1;"
        "k 02-10T16:00 meter.removed W1 meter=M1 corrects=r recorded=03-25T09:00",
        "met",
        "violation 03-20T09:00",
        "retraction 03-20T09:00",
    ),
    # box-outage-notified
    row(
        "box-outage-notified/met",
        "n 03-09T09:00 outage.notified W1; b 03-10T09:00 meter.box_replaced W1 outage=true",
        "met",
    ),
    row(
        "box-outage-notified/just-met",
        "b 03-10T09:00 meter.box_replaced W1 outage=true; n 09:00 outage.notified W1",
        "met",
    ),
    row(
        "box-outage-notified/just-broken",
        "b 03-10T08:59:59.999 meter.box_replaced W1 outage=true; n 09:00 outage.notified W1",
        "violated",
        "violation 03-10T08:59:59.999",
    ),
    row(
        "box-outage-notified/never",
        "n 03-09T09:00 outage.notified W1; b 03-10T09:00 meter.box_replaced W1 outage=false",
    ),
    row(
        "box-outage-notified/late",
        "b 03-10T09:00 meter.box_replaced W1 outage=true; n 03-09T09:00 outage.notified W1 recorded=03-11T09:00",
        "met",
        "violation 03-10T09:00",
        "retraction 03-10T09:00",
    ),
    row(
        "box-outage-notified/correction",
        "b 03-10T09:00 meter.box_replaced W1 outage=true;"
        "k 03-10T09:00 meter.box_replaced W1 outage=false corrects=b recorded=03-11T09:00",
        "violation 03-10T09:00",
        "retraction 03-10T09:00",
    ),
    # third-party-test-fee: once the test has failed, the supplier pays
    row(
        "third-party-test-fee/met",
        "t 03-10T09:00 calibration.third_party_result W1 passed=true;"
        "f 03-11T09:00 fee.charged W1 code=third_party_test_fee payer=customer",
        "met",
    ),
    row(
        "third-party-test-fee/just-met",  # at one instant nobody can say which came first
        "t 03-10T09:00 calibration.third_party_result W1 passed=false;"
        "f 03-10T09:00 fee.charged W1 code=third_party_test_fee payer=customer",
        "met",
    ),
    row(
        "third-party-test-fee/just-broken",
        "t 03-10T09:00 calibration.third_party_result W1 passed=false;"
        "f 03-10T09:00:00.001 fee.charged W1 code=third_party_test_fee payer=customer",
        "violated",
        "violation 03-10T09:00:00.001",
    ),
    row(
        "third-party-test-fee/never",
        "t 03-10T09:00 calibration.third_party_result W1 passed=false;"
        "f 03-11T09:00 fee.charged W1 code=third_party_test_fee payer=supplier",
    ),
    row(
        "third-party-test-fee/late",
        "f 03-11T09:00 fee.charged W1 code=third_party_test_fee payer=customer;"
        "t 03-10T09:00 calibration.third_party_result W1 passed=false recorded=03-12T09:00",
        "violated",
        "violation 03-11T09:00",
    ),
    row(
        "third-party-test-fee/correction",
        "t 03-10T09:00 calibration.third_party_result W1 passed=false;"
        "f 03-11T09:00 fee.charged W1 code=third_party_test_fee payer=customer;"
        "k 03-10T09:00 calibration.third_party_result W1 passed=true corrects=t recorded=03-12T09:00",
        "met",
        "violation 03-11T09:00",
        "retraction 03-11T09:00",
    ),
    *clock(
        "abnormal-meter-check",
        "s 04-02T09:00 meter.anomaly_reported W1 meter=M1",  # 3, 7 and 8 April
        "z {} meter.site_checked W1 meter=M1 faulty=true",
        met="04-07T15:00",
        deadline="04-09T00:00",
        broken="04-09T00:00:00.001",
    ),
    *clock(
        "third-party-test-sent",
        "s 04-27T09:00 calibration.disputed W1 meter=M1",  # 28, 29, 30 April, 6 and 7 May
        "z {} calibration.sent_to_third_party W1 meter=M1",
        met="04-28T15:00",
        deadline="05-08T00:00",
        broken="05-08T00:00:00.001",
    ),
    *clock(
        "wiring-complaint-check",
        "s 09-24T09:00 meter.wiring_reported - account=A1",  # Mid-Autumn 25 to 27 September; 28, 29, 30
        "z {} meter.site_checked - account=A1 faulty=false",
        met="09-28T15:00",
        deadline="10-01T00:00",
        broken="10-01T00:00:00.001",
    ),
    *clock(
        "wiring-refund",
        # One natural month from 31 January: to the end of 28 February.
        "w 01-28T09:00 meter.wiring_reported - account=A1; s 01-31T10:00 meter.site_checked - account=A1 faulty=true",
        "z {} reading.refunded - account=A1",
        met="02-13T15:00",
        deadline="03-01T00:00",
        broken="03-01T00:00:00.001",
    ),
    row(
        "wiring-refund/no-fault-no-refund",
        "w 01-28T09:00 meter.wiring_reported - account=A1; s 01-31T10:00 meter.site_checked - account=A1 faulty=false",
    ),
    row(
        "wiring-refund/a-faulty-meter-that-nobody-reported-for-its-wiring",
        "w 01-28T09:00 meter.anomaly_reported - account=A1; s 01-31T10:00 meter.site_checked - account=A1 faulty=true",
    ),
    *clock(
        "box-defect-fixed",
        "s 03-02T09:00 meter.box_defect_reported W1",  # seven days, weekends among them: to the end of the 9th
        "z {} meter.box_replaced W1",
        met="03-07T15:00",
        deadline="03-10T00:00",
        broken="03-10T00:00:00.001",
    ),
]


@pytest.mark.parametrize(("rule", "story", "until", "outcomes", "told"), ROWS)
def test_metering(rule: str, story: str, until: str, outcomes: list[str], told: list[str]) -> None:
    check(rule, story, until, outcomes, told)
