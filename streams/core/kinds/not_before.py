"""Kinds ``not_before`` and ``retention``: the act not before a limit has passed since an event.

Without that event nothing is judged: its absence is for other rules.

Worked example, ``arrears-30-days``: overdue since 1 March (``since_on``); the 31st is the first lawful day, so a
disconnection on the 30th at 23:59:59.999 is a violation. Paid in full on the 20th and overdue again since the
25th: the count begins on the 25th.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from schemas.base import Text
from schemas.limits import UntilDate
from schemas.rules import NotBeforeRule, RetentionRule
from streams.core.chosen_calendar import Calendars, ChosenCalendar
from streams.core.deadlines import Deadline, date_in_field, earliest_of
from streams.core.event import Event
from streams.core.faults import TooEarly
from streams.core.kinds.acts import ActFold, ActVersion, Watch, fields_of, latest_before
from streams.core.kinds.findings import Counted, Finding
from streams.core.kinds.patterns import Tests, compile_patterns, is_alone, label_of, matches, may_fit
from streams.core.working_days import WorkingCalendar


class _NotBefore(ActVersion[NotBeforeRule]):
    def __init__(
        self, rule: NotBeforeRule, calendar: WorkingCalendar, titles: Mapping[str, Text], calendars: Calendars
    ) -> None:
        self._counted_by = ChosenCalendar(rule.calendar, calendar, calendars)
        self._since = compile_patterns(rule.since)
        self._is_alone = is_alone(rule.since)
        self._label = label_of(rule.since, titles)
        super().__init__(rule, calendar, titles)

    def own_tests(self) -> Iterable[Tests]:
        return (self._since,)

    def start(self) -> list[Event]:
        return []

    def note(self, watch: Watch, event: Event) -> None:
        super().note(watch, event)
        if event.type in self._since and may_fit(self._since[event.type], event):
            watch.own = [*self._that_count(watch.own, event), event]
            watch.closed = False

    def _that_count(self, seen: Sequence[Event], event: Event) -> Sequence[Event]:
        """Of the events before this one those that a later act may be counted from.

        Where the act has no part in it, the one that begins first is enough, and of this event's own instant the one
        that begins first: a reset, which is never earlier, may leave these alone.
        """
        if not self._is_alone:
            return seen
        known = [(found[0], one) for one in seen if (found := self._began(one)) is not None]
        groups = (known, [(began, one) for began, one in known if one.at == event.at])
        first = {min(group, key=lambda item: item[0])[1].event_id for group in groups if group}
        return [one for one in seen if one.event_id in first]

    def spoil(self, watch: Watch, at: int) -> None:
        super().spoil(watch, at)
        watch.own = [event for event in watch.own if event.at >= at]

    def _began(self, event: Event) -> tuple[int, int | None] | None:
        """The instant from which the limit is counted, and the local date if it came from a field.

        For a limit until a field, the instant in the field; ``None`` where there is none.
        """
        limit = self.rule.limit
        if isinstance(limit, UntilDate):
            named = earliest_of(limit, event.at, self.calendar, agreed=event.data.get(limit.field)).at
            return None if named is None else (named, None)
        day = None if self.rule.date_field is None else date_in_field(event.data.get(self.rule.date_field))
        return (event.at, None) if day is None else (self.calendar.start_of_day(day), day)

    def find(self, watch: Watch, trigger: Event) -> Iterable[Finding]:
        if not watch.own or not self.applies(watch, trigger):
            return
        fields = fields_of(watch.facts, trigger)
        known = [
            (*found, event)
            for event in watch.own
            if matches(self._since, event, fields) and (found := self._began(event)) is not None
        ]
        if not known:
            return
        began, day, since = min(known, key=lambda item: item[0])
        limit = self.rule.limit
        agreed = isinstance(limit, UntilDate)
        calendar = self._counted_by.of(fields)
        lawful = Deadline(began) if agreed else earliest_of(limit, began, calendar)
        if lawful.at is None:
            return
        fault = TooEarly(self._label, since.at if agreed else began, lawful.at, day, agreed)
        faults = (fault,) if trigger.at < lawful.at else ()
        grounds = self.grounds(watch, trigger, since)
        yield self.finding(trigger, faults, grounds, counted=Counted(limit, lawful.provisional, calendar))

    def is_idle(self, watch: Watch) -> bool:
        return watch.closed or (super().is_idle(watch) and not watch.own)

    def own_needed(self, watch: Watch, until: int) -> Sequence[Event]:
        began: Sequence[Event] = watch.own
        return began


class _Kept:
    """The removals, and the reading day of the month."""

    __slots__ = ("day_from", "reading_day", "since")

    def __init__(self) -> None:
        self.since: list[Event] = []
        self.reading_day: int | None = None
        self.day_from: Event | None = None


class _Retention(ActVersion[RetentionRule]):
    def __init__(
        self, rule: RetentionRule, calendar: WorkingCalendar, titles: Mapping[str, Text], calendars: Calendars
    ) -> None:
        self._counted_by = ChosenCalendar(rule.calendar, calendar, calendars)
        self._since = compile_patterns(rule.since)
        self._days = compile_patterns((*rule.since, *rule.reading_days))
        self._label = label_of(rule.since, titles)
        super().__init__(rule, calendar, titles)

    def own_tests(self) -> Iterable[Tests]:
        return (self._days,)

    def start(self) -> _Kept:
        return _Kept()

    def note(self, watch: Watch, event: Event) -> None:
        super().note(watch, event)
        own: _Kept = watch.own
        if event.type in self._days and matches(self._days, event):
            day = event.data.get("reading_day")
            if isinstance(day, int) and not isinstance(day, bool) and 1 <= day <= 31:
                own.reading_day, own.day_from = day, event
        if self.is_act(event):
            watch.closed = True  # a disposed item is dropped; a new removal opens it again
        if event.type in self._since and matches(self._since, event):
            own.since.append(event)
            watch.closed = False

    def spoil(self, watch: Watch, at: int) -> None:
        super().spoil(watch, at)
        watch.own.since = [since for since in watch.own.since if since.at >= at]

    def find(self, watch: Watch, trigger: Event) -> Iterable[Finding]:
        own: _Kept = watch.own
        if not own.since or not self.applies(watch, trigger):
            return
        since = latest_before(own.since, trigger)[-1]
        calendar = self._counted_by.of(fields_of(watch.facts, trigger))
        lawful = earliest_of(self.rule.limit, since.at, calendar, reading_day=own.reading_day)
        if lawful.at is None:
            return
        faults = (TooEarly(self._label, since.at, lawful.at),) if trigger.at < lawful.at else ()
        grounds = self.grounds(watch, trigger, since)
        yield self.finding(trigger, faults, grounds, counted=Counted(self.rule.limit, lawful.provisional, calendar))

    def is_idle(self, watch: Watch) -> bool:
        return watch.closed or (super().is_idle(watch) and not watch.own.since)

    def own_needed(self, watch: Watch, until: int) -> Sequence[Event]:
        own: _Kept = watch.own
        return [*own.since[-1:], *([own.day_from] if own.day_from is not None else [])]


def not_before_fold(
    rules: Sequence[NotBeforeRule], calendar: WorkingCalendar, titles: Mapping[str, Text], calendars: Calendars
) -> ActFold:
    """All versions of one rule, compiled."""
    return ActFold([_NotBefore(rule, calendar, titles, calendars) for rule in rules])


def retention_fold(
    rules: Sequence[RetentionRule], calendar: WorkingCalendar, titles: Mapping[str, Text], calendars: Calendars
) -> ActFold:
    """All versions of one rule, compiled."""
    return ActFold([_Retention(rule, calendar, titles, calendars) for rule in rules])
