"""What the kinds about an act share: each act is a case, met or violated, certain once time has passed it.

Theory of operation. History decides by instants, and what stands at one instant has no order that could be proved.
So whatever speaks for the person counts as earlier, whatever speaks against as later: a notice at the very instant
of the act is a notice before it, a payment at that instant is not yet one. In terms of the fold: an act *waits* until
an event at a later instant comes (or until it is judged) and then sees all that helps up to its own instant; what
resets waits likewise and is applied when time has moved on. In terms of the definition: a helpful event ``n`` counts
for an act ``a`` if ``n.at <= a.at`` and no reset ``h`` has ``n.at < h.at < a.at``; a harmful one (an act counted with
this one, what forbids it) does not if some ``h`` has ``n.at <= h.at <= a.at``.

Example, survey-before-acceptance: accepted and surveyed both at 10:00:00.000 is met, whatever their ids; surveyed at
09:59:59.999 is a violation, told once the watermark has passed 09:59:59.999, and withdrawn if an acceptance
of an earlier instant is recorded later.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from schemas.base import Text
from schemas.rules import ActRule, Limit, Need, RuleBase
from streams.core.conditions import predicate
from streams.core.event import Event
from streams.core.faults import Fault, Label, Without
from streams.core.kinds.patterns import Tests, compile_patterns, label_of, matches, title_of
from streams.core.verdicts import Outcome, Report, Verdict
from streams.core.working_days import WorkingCalendar


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one act. ``due`` is the instant from which its faults are certain.

    ``evidence`` are the events it rests on, the act among them. ``cancelled`` says that it was called off;
    ``title`` is what people call the act.
    """

    rule: RuleBase
    act: Event
    faults: tuple[Fault, ...]
    due: int
    evidence: tuple[str, ...]
    limit: Limit | None = None
    provisional: bool = False
    cancelled: bool = False
    title: Text | Label | None = None

    def verdict(self, as_of: int) -> Verdict:
        """Where the case stands as of an instant not before the act; until it is certain nothing is known of it."""
        outcome: Outcome = "running"
        reports: tuple[Report, ...] = ()
        is_certain = self.due <= as_of
        if is_certain:
            outcome = "cancelled" if self.cancelled else "violated" if self.faults else "met"
            if outcome == "violated":
                cause = f"{self.due}: {'; '.join(fault.key for fault in self.faults)}"
                reports = (Report("violation", cause, self.due),)
        return Verdict(
            rule=self.rule,
            root=self.act.event_id,
            anchor=self.act,
            outcome=outcome,
            started_at=self.act.at,
            deadline=None,
            stopped_at=None,
            ended_at=min(max(self.due, self.act.at), max(as_of, self.act.at)),
            reports=reports,
            limit=self.limit,
            provisional=self.provisional,
            evidence=self.evidence if is_certain else (self.act.event_id,),
            faults=self.faults if is_certain else (),
            facts={"act": self.title},
        )


def latest_before(events: Sequence[Event], act: Event) -> Sequence[Event]:
    """The last of the events, as a list of one or none; one at the act's own instant only where there is no other.

    For kinds in which a later event takes the place of an earlier one: at one instant that speaks against the person.
    """
    return [event for event in events if event.at < act.at][-1:] or events[-1:]


class Slot:
    """The latest event that meets a need, and when it is taken away."""

    __slots__ = ("if_act", "label", "need", "tests")

    def __init__(self, need: Need, titles: Mapping[str, Text]) -> None:
        self.need = need
        self.tests = compile_patterns(need.any)
        self.if_act = predicate(need.if_act)
        self.label = label_of(need.any, titles)

    def missing(
        self, found: Event | None, act: Event, start: int, calendar: WorkingCalendar, by: int | None = None
    ) -> Without | None:
        """The fault, where the latest event that would do (``None``: there is none) does not."""
        if self.need.if_act and not self.if_act(act.fields_with_ids()):
            return None
        if found is not None and not (self.need.after_start and found.at < start):
            if not self.need.same_day or calendar.local_date(found.at) == calendar.local_date(act.at):
                return None
            return Without(self.label, on_day=True)
        return Without(self.label, on_day=self.need.same_day, by=by)


