"""Kind ``cadence``, naively: calendar months, and rolling gaps.

What ends the obligation counts, at one and the same instant, as later than what begins it or keeps it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from schemas.calendars import CalendarSpec
from schemas.rules import CadenceRule
from tests.oracle.acts import end_of, in_force
from tests.oracle.common import Fact, Found, counted_by, is_one_of, local_day, midnight

Pair = tuple[Fact, str]


def cases_of(
    versions: Sequence[CadenceRule], facts: Sequence[Pair], calendar: CalendarSpec, as_of: datetime
) -> list[Found]:
    return [
        *_gaps([rule for rule in versions if not rule.by_months], versions, facts, calendar, as_of),
        *(case for rule in versions if rule.by_months for case in _months(rule, versions, facts, calendar, as_of)),
    ]


# --- the next within the limit of the last --------------------------------------------------------------


def _gaps(
    rolling: Sequence[CadenceRule],
    versions: Sequence[CadenceRule],
    facts: Sequence[Pair],
    calendar: CalendarSpec,
    as_of: datetime,
) -> list[Found]:
    found: list[Found] = []
    here = 0
    while here < len(facts):
        begin, root = facts[here]
        rule = in_force(versions, begin.at, calendar)
        if (
            rule is None
            or rule not in rolling
            or not is_one_of((*rule.act, *rule.since), begin)
            or is_one_of(rule.until, begin)
        ):
            here += 1
            continue
        history = [fact for fact, _ in facts]
        at_once = next((fact for fact in history[:here] if fact.at == begin.at and is_one_of(rule.until, fact)), None)
        end = next((at for at in range(here + 1, len(facts)) if is_one_of((*rule.act, *rule.until), history[at])), None)
        if at_once is not None:
            found.append(_case(rule, root, begin, begin.at, None, at_once, calendar, as_of))
            here += 1
            continue
        acted = end is not None and is_one_of(rule.act, history[end])
        stop, cancel = (
            (history[end], None) if end is not None and acted else (None, None if end is None else history[end])
        )
        found.append(_case(rule, root, begin, begin.at, stop, cancel, calendar, as_of))
        if end is None:
            break
        here = end
    return found


# --- every calendar month -------------------------------------------------------------------------------


def _months(
    rule: CadenceRule, versions: Sequence[CadenceRule], facts: Sequence[Pair], calendar: CalendarSpec, as_of: datetime
) -> list[Found]:
    history = [fact for fact, _ in facts]
    ends = [fact for fact in history if is_one_of(rule.until, fact)]
    begins = [
        fact
        for fact in history
        if is_one_of(rule.since, fact)
        or (
            is_one_of(rule.act, fact)
            # what is entered late for a month in which it ended does not begin it again
            and not any(end.at < fact.at and _month_for(rule, fact, calendar) <= _month(end, calendar) for end in ends)
        )
    ]
    found = []
    month = min((_month(fact, calendar) for fact in begins), default=date.max)
    while midnight(month, calendar) <= as_of:
        month, first = _next(month), midnight(_next(month), calendar)
        before = [fact for fact in begins if fact.at < first]
        up = [fact for fact in before if not any(fact.at <= end.at < first for end in ends)]
        if first > as_of or not up or in_force(versions, first, calendar) is not rule:
            continue
        last = midnight(_next(month), calendar)
        acts = [fact for fact in history if is_one_of(rule.act, fact) and _month_for(rule, fact, calendar) == month]
        ended = [end for end in ends if first <= end.at <= last and not (acts and acts[0].at <= end.at)]
        stop, cancel = (None, ended[0]) if ended else (acts[0] if acts else None, None)
        found.append(_case(rule, f"month/{month:%Y-%m}", before[-1], first, stop, cancel, calendar, as_of))
    return found


def _month(fact: Fact, calendar: CalendarSpec) -> date:
    return local_day(fact.at, calendar).replace(day=1)


def _month_for(rule: CadenceRule, fact: Fact, calendar: CalendarSpec) -> date:
    named = fact.fields.get(rule.period) if rule.period else None
    if isinstance(named, str):
        try:
            return datetime.strptime(named, "%Y-%m").date()  # noqa: DTZ007
        except ValueError:
            pass
    return _month(fact, calendar)


def _next(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)


# --- both -----------------------------------------------------------------------------------------------


def _case(
    rule: CadenceRule,
    root: str,
    begin: Fact,
    started: datetime,
    stop: Fact | None,
    cancel: Fact | None,
    calendar: CalendarSpec,
    as_of: datetime,
) -> Found:
    deadline = midnight(_next(local_day(started, calendar)), calendar) if rule.by_months else None
    deadline = deadline or end_of(rule.every, started, counted_by(rule, begin.fields, calendar))
    end = stop or cancel
    late = deadline <= as_of and (end is None or end.at > deadline)
    reports = [("breach", deadline)] if late else []
    reports += [("late_completion", stop.at)] if late and stop is not None else []
    outcome = ("met_late" if stop else "breached") if late else "met" if stop else "cancelled" if cancel else "running"
    return Found(
        rule.id,
        rule.version,
        root,
        started,
        deadline,
        None if stop is None else stop.at,
        outcome,
        tuple(reports),
        began=begin,
        rests_on=frozenset() if outcome == "running" else frozenset({begin.event_id, *([end.event_id] if end else [])}),
    )
