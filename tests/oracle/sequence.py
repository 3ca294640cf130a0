"""Kind ``sequence``, naively: the first event of each stage against the first of every later stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from schemas.calendars import CalendarSpec
from schemas.rules import SequenceRule
from tests.oracle.acts import in_force
from tests.oracle.common import Fact, Found, is_one_of


def cases_of(
    versions: Sequence[SequenceRule], facts: Sequence[tuple[Fact, str]], calendar: CalendarSpec, as_of: datetime
) -> list[Found]:
    found = []
    for rule in versions:
        firsts = [next(((fact, root) for fact, root in facts if is_one_of(stage, fact)), None) for stage in rule.stages]
        for number, first in enumerate(firsts):
            if first is None or in_force(versions, first[0].at, calendar) is not rule:
                continue
            fact, root = first
            ahead = [later[0] for later in firsts[number + 1 :] if later is not None and later[0].at < fact.at]
            told = min(ahead, key=lambda fact: fact.place, default=None)
            found.append(
                Found(
                    rule.id,
                    rule.version,
                    root,
                    fact.at,
                    None,
                    None,
                    "violated" if told else "met",
                    (("violation", fact.at),) if told else (),
                    frozenset({("backwards", told.at)} if told else ()),
                    frozenset({fact.event_id, *([told.event_id] if told else [])}),
                )
            )
    return found
