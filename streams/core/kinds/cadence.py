"""Kind ``cadence``: the act comes once in every period.

Two meanings of period. *Calendar months*: from the month after the first act (or ``since``) on, every month of the
local calendar is a case of its own, running from its first instant to its last; the act that is for that month (by
the field ``period``, or by its own date) meets it, late or not. *Rolling*: the next act is due within the limit of the
last one; a gap is one case, however long it lasts.

At one instant, an event that ends the obligation counts as later than one that begins or renews it. An act that comes
after the end for a month in which it still held (the meter removed on the 5th, its last reading entered on the 8th)
does not begin it again.

Worked example, ``monthly-reading``: the meter read for 2026-02 on 26 February, for 2026-03 never, for 2026-04 on 2 May:
March is a breach at 1 April 00:00, April a breach at 1 May 00:00 and a late completion on 2 May.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from schemas.limits import DAY
from schemas.rules import CadenceRule
from streams.core.chosen_calendar import Calendars, ChosenCalendar
from streams.core.event import Event
from streams.core.kinds.clock import Clock
from streams.core.kinds.patterns import any_of, compile_patterns, matches
from streams.core.kinds.versions import InForce, all_since, live_versions
from streams.core.verdicts import Needed, Status, Verdict
from streams.core.working_days import WorkingCalendar

MISSED_FOR: Final = 12
"""Months for which a live worker waits for the act of a missed month; every later reading is kept for it."""

_PERIOD = re.compile(r"(\d{4})-(\d{2})", re.ASCII)


class _Version(InForce):
    def __init__(self, rule: CadenceRule, calendar: WorkingCalendar, calendars: Calendars) -> None:
        super().__init__(rule, calendar)
        self.rule = rule
        self.calendar = ChosenCalendar(rule.counted_by, calendar, calendars)
        self.act = compile_patterns(rule.act)
        self.since = compile_patterns(rule.since)
        self.until = compile_patterns(rule.until)
        self.listens = frozenset().union(self.act, self.since, self.until)


class State:
    """Rolling: the clocks. Calendar: by version the renewals and ends of the obligation, and acts by month."""

    __slots__ = ("acts", "closed", "ended", "open", "owing", "turns")

    def __init__(self, versions: Sequence[_Version]) -> None:
        self.open: Clock | None = None
        self.closed: list[Clock] = []
        self.owing: list[Clock] = []  # closed clocks that were not met on time: only they can have a report
        self.ended: list[Event | None] = [None] * len(versions)
        self.turns: list[list[tuple[int, bool, Event]]] = [[] for _ in versions]
        self.acts: list[dict[int, Event]] = [{} for _ in versions]


class CadenceFold:
    """All versions of one cadence; see ``streams.core.verdicts.Fold``."""

    def __init__(
        self,
        rules: Sequence[CadenceRule],
        calendar: WorkingCalendar,
        calendars: Calendars,
    ) -> None:
        self.id = rules[0].id
        self.subject_types = rules[0].subject
        self._calendar = calendar
        self._versions = [_Version(rule, calendar, calendars) for rule in rules]
        self.listens: frozenset[str] = frozenset().union(*(version.listens for version in self._versions))
        self.begins = any_of(tests for version in self._versions for tests in (version.act, version.since))

    opens = True

    def start(self) -> State:
        """Nothing seen."""
        return State(self._versions)

    # -- step --------------------------------------------------------------------------------------------

    def step(self, state: State, event: Event) -> bool:
        """Take one event: the calendar kind only stores it; for the rolling kind it ends and opens gaps."""
        for index, version in enumerate(self._versions):
            if event.type not in version.listens:
                continue
            acted = matches(version.act, event)
            if version.rule.by_months:
                self._remember(state, index, version, event, acted)
            else:
                self._roll(state, index, version, event, acted)
        return True

    def _remember(self, state: State, index: int, version: _Version, event: Event, acted: bool) -> None:
        turns = state.turns[index]
        if acted:
            month = self._month_of(version, event)
            state.acts[index].setdefault(month, event)
            acted = not any(not up and at < event.at and month <= self._local_month(at) for at, up, _ in turns)
        if acted or matches(version.since, event):
            place = len(turns)
            while place and turns[place - 1][:2] == (event.at, False):
                place -= 1
            turns.insert(place, (event.at, True, event))
            # Of several in one month the next month starts with the last.
            if place and turns[place - 1][1] and self._are_of_one_month(turns[place - 1][0], event.at):
                del turns[place - 1]
        if matches(version.until, event):
            # Of several in one month only the first ends its cases, and only the last what begins at its instant.
            if len(turns) > 1 and not any(up or not self._are_of_one_month(at, event.at) for at, up, _ in turns[-2:]):
                turns.pop()
            turns.append((event.at, False, event))

    def _are_of_one_month(self, earlier: int, later: int) -> bool:
        return self._local_month(earlier) == self._local_month(later)

    def _roll(self, state: State, index: int, version: _Version, event: Event, acted: bool) -> None:
        clock = state.open
        if clock is not None and clock.rule is version.rule:
            if acted:
                clock.stop = event
            elif matches(version.until, event):
                clock.cancel = event
            if clock.stop is not None or clock.cancel is not None:
                self._close(state, clock, event.at)
                state.open = None
        ended = state.ended[index]
        if matches(version.until, event):
            state.ended[index] = ended if ended is not None and ended.at == event.at else event
            return
        begins = acted or matches(version.since, event)
        if begins and state.open is None and version.is_in_force(event.at):
            clock = Clock(version.rule, version.rule.warn_at, event, event.at, (event.event_id,), version.rule.every)
            clock.calendar = version.calendar.of(event.data)
            clock.time()
            if ended is not None and ended.at == event.at:
                clock.cancel = ended
                self._close(state, clock, ended.at)
            else:
                state.open = clock

    def _close(self, state: State, clock: Clock, at: int) -> None:
        state.closed.append(clock)
        if clock.deadline is None or at > clock.deadline or clock.cancel is not None:
            state.owing.append(clock)

    # -- calendar months ---------------------------------------------------------------------------------

    def _local_month(self, at: int) -> int:
        day = date.fromordinal(self._calendar.local_date(at))
        return day.year * 12 + day.month - 1

    def _month_of(self, version: _Version, event: Event) -> int:
        named = event.data.get(version.rule.period) if version.rule.period else None
        found = _PERIOD.fullmatch(named) if isinstance(named, str) else None
        if found and 1 <= int(found[2]) <= 12 and int(found[1]) >= 1:
            return int(found[1]) * 12 + int(found[2]) - 1
        return self._local_month(event.at)

    def _start_of(self, month: int) -> int:
        return self._calendar.start_of_day(date(month // 12, month % 12 + 1, 1).toordinal())

    def _months(self, state: State, index: int, as_of: int) -> Iterator[Clock]:
        """A clock for every month under the obligation that has begun by ``as_of``, and for the next ones.

        The next ones are the months already met, and the first that is not.
        """
        version, turns, acts = self._versions[index], state.turns[index], state.acts[index]
        if not turns:
            return
        position, up, last_up = 0, False, turns[0][2]
        # An obligation known to begin later, by an event or by the rule's date, needs a timer.
        last = max(as_of, turns[-1][0], version.first)
        month, last_month = self._local_month(turns[0][0]), self._local_month(last) + 1
        while month < last_month:
            month += 1
            if month == last_month and month in acts:
                last_month += 1  # met before it began: a later one needs the timer
            begins, ends = self._start_of(month), self._start_of(month + 1)
            while position < len(turns) and turns[position][0] < begins:
                _, up, event = turns[position]
                last_up = event if up else last_up
                position += 1
            if not up or not version.is_in_force(begins):
                continue
            clock = Clock(
                version.rule, version.rule.warn_at, last_up, begins, (last_up.event_id,), version.rule.every,
                root=f"month/{month // 12:04d}-{month % 12 + 1:02d}", stop=acts.get(month), deadline=ends,
            )  # fmt: skip
            ended = next((event for at, still, event in turns[position:] if not still and at <= ends), None)
            if clock.stop is None or (ended is not None and ended.at < clock.stop.at):
                clock.cancel, clock.stop = ended, None if ended is not None else clock.stop
            yield clock

    def next_month(self, as_of: int) -> int | None:
        """When a case may next begin by time alone: that of the next month; ``None`` where no version counts months."""
        months = [
            self._start_of(self._local_month(max(as_of, version.first - 1)) + 1)
            for version in self._versions
            if version.rule.by_months
        ]
        return min(months, default=None)

    # -- judge -------------------------------------------------------------------------------------------

    def judge(self, state: State, as_of: int, *, every: bool = False) -> tuple[list[Verdict], int | None]:
        """See ``Fold``."""
        verdicts: list[Verdict] = []
        following: int | None = None
        for clock in self._clocks(state, as_of, every=every):
            due, reports = clock.reports(as_of)
            if due is not None and (following is None or due < following):
                following = due
            if clock.started_at <= as_of and (every or reports):
                verdicts.append(clock.verdict(as_of, reports))
        return verdicts, following

    def statuses(self, state: State, as_of: int, watermark: int) -> list[Status]:
        """See ``Fold``."""
        clocks = self._clocks(state, as_of, every=True)
        return [clock.status(as_of, watermark) for clock in clocks if clock.started_at <= as_of]

    def has_case(self, state: State, as_of: int) -> bool:
        """See ``Fold``."""
        return any(clock.started_at <= as_of for clock in self._clocks(state, as_of, every=True))

    def reported(self, state: State, until: int) -> list[Verdict] | None:
        """See ``Fold``. Which months are under the obligation depends on the events known by then."""
        return None

    def _clocks(self, state: State, as_of: int, *, every: bool) -> Iterator[Clock]:
        yield from state.closed if every else state.owing
        if state.open is not None:
            yield state.open
        for index, version in enumerate(self._versions):
            if version.rule.by_months:
                yield from self._months(state, index, as_of)

    def open_cases(self, state: State, as_of: int) -> Sequence[Event]:
        """The last act, while another one must follow."""
        return self._awaited(state)

    def _awaited(self, state: State) -> Sequence[Event]:
        if state.open is not None:
            return (state.open.start,)
        return [turns[-1][2] for turns in state.turns if turns and turns[-1][1]]

    def is_stop(self, event: Event) -> bool:
        """See ``Fold``. Here no case is opened by one event and ended by another."""
        return False

    def is_idle(self, state: State) -> bool:
        """No act is required."""
        return not self._awaited(state)

    def needed(self, state: State, until: int) -> Needed | None:
        """See ``Fold``. A month that was missed stays open for ``MISSED_FOR`` months, since its act may still come."""
        # A version no longer in force may have missed months whose act may still come.
        alive = live_versions(self._versions, until - MISSED_FOR * 31 * DAY)
        if state.open is None and not alive:
            return Needed()
        if len(alive) != 1 or (state.open is not None and state.open.rule is not alive[0].rule):
            return None
        live = alive[0]
        index = self._versions.index(live)
        # An event kept for another reason must not start an ended clock again.
        kept = [state.ended[index], *([state.open.start] if state.open is not None else [])]
        if live.rule.by_months and state.turns[index]:
            kept += self._kept_turns(state, index, until)
        if not all_since(live, self._versions, kept):
            return None
        return Needed(frozenset([event.event_id for event in kept if event is not None]))

    def _kept_turns(self, state: State, index: int, until: int) -> list[Event]:
        turns, acts = state.turns[index], state.acts[index]
        first = self._local_month(until)
        for clock in self._months(state, index, until):
            if clock.cancel is None and clock.stop is None:
                first = min(first, self._local_month(clock.started_at))
                break
        first = max(first, self._local_month(until) - MISSED_FOR)
        begins = self._start_of(first)
        # The last event of the obligation before that month, and all that ended it: an act for an earlier month does
        # not begin it again.
        before = [event for at, _, event in turns if at < begins]
        last_up = [event for at, up, event in turns if up and at < begins]
        # The acts for all months that follow from the kept events: a month without its act would be open again. An act
        # that came months ahead of its month is such an event itself.
        known_from = first
        starts = [*last_up[-1:], *(event for month, event in acts.items() if month >= first)]
        while starts:
            earlier = min(known_from, *(self._local_month(event.at) + 1 for event in starts))
            starts = [event for month, event in acts.items() if earlier <= month < known_from]
            known_from = earlier
        if known_from < first:  # each of these months with the event that it followed
            begins = min(begins, self._start_of(known_from - 1))
        return [
            *before[-1:],
            *last_up[-1:],
            *(event for at, up, event in turns if not up or at >= begins),
            *(event for month, event in acts.items() if month >= known_from),
        ]
