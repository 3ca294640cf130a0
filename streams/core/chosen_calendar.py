"""The calendar by which a case is counted: the rulebook's own, one named by the rule, or one chosen by a field."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.rules import CalendarChoice
from streams.core.conditions import Fields
from streams.core.working_days import WorkingCalendar

Calendars = Mapping[str, WorkingCalendar]
"""The calendars of a rulebook by name."""


class ChosenCalendar:
    """The calendar of a rule's cases; ``default`` where the rule names none."""

    __slots__ = ("_choice", "_default", "_named")

    def __init__(self, choice: CalendarChoice | None, default: WorkingCalendar, named: Calendars) -> None:
        self._choice = choice
        self._default = default
        self._named = named

    def of(self, fields: Fields) -> WorkingCalendar:
        """The calendar of a case that starts with these fields."""
        choice = self._choice
        if choice is None:
            return self._default
        if isinstance(choice, str):
            return self._named[choice]
        name, _, member = choice.by.partition(".")
        value = fields.get(name)
        if member:
            value = value.get(member) if isinstance(value, Mapping) else None
        return self._named[choice.of.get(value, choice.otherwise) if isinstance(value, str) else choice.otherwise]