class Watch:
    """What one version has seen: the latest event of each need, the latest facts, and what waits to take effect."""

    __slots__ = ("closed", "facts", "found", "held", "own")

    def __init__(self, needs: int, own: Any) -> None:
        self.found: list[Event | None] = [None] * needs
        self.facts: Event | None = None
        self.held: list[Event] = []
        self.closed = False
        self.own = own

    def spoil(self, at: int) -> None:
        """A reset at an instant: nothing earlier counts any more."""
        self.found = [event if event is not None and event.at >= at else None for event in self.found]


R = TypeVar("R", bound=ActRule)


class ActVersion(ABC, Generic[R]):
    """One version of a rule about an act, compiled. A kind says what it notes and how it finds."""

    def __init__(
        self, rule: R, calendar: WorkingCalendar, titles: Mapping[str, Text], needs: Sequence[Need] = ()
    ) -> None:
        self.rule = rule
        self.calendar = calendar
        self.titles = titles
        self.slots = [Slot(need, titles) for need in needs]
        self._first = calendar.start_of_day(rule.effective_from.toordinal())
        self._last = None if rule.effective_to is None else calendar.start_of_day(rule.effective_to.toordinal())
        self._act = compile_patterns(rule.act)
        self._reset = compile_patterns(rule.reset)
        self._closed_by = compile_patterns(rule.closed_by)
        self._when = predicate(rule.when)
        self.listens = frozenset().union(
            self._act, self._reset, self._closed_by, *(slot.tests for slot in self.slots), *self.own_tests()
        ) | ({rule.facts_from} if rule.facts_from else frozenset())

    def own_tests(self) -> Iterable[Tests]:
        """The patterns of the kind itself; compiled on first use."""
        return ()

    def start(self) -> Any:
        """The kind's own part of a watch."""
        return None

    def note(self, watch: Watch, event: Event) -> None:
        """Take what speaks for the person at once."""
        for index, slot in enumerate(self.slots):
            if event.type in slot.tests and matches(slot.tests, event):
                watch.found[index] = event
                watch.closed = False
        if event.type == self.rule.facts_from:
            watch.facts = event
            watch.closed = False
        if event.type in self._reset and matches(self._reset, event):
            watch.held.append(event)
        if event.type in self._closed_by and matches(self._closed_by, event):
            watch.closed = True

    def move_on(self, watch: Watch) -> None:
        """Time has passed the last instant: what was held takes effect."""
        for event in watch.held:
            self.spoil(watch, event.at)
        watch.held.clear()

    def spoil(self, watch: Watch, at: int) -> None:
        """A reset at an instant."""
        watch.spoil(at)

    def is_act(self, event: Event) -> bool:
        """Whether the rule is about this event, so far as its own fields tell."""
        return event.type in self._act and matches(self._act, event)

    def is_trigger(self, watch: Watch, event: Event) -> bool:
        """Whether something is found out at this event's instant: at the act itself, if nothing else is said."""
        return self.is_in_force(event.at) and self.is_act(event)

    def is_in_force(self, at: int) -> bool:
        """Whether a case that starts at an instant is judged by this version."""
        return self._first <= at and (self._last is None or at < self._last)

    def applies(self, watch: Watch, act: Event) -> bool:
        """Whether the facts known at the act make the rule apply to it."""
        if not self.rule.when:
            return True
        return self._when(act.data if watch.facts is None else {**watch.facts.data, **act.data})

    def missing(self, watch: Watch, act: Event) -> list[Fault]:
        """A fault for each need that had not been met by the act."""
        faults = (
            slot.missing(found, act, act.at, self.calendar) for slot, found in zip(self.slots, watch.found, strict=True)
        )
        return [fault for fault in faults if fault is not None]

    def evidence(self, watch: Watch, act: Event, *more: Event | None) -> tuple[str, ...]:
        """Ids of the events that a finding rests on, in order of time."""
        events = [event for event in (watch.facts, *watch.found, *more, act) if event is not None]
        return tuple(dict.fromkeys(event.event_id for event in sorted(events, key=lambda event: event.order)))

    def finding(self, act: Event, faults: Sequence[Fault], evidence: tuple[str, ...], **more: Any) -> Finding:
        """What became of an act; certain at its own instant, where nothing else is said."""
        title = title_of(act.type, self.titles)
        return Finding(
            **{"due": act.at, **more}, rule=self.rule, act=act, faults=tuple(faults), evidence=evidence, title=title
        )

    @abstractmethod
    def find(self, watch: Watch, trigger: Event) -> Iterable[Finding]:
        """What is found out at a trigger, with everything up to its instant noted. Changes nothing."""

    def found(self, watch: Watch, trigger: Event) -> None:
        """The trigger's findings have been taken."""

    def open_acts(self, watch: Watch) -> Sequence[Event]:
        """Acts whose case still waits for something."""
        return ()

    def is_idle(self, watch: Watch) -> bool:
        """Whether nothing that was seen matters to a later act."""
        return watch.closed or (watch.facts is None and not any(watch.found) and not watch.held)


