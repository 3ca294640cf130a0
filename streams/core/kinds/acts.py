"""Base of the kinds about an act: each act is a case, met or violated, certain once the watermark has passed it.

Theory of operation. Events at one instant have no provable order. So an event in favour of the person counts as
earlier, one against as later: a notice at the instant of the act is before it, a payment at that instant is not. In the
fold, an act *waits* until an event at a later instant comes (or until it is judged) and then sees all helpful events up
to its own instant; a reset waits likewise and is applied at the next later instant. As a definition: a helpful event
``n`` counts for an act ``a`` if ``n.at <= a.at`` and no reset ``h`` has ``n.at < h.at < a.at``; a harmful one (an act
counted with this one, what forbids it) does not if some ``h`` has ``n.at <= h.at <= a.at``.

Example, survey-before-acceptance: accepted and surveyed both at 10:00:00.000 is met, whatever their ids; surveyed at
09:59:59.999 is a violation, reported once the watermark has passed 09:59:59.999, and withdrawn if an acceptance of an
earlier instant is recorded later.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Generic, TypeVar

import msgspec

from schemas.base import Text
from schemas.patterns import Need
from schemas.rules import ActRule, RuleBase
from streams.core.conditions import Fields, predicate_of_start
from streams.core.event import Event
from streams.core.faults import Fault
from streams.core.kinds.findings import NOT_COUNTED, Counted, Finding, Grounds
from streams.core.kinds.patterns import Tests, any_of, compile_patterns, fits, matches, may_fit, title_of
from streams.core.kinds.slots import Slot
from streams.core.kinds.versions import InForce, all_since, live_versions
from streams.core.verdicts import Needed, Outcome, Status, Verdict
from streams.core.working_days import WorkingCalendar


def latest_before(events: Sequence[Event], act: Event) -> Sequence[Event]:
    """The last of the events, as a list of one or none; one at the act's own instant only where there is no other.

    For kinds in which a later event replaces an earlier one: at one instant that would be against the person. The
    events are in order of time, the last of them not later than the act.
    """
    for event in reversed(events):
        if event.at < act.at:
            return [event]
    return events[-1:]


class Watch(msgspec.Struct, eq=False):
    """The state of one version: the latest event of each need, the latest facts, and events waiting to take effect.

    ``near`` are, by need, all events of the needs that compare with the act: the match is decided at the act.
    ``own`` is the kind's own part; ``reset`` the last reset that took effect.
    """

    found: list[Event | None]
    own: Any
    near: dict[int, list[Event]] = {}  # each has its own
    facts: Event | None = None
    held: Sequence[Event] = ()
    closed: bool = False
    reset: Event | None = None

    def spoil(self, at: int) -> None:
        """Apply a reset at an instant: nothing earlier counts any more."""
        if self.found:
            self.found = [event if event is not None and event.at >= at else None for event in self.found]
        for index, events in self.near.items():
            self.near[index] = [event for event in events if event.at >= at]


def fields_of(facts: Event | None, act: Event) -> Fields:
    """The fields that a case starts with: the act's own, and those added by its facts."""
    return act.data if facts is None else {**facts.data, **act.data}


class Role:
    """The roles of an event type in one version; ``None`` for a role that it cannot have."""

    __slots__ = ("act", "closed_by", "is_facts", "is_noted", "is_noted_besides", "may_trigger", "reset", "slots")

    def __init__(self, version: ActVersion[Any], event_type: str) -> None:
        self.slots = [
            (index, slot, pairs)
            for index, slot in enumerate(version.slots)
            if (pairs := slot.tests.get(event_type)) is not None
        ]
        self.is_facts = event_type == version.rule.facts_from
        self.reset = version.reset.get(event_type)
        self.closed_by = version.closed_by.get(event_type)
        self.act = version.act.get(event_type)
        self.may_trigger = event_type in version.trigger_types
        self.is_noted_besides = bool(self.is_facts or self.reset or self.closed_by)
        """Whether a watch keeps it for something else than a need."""
        self.is_noted = bool(self.slots) or self.is_noted_besides


