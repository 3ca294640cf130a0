"""What every naive oracle needs, written from CLOCKS.md and DESIGN.md alone: no code of the engine is used here.

Everything is kept in plain lists of ``Fact`` and worked out from the beginning at every question. Instants are
aware datetimes in UTC, days are ``date``, lengths ``timedelta``. Slow on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from schemas.calendars import WEEKDAYS, CalendarSpec
from schemas.patterns import Condition, Conditions, Pattern
from schemas.rules import CalendarByField, Rule, RuleBase

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Fact:
    """An event as the oracle sees it. ``ids`` maps subject types to ids; ``root`` is what it stands for."""

    event_id: str
    type: str
    at: datetime
    recorded: datetime
    fields: dict[str, Any] = field(default_factory=dict, hash=False)
    ids: dict[str, str] = field(default_factory=dict, hash=False)
    corrects: str | None = None
    void: bool = False
    entered: datetime | None = None
    """When it was first entered, where that is not ``recorded``: a correction is as old as what it corrects."""
    version: int | None = None
    """Of facts with one id the one with the highest version is the fact; a void one is none."""

    @property
    def place(self) -> tuple[datetime, datetime, str]:
        return self.at, self.recorded, self.event_id


Flaw = tuple[Any, ...]
"""What is wrong with an act: a word, and the instants or counts that it rests on."""


@dataclass(frozen=True)
class Found:
    """One case as of an instant; ``reports`` are ``(kind, instant it is about)``, warnings left out.

    ``flaws`` and ``rests_on`` (ids of events) are those of acts, and empty where a case is no act or still runs.
    ``began`` is the fact that a case with a deadline started with; a follow-up asks for its fields.
    """

    rule: str
    version: str
    root: str
    started_at: datetime
    deadline: datetime | None
    stopped_at: datetime | None
    outcome: str
    reports: tuple[tuple[str, datetime], ...] = ()
    flaws: frozenset[Flaw] = frozenset()
    rests_on: frozenset[str] = frozenset()
    began: Fact | None = field(default=None, compare=False, repr=False)


# --- corrections (edge decision 11) ---------------------------------------------------------------------

LONGEST_CHAIN = 60


def beginning(fact: Fact, facts: Sequence[Fact]) -> str | None:
    """The id that a chain of corrections goes back to; ``None`` for a plain event, a circle, an absurd chain."""
    passed = [fact.event_id]
    here: Fact | None = fact
    while here is not None and here.corrects is not None:
        if here.corrects in passed or len(passed) > LONGEST_CHAIN:
            return None
        passed.append(here.corrects)
        here = next((other for other in facts if other.event_id == passed[-1]), None)
    return passed[-1] if len(passed) > 1 else None


def latest(facts: Sequence[Fact]) -> list[Fact]:
    """Of the facts with one id the highest version, entered when the first of them was."""
    found = []
    for fact in facts:
        rivals = [other for other in facts if other.event_id == fact.event_id and other.version is not None]
        if fact.version is None or fact.version == max(other.version or 0 for other in rivals):
            first = min((other.recorded for other in rivals), default=fact.recorded)
            found.append(fact if first >= fact.recorded else replace(fact, entered=first))
    return found


def as_it_was(facts: Sequence[Fact]) -> list[tuple[Fact, str]]:
    """The history as if corrections had always been so, in order, each fact with the id it stands for."""
    facts = latest(facts)
    if not any(fact.corrects for fact in facts):
        happened = [fact for fact in facts if not fact.void]
        return sorted(((fact, fact.event_id) for fact in happened), key=lambda pair: pair[0].place)
    roots = {fact.event_id: beginning(fact, facts) for fact in facts}

    def said_of(fact: Fact) -> list[Fact]:
        return [other for other in facts if other.corrects == fact.event_id and roots[other.event_id] is not None]

    def was_so(fact: Fact) -> bool:
        return not any(other.void and was_so(other) for other in said_of(fact))

    def is_last_word(fact: Fact) -> bool:
        return was_so(fact) and not any(was_so(other) for other in said_of(fact))

    kept = []
    for place in {roots[fact.event_id] or fact.event_id for fact in facts}:
        words = [
            fact
            for fact in facts
            if (roots[fact.event_id] or fact.event_id) == place
            and is_last_word(fact)
            # taking back a correction says nothing new of the event itself
            and not (fact.void and roots[fact.event_id] is not None and fact.corrects != place)
        ]
        if words:
            last = sorted(words, key=lambda fact: (fact.recorded, fact.event_id))[-1]
            if not last.void:  # a void is never something that happened, in a circle neither
                kept.append((_entered_when_first_told(last, place, facts), place))
    return sorted(kept, key=lambda pair: pair[0].place)


def _entered_when_first_told(last: Fact, place: str, facts: Sequence[Fact]) -> Fact:
    if last.corrects is None:
        return last
    first = next((fact for fact in facts if fact.event_id == place), None)
    return replace(last, entered=last.at if first is None else min(first.entered or first.recorded, last.recorded))


def subject_of(rule: Rule, fact: Fact) -> tuple[str, str] | None:
    """The first of the rule's subject types for which the fact has an id."""
    return next(((kind, fact.ids[kind]) for kind in rule.subject if kind in fact.ids), None)


