"""Topic records to the board's values, and the board's views and changes to JSON.

Instants are ISO 8601 in the rulebook's zone. A case: ``case_id``, ``rule``, ``clause``, ``chapter``, ``severity``,
``title``, ``subject``, ``org``, ``started_at``, ``deadline``, ``outcome`` (running or breached), ``limit``,
``paused``, ``calendar_provisional``. An alert: those that apply, ``alert_id``, ``kind`` (breach or violation),
``due_at``, ``detected_at``, ``explanation``, ``state`` (open, completed_late or retracted), ``ending``, ``acks``,
``incomplete`` (it rests on silence in which records were lost, or an event of its subject refused).
Texts are objects with ``zh`` and ``en``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ConfigDict, Field, ValidationError

from schemas.alerts import AlertEvent
from schemas.base import Model, Moment, Text
from streams.core.alerts import Subject
from streams.core.board import MOST, ROW_COUNTS, Acknowledgement, BoardAlert, Change, Row, ShownAlert, View, ids_of
from streams.core.filters import Filter
from streams.core.instants import format_us, instant_us
from streams.core.open_cases import LEVELS, OpenCase, Place, chapter_of, place_of
from streams.core.working_days import WorkingCalendar
from streams.errors import InputError
from streams.live.incomplete import Incompleteness
from streams.wire.cells import is_unicode
from streams.wire.pseudonyms import Pseudonyms

_TEXT_LENGTH: Final = 100
_ID_LENGTH: Final = 200
_LARGEST: Final = {"cases": MOST, "alerts": MOST, "shift": 24}


class Ack(Model):
    """An acknowledgement as written on its topic; unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    alert_id: str = Field(max_length=200)
    action: str = Field(max_length=40)
    by: str = Field(default="", max_length=200)
    at: Moment
    note: str | None = Field(default=None, max_length=4000)
    to: str | None = Field(default=None, max_length=200)
    until: Moment | None = None


def alert_from_bytes(raw: bytes) -> BoardAlert:
    """An alert of the alerts topic.

    Raises:
        InputError: where the record is not an alert.
    """
    try:
        data = AlertEvent.model_validate_json(raw).data
    except ValidationError as error:
        raise InputError("not_an_alert", None, str(error.errors()[0]["msg"])) from error
    return BoardAlert(
        alert_id=data.alert_id,
        case_id=data.case_id,
        kind=data.kind,
        rule=data.rule,
        clause=data.clause,
        severity=data.severity,
        title=data.title,
        subject=(data.subject.type, data.subject.id),
        place=place_of(data.org),
        started_at=instant_us(data.started_at),
        due_at=instant_us(data.due_at),
        detected_at=instant_us(data.detected_at),
        sentence=data.explanation,
        retracts=data.retracts,
        incomplete=data.incomplete,
    )


def ack_from_bytes(raw: bytes) -> tuple[str, Acknowledgement]:
    """The id of the alert that is acknowledged or annotated, and the acknowledgement.

    Raises:
        InputError: where the record is not an acknowledgement.
    """
    try:
        ack = Ack.model_validate_json(raw)
    except ValidationError as error:
        raise InputError("not_an_ack", None, str(error.errors()[0]["msg"])) from error
    until = 0 if ack.until is None else instant_us(ack.until)
    return ack.alert_id, Acknowledgement(instant_us(ack.at), ack.by, ack.action, ack.note or "", ack.to or "", until)


def filter_of(query: Mapping[str, str]) -> Filter:
    """The filter in a query string; empty values and unknown keys are ignored.

    Raises:
        InputError: for a value that is not allowed.
    """
    given: dict[str, Any] = {
        name: query[name]
        for name in (*LEVELS, "rule", "chapter", "severity", "find", "state", "shift", "cases", "alerts")
        if query.get(name)
    }
    for name, value in given.items():
        longest = _ID_LENGTH if name == "find" else _TEXT_LENGTH
        if len(value) > longest:
            raise InputError("bad_query", name, f"is longer than {longest}")
        if "\0" in value or not is_unicode(value):  # no id has them, and PostgreSQL takes neither
            raise InputError("bad_query", name, "has a null character, or bytes that are not UTF-8")
        most = _LARGEST.get(name)
        if most is not None:
            if not (value.isascii() and value.isdigit() and 1 <= int(value) <= most):
                raise InputError("bad_query", name, f"is a whole number from 1 to {most}")
            given[name] = int(value)
    if given.get("severity", "norm") not in ("norm", "red_line"):
        raise InputError("bad_query", "severity", "is norm or red_line")
    if given.get("state", "running") not in ("running", "overdue", "untimed", "beside", "handover"):
        raise InputError("bad_query", "state", "is running, overdue, untimed, beside or handover")
    return Filter(**given)


def text_values(text: Text | None) -> dict[str, str] | None:
    """A text as JSON values."""
    return None if text is None else {"zh": text.zh, "en": text.en}


def _org(place: Place) -> dict[str, str | None]:
    return dict(zip(LEVELS, place, strict=True))


