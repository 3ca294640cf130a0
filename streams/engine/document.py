"""The compiled rulebook as one JSON document for the native engine; its schema is in ``streams/native/README.md``.

What a verdict is stays in ``streams.core``: here its rules, tables and texts are only written down. The lines of
alerts are made by the code that makes every alert, from values that stand for what differs between two alerts of a
rule. A rule that the document cannot express has no body; its subjects are judged by Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, Literal, cast, get_args, get_origin

import msgspec

from schemas.base import Text
from schemas.events import EventCatalogue
from schemas.fields import Amount, Code, Codes, Count, Day, Flag, Id, Instant, Number, ReadingDay
from schemas.limits import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    CalendarDays,
    Elapsed,
    Limit,
    SameWorkingDay,
    UntilDate,
    UntilInstant,
    WorkingDays,
)
from schemas.patterns import Condition, Conditions, LimitChoice, Need, Pattern
from schemas.rules import (
    ActRule,
    DeadlineRule,
    EvidenceRule,
    PrerequisiteRule,
    RecordingDelayRule,
    Rule,
    RuleBase,
    SequenceRule,
)
from streams.core.event import SUBJECT_TYPES
from streams.core.explanations import duration
from streams.core.faults import Backwards, Label, Lacks, RecordedLate, Without
from streams.core.follow_ups import followed_by
from streams.core.kinds.evidence import alternative_text
from streams.core.kinds.patterns import title_of
from streams.core.rulebook import Rulebook
from streams.core.verdicts import AlertKind
from streams.core.working_days import TABLE_DAYS
from streams.engine.texts import AT, BY, RECORDED, fault_texts, inside, lines_of
from streams.wire.plain_events import NOT_DATA, PlainEvents

VERSION: Final = 1

_KINDS: Final[tuple[tuple[Any, str], ...]] = (
    (Code, "code"), (Id, "id"), (Flag, "flag"), (Count, "count"), (ReadingDay, "day_of_month"), (Number, "number"),
    (Amount, "amount"), (Day, "date"), (Instant, "instant"), (Codes, "codes"),
)  # fmt: skip

_ENVELOPE: Final = frozenset(
    {"event_id", "event_type", "occurred_at", "recorded_at", "corrects", "void", "version", "snapshot", "personal"}
) | {f"{kind}_id" for kind in SUBJECT_TYPES}


class NotExpressible(Exception):
    """The document has no form for this part of a rule."""


class Document:
    """Writes the document of one rulebook and catalogue: ``encoded``."""

    def __init__(self, rulebook: Rulebook, catalogue: EventCatalogue) -> None:
        self._rulebook = rulebook
        self._calendar = rulebook.calendar
        self._catalogue = catalogue
        # Members of the envelope that are new to the native engine leave all events to Python.
        known = PlainEvents(catalogue).types if NOT_DATA <= _ENVELOPE else frozenset()
        concerned = {name: self._concerned(name) for name in catalogue.types}
        self._types = {name: index for index, name in enumerate(sorted(known))}
        self._watched: dict[str, int] = {}
        folds = [self._fold(index) for index in range(len(rulebook.folds))]
        self.encoded = msgspec.json.encode(
            {
                "version": VERSION,
                "types": [
                    {
                        "name": name,
                        "fields": self._fields(name),
                        "subjects": concerned[name],
                        "fans_out": SUBJECT_TYPES.index("meter") in concerned[name],
                    }
                    for name in self._types
                ],
                "watched": list(self._watched),
                "calendar": self._days(),
                "folds": folds,
                "durations": self._durations(),
            }
        )

    # -- tables ----------------------------------------------------------------------------------------

    def _concerned(self, event_type: str) -> list[int]:
        return [index for index, kind in enumerate(SUBJECT_TYPES) if len(self._rulebook.routes(kind)(event_type)) > 0]

    def _fields(self, event_type: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in self._catalogue.models[event_type].model_fields.items():
            if name in NOT_DATA or name == "org":
                continue
            kind = get_args(field.annotation)[0]
            if get_origin(kind) is Literal:
                found[name] = {"words": list(get_args(kind))}
            else:
                found[name] = next(text for known, text in _KINDS if known == kind)
        return found

    def _days(self) -> dict[str, Any]:
        calendar = self._calendar
        days = TABLE_DAYS
        names = {day: calendar.day_name(day) for day in days}
        settled_at, settled_day, offset = calendar.settled
        return {
            "first": TABLE_DAYS[0],
            "works": "".join("01"[calendar.is_working_day(day)] for day in days),
            "provisional": "".join("01"[calendar.is_provisional(day)] for day in days),
            "names": {str(day): inside(name) for day, name in names.items() if name is not None},
            "settled_at": settled_at,
            "settled_day": settled_day,
            "offset": offset,
            "suffix": calendar.local_text(max(settled_at, 0))[23:],
        }

    @staticmethod
    def _durations() -> list[tuple[str, str]]:
        lengths = (DAY, HOUR, MINUTE, SECOND, 1000, 1)
        return [(zh[1:], en[2:]) for zh, en in map(duration, lengths)]

    # -- folds -----------------------------------------------------------------------------------------

    def _fold(self, index: int) -> dict[str, Any]:
        fold = self._rulebook.folds[index]
        rules = sorted(
            (rule for rule in self._rulebook.rules if rule.enabled and rule.id == fold.id),
            key=lambda rule: rule.effective_from,
        )
        # What begins or stops with a type that is not plain is never asked for here: such events are Python's.
        stops = {p.type for rule in rules if followed_by(rule) is None for p in getattr(rule, "stop", ())}
        try:
            body = self._body(rules)
        except NotExpressible:
            body = None
        return {
            "id": fold.id,
            "subjects": [SUBJECT_TYPES.index(kind) for kind in fold.subject_types],
            "listens": self._known(fold.listens),
            "begins": self._known(fold.begins),
            "stops": self._known(stops if rules[0].kind in ("deadline", "cadence") else fold.listens - fold.listens),
            "body": body,
        }

    def _known(self, types: Iterable[str]) -> list[int]:
        return sorted(self._types[name] for name in types if name in self._types)

    def _body(self, rules: Sequence[Rule]) -> dict[str, Any]:
        first = rules[0]
        if any("⟦" in text or "⟧" in text for rule in rules for text in (rule.title.zh, rule.title.en, rule.clause)):
            raise NotExpressible
        match first:
            case DeadlineRule():
                return {"deadline": [self._deadline(rule) for rule in cast(Any, rules)]}
            case PrerequisiteRule() | RecordingDelayRule() | EvidenceRule():
                return {"act": [self._act(rule) for rule in cast(Any, rules)]}
            case SequenceRule():
                return {"sequence": [self._sequence(rule) for rule in cast(Any, rules)]}
            case _:
                raise NotExpressible

    def _span(self, rule: RuleBase) -> dict[str, Any]:
        to = rule.effective_to
        return {
            "rule": rule.id,
            "first": self._calendar.start_of_day(rule.effective_from.toordinal()),
            "last": None if to is None else self._calendar.start_of_day(to.toordinal()),
        }

    def _deadline(self, rule: DeadlineRule) -> dict[str, Any]:
        _only(rule, _DEADLINE_FIELDS)
        if followed_by(rule) is not None or (rule.only_while is not None and rule.only_while.each):
            raise NotExpressible
        return {
            **self._span(rule),
            "groups": [self._patterns(group) for group in rule.start.all],
            "since": None if rule.only_while is None else self._patterns(rule.only_while.since),
            "until": [] if rule.only_while is None else self._patterns(rule.only_while.until),
            "stop": self._patterns(rule.stop),
            "pause": self._patterns(rule.pause),
            "resume": self._patterns(rule.resume),
            "cancel": self._patterns(rule.cancel),
            "facts": self._type(rule.facts_from),
            "choices": [self._choice(rule, choice) for choice in rule.limit],
        }

    def _choice(self, rule: DeadlineRule, choice: LimitChoice) -> dict[str, Any]:
        limit = choice.limit
        found = self._timed(rule, choice.when, limit)
        if type(limit) is UntilDate:
            instant = UntilInstant(field=limit.field, text=limit.text)
            found["instant"] = {**self._timed(rule, choice.when, instant), "instant": None}
        else:
            found["instant"] = None
        return found

    def _timed(self, rule: DeadlineRule, when: Conditions, limit: Limit) -> dict[str, Any]:
        def lines(kind: AlertKind, cause: str) -> dict[str, list[str]]:
            return lines_of(rule, limit, kind, cause, None)

        return {
            "when": self._conditions(when),
            "limit": self._limit(limit),
            "breach": lines("breach", ""),
            "late_completion": lines("late_completion", ""),
            "warnings": [
                {
                    "fraction": Fraction(str(fraction)).as_integer_ratio(),
                    "cause": repr(fraction),
                    "lines": lines("warning", repr(fraction)),
                }
                for fraction in rule.warn_at
            ],
        }

    def _act(self, rule: ActRule) -> dict[str, Any]:
        _only(rule, _ACT_FIELDS)
        if any(isinstance(getattr(rule, name, None), UntilDate) for name in ("limit", "at_most")):
            raise NotExpressible
        version = self._version(rule)
        titles = version.titles
        acts = {pattern.type for pattern in rule.act}
        lines = {str(self._type(name)): lines_of(rule, None, "violation", "", title_of(name, titles)) for name in acts}
        body: Any = "prerequisite"
        if isinstance(rule, EvidenceRule):
            lacks = Lacks(tuple(alternative_text(conditions) for conditions in rule.carry))
            body = {
                "evidence": {
                    "by": self._patterns(rule.by),
                    "cancel": self._patterns(rule.cancel),
                    "carry": [self._conditions(conditions) for conditions in rule.carry],
                    "lacks": fault_texts(lacks),
                }
            }
        elif isinstance(rule, RecordingDelayRule):
            late = fault_texts(RecordedLate(RECORDED, BY), key="recorded ⟦number⟧")
            body = {
                "recording_delay": {
                    "choices": [
                        {
                            "when": self._conditions(choice.when),
                            "limit": self._limit(choice.limit),
                            "lines": {
                                str(self._type(name)): lines_of(
                                    rule, choice.limit, "violation", "", title_of(name, titles)
                                )
                                for name in acts
                            },
                        }
                        for choice in rule.limit
                    ],
                    "late": late,
                }
            }
        return {
            **self._span(rule),
            "act": self._patterns(rule.act),
            "reset": self._patterns(rule.reset),
            "facts": self._type(rule.facts_from),
            "when": self._conditions(rule.when),
            "slots": [self._slot(slot.need, slot.label) for slot in version.slots],
            "listens": self._known(version.listens),
            "body": body,
            "lines": lines,
        }

    def _version(self, rule: RuleBase) -> Any:
        """The rule as its fold has compiled it, with the titles of this rulebook."""
        folds = [cast(Any, fold) for fold in self._rulebook.folds if fold.id == rule.id]
        return next(version for fold in folds for version in fold.versions if version.rule is rule)

    def _slot(self, need: Need, label: Label) -> dict[str, Any]:
        _only(need, _NEED_FIELDS)
        if any(f"{kind}_id" in need.if_act for kind in SUBJECT_TYPES):
            raise NotExpressible
        return {
            "tests": self._patterns(need.any),
            "if_act": self._conditions(need.if_act),
            "same_day": need.same_day,
            "after_start": need.after_start,
            "missing": fault_texts(Without(label)),
            "on_day": fault_texts(Without(label, on_day=True)),
            "by_close": fault_texts(Without(label, on_day=need.same_day, by=BY)),
        }

    def _sequence(self, rule: SequenceRule) -> dict[str, Any]:
        _only(rule, _SEQUENCE_FIELDS)
        labels = self._version(rule).labels
        return {
            **self._span(rule),
            "stages": [self._patterns(stage) for stage in rule.stages],
            "faults": [
                [fault_texts(Backwards(label, later, AT)) for later in labels[index + 1 :]]
                for index, label in enumerate(labels)
            ],
            "lines": [lines_of(rule, None, "violation", "", Text(zh=label.zh, en=label.en)) for label in labels],
        }

    # -- parts of rules --------------------------------------------------------------------------------

    def _type(self, name: str | None) -> int | None:
        if name is None:
            return None
        if name not in self._types:
            raise NotExpressible
        return self._types[name]

    def _patterns(self, patterns: Iterable[Pattern]) -> list[dict[str, Any]]:
        found = []
        for pattern in patterns:
            _only(pattern, _PATTERN_FIELDS)
            found.append(
                {
                    "type": self._type(pattern.type),
                    "where": self._conditions(pattern.where),
                    "if_start": self._conditions(pattern.if_start),
                }
            )
        return found

    def _conditions(self, conditions: Conditions) -> list[dict[str, Any]]:
        return [
            {"field": self._watched.setdefault(_plain_name(name), len(self._watched)), "test": _test(condition)}
            for name, condition in conditions.items()
        ]

    def _limit(self, limit: Limit) -> Any:
        match limit:
            case UntilInstant():
                return "until_instant"
            case UntilDate():
                return {"until_field": self._watched.setdefault(_plain_name(limit.field), len(self._watched))}
            case Elapsed():
                return {"elapsed": limit.microseconds}
            case WorkingDays() if type(limit) is WorkingDays:
                return {"working_days": limit.days}
            case CalendarDays() if type(limit) is CalendarDays:
                return {"calendar_days": limit.days}
            case SameWorkingDay():
                return "same_working_day"
            case _:
                raise NotExpressible


def _plain_name(name: str) -> str:
    if name == "org":
        raise NotExpressible
    return name


def _test(condition: Condition) -> dict[str, Any]:
    _only(condition, _CONDITION_FIELDS)
    if condition.one_of is not None:
        return {"one_of": list(condition.one_of)}
    if condition.none_of is not None:
        return {"none_of": list(condition.none_of)}
    if condition.present is not None:
        return {"present": condition.present}
    return {"range": [condition.at_least, condition.at_most]}


_BASE_FIELDS: Final = frozenset(RuleBase.model_fields)
_DEADLINE_FIELDS: Final = frozenset(
    {"kind", "start", "only_while", "stop", "pause", "resume", "cancel", "limit", "warn_at", "facts_from"}
)
_ACT_FIELDS: Final = frozenset(
    {"kind", "act", "reset", "closed_by", "when", "facts_from", "needs", "by", "cancel", "carry", "limit"}
)
_SEQUENCE_FIELDS: Final = frozenset({"kind", "stages", "closed_by"})
_NEED_FIELDS: Final = frozenset({"any", "if_act", "same_day", "after_start"})
_PATTERN_FIELDS: Final = frozenset({"type", "where", "if_start"})
_CONDITION_FIELDS: Final = frozenset({"one_of", "none_of", "present", "at_least", "at_most"})


def _only(model: Any, known: frozenset[str]) -> None:
    """Nothing is set that is not known here.

    Raises:
        NotExpressible: where a field that is new to this module has another value than its default.
    """
    fields: Mapping[str, Any] = type(model).model_fields
    for name in fields.keys() - known - _BASE_FIELDS:
        if getattr(model, name) != fields[name].get_default(call_default_factory=True):
            raise NotExpressible
