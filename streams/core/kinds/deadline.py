"""Kind ``deadline``: the stop must occur within the limit of the start.

One fold serves all versions of a rule. At most one case is open at a time on a subject; a second start while
it is open is noted and changes nothing, a start after completion opens a new case. What holds apart from any
case (which halves of a start have been seen, whether the condition holds, whether the clock is stopped) is
kept per version, because each version may watch different events.

Worked example, ``fee-5-minutes``: service started 09:00:00, interrupted 09:03:00 by a system failure, resumed
09:10:00. At 09:00 the deadline is 09:05; from 09:03 there is none; at 09:10 it is 09:12, three minutes used
and two left. Completed 09:12:00.000 is met, 09:12:00.001 is a breach at 09:12 and a late completion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.rules import DeadlineRule, Limit, Pattern, UntilDate
from streams.core.conditions import Fields, Predicate, always, predicate
from streams.core.deadlines import Pause, date_in_field, deadline_of, warning_instant
from streams.core.event import Event
from streams.core.verdicts import Outcome, Report, Verdict
from streams.core.working_days import WorkingCalendar

Test = tuple[Predicate, Predicate]


def _tests(patterns: Sequence[Pattern]) -> dict[str, list[Test]]:
    tests: dict[str, list[Test]] = {}
    for pattern in patterns:
        tests.setdefault(pattern.type, []).append((predicate(pattern.where), predicate(pattern.if_start)))
    return tests


def _matches(tests: dict[str, list[Test]], event: Event, start_fields: Fields | None) -> bool:
    for where, if_start in tests.get(event.type, ()):
        if where(event.data) and (if_start is always or (start_fields is not None and if_start(start_fields))):
            return True
    return False


class _Version:
    """One version of the rule, compiled."""

    __slots__ = (
        "cancel",
        "choices",
        "first",
        "groups",
        "last",
        "listens",
        "pause",
        "resume",
        "rule",
        "since",
        "stop",
        "until",
    )

    def __init__(self, rule: DeadlineRule, calendar: WorkingCalendar) -> None:
        self.rule = rule
        self.first = calendar.start_of_day(rule.effective_from.toordinal())
        self.last = None if rule.effective_to is None else calendar.start_of_day(rule.effective_to.toordinal())
        self.groups = [_tests(group) for group in rule.start.all]
        self.since = _tests(rule.only_while.since) if rule.only_while else None
        self.until = _tests(rule.only_while.until) if rule.only_while else {}
        self.stop = _tests(rule.stop)
        self.pause = _tests(rule.pause)
        self.resume = _tests(rule.resume)
        self.cancel = _tests(rule.cancel)
        self.choices: list[tuple[Predicate, Limit]] = [(predicate(choice.when), choice.limit) for choice in rule.limit]
        self.listens = frozenset().union(
            self.stop, self.pause, self.resume, self.cancel, self.until, self.since or (), *self.groups
        ) | ({rule.facts_from} if rule.facts_from else frozenset())

    def is_in_force(self, at: int) -> bool:
        return self.first <= at and (self.last is None or at < self.last)


class _Watch:
    """What one version has seen apart from any case."""

    __slots__ = ("facts", "holds", "marks", "paused_since")

    def __init__(self, version: _Version) -> None:
        self.marks: list[Event | None] = [None] * len(version.groups)
        self.holds = version.since is None
        self.paused_since: Event | None = None
        self.facts: Event | None = None


@dataclass(slots=True, eq=False)
class Case:
    """One clock: opened by ``start``, running until it is stopped or cancelled."""

    version: _Version
    start: Event
    started_by: tuple[str, ...]
    fields: Fields
    limit: Limit | None
    until: int | None
    pauses: list[Pause] = field(default_factory=list)
    paused_by: list[str] = field(default_factory=list)
    stop: Event | None = None
    cancel: Event | None = None
    deadline: int | None = None
    provisional: bool = False

    def time(self, calendar: WorkingCalendar) -> None:
        """Work out the deadline again from the pauses known."""
        if self.limit is None:
            return
        found = deadline_of(self.limit, self.start.at, self.pauses, calendar, until=self.until)
        self.deadline, self.provisional = found.at, found.provisional

    def end_pause(self, at: int) -> bool:
        """Close the open pause, if there is one, at an instant."""
        if not self.pauses or self.pauses[-1][1] is not None:
            return False
        since = self.pauses.pop()[0]
        if at > since:
            self.pauses.append((since, at))
        return True


class State:
    """The fold's state on one subject: the open case, the closed ones, and what was seen beside them."""

    __slots__ = ("closed", "open", "orphan", "orphans", "owing", "watches")

    def __init__(self, versions: Sequence[_Version]) -> None:
        self.watches = [_Watch(version) for version in versions]
        self.open: Case | None = None
        self.closed: list[Case] = []
        self.owing: list[Case] = []  # closed cases that are not simply met: only they can owe a report
        self.orphan: Event | None = None
        self.orphans = 0