R = TypeVar("R", bound=ActRule)


class ActVersion(InForce, ABC, Generic[R]):
    """One version of a rule about an act, compiled. A kind defines what it stores and how it judges."""

    def __init__(
        self, rule: R, calendar: WorkingCalendar, titles: Mapping[str, Text], needs: Sequence[Need] = ()
    ) -> None:
        super().__init__(rule, calendar)
        self.rule = rule
        self.calendar = calendar
        self.titles = titles
        self.slots = [Slot(need, titles) for need in needs]
        self._comparing = [index for index, slot in enumerate(self.slots) if slot.compares]
        self.act = compile_patterns(rule.act)
        self.reset = compile_patterns(rule.reset)
        self.closed_by = compile_patterns(rule.closed_by)
        self._when = predicate_of_start(rule.when) if rule.when else None
        self.listens = frozenset().union(
            self.act, self.reset, self.closed_by, *(slot.tests for slot in self.slots), *self.own_tests()
        ) | ({rule.facts_from} if rule.facts_from else frozenset())
        self.roles = {event_type: Role(self, event_type) for event_type in self.listens}
        self._titles_of_acts = {event_type: title_of(event_type, titles) for event_type in self.act}

    def own_tests(self) -> Iterable[Tests]:
        """The patterns of the kind itself; compiled on first use."""
        return ()

    @property
    def trigger_types(self) -> Container[str]:
        """The event types of which one may trigger a finding."""
        return self.act

    def watch(self) -> Watch:
        """The version's state before any event."""
        return Watch([None] * len(self.slots), self.start())

    def start(self) -> Any:
        """The kind's own part of it."""
        return None

    def note(self, watch: Watch, event: Event) -> None:
        """Apply at once the events in favour of the person."""
        role = self.roles[event.type]
        if not role.is_noted:
            return
        for index, slot, pairs in role.slots:
            if slot.compares:
                if may_fit(pairs, event):
                    watch.near.setdefault(index, []).append(event)
                    watch.closed = False
            elif fits(pairs, event):
                watch.found[index] = event
                watch.closed = False
        if role.is_facts:
            watch.facts = event
            watch.closed = False
        if role.reset is not None and fits(role.reset, event):
            watch.held = (*watch.held, event)
        if role.closed_by is not None and fits(role.closed_by, event):
            watch.closed = True

    def move_on(self, watch: Watch) -> None:
        """A later instant has come: held events take effect."""
        for event in watch.held:
            self.spoil(watch, event.at)
            watch.reset = event
        watch.held = ()

    def spoil(self, watch: Watch, at: int) -> None:
        """Apply a reset at an instant."""
        watch.spoil(at)

    def is_act(self, event: Event) -> bool:
        """Whether the rule applies to this event, by its own fields."""
        pairs = self.act.get(event.type)
        return pairs is not None and fits(pairs, event)

    def is_trigger(self, watch: Watch, event: Event) -> bool:
        """Whether this event triggers a finding; by default the act itself does."""
        pairs = self.act.get(event.type)
        return pairs is not None and fits(pairs, event) and self.is_in_force(event.at)

    def applies(self, watch: Watch, act: Event) -> bool:
        """Whether the facts known at the act make the rule apply to it."""
        return self._when is None or self._when(fields_of(watch.facts, act))

    def missing(self, watch: Watch, act: Event) -> Sequence[Fault]:
        """A fault for each need not met by the act."""
        if not self.slots:
            return ()
        found: list[Fault] = []
        for slot, event in zip(self.slots, self._latest(watch, act), strict=True):
            fault = slot.missing(event, act, act.at, self.calendar)
            if fault is not None:
                found.append(fault)
        return found

    def _latest(self, watch: Watch, act: Event) -> Sequence[Event | None]:
        """The latest event of each need, among those that may count for this act."""
        if not self._comparing:
            return watch.found
        found, fields = list(watch.found), fields_of(watch.facts, act)
        for index, events in watch.near.items():
            tests = self.slots[index].tests
            found[index] = next((event for event in reversed(events) if matches(tests, event, fields)), None)
        return found

    def grounds(self, watch: Watch, act: Event, *more: Event | None) -> Grounds:
        """The events behind a finding."""
        return (watch.facts, *self._latest(watch, act), *more, act)

    def finding(
        self,
        act: Event,
        faults: Sequence[Fault],
        grounds: Grounds,
        *,
        due: int | None = None,
        counted: Counted = NOT_COUNTED,
        cancelled: bool = False,
    ) -> Finding:
        """The finding on an act; by default certain at its own instant."""
        title = self._titles_of_acts[act.type]
        due = act.at if due is None else due
        limit, provisional, calendar = counted
        own = calendar if calendar is not None and calendar.hours is not None else None
        return Finding(self.rule, act, tuple(faults), due, grounds, limit, provisional, cancelled, title, own)

    @abstractmethod
    def find(self, watch: Watch, trigger: Event) -> Iterable[Finding]:
        """The findings at a trigger, with all events up to its instant applied. Changes nothing that is judged."""

    def found(self, watch: Watch, trigger: Event) -> None:
        """Called once the trigger's findings are final."""

    @property
    def bound(self) -> str:
        """See ``Bounded``."""
        return ""

    def left_out(self, watch: Watch) -> int | None:
        """See ``Bounded``."""
        return None

    @property
    def opens(self) -> bool:
        """Whether an act's case may wait for a later event."""
        return False

    def open_acts(self, watch: Watch) -> Sequence[Event]:
        """Acts whose case still waits for an event."""
        return ()

    def is_idle(self, watch: Watch) -> bool:
        """Whether no event seen matters to a later act."""
        seen = any(watch.found) or any(watch.near.values())
        return watch.closed or (watch.facts is None and not seen and not watch.held)

    @property
    def keeps_facts(self) -> bool:
        """Whether ``needed`` gives the facts at each act that it gives."""
        return False

    def needed(self, watch: Watch, until: int) -> Sequence[Event | None]:
        """The events seen that matter to acts later than ``until``, or to acts that wait for an event."""
        near = chain.from_iterable(self.slots[index].newest(events) for index, events in watch.near.items())
        return (watch.facts, *watch.found, *near, *watch.held, watch.reset, *self.own_needed(watch, until))

    def own_needed(self, watch: Watch, until: int) -> Sequence[Event]:
        """The kind's own part of ``needed``."""
        return ()