class BoardWire:
    """Writes in the zone of one calendar.

    Open cases come from the workers' state, which holds real numbers: with ``pseudonyms`` they are replaced here.
    Alerts are passed on as the workers wrote them, with pseudonyms where the workers have that setting.
    """

    def __init__(self, calendar: WorkingCalendar, pseudonyms: Pseudonyms | None = None) -> None:
        self._zone = calendar.zone
        self._pseudonyms = pseudonyms

    @property
    def pseudonyms(self) -> Pseudonyms | None:
        """What replaces account and meter numbers."""
        return self._pseudonyms

    def case_id(self, case_id: str) -> str:
        """The id of a case as it is shown."""
        return case_id if self._pseudonyms is None else self._pseudonyms.id(case_id)

    def subject(self, subject: Subject) -> dict[str, str]:
        """A subject as JSON values."""
        kind, number = subject
        return {"type": kind, "id": number if self._pseudonyms is None else self._pseudonyms.number(kind, number)}

    def incompleteness(self, one: Incompleteness) -> dict[str, Any]:
        """A cause for which verdicts may be incomplete, as JSON values."""
        return {
            "cause": one.cause,
            "since": self.time(one.since),
            "source": one.source,
            "subject": None if one.subject is None else self.subject(one.subject),
            "count": one.count,
        }

    def time(self, instant: int | None) -> str | None:
        """An instant in ISO 8601."""
        return None if instant is None else format_us(instant, self._zone)

    def ids_of(self, item: OpenCase | BoardAlert) -> tuple[str, ...]:
        """The ids by which an item may be found: those that are shown."""
        if isinstance(item, BoardAlert):
            return ids_of(item)
        return self.subject(item.subject)["id"], self.case_id(item.case_id)

    def case(self, case: OpenCase) -> dict[str, Any]:
        """A case as JSON values."""
        return {
            "case_id": self.case_id(case.case_id),
            "rule": case.rule,
            "clause": case.clause,
            "chapter": case.chapter,
            "severity": case.severity,
            "title": text_values(case.title),
            "subject": self.subject(case.subject),
            "org": _org(case.place),
            "started_at": self.time(case.started_at),
            "deadline": self.time(case.deadline),
            "outcome": case.outcome,
            "limit": text_values(case.limit),
            "paused": case.paused,
            "calendar_provisional": case.provisional,
        }

    def kept(self, alert: BoardAlert) -> dict[str, Any]:
        """What the board keeps of an alert, as JSON values by the names that they have in the alert itself."""
        return {
            "alert_id": alert.alert_id,
            "case_id": alert.case_id,
            "kind": alert.kind,
            "rule": alert.rule,
            "clause": alert.clause,
            "severity": alert.severity,
            "title": text_values(alert.title),
            "subject": {"type": alert.subject[0], "id": alert.subject[1]},
            "due_at": self.time(alert.due_at),
            "detected_at": self.time(alert.detected_at),
            "explanation": text_values(alert.sentence),
        }

    def alert(self, shown: ShownAlert) -> dict[str, Any]:
        """An alert as JSON values."""
        alert = shown.alert
        return {
            **self.kept(alert),
            "chapter": chapter_of(alert.clause),
            "org": _org(alert.place),
            "state": shown.state,
            "ending": text_values(shown.ending),
            "incomplete": alert.incomplete,
            "acks": [self.ack(ack) for ack in shown.acks],
        }

    def ack(self, ack: Acknowledgement) -> dict[str, Any]:
        """An acknowledgement as JSON values: ``action``, ``by``, ``at``, ``note``, ``to``, ``until``."""
        return {
            "action": ack.action,
            "by": ack.by,
            "at": self.time(ack.at),
            "note": ack.note,
            "to": ack.to or None,
            "until": self.time(ack.until) if ack.until else None,
        }

    def view(self, view: View) -> dict[str, Any]:
        """A whole view: ``cases``, ``alerts``, ``counts``, ``places``, ``rules``, ``choices``, ``cities``."""
        return {
            "cases": [self.case(case) for case in view.cases.values()],
            "alerts": [self.alert(alert) for alert in view.alerts.values()],
            "counts": dict(view.counts),
            "places": _rows(view.places),
            "rules": _rows(view.rules),
            "choices": {level: list(codes) for level, codes in view.choices.items()},
            "cities": _rows(view.cities),
        }

    def change(self, change: Change) -> dict[str, Any]:
        """A change; unchanged parts are left out."""
        found: dict[str, Any] = {}
        if change.cases:
            found["cases"] = [self.case(case) for case in change.cases]
        if change.alerts:
            found["alerts"] = [self.alert(alert) for alert in change.alerts]
        if change.cases_gone:
            found["cases_gone"] = [self.case_id(case_id) for case_id in change.cases_gone]
        if change.alerts_gone:
            found["alerts_gone"] = list(change.alerts_gone)
        if change.counts is not None:
            found["counts"] = dict(change.counts)
        if change.places is not None:
            found["places"] = _rows(change.places)
        if change.rules is not None:
            found["rules"] = _rows(change.rules)
        if change.choices is not None:
            found["choices"] = {level: list(codes) for level, codes in change.choices.items()}
        if change.cities is not None:
            found["cities"] = _rows(change.cities)
        return found


def _rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"code": code, **dict(zip(ROW_COUNTS, row, strict=True))} for code, row in rows]
