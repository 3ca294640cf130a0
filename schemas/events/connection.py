"""Events from an application 申请 to the connection of the supply 接电."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.events.envelope import Envelope
from schemas.fields import Amount, Code, Day, Flag, Instant

DOCUMENTS = frozenset({"application_form", "business_licence", "id_card", "lease", "power_of_attorney", "title_deed"})
"""Documents that sentences name; the field ``document`` may hold another code too, of which they show a hash."""

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
    """The result reported to the customer."""

    event_type: Literal["design_review.notified", "mid_inspection.notified", "completion_inspection.notified"]
    written: Flag | None = None


class ContractSigned(Envelope):
    """The supply contract signed."""

    event_type: Literal["contract.signed"]


class FeeCharged(Envelope):
    """A fee charged."""

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


ConnectionEvent = (
    Application | ApplicationAccepted | ApplicationDocument | ApplicationRejected | ApplicationSuspended
    | ApplicationTerminated | SurveyAppointed | Survey | SurveyRescheduled | Scheme | InspectionStep
    | InspectionStepCompleted | InspectionStepNotified | ContractSigned | FeeCharged | GridProjectAgreed
    | Completed
)  # fmt: skip
"""Any event on the way to a connection."""
