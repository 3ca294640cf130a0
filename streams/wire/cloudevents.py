"""Alerts and cases as CloudEvents.

The contract is ``schemas.alerts``; a test checks the output against it. They are built as plain mappings and encoded
once, because a replay writes hundreds of thousands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from streams.core.alerts import Alert, org_of
from streams.core.deadlines import time_counted
from streams.core.explanations import arithmetic, explain, first_and_last
from streams.core.records import JudgedCase
from streams.core.working_days import WorkingCalendar

SOURCE = "gridclock"
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class ReportedCase:
    """A case as written, and the explanation of its verdict where there is one."""

    event: dict[str, Any]
    explanation: dict[str, str] | None


def duration_text(microseconds: int) -> str:
    """An ISO 8601 duration in seconds: ``PT362.5S``."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"PT{seconds}.{rest:06d}".rstrip("0") + "S" if rest else f"PT{seconds}S"


class CloudEvents:
    """Writes instants in the zone of one calendar."""

    def __init__(self, calendar: WorkingCalendar) -> None:
        self._calendar = calendar
        self._text = calendar.local_text

    def _time(self, instant: int | None) -> str | None:
        return None if instant is None else self._text(instant)

    def id(self, known: str) -> str:
        """The id of a case or an alert as it is written."""
        return known

    def alert(self, alert: Alert) -> dict[str, Any]:
        """One alert as a CloudEvent, JSON values only."""
        data: dict[str, Any] = {
            "alert_id": alert.alert_id,
            "case_id": alert.case_id,
            "kind": alert.kind,
            "rule": alert.rule,
            "rule_version": alert.rule_version,
            "clause": alert.clause,
            "severity": alert.severity,
            "title": {"zh": alert.title_zh, "en": alert.title_en},
            "subject": {"type": alert.subject[0], "id": alert.subject[1]},
            "order_id": alert.order_id,
            "account_id": alert.account_id,
            "org": alert.org,
            "started_at": self._text(alert.started_at),
            "deadline": self._time(alert.deadline),
            "due_at": self._text(alert.due_at),
            "detected_at": self._text(alert.detected_at),
            "stopped_at": self._time(alert.stopped_at),
            "limit": alert.limit,
            "elapsed": duration_text(alert.elapsed),
            "paused": duration_text(alert.paused),
            "retracts": alert.retracts,
            "evidence": list(alert.evidence),
            "explanation": {"zh": alert.explanation.zh, "en": alert.explanation.en},
            "arithmetic": alert.arithmetic,
            "calendar_provisional": alert.calendar_provisional,
            **({"incomplete": True} if alert.incomplete else {}),
        }
        return _envelope(f"gridclock.alert.{alert.kind}", alert.alert_id, data["detected_at"], alert.case_id, data)

    def case(self, case: JudgedCase, as_of: int) -> dict[str, Any]:
        """One case as a CloudEvent, JSON values only."""
        verdict = case.verdict
        rule, anchor = verdict.rule, verdict.anchor
        elapsed, paused = time_counted(
            verdict.limit, verdict.started_at, verdict.ended_at, verdict.pauses, verdict.calendar or self._calendar
        )
        data: dict[str, Any] = {
            "case_id": case.case_id,
            "outcome": verdict.outcome,
            "as_of": self._time(as_of),
            "rule": rule.id,
            "rule_version": rule.version,
            "clause": rule.clause,
            "severity": rule.severity,
            "title": {"zh": rule.title.zh, "en": rule.title.en},
            "subject": {"type": case.subject[0], "id": case.subject[1]},
            "order_id": anchor.order_id,
            "account_id": anchor.account_id,
            "org": org_of(anchor.data),
            "started_at": self._time(verdict.started_at),
            "deadline": self._time(verdict.deadline),
            "stopped_at": self._time(verdict.stopped_at),
            "limit": verdict.limit.text if verdict.limit else None,
            "elapsed": duration_text(elapsed),
            "paused": duration_text(paused),
            "evidence": list(first_and_last(verdict.evidence)),
            "arithmetic": arithmetic(verdict, self._calendar),
            "calendar_provisional": verdict.provisional,
        }
        return _envelope("gridclock.case", case.case_id, data["as_of"], case.case_id, data)

    def reported(self, case: JudgedCase, as_of: int) -> ReportedCase:
        """One case with the sentence of its last report."""
        said = None
        if case.verdict.reports:
            sentence = explain(case.verdict, case.verdict.reports[-1], case.subject, self._calendar)
            said = {"zh": sentence.zh, "en": sentence.en}
        return ReportedCase(self.case(case, as_of), said)


def without_detail(event: dict[str, Any], size: int) -> dict[str, Any]:
    """An alert or case too large for its topic, with the first and the last of its evidence and no arithmetic.

    ``arithmetic`` gives the number of bytes it had.
    """
    evidence = event["data"]["evidence"]
    few = [evidence[0], evidence[-1]] if len(evidence) > 1 else evidence
    omitted = {"evidence": len(evidence) - len(few), "bytes": size}
    return {**event, "data": {**event["data"], "evidence": few, "arithmetic": {"omitted": omitted}}}


def _envelope(kind: str, number: str, time: str, subject: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": number,
        "source": SOURCE,
        "type": kind,
        "time": time,
        "subject": subject,
        "datacontenttype": "application/json",
        "data": data,
    }


def encode(value: Any) -> bytes:
    """JSON bytes, without a line break."""
    return _encoder.encode(value)
