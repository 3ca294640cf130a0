"""Kind ``recording_delay``: an event is entered within the limit of its occurrence.

Worked example, ``acceptance-recorded-late``, by the end of the same working day: accepted on Friday at 16:00 and
entered on Friday at 23:59:59.999 is met; entered on Saturday at 00:00:00.001 it is a violation. Accepted on a
Saturday it may be entered until the end of Monday.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from schemas.base import Text
from schemas.limits import Limit
from schemas.rules import RecordingDelayRule
from streams.core.chosen_calendar import Calendars, ChosenCalendar
from streams.core.conditions import Fields, predicate_of_start
from streams.core.deadlines import deadline_of
from streams.core.event import Event
from streams.core.faults import RecordedLate
from streams.core.kinds.acts import ActFold, ActVersion, Watch, fields_of
from streams.core.kinds.findings import Counted, Finding
from streams.core.working_days import WorkingCalendar


class _Version(ActVersion[RecordingDelayRule]):
    def __init__(
        self, rule: RecordingDelayRule, calendar: WorkingCalendar, titles: Mapping[str, Text], calendars: Calendars
    ) -> None:
        self._counted_by = ChosenCalendar(rule.calendar, calendar, calendars)
        self._choices = [(predicate_of_start(choice.when), choice.limit) for choice in rule.limit]
        super().__init__(rule, calendar, titles)

    def find(self, watch: Watch, trigger: Event) -> Iterable[Finding]:
        limit = self._limit({**trigger.data, "event_type": trigger.type})
        if limit is None or not self.applies(watch, trigger):
            return ()
        calendar = self._counted_by.of(fields_of(watch.facts, trigger))
        found = deadline_of(limit, trigger.at, (), calendar)
        if found.at is None:
            return ()
        faults = (RecordedLate(trigger.entered, found.at),) if trigger.entered > found.at else ()
        due = found.at if faults else trigger.at
        grounds = self.grounds(watch, trigger)
        return (self.finding(trigger, faults, grounds, due=due, counted=Counted(limit, found.provisional, calendar)),)

    def _limit(self, fields: Fields) -> Limit | None:
        for when, limit in self._choices:
            if when(fields):
                return limit
        return None


def recording_delay_fold(
    rules: Sequence[RecordingDelayRule], calendar: WorkingCalendar, titles: Mapping[str, Text], calendars: Calendars
) -> ActFold:
    """All versions of one rule, compiled."""
    return ActFold([_Version(rule, calendar, titles, calendars) for rule in rules])
