"""Kind ``at_most``, naively: count the acts before this one that are counted together with it.

A reset at the instant of either act, or between them, parts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from schemas.calendars import CalendarSpec
from schemas.rules import AtMostRule
from tests.oracle.acts import acts, is_about
from tests.oracle.common import Fact, Found, is_one_of, local_day

Key = tuple[object, ...]

MANY_VIOLATIONS = 500


def cases_of(
    versions: Sequence[AtMostRule], facts: Sequence[tuple[Fact, str]], calendar: CalendarSpec, as_of: datetime
) -> list[Found]:
    found = []
    for act in acts(versions, facts, calendar):
        rule, key = act.rule, _key(act.rule, act.fact, calendar)
        if key is None:
            continue
        resets = [fact.at for fact in act.history if is_one_of(rule.reset, fact)]
        before = [
            fact
            for fact in act.history
            if fact.place < act.fact.place
            and is_about(rule, fact, act.history)
            and _key(rule, fact, calendar) == key
            and not any(fact.at <= reset <= act.at for reset in resets)
        ]
        count = len(before) + 1
        if count <= rule.n + MANY_VIOLATIONS:
            found.append(act.found([("many", count)] if count > rule.n else [], before))
    return found


def _key(rule: AtMostRule, fact: Fact, calendar: CalendarSpec) -> Key | None:
    """What is counted together has the same key; nothing is known where the field is not there."""
    value = fact.fields.get(rule.per) if rule.per else "all"
    if not isinstance(value, str | int):
        return None
    day = local_day(fact.at, calendar)
    period: date | None = day if rule.period == "day" else day.replace(day=1) if rule.period else None
    return type(value), value, period
