"""Events of meter reading 抄表, bills and arrears 电费, disconnection 停电."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.events.envelope import CustomerClass, Envelope
from schemas.fields import Amount, Code, Day, Flag, ReadingDay


class ReadingCollected(Envelope):
    """A reading for a period."""

    event_type: Literal["reading.collected"]
    period: Code | None = Field(default=None, description="YYYY-MM")
    method: Literal["remote", "manual", "estimated"] | None = None
    reading_day: ReadingDay | None = None


class Reading(Envelope):
    """What else happens to readings."""

    event_type: Literal[
        "reading.remote_failed", "reading.anomaly_detected", "reading.anomaly_verified", "reading.disputed",
        "reading.dispute_answered", "reading.refunded",
    ]  # fmt: skip


class CycleChanged(Envelope):
    """The reading cycle changed, with an approval."""

    event_type: Literal["reading.cycle_changed"]
    approval_ref: Code | None = None
    reading_day: ReadingDay | None = None


class BillIssued(Envelope):
    """A bill."""

    event_type: Literal["bill.issued"]
    amount: Amount | None = None
    due_on: Day | None = None


class BillOverdue(Envelope):
    """A bill not paid in time."""

    event_type: Literal["bill.overdue"]
    since_on: Day | None = None
    amount: Amount | None = None


class BillSettled(Envelope):
    """A payment, an advance 垫付 or an adjustment; ``owing`` is what is left after it: false is nothing."""

    event_type: Literal["bill.paid", "bill.advanced", "bill.adjusted"]
    amount: Amount | None = None
    owing: Flag | None = None


class BillQuestion(Envelope):
    """A question about a bill, and its answer."""

    event_type: Literal["bill.question_raised", "bill.question_answered"]


class Resale(Envelope):
    """A resale overcharge 转供电加价, found and reported."""

    event_type: Literal["resale.overcharge_found", "resale.overcharge_reported"]


class Arrears(Envelope):
    """Steps of dunning without fields of their own."""

    event_type: Literal["arrears.customer_verified", "arrears.notice_undeliverable"]


class ArrearsNotice(Envelope):
    """An arrears notice delivered."""

    event_type: Literal["arrears.notice_delivered"]
    amount: Amount | None = None
    due_on: Day | None = None
    proof_ref: Code | None = None


class ArrearsRechecked(Envelope):
    """Whether the account still owes, looked up again."""

    event_type: Literal["arrears.status_rechecked"]
    owing: Flag | None = None


Cause = Literal["arrears", "violation", "theft", "administrative", "works"]


class DisconnectionApproved(Envelope):
    """A disconnection approved at a level."""

    event_type: Literal["disconnection.approved"]
    level: Code | None = None
    ref: Code | None = None
    cause: Cause | None = None


class Disconnection(Envelope):
    """Steps of a disconnection without required fields."""

    event_type: Literal["disconnection.government_reported", "disconnection.renotified", "disconnection.restored"]
    cause: Cause | None = None


class DisconnectionNotice(Envelope):
    """A disconnection announced to the customer."""

    event_type: Literal["disconnection.notice_delivered"]
    cause: Cause | None = None
    proof_ref: Code | None = None
    amount: Amount | None = None
    due_on: Day | None = None


class DisconnectionPerformed(Envelope):
    """Supply cut."""

    event_type: Literal["disconnection.performed"]
    cause: Cause | None = None
    customer_class: CustomerClass | None = None
    prepay: Flag | None = Field(default=None, description="智能交费")
    contract_basis_ref: Code | None = None


ReadingEvent = (
    ReadingCollected | Reading | CycleChanged | BillIssued | BillOverdue | BillSettled | BillQuestion | Resale
    | Arrears | ArrearsNotice | ArrearsRechecked | DisconnectionApproved | Disconnection | DisconnectionNotice
    | DisconnectionPerformed
)  # fmt: skip
"""Any event of reading, bills and disconnection."""
