"""Deadline rules that start with the breach of another rule, naively: one case for each breach that stands.

Nothing is remembered: from the breaches of the other rule and the whole history each case is worked out by itself. What
comes at the very instant of the breach counts as later, because a stop at that instant is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from schemas.calendars import CalendarSpec
from schemas.rules import DeadlineRule
from tests.oracle.acts import in_force
from tests.oracle.common import Fact, Fields, Found, is_one_of
from tests.oracle.deadline import Standstill, deadline_from, joined, verdict


def cases_of(
    versions: Sequence[DeadlineRule],
    breached: Sequence[Found],
    facts: Sequence[tuple[Fact, str]],
    calendar: CalendarSpec,
    as_of: datetime,
) -> list[Found]:
    """``breached`` are the cases of the other rule as of the same instant; those without a breach start nothing."""
    found = []
    for case in breached:
        for breach in (due for kind, due in case.reports if kind == "breach"):
            rule = in_force(versions, breach, calendar)
            if rule is not None:
                found.append(_case(rule, case, breach, [fact for fact, _ in facts], calendar, as_of))
    return found


def _case(
    rule: DeadlineRule,
    base: Found,
    breach: datetime,
    history: Sequence[Fact],
    calendar: CalendarSpec,
    as_of: datetime,
) -> Found:
    assert base.began is not None
    fields = base.began.fields
    later = [fact for fact in history if fact.at >= breach]
    end = next((fact for fact in later if is_one_of((*rule.stop, *rule.cancel), fact, fields)), None)
    still = _standstills(rule, history, breach, end, fields)
    deadline = deadline_from(rule, fields, breach, still, calendar)
    stopped = end.at if end is not None and is_one_of(rule.stop, end, fields) else None
    outcome, reports = verdict(deadline, stopped, None if end is None else end.at, as_of)
    return Found(
        rule.id, rule.version, base.root, breach, deadline, stopped, outcome, reports, began=base.began
    )  # fmt: skip


def _standstills(
    rule: DeadlineRule, history: Sequence[Fact], breach: datetime, end: Fact | None, fields: Fields
) -> list[Standstill]:
    """Before the breach, what ends the matter or resumes it ends a standstill; what is left of it counts from there."""
    since: datetime | None = None
    found: list[Standstill] = []
    for fact in history:
        begun = fact.at >= breach
        if fact is end:
            break
        if not begun and is_one_of((*rule.stop, *rule.cancel), fact, fields, begun=False):
            since = None
        if is_one_of(rule.pause, fact, fields, begun=begun):
            since = since or max(fact.at, breach)
        elif is_one_of(rule.resume, fact, fields, begun=begun) and since is not None:
            if begun:
                found.append((since, fact.at))
            since = None
    if since is not None:
        found.append((since, None if end is None else end.at))
    return joined([still for still in found if still[0] != still[1]])
