"""The compiled rulebook as one JSON document for the native engine; its schema is in ``streams/native/README.md``.

What a verdict is stays in ``streams.core``: here its rules, tables and texts are only written down. The lines of
alerts are made by the code that makes every alert, from values that stand for what differs between two alerts of a
rule. A rule that the document cannot express has no body; its subjects are judged by Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final, Literal, cast, get_args, get_origin

import msgspec

from schemas.base import Text
from schemas.events import CLOSED_WORDS, EventCatalogue
from schemas.fields import Amount, Code, Codes, Count, Day, Flag, Id, Instant, Number, ReadingDay
from schemas.limits import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Limit,
    UntilDate,
    UntilInstant,
)
from schemas.patterns import Conditions, LimitChoice
from schemas.rules import (
    CadenceRule,
    DeadlineRule,
    Rule,
    RuleBase,
    SequenceRule,
)
from streams.core.event import SUBJECT_TYPES
from streams.core.explanations import duration
from streams.core.faults import (
    Backwards,
)
from streams.core.follow_ups import followed_by
from streams.core.rulebook import Rulebook
from streams.core.verdicts import AlertKind
from streams.engine.acts import act
from streams.engine.days import NotExpressible, days_of
from streams.engine.parts import Parts, only
from streams.engine.texts import AT, Lines, case_lines, fault_texts, lines_of, phrases
from streams.wire.plain_events import NOT_DATA, PlainEvents

VERSION: Final = 11

_KINDS: Final[tuple[tuple[Any, str], ...]] = (
    (Code, "code"), (Id, "id"), (Flag, "flag"), (Count, "count"), (ReadingDay, "day_of_month"), (Number, "number"),
    (Amount, "amount"), (Day, "date"), (Instant, "instant"), (Codes, "codes"),
)  # fmt: skip

_ENVELOPE: Final = frozenset(
    {"event_id", "event_type", "occurred_at", "recorded_at", "corrects", "void", "version", "snapshot", "personal"}
) | {f"{kind}_id" for kind in SUBJECT_TYPES}


class Document:
    """Writes the document of one rulebook and catalogue: ``encoded``; ``watched`` are the fields that it asks for.

    ``rival`` is the document of another rulebook by the same catalogue, with whose events this one is to be read: its
    fields come first here.
    """

    def __init__(self, rulebook: Rulebook, catalogue: EventCatalogue, rival: Document | None = None) -> None:
        self._rulebook = rulebook
        self._catalogue = catalogue
        # Members of the envelope that are new to the native engine leave all events to Python.
        known = PlainEvents(catalogue).types if NOT_DATA <= _ENVELOPE else frozenset()
        concerned = {name: self._concerned(name) for name in catalogue.types}
        self.watched: dict[str, int] = {} if rival is None else dict(rival.watched)
        self._parts = Parts(sorted(known), rulebook, self.watched)
        folds = [self._fold(index) for index in range(len(rulebook.folds))]
        self.calendars = [rulebook.calendar, *(rulebook.calendars[name] for name in self._parts.calendars)]
        """The rulebook's own calendar, and those that its rules count by, by their places in the document."""
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
                    for name in self._parts.types
                ],
                "watched": list(self._parts.watched),
                "calendars": [days_of(calendar) for calendar in self.calendars],
                "folds": folds,
                "durations": self._durations(),
                "phrases": phrases(),
                "words": sorted(CLOSED_WORDS),
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

    @staticmethod
    def _durations() -> list[tuple[str, str]]:
        lengths = (DAY, HOUR, MINUTE, SECOND, 1000, 1)
        return [(zh[1:], en[2:]) for zh, en in map(duration, lengths)]

    # -- folds -----------------------------------------------------------------------------------------

    def _fold(self, index: int) -> dict[str, Any]:
        fold = self._rulebook.folds[index]
        rules = self._rulebook.versions[fold.id]
        # What begins or stops with a type that is not plain is never asked for here: such events are Python's.
        stops = {p.type for rule in rules if followed_by(rule) is None for p in getattr(rule, "stop", ())}
        try:
            body = self._body(rules)
        except NotExpressible:
            body = None
        return {
            "id": fold.id,
            "subjects": [SUBJECT_TYPES.index(kind) for kind in fold.subject_types],
            "listens": self._parts.known(fold.listens),
            "begins": self._parts.known(fold.begins),
            "stops": self._parts.known(stops),
            "body": body,
        }

    def _body(self, rules: Sequence[Rule]) -> dict[str, Any]:
        first = rules[0]
        if any("⟦" in text or "⟧" in text for rule in rules for text in (rule.title.zh, rule.title.en, rule.clause)):
            raise NotExpressible
        match first:
            case DeadlineRule() if followed_by(first) is not None:
                return {"follow_up": self._follow_up(cast(Any, rules))}
            case DeadlineRule():
                return self._deadlines(cast(Any, rules))
            case SequenceRule():
                return {"sequence": [self._sequence(rule) for rule in cast(Any, rules)]}
            case CadenceRule():
                return {"cadence": [self._cadence(rule) for rule in cast(Any, rules)]}
            case _:
                return {"act": [act(self._parts, rule, self._version(rule)) for rule in cast(Any, rules)]}

    def _deadlines(self, rules: Sequence[DeadlineRule]) -> dict[str, Any]:
        versions = [self._deadline(rule) for rule in rules]
        conditions = [rule.only_while for rule in rules if rule.only_while is not None]
        each = next((condition.each for condition in conditions if condition.each), None)
        if each is None:
            return {"deadline": versions}
        return {
            "each": {
                "kinds": [SUBJECT_TYPES.index(kind) for kind in each],
                "since": self._parts.patterns(pattern for condition in conditions for pattern in condition.since),
                "until": self._parts.patterns(pattern for condition in conditions for pattern in condition.until),
                "stops": self._parts.known({pattern.type for rule in rules for pattern in rule.stop}),
                "versions": versions,
            }
        }

    def _follow_up(self, rules: Sequence[DeadlineRule]) -> dict[str, Any]:
        followed = followed_by(rules[0])
        base = next(fold for fold in self._rulebook.folds if fold.id == followed)
        own = [(*rule.stop, *rule.cancel, *rule.pause, *rule.resume) for rule in rules]
        return {
            "base": self._body(self._rulebook.versions[base.id]),
            "base_listens": self._parts.known(base.listens),
            "own_listens": self._parts.known({pattern.type for patterns in own for pattern in patterns}),
            "versions": [self._deadline(rule) for rule in rules],
        }

    def _deadline(self, rule: DeadlineRule) -> dict[str, Any]:
        only(rule, _DEADLINE_FIELDS)
        return {
            "span": self._parts.span(rule),
            "groups": [self._parts.patterns(group) for group in rule.start.all],
            "since": None if rule.only_while is None else self._parts.patterns(rule.only_while.since),
            "until": [] if rule.only_while is None else self._parts.patterns(rule.only_while.until),
            "stop": self._parts.patterns(rule.stop),
            "pause": self._parts.patterns(one.model_copy(update={"unless": ()}) for one in rule.pause),
            "unless": self._unless(rule),
            "resume": self._parts.patterns(one.model_copy(update={"ends": ()}) for one in rule.resume),
            "ends": self._ends(rule),
            "cancel": self._parts.patterns(rule.cancel),
            "facts": self._parts.type(rule.facts_from),
            "choices": [self._choice(rule, choice) for choice in rule.limit],
        }

    def _ends(self, rule: DeadlineRule) -> list[Any]:
        """For each way to resume the pauses that it ends, none for all; empty where the rule tells no pauses apart."""
        return [self._parts.patterns(one.ended) for one in rule.resume] if any(one.ends for one in rule.resume) else []

    def _unless(self, rule: DeadlineRule) -> list[list[int | None]]:
        """For each way to pause the types after which it is none; empty where there are none."""
        if not any(one.unless for one in rule.pause):
            return []
        return [[self._parts.type(name) for name in one.unless] for one in rule.pause]

    def _cadence(self, rule: CadenceRule) -> dict[str, Any]:
        only(rule, _CADENCE_FIELDS)
        return {
            "span": self._parts.span(rule),
            "act": self._parts.patterns(rule.act),
            "since": self._parts.patterns(rule.since),
            "until": self._parts.patterns(rule.until),
            "is_monthly": rule.by_months,
            "period": None if rule.period is None else self._parts.field(rule.period),
            "choice": {**self._timed(rule, {}, rule.every), "instant": None},
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

    def _timed(self, rule: DeadlineRule | CadenceRule, when: Conditions, limit: Limit) -> dict[str, Any]:
        def lines(kind: AlertKind, cause: str) -> Lines:
            return lines_of(rule, limit, kind, cause, None)

        return {
            "when": self._parts.conditions(when),
            "limit": self._parts.limit(limit),
            "case": case_lines(rule, limit),
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

    def _version(self, rule: RuleBase) -> Any:
        """The rule as its fold has compiled it, with the titles of this rulebook."""
        folds = [cast(Any, fold) for fold in self._rulebook.folds if fold.id == rule.id]
        return next(version for fold in folds for version in fold.versions if version.rule is rule)

    def _sequence(self, rule: SequenceRule) -> dict[str, Any]:
        only(rule, _SEQUENCE_FIELDS)
        labels = self._version(rule).labels
        return {
            "span": self._parts.span(rule),
            "stages": [self._parts.patterns(stage) for stage in rule.stages],
            "closed_by": self._parts.patterns(rule.closed_by),
            "faults": [
                [fault_texts(Backwards(label, later, AT)) for later in labels[index + 1 :]]
                for index, label in enumerate(labels)
            ],
            "lines": [lines_of(rule, None, "violation", "", Text(zh=label.zh, en=label.en)) for label in labels],
        }


_DEADLINE_FIELDS: Final = frozenset(
    {"kind", "start", "only_while", "stop", "pause", "resume", "cancel", "limit", "warn_at", "facts_from", "calendar"}
)
_CADENCE_FIELDS: Final = frozenset({"kind", "act", "since", "until", "every", "calendar", "period", "warn_at"})
_SEQUENCE_FIELDS: Final = frozenset({"kind", "stages", "closed_by"})
