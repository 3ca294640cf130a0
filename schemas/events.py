"""Work-order events: the common envelope and every type of the vocabulary, as one union told apart by type.

An event is one flat JSON object. Required are ``event_id``, ``event_type``, ``occurred_at`` and one subject id;
the fields of a type are checked where they are present. Unknown fields are kept. ``EVENT`` validates any event
of the shipped vocabulary; an ``EventCatalogue`` adds the types that a rulebook declares.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model, model_validator
from pydantic_core import PydanticCustomError

from schemas.base import Text
from schemas.fields import FIELD_KINDS, Amount, Code, Codes, Count, Day, Flag, Id, Instant, Number, ReadingDay, Time

SUBJECT_FIELDS = ("order_id", "account_id", "meter_id", "batch_id")


class Org(BaseModel):
    """Where it happened: codes of the organisation, province down to unit."""

    model_config = ConfigDict(extra="allow", frozen=True)

    province: Code | None = None
    city: Code | None = None
    county: Code | None = None
    unit: Code | None = None


class Envelope(BaseModel):
    """The fields common to all events.

    ``occurred_at`` is event time, ``recorded_at`` when it was entered (default: the same). ``corrects`` names the
    event that this one replaces; with ``void`` that event never happened. ``personal`` is the one place for data
    about a person and is removed before anything is stored.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    event_id: Id
    event_type: str
    occurred_at: Time
    recorded_at: Time | None = None
    source: Code | None = None
    order_id: Id | None = None
    account_id: Id | None = None
    meter_id: Id | None = None
    batch_id: Id | None = None
    org: Org | None = None
    staff_id: Id | None = None
    corrects: Id | None = None
    void: Flag = False
    personal: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _about_something(self) -> Envelope:
        if not (self.order_id or self.account_id or self.meter_id or self.batch_id):
            raise PydanticCustomError("no_subject", "names none of order_id, account_id, meter_id, batch_id")
        if self.void and self.corrects is None:
            raise PydanticCustomError("bad_field", "void needs corrects: the id of the event that never was")
        if self.corrects == self.event_id:
            raise PydanticCustomError("bad_field", "an event cannot correct itself")
        return self


# --- counter 窗口, inquiry 咨询 ---------------------------------------------------------------------------

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


# --- application 申请 to connection 接电 ------------------------------------------------------------------

Category = Literal["residential", "low_voltage", "hv_single", "hv_dual"]


class Application(Envelope):
    """Steps of an application without fields of their own."""

    event_type: Literal[
        "application.received", "application.notice_issued", "application.documents_completed",
        "application.resumed", "application.withdrawn",
    ]  # fmt: skip


class ApplicationAccepted(Envelope):
    """Accepted 受理."""

    event_type: Literal["application.accepted"]
    category: Category | None = None
    zero_cost: Flag | None = Field(default=None, description="三零")
    conditional: Flag | None = Field(default=None, description="容缺受理")


class ApplicationDocument(Envelope):
    """A document asked for or handed in."""

    event_type: Literal["application.document_requested", "application.document_supplied"]
    document: Code | None = None


class ApplicationRejected(Envelope):
    """Rejected, with a reason."""

    event_type: Literal["application.rejected"]
    reason: Code | None = None


class ApplicationSuspended(Envelope):
    """Suspended, for a reason outside the supplier's hands."""

    event_type: Literal["application.suspended"]
    reason: Literal["customer", "third_party", "force_majeure"] | None = None


class ApplicationTerminated(Envelope):
    """Terminated, with evidence where the reason is the customer's."""

    event_type: Literal["application.terminated"]
    reason: Code | None = None
    evidence_ref: Code | None = None


class SurveyAppointed(Envelope):
    """A survey agreed for an instant."""

    event_type: Literal["survey.appointed"]
    for_at: Instant | None = None


class Survey(Envelope):
    """A survey done."""

    event_type: Literal["survey.performed"]


class SurveyRescheduled(Envelope):
    """A survey put off."""

    event_type: Literal["survey.rescheduled"]
    reason: Code | None = None
    for_at: Instant | None = None


