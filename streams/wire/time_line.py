"""One subject's time line: its events, the limits that ran on it, what was reported of them, and why.

``gridclock explain`` prints it; the board's case page shows it. Texts are in Chinese and English. Numbers and ids are
real ones: whoever shows a time line to others replaces them (``streams.wire.pseudonyms``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from schemas.base import Text
from streams.core.alerts import Alert, Subject
from streams.core.event import Event
from streams.core.explanations import explain, limit_zh
from streams.core.faults import local_time
from streams.core.records import JudgedCase
from streams.core.rulebook import Rulebook

OUTCOMES_ZH: Final = {
    "met": "按时完成",
    "met_late": "逾期完成",
    "breached": "超时",
    "violated": "违规",
    "cancelled": "已撤销",
    "running": "进行中",
}
KINDS_ZH: Final = {
    "warning": "预警",
    "breach": "超时",
    "late_completion": "逾期完成",
    "violation": "违规",
    "retraction": "撤回",
}


@dataclass(frozen=True, slots=True)
class Reported:
    """An alert on the time line. ``detected_at`` is in microseconds since the epoch."""

    alert_id: str
    case_id: str
    kind: str
    detected_at: int
    sentence: Text
    retracts: str | None = None
    incomplete: bool = False

    @classmethod
    def of(cls, alert: Alert) -> Reported:
        """As the engine made it, with real ids."""
        sentence = Text(zh=alert.explanation.zh, en=alert.explanation.en)
        return cls(
            alert.alert_id, alert.case_id, alert.kind, alert.detected_at, sentence, alert.retracts, alert.incomplete
        )


Moment = Event | JudgedCase | Reported
"""What stands on a time line: an event, the deadline of a case, an alert."""


@dataclass(frozen=True, slots=True)
class TimeLine:
    """What is known of one subject as of ``end`` (microseconds since the epoch)."""

    rulebook: Rulebook
    subject: Subject
    events: Sequence[Event]
    cases: Sequence[JudgedCase]
    alerts: Sequence[Reported]
    end: int

    def moments(self) -> list[tuple[int, Moment]]:
        """In the order of time; at one instant events first, then deadlines, then alerts.

        Events later than ``end`` are left out, except corrections.
        """
        found: list[tuple[int, int, Moment]] = [
            (event.at, 0, event) for event in self.events if event.at <= self.end or event.corrects is not None
        ]
        found += [(case.verdict.deadline, 1, case) for case in self.cases if case.verdict.deadline is not None]
        found += [(alert.detected_at, 2, alert) for alert in self.alerts]
        return [(at, moment) for at, _, moment in sorted(found, key=lambda item: item[:2])]

    def related(self) -> list[Subject]:
        """The other subjects that the events name."""
        found = {other: None for event in self.events for other in event.subjects()}
        return [subject for subject in found if subject != self.subject]

    def never_started(self) -> list[str]:
        """The ids of the rules that watch what happened and have no case: their clock never started."""
        kind = self.subject[0]
        types = {event.type for event in self.events}
        having = {case.verdict.rule.id for case in self.cases}
        return [
            fold.id
            for fold in self.rulebook.folds
            if kind in fold.subject_types and fold.listens & types and fold.id not in having
        ]

    def sentence(self, case: JudgedCase) -> Text:
        """Why a case stands as it does: the sentence of its last report, or its times where there is none."""
        verdict, calendar = case.verdict, self.rulebook.calendar
        if verdict.reports:
            found = explain(verdict, verdict.reports[-1], case.subject, calendar)
            return Text(zh=found.zh, en=found.en)
        started = local_time(verdict.started_at, calendar)
        zh, en = [f"{started} 起算"], [f"started {started}"]
        if verdict.limit is not None:
            zh.append(f"时限{limit_zh(verdict.limit)}")
            en.append(f"limit {verdict.limit.text}")
        if verdict.deadline is not None:
            due = local_time(verdict.deadline, calendar)
            zh.append(f"应于 {due} 前完成")
            en.append(f"due {due}")
        elif verdict.pauses and verdict.pauses[-1][1] is None:
            since = local_time(verdict.pauses[-1][0], calendar)
            zh.append(f"自 {since} 起暂停")
            en.append(f"paused since {since}")
        if verdict.stopped_at is not None:
            stopped = local_time(verdict.stopped_at, calendar)
            zh.append(f"{stopped} 完成")
            en.append(f"done {stopped}")
        return Text(zh="，".join(zh), en=", ".join(en))


def outcome_of(case: JudgedCase) -> Text:
    """The outcome of a case in words; a duty without a deadline is kept, not done in time."""
    verdict = case.verdict
    if verdict.outcome == "met" and verdict.deadline is None:
        return Text(zh="符合规定", en="kept")
    return Text(zh=OUTCOMES_ZH[verdict.outcome], en=verdict.outcome.replace("_", " "))


def fields_of(event: Event) -> dict[str, object]:
    """The fields of an event that a time line shows: not where it happened, nor which system sent it."""
    return {name: value for name, value in event.data.items() if name not in ("org", "source")}
