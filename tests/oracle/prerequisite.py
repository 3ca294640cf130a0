"""Kind ``prerequisite``, naively: for each act, look for what it needs at or before its instant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from schemas.calendars import CalendarSpec
from schemas.rules import PrerequisiteRule
from tests.oracle.acts import acts
from tests.oracle.common import Fact, Found


def cases_of(
    versions: Sequence[PrerequisiteRule], facts: Sequence[tuple[Fact, str]], calendar: CalendarSpec, as_of: datetime
) -> list[Found]:
    return [act.found(*act.needs(act.rule.needs)) for act in acts(versions, facts, calendar)]
