"""Alerts: reported changes of verdict, with ids derived from their content.

``alert_id`` is a hash of the case, the kind, the cause and the number of earlier withdrawals of the same report. So a
repeated send has no effect, and a report made again after a retraction is a new alert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

from streams.core.deadlines import time_counted
from streams.core.event import ORG_LEVELS
from streams.core.explanations import arithmetic, explain, explain_retraction, first_and_last
from streams.core.faults import Explanation
from streams.core.verdicts import AlertKind, Report, Verdict
from streams.core.working_days import WorkingCalendar

Subject = tuple[str, str]
"""``(type, id)`` of the subject of a clock."""


def org_of(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """The codes of an event's organisation."""
    org = data.get("org")
    return {level: code for level, code in org.items() if level in ORG_LEVELS} if isinstance(org, dict) else None


def _digest(*parts: str) -> str:
    return blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


class Identified(Protocol):
    """What orders alerts; see ``Alert``."""

    alert_id: str
    subject: Subject
    rule: str
    kind: AlertKind
    due_at: int


def order_of(alert: Identified) -> tuple[int, Subject, str, str, str]:
    """Its place in the total order of the alerts of one step."""
    return alert.due_at, alert.subject, alert.rule, alert.kind, alert.alert_id


def case_id_of(rule_id: str, subject: Subject, root: str) -> str:
    """The id of one clock: one rule on one subject from one starting event."""
    return _digest(rule_id, *subject, root)


def alert_id_of(case_id: str, kind: str, cause: str, generation: int) -> str:
    """The id of one report; ``generation`` counts the earlier withdrawals of the same report."""
    return _digest(case_id, kind, cause, str(generation))


@dataclass(slots=True)
class Alert:
    """One alert, treated as immutable.

    Instants are microseconds since the epoch, ``elapsed`` and ``paused`` microseconds.

    ``due_at`` is the instant at which the alert falls due (a breach: the deadline), ``detected_at`` the watermark at
    which it was detected. ``elapsed`` is running time up to the stop, or up to ``detected_at``.
    """

    alert_id: str
    case_id: str
    kind: AlertKind
    cause: str
    rule: str
    rule_version: str
    clause: str
    severity: str
    title_zh: str
    title_en: str
    subject: Subject
    order_id: str | None
    account_id: str | None
    org: dict[str, Any] | None
    started_at: int
    deadline: int | None
    due_at: int
    detected_at: int
    stopped_at: int | None
    limit: str | None
    elapsed: int
    paused: int
    evidence: tuple[str, ...]
    explanation: Explanation
    arithmetic: dict[str, Any] = field(default_factory=dict)
    calendar_provisional: bool = False
    retracts: str | None = None
    incomplete: bool = False
    """Whether it depends on the absence of an event, and records of that time were lost or refused."""


class DueAlert(NamedTuple):
    """An alert whose texts are not made yet: what identifies it, and what they are made of."""

    alert_id: str
    case_id: str
    subject: Subject
    verdict: Verdict
    report: Report
    detected_at: int

    @property
    def rule(self) -> str:
        """The rule's id."""
        return self.verdict.rule.id

    @property
    def kind(self) -> AlertKind:
        """That of its report."""
        return self.report.kind

    @property
    def due_at(self) -> int:
        """See ``Alert``."""
        return self.report.due

    def made(self, calendar: WorkingCalendar) -> Alert:
        """The alert, of a report that was never withdrawn."""
        return report_alert(
            self.verdict,
            self.report,
            subject=self.subject,
            case_id=self.case_id,
            generation=0,
            watermark=self.detected_at,
            calendar=calendar,
        )


def report_alert(
    verdict: Verdict,
    report: Report,
    *,
    subject: Subject,
    case_id: str,
    generation: int,
    watermark: int,
    calendar: WorkingCalendar,
) -> Alert:
    """The alert of one report."""
    rule, anchor = verdict.rule, verdict.anchor
    running, paused = time_counted(
        verdict.limit, verdict.started_at, verdict.ended_at, verdict.pauses, verdict.calendar or calendar
    )
    return Alert(
        alert_id=alert_id_of(case_id, report.kind, report.cause, generation),
        case_id=case_id,
        kind=report.kind,
        cause=report.cause,
        rule=rule.id,
        rule_version=rule.version,
        clause=rule.clause,
        severity=rule.severity,
        title_zh=rule.title.zh,
        title_en=rule.title.en,
        subject=subject,
        order_id=anchor.order_id,
        account_id=anchor.account_id,
        org=org_of(anchor.data),
        started_at=verdict.started_at,
        deadline=verdict.deadline,
        due_at=report.due,
        detected_at=watermark,
        stopped_at=verdict.stopped_at,
        limit=verdict.limit.text if verdict.limit else None,
        elapsed=running,
        paused=paused,
        evidence=tuple(first_and_last(verdict.evidence)),
        explanation=explain(verdict, report, subject, calendar),
        arithmetic=arithmetic(verdict, calendar),
        calendar_provisional=verdict.provisional,
    )


def retraction_of(reported: Alert, now: Verdict | None, watermark: int, calendar: WorkingCalendar) -> Alert:
    """The alert that withdraws ``reported``; ``now`` is the current verdict of the case, if there is still one."""
    evidence = reported.evidence
    if now is not None:
        evidence = tuple(first_and_last(tuple(dict.fromkeys((*reported.evidence, *now.evidence)))))
    return replace(
        reported,
        alert_id=_digest(reported.alert_id, "retraction"),
        kind="retraction",
        cause=reported.alert_id,
        retracts=reported.alert_id,
        detected_at=watermark,
        stopped_at=now.stopped_at if now else None,
        evidence=evidence,
        explanation=explain_retraction(
            reported.kind, reported.title_zh, reported.title_en, reported.subject, now, calendar
        ),
    )
