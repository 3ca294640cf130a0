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


def cases_of(
    versions: Sequence[EvidenceRule], facts: Sequence[tuple[Fact, str]], calendar: CalendarSpec, as_of: datetime
) -> list[Found]:
    return [_case(act) for act in acts(versions, facts, calendar)]


def _case(act: Act[EvidenceRule]) -> Found:
    rule = act.rule
    carried = not rule.carry or any(all_hold(conditions, act.fact.fields) for conditions in rule.carry)
    lacking: list[Flaw] = [] if carried else [("lacks",)]
    if not rule.by:
        flaws, near = act.needs(rule.needs)
        return act.found([*lacking, *flaws], near)
    later = [fact for fact in act.history if fact.at >= act.at]
    close = next((fact for fact in later if is_one_of(rule.by, fact)), None)
    cancel = next((fact for fact in later if is_one_of(rule.cancel, fact)), None)
    if cancel is not None and (close is None or cancel.at <= close.at):
        return act.cancelled(cancel)
    if close is None:
        return act.running()
    flaws, near = act.needs(rule.needs, close.at)
    return act.found([*lacking, *flaws], [close, *near], close.at)
