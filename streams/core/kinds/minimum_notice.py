"""Kind ``minimum_notice``: the act only after a notice, and not before a limit has passed since it.

With an upper bound the last notice before the act counts, and one that is too old has lapsed; a notice at the instant
of the act does not replace an earlier one. Without an upper bound any notice that was not reset counts: a reminder does
not replace the notice.

Worked example, 7 days: notice on the 1st at 17:00; the act on the 7th at 23:59:59.999 is a violation, on the 8th at
00:00 it is lawful. 3 to 7 days: notice on the 1st, lawful from the 4th 00:00 to the 8th 23:59:59.999.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

from schemas.base import Text
from schemas.limits import Limit, UntilDate
from schemas.rules import CalendarByField, MinimumNoticeRule
from streams.core.chosen_calendar import Calendars, ChosenCalendar
from streams.core.deadlines import earliest_of, latest_of
from streams.core.event import Event
from streams.core.faults import Fault, TooEarly, TooLate, Without
from streams.core.kinds.acts import ActFold, ActVersion, Watch, fields_of, latest_before
from streams.core.kinds.findings import Counted, Finding
from streams.core.kinds.patterns import Tests, compares, compile_patterns, is_alone, label_of, matches, may_fit
from streams.core.working_days import WorkingCalendar


def _agreed(limit: Limit, notice: Event) -> object:
    return notice.data.get(limit.field) if isinstance(limit, UntilDate) else None


def _own(event: Event, name: str) -> object:
    return getattr(event, name) if name in ("order_id", "account_id", "meter_id", "batch_id") else event.data.get(name)


class _Version(ActVersion[MinimumNoticeRule]):
    def __init__(
        self, rule: MinimumNoticeRule, calendar: WorkingCalendar, titles: Mapping[str, Text], calendars: Calendars
    ) -> None:
        self._counted_by = ChosenCalendar(rule.calendar, calendar, calendars)
        self._notice = compile_patterns(rule.notice)
        self._is_alone = is_alone(rule.notice) and not rule.covers
        self._label = label_of(rule.notice, titles)
        super().__init__(rule, calendar, titles, rule.needs)

    def own_tests(self) -> Iterable[Tests]:
        return (self._notice,)

    def start(self) -> list[Event]:
        return []

    def note(self, watch: Watch, event: Event) -> None:
        super().note(watch, event)
        if event.type in self._notice and may_fit(self._notice[event.type], event):
            watch.own.append(event)
            watch.closed = False

    def spoil(self, watch: Watch, at: int) -> None:
        super().spoil(watch, at)
        watch.own = [notice for notice in watch.own if notice.at >= at]

    def _covers(self, notice: Event, act: Event) -> bool:
        for act_field, notice_field in self.rule.covers.items():
            wanted, given = _own(act, act_field), _own(notice, notice_field)
            if given is None or wanted is None:
                continue
            if wanted not in given if isinstance(given, list) else wanted != given:
                return False
        return True

    def find(self, watch: Watch, trigger: Event) -> Iterable[Finding]:
        if not self.applies(watch, trigger):
            return
        fields = fields_of(watch.facts, trigger)
        notices: Sequence[Event] = watch.own
        if not self._is_alone:
            notices = [one for one in notices if matches(self._notice, one, fields) and self._covers(one, trigger)]
        if self.rule.at_most is not None:
            notices = latest_before(notices, trigger)
        calendar = self._counted_by.of(fields)
        notice, lawful = self._best(notices, trigger, calendar)
        faults: list[Fault] = []
        if notice is None:
            faults.append(Without(self._label))
        elif trigger.at < lawful.at_least:
            agreed = isinstance(self.rule.limit, UntilDate)
            faults.append(TooEarly(self._label, notice.at, lawful.at_least, agreed=agreed))
        elif lawful.at_most is not None and trigger.at > lawful.at_most:
            faults.append(TooLate(self._label, notice.at, lawful.at_most))
        faults += self.missing(watch, trigger)
        grounds = self.grounds(watch, trigger, notice)
        yield self.finding(trigger, faults, grounds, counted=Counted(self.rule.limit, lawful.provisional, calendar))

    def _best(self, notices: Sequence[Event], act: Event, calendar: WorkingCalendar) -> tuple[Event | None, _Lawful]:
        """The latest notice that makes the act lawful; where none does, the earliest."""
        if self.rule.at_most is None and not isinstance(self.rule.limit, UntilDate):  # later notices, later acts
            number = bisect_right(notices, act.at, key=lambda notice: self._lawful(notice, calendar).at_least)
            notices = notices[max(number - 1, 0) : number] or notices[:1]
        for notice in reversed(notices):
            lawful = self._lawful(notice, calendar)
            if act.at >= lawful.at_least and (lawful.at_most is None or act.at <= lawful.at_most):
                return notice, lawful
        return (notices[0], self._lawful(notices[0], calendar)) if notices else (None, _Lawful(0, None))

    def _lawful(self, notice: Event, calendar: WorkingCalendar) -> _Lawful:
        limit, bound = self.rule.limit, self.rule.at_most
        earliest = earliest_of(limit, notice.at, calendar, agreed=_agreed(limit, notice))
        latest = None
        if bound is not None:
            latest = latest_of(bound, notice.at, calendar, agreed=_agreed(bound, notice))
        # A notice without a date sets none for the act.
        return _Lawful(notice.at if earliest.at is None else earliest.at, latest, provisional=earliest.provisional)

    def is_idle(self, watch: Watch) -> bool:
        return watch.closed or (super().is_idle(watch) and not watch.own)

    def own_needed(self, watch: Watch, until: int) -> Sequence[Event]:
        notices: Sequence[Event] = watch.own
        by_act = compares(self.rule.notice) or isinstance(self.rule.calendar, CalendarByField)
        if self.rule.covers or by_act:
            return notices  # which of them counts depends on the act
        if self.rule.at_most is not None:
            return notices[-1:]
        # Notices that already make an act lawful stay so for ever; the last of them counts.
        calendar = self._counted_by.of({})
        lawful = [number for number, notice in enumerate(notices) if self._lawful(notice, calendar).at_least <= until]
        return notices[lawful[-1] :] if lawful else notices


class _Lawful:
    """The first and the last lawful instant of an act after a notice, both inclusive."""

    __slots__ = ("at_least", "at_most", "provisional")

    def __init__(self, at_least: int, at_most: int | None, *, provisional: bool = False) -> None:
        self.at_least = at_least
        self.at_most = at_most
        self.provisional = provisional


def minimum_notice_fold(
    rules: Sequence[MinimumNoticeRule], calendar: WorkingCalendar, titles: Mapping[str, Text], calendars: Calendars
) -> ActFold:
    """All versions of one rule, compiled."""
    return ActFold([_Version(rule, calendar, titles, calendars) for rule in rules])
