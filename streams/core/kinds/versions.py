"""When a version of a rule is in force, and which versions still matter after an instant (``Fold.needed``).

All versions see all events. An event kept because one version needs it could start a case of another again; so a
history is pruned only where one version is left, and only for events since it came into force.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from schemas.rules import RuleBase
from streams.core.event import Event
from streams.core.working_days import WorkingCalendar


class InForce:
    """A version: in force from ``first``, inclusive, to ``last``, exclusive (microseconds; ``None``: for ever)."""

    __slots__ = ("first", "last")

    def __init__(self, rule: RuleBase, calendar: WorkingCalendar) -> None:
        self.first = calendar.start_of_day(rule.effective_from.toordinal())
        self.last = None if rule.effective_to is None else calendar.start_of_day(rule.effective_to.toordinal())

    def is_in_force(self, at: int) -> bool:
        """Whether a case that starts at an instant is judged by this version."""
        return self.first <= at and (self.last is None or at < self.last)


V = TypeVar("V", bound=InForce)


def live_versions(versions: Sequence[V], until: int) -> list[V]:
    """Those that are in force at some instant after ``until``."""
    return [version for version in versions if version.last is None or version.last > until]


def all_since(live: InForce, versions: Sequence[InForce], events: Iterable[Event | None]) -> bool:
    """Whether no other version was in force when any of the events happened."""
    return len(versions) == 1 or all(event is None or event.at >= live.first for event in events)
