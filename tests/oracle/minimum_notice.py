"""Kind ``minimum_notice``, naively: edge decisions 2 and 4.

Without an upper bound any notice that counts will do. With one the last before the act counts; one at the very
instant of the act is not before it, and counts only where there is no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from schemas.calendars import CalendarSpec
from schemas.limits import BusinessTime, Elapsed, UntilDate
from schemas.rules import MinimumNoticeRule
from tests.oracle.acts import Act, acts, end_of, lawful_from, named_from, named_in
from tests.oracle.common import MICROSECOND, ONE, Fact, Flaw, Found, midnight


def cases_of(
    versions: Sequence[MinimumNoticeRule], facts: Sequence[tuple[Fact, str]], calendar: CalendarSpec, as_of: datetime
) -> list[Found]:
    return [_case(act) for act in acts(versions, facts, calendar)]


def _case(act: Act[MinimumNoticeRule]) -> Found:
    notices = [notice for notice in act.of(act.rule.notice) if _covers(act.rule, notice, act.fact)]
    if act.rule.at_most is not None:
        notices = [notice for notice in notices if notice.at < act.at][-1:] or notices[-1:]
    good = [notice for notice in notices if not _flaws(act, notice)]
    # Where none will do, the first is the one that would have come nearest.
    told = good[-1] if good else notices[0] if notices else None
    flaws: list[Flaw] = (
        [("without", frozenset(pattern.type for pattern in act.rule.notice), False)]
        if told is None
        else _flaws(act, told)
    )
    more, near = act.needs(act.rule.needs)
    return act.found([*flaws, *more], [told, *near])


def _flaws(act: Act[MinimumNoticeRule], notice: Fact) -> list[Flaw]:
    rule = act.rule
    if isinstance(rule.limit, UntilDate):
        begins = named_from(rule.limit, notice.fields, act.calendar) or notice.at
    else:
        begins = lawful_from(rule.limit, notice.at, act.counted_by)
    if act.at < begins:
        return [("early", notice.at, begins)]
    if isinstance(rule.at_most, UntilDate):
        named = named_in(rule.at_most, notice.fields, act.calendar)
        if named is None:
            return []
        if isinstance(named, datetime):
            return [("late", notice.at, named)] if notice.at <= named < act.at else []
        last = midnight(named + ONE, act.calendar) - MICROSECOND
        return [("late", notice.at, last)] if notice.at <= last < act.at else []
    if rule.at_most is not None:
        ends = end_of(rule.at_most, notice.at, act.counted_by)
        last = ends if isinstance(rule.at_most, Elapsed | BusinessTime) else ends - MICROSECOND
        if act.at > last:
            return [("late", notice.at, last)]
    return []


def _covers(rule: MinimumNoticeRule, notice: Fact, act: Fact) -> bool:
    for act_field, notice_field in rule.covers.items():
        wanted, given = _own(act, act_field), _own(notice, notice_field)
        if wanted is None or given is None:
            continue
        if wanted not in (given if isinstance(given, list) else [given]):
            return False
    return True


def _own(fact: Fact, name: str) -> object:
    ids = {f"{kind}_id": number for kind, number in fact.ids.items()}
    return ids.get(name, fact.fields.get(name))