class DeadlineFold:
    """All versions of one deadline rule; see ``streams.core.verdicts.Fold``."""

    def __init__(self, rules: Sequence[DeadlineRule], calendar: WorkingCalendar) -> None:
        self.id = rules[0].id
        self.subject_types = rules[0].subject
        self._calendar = calendar
        self._versions = [_Version(rule, calendar) for rule in rules]
        self.listens: frozenset[str] = frozenset().union(*(version.listens for version in self._versions))

    def start(self) -> State:
        """No case, nothing seen."""
        return State(self._versions)

    # -- step --------------------------------------------------------------------------------------------

    def step(self, state: State, event: Event) -> None:
        """Take one event: first as something that happens to the open case, then as a start."""
        case = state.open
        if case is not None:
            self._step_open(state, case, event)
        elif any(event.type in version.stop for version in self._versions):
            self._note_orphan(state, event)
        for version, watch in zip(self._versions, state.watches, strict=True):
            if event.type in version.listens:
                self._step_watch(state, version, watch, event)

    def _step_open(self, state: State, case: Case, event: Event) -> None:
        version = case.version
        if _matches(version.stop, event, case.fields):
            case.stop = event
        elif _matches(version.cancel, event, case.fields):
            case.cancel = event
        elif _matches(version.pause, event, case.fields):
            if not case.pauses or case.pauses[-1][1] is not None:
                case.pauses.append((event.at, None))
                case.paused_by.append(event.event_id)
                case.time(self._calendar)
            return
        elif _matches(version.resume, event, case.fields):
            if case.end_pause(event.at):
                case.paused_by.append(event.event_id)
                case.time(self._calendar)
            return
        else:
            return
        self._close(state, case, event.at)

    def _close(self, state: State, case: Case, at: int) -> None:
        if case.end_pause(at):
            case.time(self._calendar)
        for watch in state.watches:
            watch.paused_since = None
        state.open = None
        state.closed.append(case)
        if case.cancel is not None or (case.deadline is not None and at > case.deadline):
            state.owing.append(case)

    def _note_orphan(self, state: State, event: Event) -> None:
        if any(_matches(version.stop, event, {}) for version in self._versions):
            state.orphan = event
            state.orphans += 1

    def _step_watch(self, state: State, version: _Version, watch: _Watch, event: Event) -> None:
        if version.since is not None and _matches(version.since, event, None):
            watch.holds = True
        if event.type == version.rule.facts_from:
            watch.facts = event
        for index, group in enumerate(version.groups):
            if _matches(group, event, None):
                self._mark(state, version, watch, index, event)
        if state.open is None:
            # Outside any case a pause counts only if the next case would begin under it.
            fields = self._fields(watch, event)
            if _matches(version.resume, event, fields) or _matches(version.cancel, event, fields):
                watch.paused_since = None
            elif _matches(version.pause, event, fields):
                watch.paused_since = watch.paused_since or event
        if version.until and _matches(version.until, event, None):
            watch.holds = False

    def _mark(self, state: State, version: _Version, watch: _Watch, index: int, event: Event) -> None:
        if state.open is not None:
            return
        if len(watch.marks) > 1:
            watch.marks[index] = event
            if any(mark is None for mark in watch.marks):
                return
        if watch.holds and version.is_in_force(event.at):
            self._open(state, version, watch, event)

    def _fields(self, watch: _Watch, event: Event) -> Fields:
        return event.data if watch.facts is None else {**watch.facts.data, **event.data}

    def _open(self, state: State, version: _Version, watch: _Watch, event: Event) -> None:
        fields = self._fields(watch, event)
        limit = next((limit for when, limit in version.choices if when(fields)), None)
        until = None
        if isinstance(limit, UntilDate):
            until = date_in_field(fields.get(limit.field))
            if until is not None and until < self._calendar.local_date(event.at):
                until = None  # a date already past when it was set cannot be kept by anybody: not judged
        started_by = [mark.event_id for mark in watch.marks if mark is not None] or [event.event_id]
        if watch.facts is not None and watch.facts.event_id not in started_by:
            started_by.append(watch.facts.event_id)
        case = Case(version, event, tuple(started_by), fields, limit, until)
        if watch.paused_since is not None:
            case.pauses.append((event.at, None))
            case.paused_by.append(watch.paused_since.event_id)
        case.time(self._calendar)
        watch.marks = [None] * len(version.groups)
        state.open = case
        orphan, state.orphan = state.orphan, None
        if orphan is not None and orphan.at == event.at and _matches(version.stop, orphan, fields):
            # Both at the same instant: only the ids put the stop first.
            state.orphans -= 1
            case.stop = orphan
            self._close(state, case, orphan.at)

    # -- judge -------------------------------------------------------------------------------------------

    def judge(self, state: State, as_of: int, *, every: bool = False) -> tuple[list[Verdict], int | None]:
        """See ``Fold``. Only an open case, or one that closed late, can owe a report."""
        verdicts: list[Verdict] = []
        following: int | None = None
        cases = list(state.closed if every else state.owing)
        if state.open is not None:
            cases.append(state.open)
        for case in cases:
            due, reports = self._reports(case, as_of)
            if due is not None and (following is None or due < following):
                following = due
            if (every and case.start.at <= as_of) or reports:
                verdicts.append(self._verdict(case, as_of, reports))
        return verdicts, following

    def _reports(self, case: Case, as_of: int) -> tuple[int | None, tuple[Report, ...]]:
        deadline = case.deadline
        if deadline is None:
            return None, ()
        ended_at = case.stop.at if case.stop else case.cancel.at if case.cancel else None
        if ended_at is not None and ended_at <= deadline and ended_at <= as_of:
            return None, ()
        if as_of < deadline:
            return self._warning(case, as_of, deadline, ended_at)
        if ended_at is not None and ended_at <= deadline:
            return None, ()
        breach = Report("breach", str(deadline), deadline)
        if case.stop is None:
            return None, (breach,)
        if case.stop.at > as_of:
            return case.stop.at, (breach,)
        return None, (breach, Report("late_completion", case.stop.event_id, case.stop.at))

    def _warning(
        self, case: Case, as_of: int, deadline: int, ended_at: int | None
    ) -> tuple[int | None, tuple[Report, ...]]:
        due = deadline if ended_at is None or ended_at > deadline else ended_at
        told: Report | None = None
        assert case.limit is not None
        for fraction in case.version.rule.warn_at:
            at = warning_instant(case.limit, case.start.at, case.pauses, deadline, fraction)
            if at is None or at < case.start.at:
                continue
            if at > as_of:
                due = min(due, at)
            elif told is None or at >= told.due:
                told = Report("warning", repr(fraction), at)
        return due, () if told is None else (told,)

    def _verdict(self, case: Case, as_of: int, reports: tuple[Report, ...]) -> Verdict:
        stop = case.stop if case.stop is not None and case.stop.at <= as_of else None
        cancel = case.cancel if case.cancel is not None and case.cancel.at <= as_of else None
        late = any(report.kind == "breach" for report in reports)
        outcome: Outcome = "running"
        if stop is not None:
            outcome = "met_late" if late else "met"
        elif late:
            outcome = "breached"
        elif cancel is not None:
            outcome = "cancelled"
        ended = stop or cancel
        evidence = [*case.started_by, *case.paused_by]
        if ended is not None:
            evidence.append(ended.event_id)
        facts: dict[str, Any] = {}
        if case.deadline is None:
            open_pause = next((since for since, until in case.pauses if until is None), None)
            facts["no_limit" if open_pause is None else "paused_since"] = open_pause
        return Verdict(
            rule=case.version.rule,
            root=case.start.event_id,
            anchor=case.start,
            outcome=outcome,
            started_at=case.start.at,
            deadline=case.deadline,
            stopped_at=stop.at if stop else None,
            ended_at=ended.at if ended else as_of,
            reports=reports,
            limit=case.limit,
            pauses=tuple(case.pauses),
            until=case.until,
            provisional=case.provisional,
            evidence=tuple(evidence),
            facts=facts,
        )

    def open_cases(self, state: State) -> tuple[Event, ...]:
        """At most one."""
        return () if state.open is None else (state.open.start,)

    def is_idle(self, state: State) -> bool:
        """No case open, and no half of a start or pause waiting."""
        return state.open is None and all(
            watch.paused_since is None and not any(watch.marks) for watch in state.watches
        )
