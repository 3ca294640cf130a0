"""Events at the counter 窗口 and inquiries 咨询."""

from __future__ import annotations

from typing import Literal

from schemas.events.envelope import Envelope
from schemas.fields import Code

Business = Literal["fee", "power"]


class Counter(Envelope):
    """At the counter."""

    event_type: Literal[
        "counter.ticket_taken", "counter.receipt_issued", "counter.resumed", "counter.turned_away",
        "counter.counter_closed",
    ]  # fmt: skip


class CounterService(Envelope):
    """A service at the counter: taking a payment (fee) or an application (power)."""

    event_type: Literal["counter.service_started", "counter.service_completed"]
    business: Business | None = None


class CounterInterrupted(Envelope):
    """The service stands still; ``system_failure`` is the reason that stops the clock."""

    event_type: Literal["counter.interrupted"]
    reason: Code | None = None


class Inquiry(Envelope):
    """A question from a customer."""

    event_type: Literal["inquiry.received", "inquiry.answered", "inquiry.transferred"]


CounterEvent = (
    Counter | CounterService | CounterInterrupted | Inquiry
)  # fmt: skip
"""Any event at the counter."""
