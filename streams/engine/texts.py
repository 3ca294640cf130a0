"""Texts of the document: lines of alerts and halves of sentences with places for what differs between two alerts.

They are made by the code that makes every alert, from values that stand for the places.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, cast

from schemas.base import Text
from schemas.limits import Elapsed, Limit
from schemas.rules import RuleBase
from streams.core.alerts import report_alert
from streams.core.event import Event
from streams.core.explanations import Explanation, duration, explain
from streams.core.faults import Fault, arithmetic_of
from streams.core.verdicts import AlertKind, Report, Verdict
from streams.core.working_days import WorkingCalendar
from streams.wire.cloudevents import CloudEvents, encode

# Instants that stand for those of an alert, by the name of their place.
_STARTED, _DUE, _STOPPED, _DETECTED, BY, RECORDED, AT = 10_000, 20_000, 20_777, 40_000, 50_000, 60_000, 70_000
_PLACES: Final = {
    _STARTED: "started", _DUE: "due", _STOPPED: "stopped", _DETECTED: "detected", BY: "by", RECORDED: "recorded",
    AT: "at",
}  # fmt: skip
_ELAPSED: Final = 987_654_321_000_000
_ORG: Final = "province"


class _Places(WorkingCalendar):
    """Writes the place of an instant instead of the instant."""

    def local_text(self, instant: int) -> str:
        return f"⟦{_PLACES[instant]}⟧+00:00"

    def occurs_twice(self, instant: int) -> bool:
        return False


_PLACES_CALENDAR: Final = _Places()


def fault_texts(fault: Fault, key: str | None = None) -> dict[str, str]:
    """Half a sentence with its places; ``key`` where the fault's own holds an instant."""
    text = fault.text(_PLACES_CALENDAR)
    written = {"text": {"zh": text.zh, "en": text.en}, **arithmetic_of(fault, _PLACES_CALENDAR)}
    found = {
        "key": fault.key if key is None else key,
        "zh": inside(text.zh),
        "en": inside(text.en),
        "json": encode(written).decode(),
    }
    # In places of two words: the one by which something had to be recorded.
    return {name: value.replace("⟦by⟧", "⟦recorded by⟧") for name, value in found.items()} if key else found


def lines_of(
    rule: RuleBase, limit: Limit | None, kind: AlertKind, cause: str, act: Text | None
) -> dict[str, list[str]]:
    """By subject type, the line of an alert without and with a provisional calendar; ``act`` is the title of an act."""
    return {
        subject: [_line(rule, limit, kind, cause, act, subject, is_provisional) for is_provisional in (0, 1)]
        for subject in rule.subject
    }


def _line(
    rule: RuleBase,
    limit: Limit | None,
    kind: AlertKind,
    cause: str,
    act: Text | None,
    subject: str,
    is_provisional: int,
) -> str:
    anchor = Event("root", "", _STARTED, _STARTED, {"org": {_ORG: "⟦org⟧"}}, "⟦order⟧", "⟦account⟧")
    verdict = Verdict(
        rule=rule,
        root="root",
        anchor=anchor,
        outcome="running",
        started_at=_STARTED,
        deadline=None if act is not None else _DUE,
        stopped_at=_STOPPED if kind == "late_completion" else None,
        ended_at=_DETECTED,
        reports=(),
        limit=limit,
        provisional=bool(is_provisional),
        evidence=("⟦evidence⟧",),
        faults=() if act is None else (cast(Fault, _AnyFaults()),),
        facts={"act": act},
    )
    report = Report(kind, cause, _DETECTED)
    about = (subject, "⟦id⟧")
    # Days and faults are counted for each alert; here only what surrounds them is wanted.
    some = replace(verdict, faults=(), deadline=_DUE, stopped_at=_STOPPED, limit=Elapsed(microseconds=1, text="1 s"))
    alert = replace(
        report_alert(
            some, Report("breach", "", _DETECTED), subject=about, case_id="⟦case⟧", generation=0,
            watermark=_DETECTED, calendar=_PLACES_CALENDAR,
        ),
        alert_id="⟦alert⟧",
        kind=kind,
        deadline=verdict.deadline,
        stopped_at=verdict.stopped_at,
        limit=None if limit is None else limit.text,
        elapsed=_ELAPSED,
        explanation=explain(verdict, report, about, _PLACES_CALENDAR),
        arithmetic={"at": "⟦arithmetic⟧"},
    )  # fmt: skip
    text = encode(CloudEvents(_PLACES_CALENDAR).alert(alert)).decode()
    for written, place in _REPLACED:
        text = text.replace(written, place)
    return text


class _AnyFaults:
    """Stands for all faults of an act."""

    key = ""

    def text(self, calendar: WorkingCalendar) -> Explanation:
        return Explanation("⟦faults zh⟧", "⟦faults en⟧")


_REPLACED: Final = (
    *((f"⟦{name}⟧+00:00", f"⟦{name} full⟧") for name in ("started", "due", "stopped", "detected")),
    ('"⟦order⟧"', "⟦order⟧"),
    ('"⟦account⟧"', "⟦account⟧"),
    (f'{{"{_ORG}":"⟦org⟧"}}', "⟦org⟧"),
    ('"⟦evidence⟧"', "⟦evidence⟧"),
    ('{"at":"⟦arithmetic⟧"}', "⟦arithmetic⟧"),
    (f"PT{_ELAPSED // 1_000_000}S", "⟦elapsed⟧"),
    (duration(_STOPPED - _DUE)[0], "⟦late zh⟧"),
    (duration(_STOPPED - _DUE)[1], "⟦late en⟧"),
)


def inside(text: str) -> str:
    """A text as it stands between the quotation marks of JSON."""
    return encode(text).decode()[1:-1]
