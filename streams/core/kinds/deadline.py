"""Kind ``deadline``: the stop must occur within the limit of the start.

One fold serves all versions of a rule. At most one case is open at a time on a subject; a second start while it is open
is recorded and changes nothing, a start after completion opens a new case. State outside any case (the parts of a start
seen so far, whether the condition holds, whether the clock is paused) is kept per version, because each version may
watch different events.

Worked example, ``fee-5-minutes``: service started 09:00:00, interrupted 09:03:00 by a system failure, resumed
09:10:00. At 09:00 the deadline is 09:05; from 09:03 there is none; at 09:10 it is 09:12, three minutes used
and two left. Completed 09:12:00.000 is met, 09:12:00.001 is a breach at 09:12 and a late completion.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import msgspec

from schemas.limits import Limit, UntilDate
from schemas.rules import DeadlineRule
from streams.core.chosen_calendar import Calendars
from streams.core.conditions import Fields, always
from streams.core.deadlines import agreed_until
from streams.core.event import Event
from streams.core.kinds.clock import Clock
from streams.core.kinds.deadline_version import Role, Seen, Version
from streams.core.kinds.patterns import any_of, fits, may_fit
from streams.core.kinds.pauses import ends, merged
from streams.core.kinds.versions import all_since, live_versions
from streams.core.saved import MOST_PAUSES, ById, Saved, SavedCase, SavedWatch, find
from streams.core.verdicts import Needed, Status, Verdict
from streams.core.working_days import WorkingCalendar


class _Watch(msgspec.Struct, eq=False):
    """The state of one version outside any case; a struct, as all states: one is made a third as fast as an object."""

    marks: list[Event | None]
    holds: bool
    holds_since: Event | None = None
    paused_since: Event | None = None
    facts: Event | None = None
    seen: dict[str, Event] = {}  # each has its own
    """Of the types after which something does not pause the clock, the first event since the case before."""


class Case(Clock, eq=False, kw_only=True):
    """A clock of one version; ``fields`` are those that it started with, some of them of ``facts``.

    ``holds_since`` is the event since which its condition holds. ``is_saved`` where it was made from a saved state.
    ``held`` are the events for which it stands still, where the rule tells them apart: one of a type.
    """

    version: Version
    fields: Fields
    facts: Event | None = None
    holds_since: Event | None = None
    is_saved: bool = False
    held: tuple[Event, ...] = ()


class State(msgspec.Struct, eq=False):
    """The fold's state on one subject: the open case, the closed ones, and each version's state outside them.

    Only cases that ``owing`` has, closed but not met on time, can have a report. ``latest`` is the start of the latest
    case. ``strays`` are stops at the latest instant that ended nothing.
    """

    watches: list[_Watch]
    open: Case | None = None
    closed: list[Case] = []  # each has its own
    owing: list[Case] = []
    latest: Event | None = None
    strays: list[Event] = []


class DeadlineFold:
    """All versions of one deadline rule; see ``streams.core.verdicts.Fold``."""

    def __init__(
        self,
        rules: Sequence[DeadlineRule],
        calendar: WorkingCalendar,
        calendars: Calendars = MappingProxyType({}),
    ) -> None:
        self.id = rules[0].id
        self.subject_types = rules[0].subject
        self.versions = [Version(rule, calendar, calendars) for rule in rules]
        self.listens: frozenset[str] = frozenset().union(*(version.listens for version in self.versions))
        self.begins = any_of(first for version in self.versions for first in version.groups[:1])
        self._starts = frozenset().union(*(group for version in self.versions for group in version.groups))
        self._stops = frozenset().union(*(version.stop for version in self.versions))
        self._outside = {
            event_type: [
                (index, version, version.roles[event_type])
                for index, version in enumerate(self.versions)
                if event_type in version.roles and version.roles[event_type].is_outside
            ]
            for event_type in self.listens
        }
        """By event type the versions whose state outside any case it may change."""
        self._unless = frozenset().union(*(version.unless for version in self.versions))

    opens = True

    def start(self) -> State:
        """No case, nothing seen."""
        return State([_Watch([None] * len(version.groups), version.since is None) for version in self.versions])

    # -- step --------------------------------------------------------------------------------------------

    def step(self, state: State, event: Event) -> bool:
        """Take one event: first for the open case, then as a start."""
        case = state.open
        if case is not None:
            self.step_open(state, case, event)
        event_type = event.type
        if event_type in self._unless:
            self._note_seen(state, event)
        for index, version, role in self._outside.get(event_type, ()):
            self._step_watch(state, version, state.watches[index], role, event)
        if event_type in self._stops and (case is None or case.stop is not event) and state.latest is not event:
            self._note_stray(state, event)
        return case is not None or state.open is not None or bool(state.owing)

    def step_open(self, state: State, case: Case, event: Event) -> None:
        """Apply an event to the open case."""
        role = case.version.roles.get(event.type)
        if role is None or not role.is_within:
            return
        if role.stop is not None and fits(role.stop, event, case.fields):
            case.stop = event
        elif role.cancel is not None and fits(role.cancel, event, case.fields):
            case.cancel = event
        elif role.pause is not None and role.pauses_clock(event, case.fields, self._seen(state, case.version)):
            if not case.pauses or case.pauses[-1][1] is not None:
                # Resumed at the same instant: the clock has not run in between, so it is one pause.
                resumed_now = bool(case.pauses) and case.pauses[-1][1] == event.at
                case.pauses.append((case.pauses.pop()[0] if resumed_now else event.at, None))
                case.paused_by.append(event.event_id)
                case.held = (event,)
                case.time()
            elif case.version.tells_apart:
                case.paused_by.append(event.event_id)
                case.held = (*(one for one in case.held if one.type != event.type), event)
            return
        elif role.resume is not None and fits(role.resume, event, case.fields):
            left = role.left(case.held, event, case.fields)
            if left:
                if len(left) < len(case.held):
                    case.paused_by.append(event.event_id)
                    case.held = left
            elif case.end_pause(event.at):
                case.held = ()
                case.paused_by.append(event.event_id)
                case.time()
            return
        else:
            return
        self._close(state, case, event.at)

    def _close(self, state: State, case: Case, at: int) -> None:
        if case.end_pause(at):
            case.time()
        for watch in state.watches:
            watch.paused_since = None
            watch.seen.clear()
        state.open = None
        state.closed.append(case)
        if case.cancel is not None or (case.deadline is not None and at > case.deadline):
            state.owing.append(case)

    def _note_seen(self, state: State, event: Event) -> None:
        for version, watch in zip(self.versions, state.watches, strict=True):
            if event.type in version.unless:
                watch.seen.setdefault(event.type, event)

    def _seen(self, state: State, version: Version) -> Seen:
        """What came before, of what keeps something from pausing the clock."""
        return state.watches[self.versions.index(version)].seen if version.unless else ()

    def _note_stray(self, state: State, event: Event) -> None:
        if state.strays and state.strays[-1].at != event.at:
            state.strays.clear()
        state.strays.append(event)

    def _step_watch(self, state: State, version: Version, watch: _Watch, role: Role, event: Event) -> None:
        if role.since is not None and fits(role.since, event):
            if not watch.holds:
                watch.holds_since = event
            watch.holds = True
        if role.is_facts:
            watch.facts = event
        for index, pairs in role.groups:
            if fits(pairs, event):
                self._mark(state, version, watch, index, event)
        if state.open is None and role.may_pause:
            # Outside any case a pause counts only if the next case would begin under it.
            fields = self._fields(watch, event)
            watch.paused_since = self.still_after(
                role, event, fields, watch.paused_since, watch.seen, has_started=False
            )
        if role.until is not None and fits(role.until, event):
            watch.holds = False

    def _mark(self, state: State, version: Version, watch: _Watch, index: int, event: Event) -> None:
        if state.open is not None or state.latest is event:
            return
        if len(watch.marks) > 1:
            watch.marks[index] = event
            if any(mark is None for mark in watch.marks):
                return
        if watch.holds and version.is_in_force(event.at):
            self._open(state, version, watch, event)

    def still_after(
        self, role: Role, event: Event, fields: Fields, before: Event | None, seen: Seen = (), *, has_started: bool
    ) -> Event | None:
        """The event since which the clock is paused after this one, if it is; of two roles the pause wins."""
        if role.cancel is not None and fits(role.cancel, event, fields, has_started=has_started):
            before = None
        if role.pause is not None and role.pauses_clock(event, fields, seen, has_started=has_started):
            return before or event
        is_resume = role.resume is not None and fits(role.resume, event, fields, has_started=has_started)
        if not is_resume or before is None:
            return before
        return before if role.left((before,), event, fields, has_started=has_started) else None

    def _fields(self, watch: _Watch, event: Event) -> Fields:
        return event.data if watch.facts is None else {**watch.facts.data, **event.data}

    def case_of(
        self, version: Version, start: Event, started_at: int, fields: Fields, started_by: Sequence[str]
    ) -> Case:
        """Open a new case from an instant on; its deadline is not computed yet."""
        calendar = version.calendar.of(fields)
        limit: Limit | None = None
        until: int | None = None
        for when, choice in version.choices:
            if when is always or when(fields):
                limit = choice
                break
        if type(limit) is UntilDate:
            limit, until = agreed_until(limit, fields.get(limit.field), started_at, calendar)
        return Case(
            version.rule, version.rule.warn_at, start, started_at, tuple(started_by), limit, until,
            version=version, fields=fields, calendar=calendar,
        )  # fmt: skip

    def _open(self, state: State, version: Version, watch: _Watch, event: Event) -> None:
        fields = self._fields(watch, event)
        started_by = [mark.event_id for mark in watch.marks if mark is not None] or [event.event_id]
        if watch.facts is not None and watch.facts.event_id not in started_by:
            started_by.append(watch.facts.event_id)
        case = self.case_of(version, event, event.at, fields, started_by)
        case.facts, case.holds_since = watch.facts, watch.holds_since
        role, still = version.roles[event.type], watch.paused_since
        if role.may_pause:
            still = self.still_after(role, event, fields, still, watch.seen, has_started=True)
        if still is not None:
            case.pauses.append((event.at, None))
            case.paused_by.append(still.event_id)
            case.held = (still,)
        case.time()
        # No other version may use the events of this start again.
        for other in state.watches:
            other.marks = [None] * len(other.marks)
        state.open, state.latest = case, event
        for stray in state.strays:
            if stray.at == event.at and fits(version.stop.get(stray.type, ()), stray, fields):
                # Both at the same instant: the stop is first only by the order of ids.
                state.strays.remove(stray)
                case.stop = stray
                self._close(state, case, stray.at)
                break

    # -- judge -------------------------------------------------------------------------------------------

    def judge(self, state: State, as_of: int, *, every: bool = False) -> tuple[list[Verdict], int | None]:
        """See ``Fold``. Only an open case, or one closed late, can have a report."""
        if not every and not state.owing:
            if state.open is None:
                return [], None
            due, reports = state.open.reports(as_of)
            return [state.open.verdict(as_of, reports)] if reports else [], due
        verdicts: list[Verdict] = []
        following: int | None = None
        cases = list(state.closed if every else state.owing)
        if state.open is not None:
            cases.append(state.open)
        for case in cases:
            due, reports = case.reports(as_of)
            if due is not None and (following is None or due < following):
                following = due
            if (every and case.start.at <= as_of) or reports:
                verdicts.append(case.verdict(as_of, reports))
        return verdicts, following

    def statuses(self, state: State, as_of: int, watermark: int) -> list[Status]:
        """See ``Fold``."""
        cases = state.closed if state.open is None else (*state.closed, state.open)
        return [case.status(as_of, watermark) for case in cases if case.start.at <= as_of]

    def has_case(self, state: State, as_of: int) -> bool:
        """See ``Fold``."""
        first = state.closed[0] if state.closed else state.open  # they are in order of time
        return first is not None and first.start.at <= as_of

    def reported(self, state: State, until: int) -> list[Verdict] | None:
        """See ``Fold``. The reports of a paused clock depend on the pauses known by then."""
        found: list[Verdict] = []
        for case in state.closed if state.open is None else (*state.closed, state.open):
            if case.paused_by:
                return None
            found += case.reported(until)
        return found

    def open_cases(self, state: State, as_of: int) -> tuple[Event, ...]:
        """At most one."""
        return () if state.open is None else (state.open.start,)

    def is_stop(self, event: Event) -> bool:
        """See ``Fold``: by its own fields."""
        return event.type in self._stops and any(
            may_fit(version.stop.get(event.type, ()), event) for version in self.versions
        )

    def is_idle(self, state: State) -> bool:
        """No case open, no part of a start or pause waiting, and no condition that holds until another event."""
        return state.open is None and all(
            watch.paused_since is None and not any(watch.marks) and (version.since is None or not watch.holds)
            for version, watch in zip(self.versions, state.watches, strict=True)
        )

    def is_neutral(self, state: State) -> bool:
        """Whether no case is open, and outside any case only conditions hold."""
        return state.open is None and not any(
            watch.paused_since or watch.facts or watch.seen or any(watch.marks) for watch in state.watches
        )

    def needed(self, state: State, until: int) -> Needed:
        """See ``Fold``: the events behind the open case and those waiting outside any case, or the state itself."""
        case = state.open
        if case is None or (not case.is_saved and len(case.paused_by) <= MOST_PAUSES):
            needed = self.needed_events(state, until)
            if needed is not None:
                return needed
        saved = self.save(state)
        ids = frozenset(saved.events())
        return Needed(ids, saved=(saved,)) if ids else Needed()

    def save(self, state: State) -> Saved:
        """The state as a value, once no event of its latest instant can come any more; without the closed cases."""
        return Saved(
            tuple(
                SavedWatch(
                    version.rule.version,
                    tuple(map(_id_of, watch.marks)),
                    watch.holds,
                    _id_of(watch.holds_since) if watch.holds else None,
                    _id_of(watch.paused_since),
                    _id_of(watch.facts),
                    tuple(event.event_id for event in watch.seen.values()),
                )
                for version, watch in zip(self.versions, state.watches, strict=True)
            ),
            None if state.open is None else _saved_case(state.open),
        )

    def load(self, saved: Sequence[Saved], events: ById) -> State:
        """See ``Resumable``."""
        return self.loaded(saved[0], events)

    def loaded(self, saved: Saved, events: ById) -> State:
        """The state that was saved; under other versions of the rule as much of it as they have a place for."""
        state = self.start()
        by_version = {watch.version: watch for watch in saved.watches}
        for version, watch in zip(self.versions, state.watches, strict=True):
            before = by_version.get(version.rule.version)
            if before is None:
                continue
            if len(before.marks) == len(watch.marks):
                watch.marks = [find(events, mark) for mark in before.marks]
            watch.holds = before.holds or version.since is None
            watch.holds_since = find(events, before.holds_since)
            watch.paused_since, watch.facts = find(events, before.paused_since), find(events, before.facts)
            seen = (find(events, one) for one in before.seen)
            watch.seen = {one.type: one for one in seen if one is not None and one.type in version.unless}
        state.open = self._loaded_case(saved.case, events)
        state.latest = None if state.open is None else state.open.start
        return state

    def _loaded_case(self, saved: SavedCase | None, events: ById) -> Case | None:
        start = None if saved is None else find(events, saved.start)
        if saved is None or start is None:
            return None
        same = [version for version in self.versions if version.rule.version == saved.version]
        version = next((one for one in (*same, *self.versions) if one.is_in_force(start.at)), None)
        if version is None:
            return None
        facts = find(events, saved.facts)
        fields = start.data if facts is None else {**facts.data, **start.data}
        case = self.case_of(version, start, start.at, fields, saved.started_by)
        case.facts, case.holds_since, case.item = facts, find(events, saved.holds_since), saved.item
        case.pauses, case.paused_by, case.omitted = list(saved.pauses), list(saved.paused_by), saved.omitted
        held = (find(events, one) for one in saved.held)
        case.held = tuple(one for one in held if one is not None)
        case.is_saved = True
        case.time()
        return case

    def needed_events(self, state: State, until: int) -> Needed | None:
        """The events from which the same state would come again; ``None`` where they would not give it."""
        alive = live_versions(self.versions, until)
        if state.open is None and not alive:
            return Needed()
        if len(alive) != 1 or (state.open is not None and len(self.versions) > 1):
            return None
        live = alive[0]
        events: list[Event | None] = []
        types: set[str] = set()
        for version, watch in zip(self.versions, state.watches, strict=True):
            if version is not live:
                continue
            events += [*watch.marks, watch.paused_since, watch.facts, watch.holds_since if watch.holds else None]
            if watch.seen.keys() & live.does_more:
                return None  # kept for this, they would do that again
            events += watch.seen.values()
            if version.rule.facts_from and version.pause:
                types.add(version.rule.facts_from)  # outside a case the facts decide which pause counts
        case = state.open
        marks = state.watches[self.versions.index(live)].marks
        own = {mark.event_id for mark in marks if mark is not None}
        if case is not None:
            events.append(case.holds_since)
            own.update(case.started_by)
        if any(event is not None and event.type in self._starts and event.event_id not in own for event in events):
            return None  # an event kept for another reason must not start a finished case again
        if not all_since(live, self.versions, events) or self._acts_anew(live, state):
            return None
        # A stop kept without the case that it ended would end a case that starts at its instant.
        has_stop = any(event is not None and event.type in self._stops for event in events)
        rests_on = {*self._starts, *(live.pause if case and case.paused_by else ()), *live.resume}
        if has_stop or (case is not None and self._stops & rests_on):
            return None
        ids = own.union([event.event_id for event in events if event is not None])
        if case is not None:
            ids.update(case.paused_by)
        return Needed(frozenset(ids), frozenset(types))

    def _acts_anew(self, live: Version, state: State) -> bool:
        """Whether an event kept for one role may have another that was ended by events that are not kept.

        So it would pause the clock again, or make the condition hold again.
        """
        watch, case = state.watches[self.versions.index(live)], state.open
        starts: set[str] = set()
        if case is not None or any(watch.marks):
            starts.update(*live.groups)
        others: set[str] = set()
        if watch.facts is not None and live.rule.facts_from:
            others.add(live.rule.facts_from)
        paused = {*live.pause, *live.resume} if watch.paused_since or (case and case.paused_by) else set()
        holding = {watch.holds_since.type} if watch.holds and watch.holds_since else set()
        pausing = {*others, *holding, *(starts if len(live.groups) > 1 else ())}
        return bool(pausing & live.pause.keys() or {*starts, *others, *paused} & (live.since or {}).keys())


def _id_of(event: Event | None) -> str | None:
    return None if event is None else event.event_id


def _saved_case(case: Case) -> SavedCase:
    assert case.calendar is not None
    pauses, paused_by = merged(case.pauses, case.limit, case.deadline, case.calendar), ends(case.paused_by)
    return SavedCase(
        case.version.rule.version,
        case.start.event_id,
        case.started_by,
        _id_of(case.facts),
        _id_of(case.holds_since),
        case.item,
        tuple(pauses),
        tuple(paused_by),
        (
            case.omitted[0] + len(case.pauses) - len(pauses),
            case.omitted[1] + len(case.paused_by) - len(paused_by),
        ),
        tuple(one.event_id for one in case.held) if case.version.tells_apart else (),
    )