# --- conditions -----------------------------------------------------------------------------------------


def _same(left: object, right: object) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def holds(condition: Condition, value: object) -> bool:
    if condition.one_of is not None:
        return any(_same(value, wanted) for wanted in condition.one_of)
    if condition.none_of is not None:
        return not any(_same(value, unwanted) for unwanted in condition.none_of)
    if condition.present is not None:
        return condition.present == (value not in (None, "", []))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high = condition.at_least, condition.at_most
    return (low is None or low <= value) and (high is None or value <= high)


def all_hold(conditions: Conditions, fields: Fields, start: Fields | None = None) -> bool:
    """Whether all hold; ``start`` are the fields that the case began with, where they are not these themselves."""
    begun = fields if start is None else start
    return all(
        holds(condition, fields.get(name))
        if not (condition.same_as or condition.less_than or condition.more_than)
        else compares(condition, fields.get(name), begun)
        for name, condition in conditions.items()
    )


def compares(condition: Condition, mine: object, start: Fields) -> bool:
    """Both as numbers, else both as dates or instants; what is asked to be the same may be so as it is written."""
    wanted = condition.same_as or condition.less_than or condition.more_than
    assert wanted is not None
    theirs = start.get(wanted.split(".")[1])
    if mine is None or theirs is None or isinstance(mine, bool) != isinstance(theirs, bool):
        return False
    pairs = [(as_number(mine), as_number(theirs)), (as_day(mine), as_day(theirs)), (as_moment(mine), as_moment(theirs))]
    pair: Any = next(((a, b) for a, b in pairs if a is not None and b is not None), None)
    if condition.same_as is not None:
        whole = all(
            isinstance(one, str) and "." not in one and "T" not in one and "-" not in one for one in (mine, theirs)
        )
        return mine == theirs or (pair is not None and not whole and bool(pair[0] == pair[1]))
    return pair is not None and bool(pair[0] < pair[1] if condition.less_than else pair[0] > pair[1])


def as_number(value: object) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    try:
        plain = not isinstance(value, str) or set(value) <= set("-.0123456789")
        return Fraction(str(value)) if plain else None
    except ValueError:
        return None


def as_day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None


def as_moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
    except ValueError:
        return None
    return None if found is None or found.tzinfo is None else found


def is_one_of(patterns: Sequence[Pattern], fact: Fact, start: Fields | None = None, *, begun: bool = True) -> bool:
    """Whether some pattern fits the fact, and the fields of the case's start where it asks for them.

    ``begun`` is false before the start: nothing compares with it yet.
    """
    return any(
        pattern.type == fact.type
        and all_hold(pattern.where, fact.fields, {} if start is None or not begun else start)
        and (not pattern.if_start or (start is not None and all_hold(pattern.if_start, start)))
        for pattern in patterns
    )


# --- calendars --------------------------------------------------------------------------------------------


def counted_by(rule: RuleBase, fields: Fields, calendar: CalendarSpec) -> CalendarSpec:
    """The calendar that a rule names or chooses by a field: *office* works as the rulebook does, *daily* every day."""
    choice = getattr(rule, "calendar", None)
    if isinstance(choice, CalendarByField):
        value: Any = fields
        for name in choice.by.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        choice = choice.of[value] if isinstance(value, str) and value in choice.of else choice.otherwise
    return calendar.model_copy(update={"weekend": ()}) if choice == "daily" else calendar


# --- days -----------------------------------------------------------------------------------------------

ONE = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=16)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def local_day(instant: datetime, calendar: CalendarSpec) -> date:
    return instant.astimezone(_zone(calendar.zone)).date()


def midnight(day: date, calendar: CalendarSpec) -> datetime:
    """0:00 of a day, which is 24:00 of the day before."""
    return datetime.combine(day, time.min, tzinfo=_zone(calendar.zone)).astimezone(UTC)


def is_worked(day: date, calendar: CalendarSpec) -> bool:
    """By the lists of the calendar (``source: none`` only), then by the weekday."""
    assert calendar.source == "none"
    if any(day in list(days.dates()) for days in calendar.working_days):
        return True
    if any(day in list(days.dates()) for days in calendar.holidays):
        return False
    return WEEKDAYS[day.weekday()] not in calendar.weekend


def months_later(day: date, months: int) -> date:
    """The same day of a later month, or that month's last day."""
    month = day.replace(day=1)
    for _ in range(months):
        month = (month + timedelta(days=32)).replace(day=1)
    last = max(n for n in range(28, 32) if (month + timedelta(days=n - 1)).month == month.month)
    return month.replace(day=min(day.day, last))


def days_after(day: date) -> Iterator[date]:
    while True:
        day += ONE
        yield day