def _with(known: Sequence[Finding], more: Sequence[Finding]) -> Sequence[Finding]:
    """All of them. A few are a tuple, which is small; many are a list, which grows without a copy."""
    if isinstance(known, list):
        known += more
        return known
    return (*known, *more) if len(known) < 8 else [*known, *more]


class State(msgspec.Struct, eq=False):
    """The fold's state on one subject. ``shown`` caches the findings of the waiting triggers."""

    watches: tuple[Watch, ...]
    instant: int = -(2**62)
    waiting: Sequence[tuple[int, Event]] = ()
    shown: Sequence[Finding] | None = None
    settled: Sequence[Finding] = ()
    broken: Sequence[Finding] = ()


class ActFold:
    """All versions of one rule about an act; see ``streams.core.verdicts.Fold``."""

    def __init__(self, versions: Sequence[ActVersion[Any]]) -> None:
        self.id = versions[0].rule.id
        self.subject_types = versions[0].rule.subject
        self.opens = any(version.opens for version in versions)
        self.bound = max(version.bound for version in versions)
        self.versions = versions
        self._only = versions[0] if len(versions) == 1 else None
        self.listens: frozenset[str] = frozenset().union(*(version.listens for version in versions))
        self.begins = any_of(version.act for version in versions)

    def start(self) -> State:
        """Nothing seen."""
        if self._only is not None:
            return State((self._only.watch(),))
        return State(tuple(version.watch() for version in self.versions))

    def left_out(self, state: State) -> int | None:
        """See ``Bounded``."""
        found = [version.left_out(watch) for version, watch in zip(self.versions, state.watches, strict=True)]
        return max((at for at in found if at is not None), default=None)

    def step(self, state: State, event: Event) -> bool:
        """Take the next event; events waiting at an earlier instant are settled first."""
        version = self._only
        if version is not None:  # the usual case, and faster
            watch = state.watches[0]
            if event.at != state.instant:
                if state.waiting:
                    self._settle(state)
                if watch.held:
                    version.move_on(watch)
                state.instant = event.at
            state.shown = None
            version.note(watch, event)
            if version.roles[event.type].may_trigger and version.is_trigger(watch, event):
                state.waiting = (*state.waiting, (0, event))
            return bool(state.waiting or state.broken)
        if event.at != state.instant:
            if state.waiting:
                self._settle(state)
            for version, watch in zip(self.versions, state.watches, strict=True):
                if watch.held:
                    version.move_on(watch)
            state.instant = event.at
        state.shown = None
        for index, version in enumerate(self.versions):
            role = version.roles.get(event.type)
            if role is not None:
                watch = state.watches[index]
                version.note(watch, event)
                if role.may_trigger and version.is_trigger(watch, event):
                    state.waiting = (*state.waiting, (index, event))
        return bool(state.waiting or state.broken)

    def _settle(self, state: State) -> None:
        findings = self._shown(state)
        for index, trigger in state.waiting:
            self.versions[index].found(state.watches[index], trigger)
        state.waiting = ()
        if findings:
            state.settled = _with(state.settled, findings)
            broken = [finding for finding in findings if finding.faults and not finding.cancelled]
            if broken:
                state.broken = _with(state.broken, broken)

    def _shown(self, state: State) -> Sequence[Finding]:
        """The findings of the waiting triggers; of two for one act at the same instant the first counts."""
        if state.shown is None:
            if len(state.waiting) == 1:  # one trigger has one finding per act
                index, trigger = state.waiting[0]
                state.shown = tuple(self.versions[index].find(state.watches[index], trigger))
                return state.shown
            found: dict[str, Finding] = {}
            for index, trigger in state.waiting:
                for finding in self.versions[index].find(state.watches[index], trigger):
                    found.setdefault(finding.act.event_id, finding)
            state.shown = list(found.values())
        return state.shown

    def judge(self, state: State, as_of: int, *, every: bool = False) -> tuple[list[Verdict], int | None]:
        """See ``Fold``. Time alone changes only findings later than the given instant."""
        verdicts: list[Verdict] = []
        following: int | None = None
        if every:
            return self._judge_every(state, as_of)
        if not state.waiting and not state.broken:
            return verdicts, following
        for findings in (state.broken, self._shown(state) if state.waiting else ()):
            for finding in findings:
                if finding.is_violation:
                    if finding.due <= as_of:
                        verdicts.append(finding.verdict(as_of))
                    elif following is None or finding.due < following:
                        following = finding.due
        return verdicts, following

    def reported(self, state: State, until: int) -> list[Verdict] | None:
        """See ``Fold``: each violation when it became certain; later events do not change it."""
        if not state.waiting and not state.broken:
            return []
        findings = [*state.broken, *(self._shown(state) if state.waiting else ())]
        return [finding.verdict(finding.due) for finding in findings if finding.is_violation and finding.due <= until]

    def _judge_every(self, state: State, as_of: int) -> tuple[list[Verdict], int | None]:
        verdicts: list[Verdict] = []
        following: int | None = None
        waiting = self._shown(state) if state.waiting else []
        for finding in (*state.settled, *waiting):
            if finding.due > as_of and finding.is_violation and (following is None or finding.due < following):
                following = finding.due
            if finding.due <= as_of or finding.act.at <= as_of:
                verdicts.append(finding.verdict(as_of))
        for act, rule in self._still_open(state, waiting):
            if act.at <= as_of:
                verdicts.append(Finding(rule, act, (), as_of + 1, (act,)).verdict(as_of))
        return verdicts, following

    def statuses(self, state: State, as_of: int, watermark: int) -> list[Status]:
        """See ``Fold``."""
        found: list[Status] = []
        waiting = self._shown(state) if state.waiting else ()
        for finding in (*state.settled, *waiting):
            act, due = finding.act, finding.due
            if due <= as_of:
                outcome: Outcome = "cancelled" if finding.cancelled else "violated" if finding.faults else "met"
                found.append(Status(act, outcome, act.at, None, outcome != "violated" or due <= watermark, False))
            elif act.at <= as_of:
                found.append(Status(act, "running", act.at, None, True, True))
        for act, _ in self._still_open(state, waiting):
            if act.at <= as_of:
                found.append(Status(act, "running", act.at, None, True, True))
        return found

    def has_case(self, state: State, as_of: int) -> bool:
        """See ``Fold``."""
        waiting = self._shown(state) if state.waiting else ()
        for findings in (state.settled, waiting):
            for finding in findings:
                if finding.act.at <= as_of or finding.due <= as_of:
                    return True
        return any(act.at <= as_of for act, _ in self._still_open(state, waiting))

    def _still_open(self, state: State, waiting: Iterable[Finding]) -> list[tuple[Event, RuleBase]]:
        """Acts that still wait for an event, and their rules; triggers waiting to be settled are not among them."""
        if not self.opens:
            return []
        known = {finding.act.event_id for finding in waiting}
        return [
            (act, version.rule)
            for version, watch in zip(self.versions, state.watches, strict=True)
            for act in version.open_acts(watch)
            if act.event_id not in known
        ]

    def open_cases(self, state: State, as_of: int) -> Sequence[Event]:
        """Acts that still wait for an event (their close)."""
        return [act for act, _ in self._still_open(state, self._shown(state) if state.waiting else ())]

    def is_stop(self, event: Event) -> bool:
        """See ``Fold``. Here no case is opened by one event and ended by another."""
        return False

    def is_idle(self, state: State) -> bool:
        """No case is open, and no event seen matters to a later act."""
        return not self.open_cases(state, state.instant) and all(
            version.is_idle(watch) for version, watch in zip(self.versions, state.watches, strict=True)
        )

    def needed(self, state: State, until: int) -> Needed | None:
        """See ``Fold``: events that later acts may need, acts that wait with theirs, and the grounds of later findings.

        No event of the latest instant can come any more, so the triggers that wait for one are settled first.
        """
        if state.waiting:
            self._settle(state)
        alive = live_versions(self.versions, until)
        if len(alive) != 1:
            return None
        live = alive[0]
        events: list[Event] = []
        waiting: set[str] = set()
        for version, watch in zip(self.versions, state.watches, strict=True):
            needed = version.needed(watch, until)
            acts = version.open_acts(watch)
            if version is live:
                events += [event for event in needed if event is not None]
                waiting = {act.event_id for act in acts}
            elif acts:
                return None
        for finding in state.settled:
            if finding.due > until:
                events += [event for event in finding.grounds if event is not None]
        acts = [event for event in events if any(version.is_act(event) for version in self.versions)]
        if self.opens and any(act.event_id not in waiting for act in acts):
            return None  # an act that is kept for another reason needs its close, too
        if not all_since(live, self.versions, events):
            return None
        # The rules and the calendar of a kept act depend on the facts at it.
        facts = live.rule.facts_from
        types = frozenset([facts] if facts and acts and not live.keeps_facts else [])
        return Needed(frozenset([event.event_id for event in events]), types)
