"""The parts that rules of every kind share, as the document for the native engine writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from schemas.limits import (
    BillingCycles,
    BusinessTime,
    CalendarDays,
    Elapsed,
    Limit,
    NaturalMonths,
    SameWorkingDay,
    UntilDate,
    UntilInstant,
    WorkingDays,
)
from schemas.patterns import Condition, Conditions, Pattern
from schemas.rules import CadenceRule, RuleBase
from streams.core.rulebook import Rulebook
from streams.engine.days import NotExpressible, days_of
from streams.engine.texts import case_lines, inside


class Parts:
    """Writes parts of rules; ``types`` are the places of event types, ``watched`` those of fields asked for.

    ``calendars`` are the named calendars that rules count by; the place of the first is 1.
    """

    def __init__(self, types: Sequence[str], rulebook: Rulebook, watched: dict[str, int]) -> None:
        self.types = {name: index for index, name in enumerate(types)}
        self.watched = watched
        self.calendars: list[str] = []
        self._calendar = rulebook.calendar
        self._named = rulebook.calendars

    def span(self, rule: RuleBase) -> dict[str, Any]:
        """From when (inclusive) to when (exclusive) a version is in force."""
        to = rule.effective_to
        return {
            "rule": rule.id,
            "title": (inside(rule.title.zh), inside(rule.title.en)),
            "first": self._calendar.start_of_day(rule.effective_from.toordinal()),
            "last": None if to is None else self._calendar.start_of_day(to.toordinal()),
            "counted_by": self._counted_by(rule),
            "case": case_lines(rule, None),
        }

    def _counted_by(self, rule: RuleBase) -> dict[str, Any]:
        choice = rule.counted_by if isinstance(rule, CadenceRule) else getattr(rule, "calendar", None)
        if choice is None:
            return {"calendar": 0}
        if isinstance(choice, str):
            return {"calendar": self._place_of(choice)}
        name, _, member = choice.by.partition(".")
        if member and name != "org":
            raise NotExpressible
        of = {value: self._place_of(named) for value, named in choice.of.items()}
        otherwise = self._place_of(choice.otherwise)
        return {"org": [member, of, otherwise]} if member else {"field": [self.field(name), of, otherwise]}

    def _place_of(self, name: str) -> int:
        if self._named[name].hours is None:
            raise NotExpressible
        days_of(self._named[name])
        if name not in self.calendars:
            self.calendars.append(name)
        return self.calendars.index(name) + 1

    def known(self, types: Iterable[str]) -> list[int]:
        """The places of those event types that the native engine reads."""
        return sorted(self.types[name] for name in types if name in self.types)

    def type(self, name: str | None) -> int | None:
        """The place of an event type.

        Raises:
            NotExpressible: where the native engine does not read it.
        """
        if name is None:
            return None
        if name not in self.types:
            raise NotExpressible
        return self.types[name]

    def field(self, name: str) -> int:
        """The place of a field among those that are watched."""
        if name == "org":
            raise NotExpressible
        return self.watched.setdefault(name, len(self.watched))

    def patterns(self, patterns: Iterable[Pattern]) -> list[dict[str, Any]]:
        """Patterns of events."""
        found = []
        for pattern in patterns:
            only(pattern, _PATTERN_FIELDS)
            found.append(
                {
                    "type": self.type(pattern.type),
                    "where": self.conditions(pattern.where),
                    "if_start": self.conditions(pattern.if_start),
                }
            )
        return found

    def conditions(self, conditions: Conditions) -> list[dict[str, Any]]:
        """Conditions over fields."""
        return [{"field": self.field(name), "test": _test(condition)} for name, condition in conditions.items()]

    def limit(self, limit: Limit) -> Any:
        """A limit."""
        match limit:
            case UntilInstant():
                return "until_instant"
            case UntilDate():
                return {"until_field": self.field(limit.field)}
            case BusinessTime():
                return {"business_time": limit.microseconds}
            case Elapsed():
                return {"elapsed": limit.microseconds}
            case WorkingDays() if type(limit) is WorkingDays:
                return {"working_days": limit.days}
            case CalendarDays() if type(limit) is CalendarDays:
                return {"calendar_days": limit.days}
            case NaturalMonths():
                return {"months": limit.months}
            case BillingCycles():
                return {"billing_cycles": limit.cycles}
            case SameWorkingDay():
                return "same_working_day"
            case _:
                raise NotExpressible


def _test(condition: Condition) -> dict[str, Any]:
    only(condition, _CONDITION_FIELDS)
    if condition.one_of is not None:
        return {"one_of": list(condition.one_of)}
    if condition.none_of is not None:
        return {"none_of": list(condition.none_of)}
    if condition.present is not None:
        return {"present": condition.present}
    return {"range": [condition.at_least, condition.at_most]}


_BASE_FIELDS: Final = frozenset(RuleBase.model_fields)
_PATTERN_FIELDS: Final = frozenset({"type", "where", "if_start"})
_CONDITION_FIELDS: Final = frozenset({"one_of", "none_of", "present", "at_least", "at_most"})


def only(model: Any, known: frozenset[str]) -> None:
    """Nothing is set that is not known here.

    Raises:
        NotExpressible: where a field that is new to this module has another value than its default.
    """
    fields: Mapping[str, Any] = type(model).model_fields
    for name in fields.keys() - known - _BASE_FIELDS:
        if getattr(model, name) != fields[name].get_default(call_default_factory=True):
            raise NotExpressible