class Scheme(Envelope):
    """The supply scheme 供电方案."""

    event_type: Literal["scheme.replied", "scheme.confirmed"]


class InspectionStep(Envelope):
    """Design review, mid and completion inspection asked for."""

    event_type: Literal["design_review.requested", "mid_inspection.requested", "completion_inspection.requested"]


class InspectionStepCompleted(Envelope):
    """Design review, mid or completion inspection done."""

    event_type: Literal["design_review.completed", "mid_inspection.completed", "completion_inspection.completed"]
    passed: Flag | None = None


class InspectionStepNotified(Envelope):
    """The result told to the customer."""

    event_type: Literal["design_review.notified", "mid_inspection.notified", "completion_inspection.notified"]
    written: Flag | None = None


class ContractSigned(Envelope):
    """The supply contract signed."""

    event_type: Literal["contract.signed"]


class FeeCharged(Envelope):
    """A fee charged to somebody."""

    event_type: Literal["fee.charged"]
    code: Code | None = None
    amount: Amount | None = None
    payer: Code | None = None
    channel: Code | None = None


class GridProjectAgreed(Envelope):
    """A grid project 配套工程 agreed for a day."""

    event_type: Literal["grid_project.agreed"]
    due_on: Day | None = None


class Completed(Envelope):
    """The supplier's own works done: the grid project, the connection."""

    event_type: Literal["grid_project.completed", "connection.energized"]


# --- meter 计量, calibration 校验 -------------------------------------------------------------------------


class Meter(Envelope):
    """Steps of metering work without fields of their own."""

    event_type: Literal[
        "meter.batch_filed", "meter.customer_contacted", "meter.replacement_appointed", "meter.wiring_verified",
        "meter.stored", "meter.disposed", "meter.anomaly_reported", "meter.joint_check_appointed",
        "meter.wiring_reported", "meter.box_defect_reported",
    ]  # fmt: skip


class MeterRemoved(Envelope):
    """A meter taken down."""

    event_type: Literal["meter.removed"]
    reading_day: ReadingDay | None = Field(default=None, description="day of the month on which it is read")


class BatchNoticePosted(Envelope):
    """A bulk meter change announced to the meters listed, or to a community."""

    event_type: Literal["meter.batch_notice_posted"]
    meters: Codes | None = None
    community: Code | None = None
    planned_on: Day | None = None


class MeterReplaced(Envelope):
    """A meter changed, in bulk or singly."""

    event_type: Literal["meter.replaced"]
    planned: Literal["batch", "sporadic"] | None = None
    outage: Flag | None = None
    community: Code | None = None


class ReadingPhotoUploaded(Envelope):
    """A photo of the old meter's reading, signed by the customer or not."""

    event_type: Literal["meter.reading_photo_uploaded"]
    signed: Flag | None = None


class MeterSiteChecked(Envelope):
    """A meter checked on site."""

    event_type: Literal["meter.site_checked"]
    faulty: Flag | None = None


class BoxReplaced(Envelope):
    """A meter box changed, with or without an outage."""

    event_type: Literal["meter.box_replaced"]
    outage: Flag | None = None


class Calibration(Envelope):
    """A meter test asked for, disputed, sent away."""

    event_type: Literal["calibration.requested", "calibration.disputed", "calibration.sent_to_third_party"]


class CalibrationResult(Envelope):
    """The result of a meter test."""

    event_type: Literal["calibration.result_issued", "calibration.third_party_result"]
    passed: Flag | None = None


# --- reading 抄表, bills and arrears 电费, disconnection 停电 ---------------------------------------------


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
CustomerClass = Literal["ordinary", "important", "sensitive"]


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


# --- inspection 检查, capacity 减容暂停, outage 停电信息, repair 抢修 --------------------------------------


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
    """An outage told to customers."""

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


