"""Kind ``forbidden_while``, naively: a condition began earlier than the act, and nothing lifted it since.

Whatever lifts it or keeps it out (``until``, a reset, ``not_after``) counts at the instant of the beginning and at
that of the act: nobody can say which came first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from schemas.calendars import CalendarSpec
from schemas.rules import ForbiddenWhileRule
from tests.oracle.acts import Act, acts
from tests.oracle.common import Fact, Found, is_one_of


def cases_of(
    versions: Sequence[ForbiddenWhileRule], facts: Sequence[tuple[Fact, str]], calendar: CalendarSpec, as_of: datetime
) -> list[Found]:
    found = []
    for act in acts(versions, facts, calendar):
        since = [fact for fact in act.history if fact.at < act.at and _holds(act, fact)]
        found.append(act.found([("forbidden", since[-1].at)] if since else [], since[-1:]))
    return found


def _holds(act: Act[ForbiddenWhileRule], since: Fact) -> bool:
    during = act.rule.during
    return is_one_of(during.since, since) and not any(
        (is_one_of((*during.until, *act.rule.reset), fact) and since.at <= fact.at <= act.at)
        or (is_one_of(during.not_after, fact) and fact.at <= since.at)
        for fact in act.history
    )
