"""Kind ``deadline``, naively: find a start, look ahead for its end, add up.

Edge decisions 1, 3 and 7 to 11 of CLOCKS.md. A case takes up the events from its start to its end; halves of a
start and standstills that were seen count from the end of the case before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

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
from schemas.patterns import Pattern
from schemas.rules import DeadlineRule
from tests.oracle.common import (
    MICROSECOND,
    ONE,
    Fact,
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

Standstill = tuple[datetime, datetime | None]
MANY_DAYS = 20_000
MANY_THINGS = 2_000


def cases_of(
    versions: Sequence[DeadlineRule], facts: Sequence[tuple[Fact, str]], calendar: CalendarSpec, as_of: datetime
) -> list[Found]:
    each = next((rule.only_while.each for rule in versions if rule.only_while and rule.only_while.each), ())
    if not each:
        return _cases(versions, facts, calendar, as_of)
    found: list[Found] = []
    started: set[str] = set()
    for since, own in _by_thing(versions, facts, each):
        for case in _cases(versions, own, calendar, as_of):
            found.append(replace(case, root=f"{case.root}/{since.event_id}") if case.root in started else case)
        started |= {case.root for case in found if "/" not in case.root}
    return found


def _by_thing(
    versions: Sequence[DeadlineRule], facts: Sequence[tuple[Fact, str]], each: Sequence[str]
) -> list[tuple[Fact, list[tuple[Fact, str]]]]:
    """What is told of each order (or meter) of its own, from the event on by which the condition began to hold for it.

    An end that names some of those at hand is told of these, another end of all at hand.
    """
    things: list[tuple[Fact, list[tuple[Fact, str]]]] = []
    holding: list[int] = []
    for pair in facts:
        fact = pair[0]

        def is_any(name: str, fact: Fact = fact) -> bool:
            return any(
                is_one_of(getattr(rule.only_while, name), fact) for rule in versions if rule.only_while is not None
            )

        begins, ends = is_any("since"), is_any("until")
        stops = any(fact.type == pattern.type for rule in versions for pattern in rule.stop)
        at_hand = [n for n, (_, own) in enumerate(things) if n in holding or _is_running(versions, own)]
        hears = at_hand
        if ends or stops:
            named = [n for n in at_hand if any(fact.ids.get(kind) == things[n][0].ids.get(kind, "") for kind in each)]
            hears = named or at_hand
        elif begins:
            hears = []
        if begins:
            same = [n for n in holding if all(things[n][0].ids.get(kind) == fact.ids.get(kind) for kind in each)]
            idle = [n for n in at_hand if not _is_running(versions, things[n][1])]
            if not same and len(at_hand) >= MANY_THINGS and idle:
                hears = [n for n in hears if n != idle[0]]
                holding.remove(idle[0])
            if not same and (len(at_hand) < MANY_THINGS or idle):
                things.append((fact, []))
                same = [len(things) - 1]
                holding.append(same[0])
            hears = sorted({*hears, *same[:1]})
        for n in hears:
            things[n][1].append(pair)
        if ends:
            holding = [n for n in holding if n not in hears]
    return things


def _is_running(versions: Sequence[DeadlineRule], own: Sequence[tuple[Fact, str]]) -> bool:
    """Whether its last case has not ended: a case that was cancelled after its deadline has, though it is breached."""
    if not own:
        return False
    calendar = CalendarSpec.model_validate({"source": "none"})
    return any(not has_ended for _, has_ended in _cases_and_ends(versions, own, calendar, own[-1][0].at))


def _cases(
    versions: Sequence[DeadlineRule], facts: Sequence[tuple[Fact, str]], calendar: CalendarSpec, as_of: datetime
) -> list[Found]:
    return [case for case, _ in _cases_and_ends(versions, facts, calendar, as_of)]


def _cases_and_ends(
    versions: Sequence[DeadlineRule], facts: Sequence[tuple[Fact, str]], calendar: CalendarSpec, as_of: datetime
) -> list[tuple[Found, bool]]:
    """Each case, and whether an event ended it."""
    history = [fact for fact, _ in facts]
    found: list[tuple[Found, bool]] = []
    used: set[int] = set()
    free, here = 0, 0  # the first event after the last case; the event looked at
    while here < len(history):
        rule = next((rule for rule in versions if _starts(rule, history, free, here, calendar)), None)
        if rule is None:
            here += 1
            continue
        fields = _fields(rule, history, here)
        end = _end(rule, history, here, fields, used)
        still = _standstills(rule, history, free, here, end, fields)
        deadline = deadline_from(rule, fields, history[here].at, still, calendar)
        stopped = None if end is None or not is_one_of(rule.stop, history[end], fields) else history[end].at
        ended = None if end is None else max(history[end].at, history[here].at)
        outcome, reports = verdict(deadline, stopped, ended, as_of)
        root, start = facts[here][1], history[here]
        case = Found(rule.id, rule.version, root, start.at, deadline, stopped, outcome, reports, began=start)
        found.append((case, end is not None))
        if end is None:
            break
        used |= {here, end}
        # What ends a case may start the next one, unless it came before its own start.
        free = here = end if end > here else here + 1
    return found


def _starts(rule: DeadlineRule, history: list[Fact], free: int, here: int, calendar: CalendarSpec) -> bool:
    groups = rule.start.all
    if not any(is_one_of(group, history[here]) for group in groups):
        return False
    if not all(any(is_one_of(group, fact) for fact in history[free : here + 1]) for group in groups):
        return False
    day = local_day(history[here].at, calendar)
    if day < rule.effective_from or (rule.effective_to is not None and day >= rule.effective_to):
        return False
    if rule.only_while is None:
        return True
    since = [at for at in range(here + 1) if is_one_of(rule.only_while.since, history[at])]
    until = [at for at in range(here) if is_one_of(rule.only_while.until, history[at])]
    return bool(since) and (not until or since[-1] > until[-1])


def _fields(rule: DeadlineRule, history: list[Fact], here: int) -> dict[str, Any]:
    lent = [fact.fields for fact in history[: here + 1] if fact.type == rule.facts_from]
    return {**(lent[-1] if lent else {}), **history[here].fields}


def _end(rule: DeadlineRule, history: list[Fact], here: int, fields: dict[str, Any], used: set[int]) -> int | None:
    for at in range(here):
        same_instant = history[at].at == history[here].at
        if same_instant and at not in used and is_one_of(rule.stop, history[at], fields):
            return at
    for at in range(here + 1, len(history)):
        if is_one_of((*rule.stop, *rule.cancel), history[at], fields):
            return at
    return None


def _standstills(
    rule: DeadlineRule, history: list[Fact], free: int, here: int, end: int | None, fields: dict[str, Any]
) -> list[Standstill]:
    start = history[here].at
    since: datetime | None = None
    reasons: dict[str, Fact] = {}
    # The start itself is the last word on whether the clock begins standing still.
    for at, fact in enumerate(history[free : here + 1], free):
        begun = fact is history[here]
        if is_one_of(rule.cancel, fact, fields, begun=begun):
            since, reasons = None, {}
        if is_one_of(_pauses(rule, history[free:at]), fact, fields, begun=begun):
            since, reasons = start, reasons or {fact.type: fact}
        elif is_one_of(rule.resume, fact, fields, begun=begun):
            reasons = _left(rule, reasons, fact, fields, begun=begun)
            since = since if reasons else None
    found: list[Standstill] = []
    for at, fact in enumerate(history[here + 1 : end] if end is None or end > here else (), here + 1):
        if is_one_of(_pauses(rule, history[free:at]), fact, fields):
            since = since or fact.at
            reasons[fact.type] = fact
        elif is_one_of(rule.resume, fact, fields) and since is not None:
            reasons = _left(rule, reasons, fact, fields, begun=True)
            if not reasons:
                found.append((since, fact.at))
                since = None
    if since is not None:
        found.append((since, None if end is None else max(history[end].at, start)))
    return joined([still for still in found if still[0] != still[1]])


def _pauses(rule: DeadlineRule, before: list[Fact]) -> list[Pattern]:
    """The pauses that still are some after these events."""
    came = {fact.type for fact in before}
    return [one for one in rule.pause if not came & set(one.unless)]


def _left(
    rule: DeadlineRule, reasons: dict[str, Fact], fact: Fact, fields: dict[str, Any], *, begun: bool
) -> dict[str, Fact]:
    """The reasons to stand still that a resume leaves: none, where one of its ways names no pauses."""
    ways = [one.ended for one in rule.resume if is_one_of([one], fact, fields, begun=begun)]
    ended = [name for name, pause in reasons.items() if any(not way or is_one_of(way, pause, fields) for way in ways)]
    return {name: pause for name, pause in reasons.items() if name not in ended}


def joined(stills: list[Standstill]) -> list[Standstill]:
    """Resumed and stopped again at the same instant is one standstill."""
    joined: list[Standstill] = []
    for since, until in stills:
        if joined and joined[-1][1] == since:
            since = joined.pop()[0]
        joined.append((since, until))
    return joined


def deadline_from(
    rule: DeadlineRule, fields: dict[str, Any], start: datetime, still: list[Standstill], calendar: CalendarSpec
) -> datetime | None:
    limit: Limit | None = next((choice.limit for choice in rule.limit if all_hold(choice.when, fields)), None)
    if limit is None:
        return None
    calendar = counted_by(rule, fields, calendar)
    if isinstance(limit, Elapsed):
        return _used_up(timedelta(microseconds=limit.microseconds), start, still)
    if isinstance(limit, UntilDate):
        value = fields.get(limit.field)
        if isinstance(value, str) and "T" in value:
            promised = datetime.fromisoformat(value)
            return None if promised < start else promised.astimezone(UTC)
        agreed = date.fromisoformat(value) if isinstance(value, str) else None
        early = agreed is None or agreed < local_day(start, calendar)
        return None if agreed is None or early else midnight(agreed + timedelta(days=1), calendar)
    return runs_out(limit, start, still, calendar)


def runs_out(limit: Limit, start: datetime, still: list[Standstill], calendar: CalendarSpec) -> datetime | None:
    """When a limit that is no agreed date runs out (edge decisions 3, 7, 13)."""
    if isinstance(limit, Elapsed):
        return _used_up(timedelta(microseconds=limit.microseconds), start, still)
    if isinstance(limit, BusinessTime):
        return open_time_used_up(timedelta(microseconds=limit.microseconds), start, still, calendar)
    day = local_day(start, calendar)
    if isinstance(limit, SameWorkingDay):
        return _end_of_working_day(day, still, calendar)
    return _days_used_up(_length(limit, day), day, still, calendar, every_day=not isinstance(limit, WorkingDays))


OPEN = ((time(8, 30), time(12)), (time(13, 30), time(17, 30)))
"""The opening hours of a worked day, by which the drawn rules with business hours count."""


def open_time_used_up(
    length: timedelta, start: datetime, still: list[Standstill], calendar: CalendarSpec
) -> datetime | None:
    """Minute by minute would be too slow: span by span, each cut at the start and at every standstill."""
    left = length
    zone = ZoneInfo(calendar.zone)
    day = local_day(start, calendar)
    for this in (day, *islice(days_after(day), 800)):
        for opens, closes in OPEN if is_worked(this, calendar) else ():
            at = max(datetime.combine(this, opens, zone).astimezone(UTC), start)
            end = datetime.combine(this, closes, zone).astimezone(UTC)
            while at < end:
                until = min([end, *(since for since, _ in still if since > at)])
                pause = next((one for one in still if one[0] <= at and (one[1] is None or at < one[1])), None)
                if pause is not None:
                    if pause[1] is None:
                        return None
                    at = min(pause[1], end)
                elif until - at >= left:
                    return at + left
                else:
                    left -= until - at
                    at = until
        if any(until is None and since <= midnight(this + ONE, calendar) for since, until in still):
            return None
    return None


def _length(limit: Limit, day: date) -> int:
    """Days of a day limit; a month from the 10th to the 10th has as many days as lie between."""
    if isinstance(limit, NaturalMonths):
        return (months_later(day, limit.months) - day).days
    if isinstance(limit, BillingCycles):
        return (months_later(day, limit.cycles) - day).days
    assert isinstance(limit, WorkingDays | CalendarDays)
    return limit.days


def _end_of_working_day(day: date, still: list[Standstill], calendar: CalendarSpec) -> datetime | None:
    for this in (day, *islice(days_after(day), MANY_DAYS)):
        if still and still[-1][1] is None and still[-1][0] <= midnight(this, calendar):
            return None
        ends = midnight(this + timedelta(days=1), calendar)
        if is_worked(this, calendar) and not _stands_still_over(ends, still):
            return ends
    return None


def _stands_still_over(midnight_at: datetime, still: list[Standstill]) -> bool:
    return any(since < midnight_at and (until is None or until > midnight_at) for since, until in still)


def warned_at(
    limit: Limit,
    start: datetime,
    still: list[Standstill],
    deadline: datetime,
    fraction: Fraction,
    calendar: CalendarSpec,
) -> datetime | None:
    """When a fraction of a limit is used up in counted time (edge decision 14)."""
    if isinstance(limit, Elapsed):
        at = _used_up(timedelta(microseconds=int(limit.microseconds * fraction)), start, still)
    elif isinstance(limit, UntilDate):
        at = start + _part(deadline - start, fraction)
    elif isinstance(limit, SameWorkingDay):
        since = max(start, midnight(local_day(deadline - MICROSECOND, calendar), calendar))
        at = since + _part(deadline - since, fraction)
    else:
        at = _hours_used_up(limit, start, still, fraction, calendar)
    for since, until in still:
        if at is not None and since <= at and (until is None or at < until):
            at = until
    return at


def _part(length: timedelta, fraction: Fraction) -> timedelta:
    return timedelta(microseconds=int(length // MICROSECOND * fraction))


def _hours_used_up(
    limit: Limit, start: datetime, still: list[Standstill], fraction: Fraction, calendar: CalendarSpec
) -> datetime | None:
    """Every counted day is worth 24 hours, spent from its midnight on."""
    day = local_day(start, calendar)
    left = _part(timedelta(days=_length(limit, day)), fraction)
    for number, this in enumerate(days_after(day)):
        begins, ends = midnight(this, calendar), midnight(this + timedelta(days=1), calendar)
        if number > MANY_DAYS or (still and still[-1][1] is None and still[-1][0] <= begins):
            return None
        if isinstance(limit, WorkingDays) and not is_worked(this, calendar):
            continue
        if any(since <= begins and until is not None and until >= ends for since, until in still):
            continue
        if left < ONE:
            return min(begins + left, ends)
        left -= ONE
        if not left:
            return ends
    raise AssertionError("days never end")


def _used_up(length: timedelta, start: datetime, still: list[Standstill]) -> datetime | None:
    runs_from, left = start, length
    for since, until in still:
        if since - runs_from >= left:
            break
        left -= since - runs_from
        if until is None:
            return None
        runs_from = until
    return runs_from + left


def _days_used_up(
    days: int, day: date, still: list[Standstill], calendar: CalendarSpec, *, every_day: bool
) -> datetime | None:
    counted = 0
    for number, this in enumerate(days_after(day)):
        begins, ends = midnight(this, calendar), midnight(this + timedelta(days=1), calendar)
        if number > MANY_DAYS or (still and still[-1][1] is None and still[-1][0] <= begins):
            return None
        if not every_day and not is_worked(this, calendar):
            continue
        if any(since <= begins and until is not None and until >= ends for since, until in still):
            continue
        counted += 1
        if counted >= days and not _stands_still_over(ends, still):
            return ends
    raise AssertionError("days never end")


def verdict(
    deadline: datetime | None, stopped: datetime | None, ended: datetime | None, as_of: datetime
) -> tuple[str, tuple[tuple[str, datetime], ...]]:
    broken = deadline is not None and deadline <= as_of and (ended is None or ended > deadline)
    if not broken:
        return ("met" if stopped else "cancelled" if ended else "running"), ()
    assert deadline is not None
    if stopped is None:
        return "breached", (("breach", deadline),)
    return "met_late", (("breach", deadline), ("late_completion", stopped))
