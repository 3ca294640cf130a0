"""Alerts that the native engine has written already: their lines, and what a worker needs to know of each."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from streams.core.alerts import Alert, Subject
from streams.core.faults import Explanation
from streams.core.outcome_counts import Place
from streams.core.records import ReportKey
from streams.core.verdicts import AlertKind


class WrittenAlert(msgspec.Struct, gc=False):
    """An alert by its line, treated as immutable; the fields are those of ``Alert``, of a report on that root.

    ``partition_hash`` is that of the case id, by which Kafka's clients choose a partition.
    """

    alert_id: str
    case_id: str
    kind: AlertKind
    rule: str
    subject: Subject
    place: Place
    due_at: int
    detected_at: int
    line: bytes
    partition_hash: int
    root: str
    cause: str
    started_at: int
    deadline: int | None
    stopped_at: int | None
    elapsed: int
    paused: int

    @property
    def key(self) -> ReportKey:
        """That of its report."""
        return self.rule, self.root, self.kind, self.cause

    def read(self) -> Alert:
        """All of it."""
        data = _read_line(self.line).data
        return Alert(
            self.alert_id, self.case_id, self.kind, self.cause, self.rule, data.rule_version, data.clause,
            data.severity, data.title.zh, data.title.en, self.subject, data.order_id, data.account_id, data.org,
            self.started_at, self.deadline, self.due_at, self.detected_at, self.stopped_at, data.limit, self.elapsed,
            self.paused, data.evidence, Explanation(data.explanation.zh, data.explanation.en), data.arithmetic,
            data.calendar_provisional,
        )  # fmt: skip


def whole(alert: Alert | WrittenAlert) -> Alert:
    """All of an alert."""
    return alert.read() if isinstance(alert, WrittenAlert) else alert


class _Text(msgspec.Struct, gc=False):
    zh: str
    en: str


class _Data(msgspec.Struct, gc=False):
    """What an alert says beside what a worker needs, as it is written."""

    rule_version: str
    clause: str
    severity: str
    title: _Text
    order_id: str | None
    account_id: str | None
    org: dict[str, Any] | None
    limit: str | None
    evidence: tuple[str, ...]
    explanation: _Text
    arithmetic: dict[str, Any]
    calendar_provisional: bool


class _Line(msgspec.Struct, gc=False):
    data: _Data


_read_line = msgspec.json.Decoder(_Line, float_hook=Decimal).decode
