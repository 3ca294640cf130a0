"""What the naive oracles of the kinds about an act share: which acts a rule is about, and what counts for them.

By instants alone, whatever the ids say: what speaks for the person counts as earlier at one and the same instant,
what speaks against as later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Generic, TypeVar

from schemas.calendars import CalendarSpec
from schemas.limits import (
    BillingCycles,
    BusinessTime,
    CalendarDays,
    Elapsed,
    Limit,
    NaturalMonths,
    SameWorkingDay,
    UntilDate,
    WorkingDays,
)
from schemas.patterns import Need
from schemas.rules import ActRule, RuleBase
from tests.oracle.common import (
    Fact,
    Fields,
    Flaw,
    Found,
    all_hold,
    counted_by,
    days_after,
    is_one_of,
    is_worked,
    local_day,
    midnight,
    months_later,
)
from tests.oracle.deadline import open_time_used_up

R = TypeVar("R", bound=ActRule)


@dataclass(frozen=True)
class Act(Generic[R]):
    """An act that a version of the rule is about, with all that happened on the subject."""

    rule: R
    fact: Fact
    root: str
    history: Sequence[Fact]
    calendar: CalendarSpec

    @property
    def at(self) -> datetime:
        return self.fact.at

    @property
    def begun(self) -> Fields:
        """The fields that the case begins with."""
        lent = self.lender
        return {**(lent.fields if lent else {}), **self.fact.fields}

    @property
    def counted_by(self) -> CalendarSpec:
        """The calendar by which its limits are counted."""
        return counted_by(self.rule, self.begun, self.calendar)

    @property
    def lender(self) -> Fact | None:
        return lender(self.rule, self.fact, self.history)

    def counting(self, candidates: Sequence[Fact], by: datetime | None = None) -> list[Fact]:
        """Of what speaks for the act, that which no reset took away; not later than the act, or than ``by``."""
        resets = [fact.at for fact in self.history if is_one_of(self.rule.reset, fact)]
        return [
            fact
            for fact in candidates
            if fact.at <= (by or self.at) and not any(fact.at < reset < self.at for reset in resets)
        ]

    def of(self, patterns: Any, by: datetime | None = None) -> list[Fact]:
        """What counts of the events of some patterns, in order; they may compare with the act."""
        return self.counting([fact for fact in self.history if is_one_of(patterns, fact, self.begun)], by)

    def needs(
        self, needs: Sequence[Need], by: datetime | None = None, start: datetime | None = None
    ) -> tuple[list[Flaw], list[Fact]]:
        """A flaw for each need that is not met, and the latest events that meet them or come near."""
        flaws: list[Flaw] = []
        near: list[Fact] = []
        own = {**self.fact.fields, **{f"{kind}_id": number for kind, number in self.fact.ids.items()}}
        for need in needs:
            there = self.of(need.any, by)
            good = [fact for fact in there if self._will_do(need, fact, start or self.at)]
            near += good[-1:] or there[-1:]
            if not good and all_hold(need.if_act, own):
                flaws.append(("without", frozenset(pattern.type for pattern in need.any), need.same_day))
        return flaws, near

    def _will_do(self, need: Need, fact: Fact, start: datetime) -> bool:
        today = local_day(fact.at, self.calendar) == local_day(self.at, self.calendar)
        return (today or not need.same_day) and (fact.at >= start or not need.after_start)

    def found(self, flaws: Sequence[Flaw], rests_on: Sequence[Fact | None], due: datetime | None = None) -> Found:
        """The case, certain at the instant of the act where nothing else is said."""
        ids = frozenset(fact.event_id for fact in (*rests_on, self.lender, self.fact) if fact is not None)
        reports = (("violation", due or self.at),) if flaws else ()
        return self._case("violated" if flaws else "met", reports, frozenset(flaws), ids)

    def running(self) -> Found:
        return self._case("running")

    def cancelled(self, by: Fact) -> Found:
        return self._case("cancelled", rests_on=frozenset({by.event_id, self.fact.event_id}))

    def _case(
        self,
        outcome: str,
        reports: tuple[tuple[str, datetime], ...] = (),
        flaws: frozenset[Flaw] = frozenset(),
        rests_on: frozenset[str] = frozenset(),
    ) -> Found:
        rule = self.rule
        return Found(rule.id, rule.version, self.root, self.at, None, None, outcome, reports, flaws, rests_on)


def in_force(versions: Sequence[Any], at: datetime, calendar: CalendarSpec) -> Any | None:
    day = local_day(at, calendar)
    found: list[RuleBase] = [
        rule
        for rule in versions
        if rule.effective_from <= day and (rule.effective_to is None or day < rule.effective_to)
    ]
    return found[0] if found else None


def lender(rule: ActRule, act: Fact, history: Sequence[Fact]) -> Fact | None:
    """The latest event that lends its fields."""
    facts = [fact for fact in history if fact.type == rule.facts_from and fact.at <= act.at]
    return facts[-1] if facts else None


def is_about(rule: ActRule, fact: Fact, history: Sequence[Fact]) -> bool:
    if not is_one_of(rule.act, fact):
        return False
    lent = lender(rule, fact, history)
    return all_hold(rule.when, {**(lent.fields if lent else {}), **fact.fields})


def acts(versions: Sequence[R], facts: Sequence[tuple[Fact, str]], calendar: CalendarSpec) -> Iterator[Act[R]]:
    """Every act that is judged, in order."""
    history = [fact for fact, _ in facts]
    for fact, root in facts:
        rule = in_force(versions, fact.at, calendar)
        if rule is not None and is_about(rule, fact, history):
            yield Act(rule, fact, root, history, calendar)


# --- from when on, and until when -----------------------------------------------------------------------


def lawful_from(limit: Limit, since: datetime, calendar: CalendarSpec, reading_day: int | None = None) -> datetime:
    """The first lawful instant; edge decisions 2 to 6."""
    day = local_day(since, calendar)
    match limit:
        case Elapsed():
            return since + timedelta(microseconds=limit.microseconds)
        case BusinessTime():
            opened = open_time_used_up(timedelta(microseconds=limit.microseconds), since, [], calendar)
            assert opened is not None
            return opened
        case CalendarDays():
            return midnight(day + timedelta(days=limit.days), calendar)
        case WorkingDays():
            worked = (later for later in days_after(day) if is_worked(later, calendar))
            return midnight([next(worked) for _ in range(limit.days)][-1], calendar)
        case NaturalMonths():
            return midnight(months_later(day, limit.months), calendar)
        case BillingCycles() if reading_day is None:
            return midnight(months_later(day, limit.cycles), calendar)
        case BillingCycles():
            assert reading_day is not None
            read = (later for later in days_after(day) if later == _reading_day_of(later, reading_day))
            return midnight([next(read) for _ in range(limit.cycles + 1)][-1], calendar)
        case _:
            raise AssertionError(limit)


def named_in(limit: Limit, fields: Fields, calendar: CalendarSpec) -> datetime | date | None:
    """The date or the instant that a field names; years that cannot be meant are none."""
    assert isinstance(limit, UntilDate)
    text = fields.get(limit.field)
    if not isinstance(text, str):
        return None
    found = datetime.fromisoformat(text).astimezone(UTC) if "T" in text else date.fromisoformat(text)
    return found if 1900 <= found.year <= 2999 else None


def named_from(limit: Limit, fields: Fields, calendar: CalendarSpec) -> datetime | None:
    """The first lawful instant that a field names."""
    found = named_in(limit, fields, calendar)
    return found if found is None or isinstance(found, datetime) else midnight(found, calendar)


def _reading_day_of(day: date, reading_day: int) -> date:
    last = max(n for n in range(28, 32) if (day.replace(day=1) + timedelta(days=n - 1)).month == day.month)
    return day.replace(day=min(reading_day, last))


def end_of(limit: Limit, since: datetime, calendar: CalendarSpec) -> datetime:
    """When the limit runs out: elapsed at its instant, days at 24:00 of the last."""
    day = local_day(since, calendar)
    match limit:
        case Elapsed() | BusinessTime():
            return lawful_from(limit, since, calendar)
        case SameWorkingDay():
            while not is_worked(day, calendar):
                day += timedelta(days=1)
            return midnight(day + timedelta(days=1), calendar)
        case _:
            last = local_day(lawful_from(limit, since, calendar), calendar)
            return midnight(last + timedelta(days=1), calendar)
