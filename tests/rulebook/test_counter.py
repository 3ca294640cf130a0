"""Chapter W 营业窗口: every rule's rows. March 2026: the 2nd and the 9th are Mondays."""

from __future__ import annotations

import pytest

from tests.rulebook.rows import check, clock, row

ROWS = [
    *clock(
        "fee-5-minutes",
        "s 03-02T09:00 counter.service_started W1 business=fee",
        "z {} counter.service_completed W1",
        met="03-02T09:03:20",
        deadline="03-02T09:05",
        broken="03-02T09:05:00.001",
    ),
    row(
        "fee-5-minutes/system-failure",
        "s 03-02T09:00 counter.service_started W1 business=fee; p 09:03 counter.interrupted W1 reason=system_failure;"
        "r 09:13 counter.resumed W1; z 09:15:00.001 counter.service_completed W1",
        "met_late 03-02T09:15",
        "breach 03-02T09:15",
        "late_completion 03-02T09:15:00.001",
    ),
    row("fee-5-minutes/another-business", "s 03-02T09:00 counter.service_started W1 business=power"),
    *clock(
        "power-20-minutes",
        "s 03-02T16:50 counter.service_started W1 business=power",
        "z {} counter.service_completed W1",
        met="03-02T17:00",
        deadline="03-02T17:10",
        broken="03-02T17:10:00.001",
    ),
    row(
        "power-20-minutes/lunch-is-no-failure",
        "s 03-02T11:50 counter.service_started W1 business=power; p 11:55 counter.interrupted W1 reason=lunch;"
        "r 13:00 counter.resumed W1; z 13:05 counter.service_completed W1",
        "met_late 03-02T12:10",
        "breach 03-02T12:10",
        "late_completion 03-02T13:05",
    ),
    # one-time-notice: application.accepted with notice_issued by the end of the counter service
    row(
        "one-time-notice/met",
        "a 03-02T09:10 application.accepted W1; n 09:12 application.notice_issued W1;"
        "z 09:15 counter.service_completed W1",
        "met",
    ),
    row(
        "one-time-notice/just-met",
        "a 03-02T09:10 application.accepted W1; z 09:15 counter.service_completed W1;"
        "n 09:15 application.notice_issued W1",
        "met",
    ),
    row(
        "one-time-notice/just-broken",
        "a 03-02T09:10 application.accepted W1; z 09:15 counter.service_completed W1;"
        "n 09:15:00.001 application.notice_issued W1",
        "violated",
        "violation 03-02T09:15",
    ),
    row("one-time-notice/never", "a 03-02T09:10 application.accepted W1", "running"),
    row(
        "one-time-notice/late",
        "a 03-02T09:10 application.accepted W1; z 09:15 counter.service_completed W1;"
        "n 09:12 application.notice_issued W1 recorded=18:00",
        "met",
        "violation 03-02T09:15",
        "retraction 03-02T09:15",
    ),
    row(
        "one-time-notice/correction",
        "a 03-02T09:10 application.accepted W1; n 09:12 application.notice_issued W1;"
        "z 09:15 counter.service_completed W1;"
        "k 09:12 application.notice_issued W1 corrects=n void=true recorded=18:00",
        "violated",
        "violation 03-02T09:15",
    ),
    row(
        "one-time-notice/withdrawn-before-the-end",
        "a 03-02T09:10 application.accepted W1; w 09:14 application.withdrawn W1; z 09:15 counter.service_completed W1",
        "cancelled",
    ),
    # receipt-given
    row(
        "receipt-given/met",
        "s 03-02T09:00 counter.service_started W1 business=fee; q 09:03 counter.receipt_issued W1;"
        "z 09:04 counter.service_completed W1",
        "met",
    ),
    row(
        "receipt-given/just-met",
        "s 03-02T09:00 counter.service_started W1 business=fee; z 09:04 counter.service_completed W1;"
        "q 09:04 counter.receipt_issued W1",
        "met",
    ),
    row(
        "receipt-given/just-broken",
        "s 03-02T09:00 counter.service_started W1 business=fee; z 09:04 counter.service_completed W1;"
        "q 09:04:00.001 counter.receipt_issued W1",
        "violated",
        "violation 03-02T09:04",
    ),
    row("receipt-given/never", "s 03-02T09:00 counter.service_started W1 business=fee", "running"),
    row(
        "receipt-given/late",
        "s 03-02T09:00 counter.service_started W1 business=fee; z 09:04 counter.service_completed W1;"
        "q 09:03 counter.receipt_issued W1 recorded=17:30",
        "met",
        "violation 03-02T09:04",
        "retraction 03-02T09:04",
    ),
    row(
        "receipt-given/correction",
        "s 03-02T09:00 counter.service_started W1 business=fee; z 09:04 counter.service_completed W1;"
        "k 09:00 counter.service_started W1 business=power corrects=s recorded=17:30",
        "violation 03-02T09:04",
        "retraction 03-02T09:04",
    ),
    row(
        "receipt-given/the-receipt-of-the-customer-before",
        "q 03-02T08:59:59.999 counter.receipt_issued W1; s 09:00 counter.service_started W1 business=fee;"
        "z 09:04 counter.service_completed W1",
        "violated",
        "violation 03-02T09:04",
    ),
    row(
        "receipt-given/started-twice",  # edge decision 10: the first start counts
        "s 03-02T09:00 counter.service_started W1 business=fee; q 09:01 counter.receipt_issued W1;"
        "t 09:02 counter.service_started W1 business=fee; z 09:04 counter.service_completed W1",
        "met",
        "met",
    ),
    row(
        "receipt-given/a-second-payment-on-the-same-order",
        "s 03-02T09:00 counter.service_started W1 business=fee; q 09:01 counter.receipt_issued W1;"
        "z 09:04 counter.service_completed W1; t 10:00 counter.service_started W1 business=fee;"
        "y 10:04 counter.service_completed W1",
        "met",
        "violated",
        "violation 03-02T10:04",
    ),
    # nobody-turned-away: the ticket taken before closing
    row(
        "nobody-turned-away/met",
        "t 03-02T16:50 counter.ticket_taken W1; s 17:02 counter.service_started W1 business=fee;"
        "c 17:00 counter.counter_closed W1; z 17:06 counter.service_completed W1; v 17:07 counter.turned_away W1",
        "met",
    ),
    row(
        "nobody-turned-away/just-met",  # a ticket taken at the very instant of closing was not taken before it
        "t 03-02T17:00 counter.ticket_taken W1; c 17:00 counter.counter_closed W1; v 17:01 counter.turned_away W1",
        "met",
    ),
    row(
        "nobody-turned-away/just-broken",
        "t 03-02T16:59:59.999 counter.ticket_taken W1; c 17:00 counter.counter_closed W1;"
        "v 17:01 counter.turned_away W1",
        "violated",
        "violation 03-02T17:01",
    ),
    row("nobody-turned-away/never", "t 03-02T16:50 counter.ticket_taken W1; c 17:00 counter.counter_closed W1"),
    row(
        "nobody-turned-away/late",
        "c 03-02T17:00 counter.counter_closed W1; v 17:01 counter.turned_away W1;"
        "t 16:58 counter.ticket_taken W1 recorded=18:00",
        "violated",
        "violation 03-02T17:01",
    ),
    row(
        "nobody-turned-away/correction",
        "t 03-02T16:58 counter.ticket_taken W1; c 17:00 counter.counter_closed W1; v 17:01 counter.turned_away W1;"
        "k 17:00:30 counter.ticket_taken W1 corrects=t recorded=18:00",
        "met",
        "violation 03-02T17:01",
        "retraction 03-02T17:01",
    ),
    # survey-before-acceptance 先勘查后受理
    row(
        "survey-before-acceptance/met",
        "a 03-02T09:00 application.accepted W1; s 03-03T10:00 survey.performed W1",
        "met",
    ),
    row(
        "survey-before-acceptance/just-met",
        "s 03-02T10:00 survey.performed W1; a 03-02T10:00 application.accepted W1",
        "met",
    ),
    row(
        "survey-before-acceptance/just-broken",
        "s 03-02T09:59:59.999 survey.performed W1; a 10:00 application.accepted W1",
        "violated",
        "violation 03-02T09:59:59.999",
    ),
    row("survey-before-acceptance/never", "a 03-02T10:00 application.accepted W1"),
    row(
        "survey-before-acceptance/late",
        "s 03-02T10:00 survey.performed W1; a 09:00 application.accepted W1 recorded=03-03T09:00",
        "met",
        "violation 03-02T10:00",
        "retraction 03-02T10:00",
    ),
    row(
        "survey-before-acceptance/correction",
        "s 03-02T10:00 survey.performed W1; a 14:00 application.accepted W1;"
        "k 03-02T15:00 survey.performed W1 corrects=s recorded=03-03T09:00",
        "met",
        "violation 03-02T10:00",
        "retraction 03-02T10:00",
    ),
    # acceptance-recorded-late 延迟录入
    row(
        "acceptance-recorded-late/met",
        "a 03-06T16:00 application.accepted W1 recorded=16:05",
        "met",
    ),
    row(
        "acceptance-recorded-late/just-met",  # 24:00 of the same Friday
        "a 03-06T16:00 application.accepted W1 recorded=03-07T00:00",
        "met",
    ),
    row(
        "acceptance-recorded-late/just-broken",
        "a 03-06T16:00 application.accepted W1 recorded=03-07T00:00:00.001",
        "violated",
        "violation 03-07T00:00",
    ),
    row("acceptance-recorded-late/never", "x 03-06T16:00 application.received W1"),
    row(
        "acceptance-recorded-late/late",  # the others have until 24:00 of the next working day: Monday's
        "s 03-06T16:00 survey.performed W1 recorded=03-10T00:00:00.001",
        "violated",
        "violation 03-10T00:00",
    ),
    row(
        "acceptance-recorded-late/correction",  # it happened on the day on which it was entered
        "a 03-06T16:00 application.accepted W1 recorded=03-09T10:00;"
        "k 03-09T09:50 application.accepted W1 corrects=a recorded=03-09T17:00",
        "met",
        "violation 03-07T00:00",
        "retraction 03-07T00:00",
    ),
    row(
        "acceptance-recorded-late/on-a-saturday",
        "a 03-07T10:00 application.accepted W1 recorded=03-10T00:00",
        "met",
    ),
    row(
        "acceptance-recorded-late/a-survey-by-the-end-of-the-next-working-day",
        "s 03-06T16:00 survey.performed W1 recorded=03-10T00:00",
        "met",
    ),
    row(
        "acceptance-recorded-late/on-a-make-up-saturday",  # 14 February is worked
        "a 02-14T10:00 application.accepted W1 recorded=02-15T00:00:00.001",
        "violated",
        "violation 02-15T00:00",
    ),
    # documents-asked-once
    row(
        "documents-asked-once/met",
        "d 03-02T09:00 application.document_requested W1 document=id_card;"
        "e 03-02T15:00 application.document_requested W1 document=title_deed",
        "met",
        "met",
    ),
    row(
        "documents-asked-once/just-met",
        "d 03-02T09:00 application.document_requested W1 document=id_card",
        "met",
    ),
    row(
        "documents-asked-once/just-broken",
        "d 03-02T09:00 application.document_requested W1 document=id_card;"
        "e 03-02T15:00 application.document_requested W1 document=id_card",
        "met",
        "violated",
        "violation 03-02T15:00",
    ),
    row("documents-asked-once/never", "d 03-02T09:00 application.document_supplied W1 document=id_card"),
    row(
        "documents-asked-once/late",  # the first request comes to light when the second has been judged
        "e 03-02T15:00 application.document_requested W1 document=id_card;"
        "d 03-02T09:00 application.document_requested W1 document=id_card recorded=18:00",
        "met",
        "violated",
        "violation 03-02T15:00",
    ),
    row(
        "documents-asked-once/correction",
        "d 03-02T09:00 application.document_requested W1 document=id_card;"
        "e 03-02T15:00 application.document_requested W1 document=id_card;"
        "k 03-02T15:00 application.document_requested W1 document=title_deed corrects=e recorded=18:00",
        "met",
        "met",
        "violation 03-02T15:00",
        "retraction 03-02T15:00",
    ),
    row(
        "documents-asked-once/another-order",
        "d 03-02T09:00 application.document_requested W1 document=id_card;"
        "e 03-02T15:00 application.document_requested W2 document=id_card",
        "met",
        "met",
    ),
    # rejection-with-reason
    row("rejection-with-reason/met", "r 03-02T09:00 application.rejected W1 reason=no_title_deed", "met"),
    row("rejection-with-reason/just-met", "r 03-02T09:00 application.rejected W1 reason=x", "met"),
    row(
        "rejection-with-reason/just-broken",
        "r 03-02T09:00 application.rejected W1",
        "violated",
        "violation 03-02T09:00",
    ),
    row("rejection-with-reason/never", "a 03-02T09:00 application.accepted W1"),
    row(
        "rejection-with-reason/late",
        "a 03-02T09:00 application.received W1; r 03-02T10:00 application.rejected W1 recorded=03-04T09:00",
        "violated",
        "violation 03-02T10:00",
    ),
    row(
        "rejection-with-reason/correction",
        "r 03-02T09:00 application.rejected W1;"
        "k 03-02T09:00 application.rejected W1 reason=no_title_deed corrects=r recorded=03-02T11:00",
        "met",
        "violation 03-02T09:00",
        "retraction 03-02T09:00",
    ),
    *clock(
        "inquiry-transferred",
        "q 03-06T16:00 inquiry.received W1",  # Friday: the next working day is Monday the 9th
        "z {} inquiry.transferred W1",
        met="03-09T10:00",
        deadline="03-10T00:00",
        broken="03-10T00:00:00.001",
    ),
    *clock(
        "complaint-contact",
        "s 03-06T16:00 complaint.received W1",
        "z {} complaint.customer_contacted W1",
        met="03-07T09:00",
        deadline="03-07T16:00",
        broken="03-07T16:00:00.001",
    ),
    row(
        "complaint-contact/answered-at-once",
        "s 03-06T16:00 complaint.received W1; z 17:00 complaint.answered W1",
        "met 03-07T16:00",
    ),
    row(
        "complaint-contact/withdrawn",
        "s 03-06T16:00 complaint.received W1; z 17:00 complaint.withdrawn W1",
        "cancelled 03-07T16:00",
    ),
    *clock(
        "complaint-answer",
        "s 03-06T16:00 complaint.received W1",  # Friday: counted from Monday the 9th
        "z {} complaint.answered W1",
        met="03-13T09:00",
        deadline="03-14T00:00",
        broken="03-14T00:00:00.001",
    ),
    row(
        "complaint-answer/withdrawn",
        "s 03-06T16:00 complaint.received W1; c 03-10T09:00 complaint.withdrawn W1",
        "cancelled 03-14T00:00",
    ),
]


@pytest.mark.parametrize(("rule", "story", "until", "outcomes", "told"), ROWS)
def test_counter(rule: str, story: str, until: str, outcomes: list[str], told: list[str]) -> None:
    check(rule, story, until, outcomes, told)
