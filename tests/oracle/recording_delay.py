"""Kind ``recording_delay``, naively: compare when it was first entered with the end of the limit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from schemas.calendars import CalendarSpec
from schemas.rules import RecordingDelayRule
from tests.oracle.acts import Act, acts, end_of
from tests.oracle.common import Fact, Found, all_hold


def cases_of(
    versions: Sequence[RecordingDelayRule], facts: Sequence[tuple[Fact, str]], calendar: CalendarSpec, as_of: datetime
) -> list[Found]:
    return [case for act in acts(versions, facts, calendar) for case in _cases(act, as_of)]


def _cases(act: Act[RecordingDelayRule], as_of: datetime) -> list[Found]:
    fields = {**act.fact.fields, "event_type": act.fact.type}
    limit = next((choice.limit for choice in act.rule.limit if all_hold(choice.when, fields)), None)
    if limit is None:
        return []
    entered, by = act.fact.entered or act.fact.recorded, end_of(limit, act.at, act.counted_by)
    if entered <= by:
        return [act.found([], [])]
    return [act.found([("recorded", entered, by)], [], by) if by <= as_of else act.running()]