Event = Annotated[
    Counter | CounterService | CounterInterrupted | Inquiry
    | Application | ApplicationAccepted | ApplicationDocument | ApplicationRejected | ApplicationSuspended
    | ApplicationTerminated | SurveyAppointed | Survey | SurveyRescheduled | Scheme
    | InspectionStep | InspectionStepCompleted | InspectionStepNotified | ContractSigned | FeeCharged
    | GridProjectAgreed | Completed
    | Meter | MeterRemoved | BatchNoticePosted | MeterReplaced | ReadingPhotoUploaded | MeterSiteChecked | BoxReplaced
    | Calibration | CalibrationResult
    | ReadingCollected | Reading | CycleChanged | BillIssued | BillOverdue | BillSettled | BillQuestion | Resale
    | Arrears | ArrearsNotice
    | ArrearsRechecked | DisconnectionApproved | Disconnection | DisconnectionNotice | DisconnectionPerformed
    | InspectionAppointed | InspectionPerformed | FindingNotified | OrderDocumentReceived
    | CapacityChangeRequested | Capacity | OutageDetected | Outage
    | RepairReported | RepairContact | Repair | RepairSupplyRestored
    | OrderClosed,
    Field(discriminator="event_type"),
]  # fmt: skip
"""Any event of the shipped vocabulary."""

EVENT: TypeAdapter[Envelope] = TypeAdapter(Event)

COMMON_FIELDS = frozenset(Envelope.model_fields)
CONDITION_FIELDS = frozenset({"source", "staff_id"})
"""The common fields that a rule's conditions may look at."""

_TYPE_PATTERN = r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$"


def _shipped() -> dict[str, type[Envelope]]:
    models: dict[str, type[Envelope]] = {}
    for model in get_args(get_args(Event)[0]):
        for name in get_args(model.model_fields["event_type"].annotation):
            assert name not in models, name
            models[name] = model
    return models


@dataclass(frozen=True)
class EventCatalogue:
    """The event types that a rulebook knows, each with the model that checks it."""

    models: Mapping[str, type[Envelope]]

    @classmethod
    def shipped(cls) -> EventCatalogue:
        """The vocabulary of the standard."""
        return cls(_shipped())

    @property
    def types(self) -> frozenset[str]:
        """The names of all types."""
        return frozenset(self.models)

    def fields(self, event_type: str) -> frozenset[str]:
        """The fields of a type that conditions may look at."""
        return (frozenset(self.models[event_type].model_fields) - COMMON_FIELDS) | CONDITION_FIELDS

    def suggest(self, name: str) -> str | None:
        """The known type nearest to a misspelt one."""
        near = difflib.get_close_matches(name, sorted(self.models), n=1)
        return near[0] if near else None

    def with_declared(
        self,
        name: str,
        fields: Mapping[str, str | list[str]],
        title: Text | None = None,
        *,
        afresh: bool = False,
    ) -> EventCatalogue:
        """This catalogue and one more type; of a known type the fields named are added or redefined.

        ``afresh`` forgets what was known of the type.

        Raises:
            ValueError: for a name or field that cannot be, or an unknown kind of value.
        """
        if not re.match(_TYPE_PATTERN, name):
            raise ValueError(f"{name!r} is not an event type; write family.what_happened in lower case")
        base = Envelope if afresh else self.models.get(name, Envelope)
        own: dict[str, Any] = {}
        for field, kind in fields.items():
            if not field.isidentifier() or field.startswith("_") or field in COMMON_FIELDS:
                raise ValueError(f"{name} cannot declare a field {field!r}: not a name, or common to all events")
            if isinstance(kind, str) and kind not in FIELD_KINDS:
                near = difflib.get_close_matches(kind, FIELD_KINDS, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(FIELD_KINDS)}"
                raise ValueError(f"{name}.{field}: unknown kind {kind!r}; {hint}")
            if not kind:
                raise ValueError(f"{name}.{field}: an empty list allows nothing")
            annotation = FIELD_KINDS[kind] if isinstance(kind, str) else Literal[tuple(kind)]
            own[field] = (annotation | None, None)
        own["event_type"] = (Literal[(name,)], ...)
        model = create_model(name.replace(".", "_"), __base__=(base,), __doc__=title.en if title else None, **own)
        return EventCatalogue({**self.models, name: cast(type[Envelope], model)})
