"""Events of inspection 检查, capacity changes 减容暂停, outages 停电信息, repair 抢修, and the closing of an order."""

from __future__ import annotations

from typing import Literal

from schemas.events.envelope import CustomerClass, Envelope
from schemas.fields import Code, Count, Day, Flag, Instant, Number


class InspectionAppointed(Envelope):
    """An inspection agreed."""

    event_type: Literal["inspection.appointed"]
    for_at: Instant | None = None


class InspectionPerformed(Envelope):
    """An inspection on site."""

    event_type: Literal["inspection.performed"]
    kind: Literal["hazard", "violation", "theft", "routine"] | None = None
    crew_size: Count | None = None
    recorded: Flag | None = None
    witness: Flag | None = None
    customer_present: Flag | None = None
    customer_class: CustomerClass | None = None


class FindingNotified(Envelope):
    """A finding put before the customer."""

    event_type: Literal["inspection.finding_notified"]
    kind: Literal["hazard", "violation", "theft"] | None = None
    signed: Flag | None = None
    delivery: Code | None = None


class OrderDocumentReceived(Envelope):
    """An administrative order, in writing."""

    event_type: Literal["inspection.order_document_received"]
    ref: Code | None = None


class CapacityChangeRequested(Envelope):
    """Capacity to be reduced or suspended on a day."""

    event_type: Literal["capacity.change_requested"]
    effective_on: Day | None = None
    kva: Number | None = None


class Capacity(Envelope):
    """Sealed or unsealed."""

    event_type: Literal["capacity.sealed", "capacity.unsealed"]


class OutageDetected(Envelope):
    """An outage of some households."""

    event_type: Literal["outage.detected"]
    households: Count | None = None
    own_facility: Flag | None = None


class Outage(Envelope):
    """An outage announced to customers."""

    event_type: Literal["outage.published", "outage.progress_published", "outage.notified", "outage.restored"]


class RepairReported(Envelope):
    """A fault reported."""

    event_type: Literal["repair.reported"]
    area: Literal["urban", "rural", "remote"] | None = None
    scope: Literal["single", "multiple"] | None = None
    customer_class: CustomerClass | None = None


class RepairContact(Envelope):
    """The customer called: at receipt, on arrival, at the end."""

    event_type: Literal["repair.customer_contacted"]
    stage: Literal["received", "arrived", "completed"] | None = None


class Repair(Envelope):
    """Steps of a repair without fields of their own."""

    event_type: Literal[
        "repair.dispatched", "repair.payment_checked", "repair.arrived",
        "repair.meter_damage_found", "repair.metering_informed", "repair.meter_repaired", "repair.completed",
        "repair.feedback_asked", "repair.closed", "repair.escalated",
    ]  # fmt: skip


class RepairSupplyRestored(Envelope):
    """Supply restored, by the crew or, ``remote``, by switching from afar."""

    event_type: Literal["repair.supply_restored"]
    remote: Flag | None = None


class OrderClosed(Envelope):
    """A work order of any kind closed and filed 归档."""

    event_type: Literal["order.closed"]


class Complaint(Envelope):
    """A customer's complaint 投诉 and what came of it."""

    event_type: Literal[
        "complaint.received", "complaint.customer_contacted", "complaint.answered", "complaint.withdrawn"
    ]  # fmt: skip


InspectionEvent = (
    InspectionAppointed | InspectionPerformed | FindingNotified | OrderDocumentReceived | CapacityChangeRequested
    | Capacity | OutageDetected | Outage | RepairReported | RepairContact | Repair | RepairSupplyRestored
    | OrderClosed | Complaint
)  # fmt: skip
"""Any event of inspection, capacity, outages and repair."""
