"""Texts of the document: lines of alerts and halves of sentences with places for what differs between two alerts.

They are made by the code that makes every alert, from values that stand for the places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final, cast, get_args

from msgspec import structs

from schemas.base import Text
from schemas.limits import DAY, Elapsed, Limit
from schemas.rules import DeadlineRule, RuleBase
from streams.core.alerts import Alert, report_alert, retraction_of
from streams.core.deadlines import Pause, running_time
from streams.core.event import Event
from streams.core.explanations import (
    AND_OTHERS,
    BETWEEN,
    LESS,
    NOT_COUNTED,
    SPAN,
    duration,
    explain,
    how_it_stands,
    left_out,
)
from streams.core.faults import Explanation, Fault, Label, arithmetic_of
from streams.core.opening_hours import OpeningHours
from streams.core.records import JudgedCase
from streams.core.verdicts import AlertKind, Outcome, Report, Verdict
from streams.core.working_days import WorkingCalendar
from streams.wire.cloudevents import CloudEvents, encode

# Instants that stand for those of an alert, by the name of their place.
_STARTED, _DUE, _STOPPED, _DETECTED, BY, RECORDED, AT = 10_000, 20_000, 20_777, 40_000, 50_000, 60_000, 70_000
_REPORTED, SINCE, LAWFUL, _AS_OF = 80_000, 90_000, 95_000, 97_000
_PLACES: Final = {
    _STARTED: "started", _DUE: "due", _STOPPED: "stopped", _DETECTED: "detected", BY: "by", RECORDED: "recorded",
    AT: "at", _REPORTED: "reported", SINCE: "since", LAWFUL: "lawful", _AS_OF: "as of",
}  # fmt: skip
_ELAPSED, _PAUSED = 987_654_321_000_000, 123_456_789_000_000
_PAUSES: Final = ((11_000, 15_321), (DAY, 2 * DAY))
"""Within an elapsed limit a piece, and of a day limit a whole day that would have counted."""
_ORG: Final = "province"
_ANCHOR: Final = Event("root", "", _STARTED, _STARTED, {"org": {_ORG: "⟦org⟧"}}, "⟦order⟧", "⟦account⟧")


class _Places(WorkingCalendar):
    """Writes the place of an instant instead of the instant."""

    def local_text(self, instant: int) -> str:
        return f"⟦{_PLACES[instant]}⟧+00:00"

    def occurs_twice(self, instant: int) -> bool:
        return False


class _AlwaysOpen(OpeningHours):
    """Counts open time as any other; it has no table, which nothing here asks for."""

    def __init__(self) -> None:
        pass

    def open_time(self, start: int, end: int, pauses: Sequence[Pause] = ()) -> int:
        return running_time(start, end, pauses)[0]


_PLACES_CALENDAR: Final = _Places(hours=_AlwaysOpen())


def fault_texts(fault: Fault, key: str | None = None, **replaced: str) -> dict[str, str]:
    """Half a sentence with its places; ``key`` where the fault's own holds an instant.

    ``replaced`` are places by the text that stands for them.
    """
    text = fault.text(_PLACES_CALENDAR)
    written = {"text": {"zh": text.zh, "en": text.en}, **arithmetic_of(fault, _PLACES_CALENDAR)}
    found = {
        "key": fault.key if key is None else key,
        "zh": inside(text.zh),
        "en": inside(text.en),
        "json": encode(written).decode(),
    }
    for place, standing in replaced.items():
        found = {name: value.replace(standing, f"⟦{place.replace('_', ' ')}⟧") for name, value in found.items()}
    return found


Lines = dict[str, dict[str, list[str]]]


def lines_of(rule: RuleBase, limit: Limit | None, kind: AlertKind, cause: str, act: Text | None) -> Lines:
    """By subject type, the lines of an alert and of its retraction, each without and with a provisional calendar.

    ``act`` is the title of an act.
    """
    return {
        subject: {
            "report": [_written(_alert(rule, limit, kind, cause, act, subject, number)) for number in (0, 1)],
            "retraction": [
                _written(_withdrawn(_alert(rule, limit, kind, cause, act, subject, number))) for number in (0, 1)
            ],
        }
        for subject in rule.subject
    }


def line_of(
    rule: RuleBase,
    limit: Limit | None,
    kind: AlertKind,
    cause: str,
    act: Text | Label | None,
    variant: tuple[str, bool],
) -> str:
    """The line of an alert on a subject of that type, with a provisional calendar or not (``variant``)."""
    subject, is_provisional = variant
    return _written(_alert(rule, limit, kind, cause, act, subject, is_provisional))


def case_lines(rule: RuleBase, limit: Limit | None) -> dict[str, str]:
    """By subject type, the line of a case."""
    return {subject: case_line(rule, limit, subject) for subject in rule.subject}


def case_line(rule: RuleBase, limit: Limit | None, subject: str) -> str:
    """The line of a case of a subject of that type."""
    verdict = Verdict(
        rule=rule,
        root="root",
        anchor=_ANCHOR,
        outcome=cast(Outcome, "⟦outcome⟧"),
        started_at=_STARTED,
        deadline=_DUE,
        stopped_at=_STOPPED,
        ended_at=_STARTED,
        reports=(),
        evidence=("⟦evidence⟧",),
    )
    event = CloudEvents(_PLACES_CALENDAR).case(JudgedCase("⟦case⟧", (subject, "⟦id⟧"), verdict), _AS_OF)
    event["data"] |= {
        "limit": None if limit is None else limit.text,
        "elapsed": "⟦elapsed⟧",
        "paused": "⟦paused⟧",
        "arithmetic": {"at": "⟦arithmetic⟧"},
        "calendar_provisional": "⟦provisional⟧",
    }
    text = encode(event).decode()
    for written, place in (
        ('"⟦due⟧+00:00"', "⟦deadline⟧"),
        ("⟦as of⟧+00:00", "⟦as of⟧"),
        ('"⟦provisional⟧"', "⟦provisional⟧"),
        *_REPLACED,
    ):
        text = text.replace(written, place)
    return text


_FOLLOWED: Final = SimpleNamespace(id="after", title=Text(zh="⟦after zh⟧", en="⟦after en⟧"))
"""Stands for the rule whose breach started a case."""


def _alert(
    rule: RuleBase,
    limit: Limit | None,
    kind: AlertKind,
    cause: str,
    act: Text | Label | None,
    subject: str,
    is_provisional: int,
) -> Alert:
    facts: dict[str, Any] = {"act": act}
    if isinstance(rule, DeadlineRule) and rule.start.alert is not None:
        facts["after"] = _FOLLOWED
    verdict = Verdict(
        rule=rule,
        root="root",
        anchor=_ANCHOR,
        outcome="running",
        started_at=_STARTED,
        deadline=None if act is not None else _DUE,
        stopped_at=_STOPPED if kind == "late_completion" else None,
        ended_at=_DETECTED,
        reports=(),
        limit=limit,
        pauses=_PAUSES if act is None else (),
        provisional=bool(is_provisional),
        evidence=("⟦evidence⟧",),
        faults=() if act is None else (cast(Fault, _AnyFaults()),),
        facts=facts,
    )
    report = Report(kind, cause, _REPORTED)
    about = (subject, "⟦id⟧")
    # Days and faults are counted for each alert; here only what surrounds them is wanted.
    limited = Elapsed(microseconds=1, text="1 s")
    some = structs.replace(verdict, faults=(), pauses=(), deadline=_DUE, stopped_at=_STOPPED, limit=limited)
    said = explain(verdict, report, about, _PLACES_CALENDAR)
    without = None if act is not None else left_out(verdict, _PLACES_CALENDAR)
    if without is not None:
        said = Explanation(said.zh.replace(without.zh, "⟦left out zh⟧"), said.en.replace(without.en, "⟦left out en⟧"))
    return replace(
        report_alert(
            some, Report("breach", "", _REPORTED), subject=about, case_id="⟦case⟧", generation=0,
            watermark=_DETECTED, calendar=_PLACES_CALENDAR,
        ),
        alert_id="⟦alert⟧",
        kind=kind,
        deadline=verdict.deadline,
        stopped_at=_STOPPED,
        limit=None if limit is None else limit.text,
        elapsed=_ELAPSED,
        paused=_PAUSED,
        explanation=said,
        arithmetic={"at": "⟦arithmetic⟧"},
    )  # fmt: skip


def _withdrawn(alert: Alert) -> Alert:
    found, ending = retraction_of(alert, None, _DETECTED, _PLACES_CALENDAR), how_it_stands(None, _PLACES_CALENDAR)
    said = found.explanation
    said = Explanation(said.zh.removesuffix(ending.zh) + "⟦now zh⟧", said.en.removesuffix(ending.en) + "⟦now en⟧")
    return replace(found, alert_id="⟦alert⟧", retracts="⟦retracts⟧", stopped_at=_STOPPED, explanation=said)


def _written(alert: Alert) -> str:
    text = encode(CloudEvents(_PLACES_CALENDAR).alert(alert)).decode()
    for written, place in _REPLACED:
        text = text.replace(written, place)
    return text


def ways_to_stand() -> dict[str, tuple[str, str]]:
    """How a case may stand now: by outcome, whether it is due, paused or neither, and whether it is stopped."""
    event, no_rule = Event("root", "", _STARTED, _STARTED, {}), cast(RuleBase, None)
    found: dict[str, tuple[str, str]] = {}
    for outcome in cast(tuple[Outcome, ...], get_args(Outcome)):
        for due, deadline, pauses in (("due", _DUE, ()), ("paused", None, _PAUSES), ("neither", None, ())):
            for stopped, stopped_at in (("open", None), ("stopped", _STOPPED)):
                now = Verdict(no_rule, "", event, outcome, _STARTED, deadline, stopped_at, 0, (), pauses=pauses)
                found[f"{outcome} {due} {stopped}"] = inside_of(how_it_stands(now, _PLACES_CALENDAR))
    return found


def inside_of(said: Explanation) -> tuple[str, str]:
    """A phrase in both languages as it stands in JSON."""
    return inside(said.zh), inside(said.en)


def phrases() -> dict[str, Any]:
    """Parts of sentences."""
    return {
        "less": inside_of(LESS),
        "not_counted": inside_of(NOT_COUNTED),
        "span": inside_of(SPAN),
        "between": inside_of(BETWEEN),
        "and_others": inside_of(AND_OTHERS),
        "now": ways_to_stand(),
        "never_started": inside_of(how_it_stands(None, _PLACES_CALENDAR)),
    }


class _AnyFaults:
    """Stands for all faults of an act."""

    key = ""

    def text(self, calendar: WorkingCalendar) -> Explanation:
        return Explanation("⟦faults zh⟧", "⟦faults en⟧")


_REPLACED: Final = (
    ('"⟦stopped⟧+00:00"', "⟦stopped full⟧"),
    ('"⟦retracts⟧"', "⟦retracts⟧"),
    *((f"⟦{name}⟧+00:00", f"⟦{name} full⟧") for name in ("started", "due", "reported", "detected")),
    ('"⟦order⟧"', "⟦order⟧"),
    ('"⟦account⟧"', "⟦account⟧"),
    (f'{{"{_ORG}":"⟦org⟧"}}', "⟦org⟧"),
    ('"⟦evidence⟧"', "⟦evidence⟧"),
    ('{"at":"⟦arithmetic⟧"}', "⟦arithmetic⟧"),
    (f"PT{_ELAPSED // 1_000_000}S", "⟦elapsed⟧"),
    (f"PT{_PAUSED // 1_000_000}S", "⟦paused⟧"),
    (duration(_STOPPED - _DUE)[0], "⟦late zh⟧"),
    (duration(_STOPPED - _DUE)[1], "⟦late en⟧"),
)


def inside(text: str) -> str:
    """A text as it stands between the quotation marks of JSON."""
    return encode(text).decode()[1:-1]