class State:
    """The fold's state on one subject."""

    __slots__ = ("broken", "instant", "settled", "waiting", "watches")

    def __init__(self, watches: list[Watch]) -> None:
        self.watches = watches
        self.instant = -(2**62)
        self.waiting: list[tuple[int, Event]] = []
        self.settled: list[Finding] = []
        self.broken: list[Finding] = []


class ActFold:
    """All versions of one rule about an act; see ``streams.core.verdicts.Fold``."""

    def __init__(self, versions: Sequence[ActVersion[Any]]) -> None:
        self.id = versions[0].rule.id
        self.subject_types = versions[0].rule.subject
        self._versions = versions
        self.listens: frozenset[str] = frozenset().union(*(version.listens for version in versions))

    def start(self) -> State:
        """Nothing seen."""
        return State([Watch(len(version.slots), version.start()) for version in self._versions])

    def step(self, state: State, event: Event) -> None:
        """Take the next event; what waited at an earlier instant is settled first."""
        if event.at != state.instant:
            self._move_on(state)
            state.instant = event.at
        for index, (version, watch) in enumerate(zip(self._versions, state.watches, strict=True)):
            if event.type in version.listens:
                version.note(watch, event)
                if version.is_trigger(watch, event):
                    state.waiting.append((index, event))

    def _move_on(self, state: State) -> None:
        for finding in self._findings(state, settle=True):
            state.settled.append(finding)
            if finding.faults and not finding.cancelled:
                state.broken.append(finding)
        state.waiting.clear()
        for version, watch in zip(self._versions, state.watches, strict=True):
            if watch.held:
                version.move_on(watch)

    def _findings(self, state: State, *, settle: bool) -> list[Finding]:
        """What the waiting triggers show; of two for one act at the same instant the first counts."""
        found: dict[str, Finding] = {}
        for index, trigger in state.waiting:
            version, watch = self._versions[index], state.watches[index]
            for finding in version.find(watch, trigger):
                found.setdefault(finding.act.event_id, finding)
            if settle:
                version.found(watch, trigger)
        return list(found.values())

    def judge(self, state: State, as_of: int, *, every: bool = False) -> tuple[list[Verdict], int | None]:
        """See ``Fold``. Nothing changes by silence but what lies ahead of the instant asked about."""
        verdicts: list[Verdict] = []
        following: int | None = None
        waiting = self._findings(state, settle=False) if state.waiting else []
        for finding in (*(state.settled if every else state.broken), *waiting):
            if finding.due > as_of:
                if finding.faults and not finding.cancelled and (following is None or finding.due < following):
                    following = finding.due
                if not every or finding.act.at > as_of:
                    continue
            elif not every and (finding.cancelled or not finding.faults):
                continue
            verdicts.append(finding.verdict(as_of))
        if every:
            known = {finding.act.event_id for finding in waiting}
            for act, rule in self._open(state):
                if act.at <= as_of and act.event_id not in known:
                    verdicts.append(Finding(rule, act, (), as_of + 1, (act.event_id,)).verdict(as_of))
        return verdicts, following

    def _open(self, state: State) -> list[tuple[Event, RuleBase]]:
        return [
            (act, version.rule)
            for version, watch in zip(self._versions, state.watches, strict=True)
            for act in version.open_acts(watch)
        ]

    def open_cases(self, state: State) -> Sequence[Event]:
        """Acts that still wait for something (their close)."""
        return [act for act, _ in self._open(state)]

    def is_idle(self, state: State) -> bool:
        """Nothing waits, and nothing seen matters to a later act."""
        return all(
            version.is_idle(watch) and not version.open_acts(watch)
            for version, watch in zip(self._versions, state.watches, strict=True)
        )
