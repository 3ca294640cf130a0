"""Alerts and cases in their output form: CloudEvents 1.0, structured JSON.

``AlertEvent`` and ``CaseEvent`` are the contract with subscribers. Instants have the offset of the rulebook's zone;
``elapsed`` and ``paused`` are ISO 8601 durations; ``limit`` is the text of the rulebook.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, StrictBool

from schemas.base import IsoMoment, Model, Text
from schemas.patterns import SubjectType
from schemas.rules import Severity

AlertKind = Literal["warning", "breach", "late_completion", "violation", "retraction"]
Outcome = Literal["met", "met_late", "breached", "violated", "cancelled", "running"]
Duration = Field(pattern=r"^PT\d+(\.\d{1,6})?S$", description="ISO 8601 duration in seconds")


class SubjectRef(Model):
    """The subject of a clock."""

    type: SubjectType
    id: str


class CaseFields(Model):
    """The common fields of alerts and cases."""

    case_id: str
    rule: str
    rule_version: str
    clause: str
    severity: Severity
    title: Text
    subject: SubjectRef
    order_id: str | None
    account_id: str | None
    org: dict[str, Any] | None
    started_at: IsoMoment
    deadline: IsoMoment | None = Field(description="24:00 and exact instants alike; at it is on time")
    stopped_at: IsoMoment | None
    limit: str | None
    elapsed: str = Duration
    paused: str = Duration
    evidence: list[str] = Field(description="event ids that the verdict rests on, in order")
    arithmetic: dict[str, Any] = Field(description="days counted, days off, pauses")
    calendar_provisional: StrictBool


class Alert(CaseFields):
    """One change of verdict that is reported."""

    alert_id: str
    kind: AlertKind
    due_at: IsoMoment = Field(description="the instant the alert is about; a breach's deadline")
    detected_at: IsoMoment = Field(description="the watermark that showed it")
    retracts: str | None = Field(description="the alert_id that a retraction withdraws")
    explanation: Text
    incomplete: StrictBool = Field(
        default=False,
        description="there, and true, where it rests on silence in which records were lost, or an event of its subject "
        "refused: it may be wrong",
    )


class Case(CaseFields):
    """One clock as of an instant."""

    outcome: Outcome
    as_of: IsoMoment


class CloudEvent(Model):
    """The envelope of CloudEvents 1.0; other attributes are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    time: datetime
    subject: str
    datacontenttype: Literal["application/json"]


class AlertEvent(CloudEvent):
    """An alert on the wire."""

    data: Alert


class CaseEvent(CloudEvent):
    """A case on the wire."""

    data: Case
