"""Kind ``evidence``, naively: what the act carries, and what is there by the act or by its close.

The close is the first of ``by`` at or after the act; a cancel at or after the act and not later than the close comes
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from schemas.calendars import CalendarSpec
from schemas.rules import EvidenceRule
from tests.oracle.acts import Act, acts
from tests.oracle.common import Fact, Flaw, Found, all_hold, is_one_of

MANY_ACTS = 2_000


def cases_of(
    versions: Sequence[EvidenceRule], facts: Sequence[tuple[Fact, str]], calendar: CalendarSpec, as_of: datetime
) -> list[Found]:
    every = list(acts(versions, facts, calendar))
    return [_case(act, every) for act in every if not act.rule.by or _waits_before(act, every) < MANY_ACTS]


def _waits_before(act: Act[EvidenceRule], every: Sequence[Act[EvidenceRule]]) -> int:
    """How many acts before this one wait for the same end."""
    return [other for other in every if other.rule is act.rule and _end(other) == _end(act)].index(act)


def _case(act: Act[EvidenceRule], every: Sequence[Act[EvidenceRule]]) -> Found:
    rule = act.rule
    carried = not rule.carry or any(all_hold(conditions, act.fact.fields) for conditions in rule.carry)
    lacking: list[Flaw] = [] if carried else [("lacks",)]
    if not rule.by:
        flaws, near = act.needs(rule.needs)
        return act.found([*lacking, *flaws], near)
    close, cancel = _end(act)
    if cancel is not None:
        return act.cancelled(cancel)
    if close is None:
        return act.running()
    # Of acts that wait for the same close the first is the start.
    start = min(other.at for other in every if other.rule is rule and _end(other) == (close, None))
    flaws, near = act.needs(rule.needs, close.at, start)
    return act.found([*lacking, *flaws], [close, *near], close.at)


def _end(act: Act[EvidenceRule]) -> tuple[Fact | None, Fact | None]:
    later = [fact for fact in act.history if fact.at >= act.at]
    close = next((fact for fact in later if is_one_of(act.rule.by, fact)), None)
    cancel = next((fact for fact in later if is_one_of(act.rule.cancel, fact)), None)
    return (None, cancel) if cancel is not None and (close is None or cancel.at <= close.at) else (close, None)
