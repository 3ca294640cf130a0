"""Kind ``sequence``: stages do not run backwards.

Only the first event of a stage counts, so that a second crew sent out later does not make the first one late. Each is a
case: a violation where some later stage had begun at an earlier instant.

Worked example, ``times-in-order``: dispatched 09:10, arrived 09:05: the dispatch is a violation, entered after the
fact; arrived 09:10:00.000 as well would be met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.base import Text
from schemas.rules import SequenceRule
from streams.core.event import Event
from streams.core.faults import Backwards
from streams.core.kinds.findings import Finding
from streams.core.kinds.patterns import any_of, compile_patterns, label_of, matches
from streams.core.kinds.versions import InForce
from streams.core.verdicts import Needed, Outcome, Status, Verdict
from streams.core.working_days import WorkingCalendar


class _Version(InForce):
    def __init__(self, rule: SequenceRule, calendar: WorkingCalendar, titles: Mapping[str, Text]) -> None:
        super().__init__(rule, calendar)
        self.rule = rule
        self.stages = [compile_patterns(stage) for stage in rule.stages]
        self.stages_of = {
            event_type: [index for index, stage in enumerate(self.stages) if event_type in stage]
            for event_type in frozenset().union(*self.stages)
        }
        self.labels = [label_of(stage, titles) for stage in rule.stages]
        self.closed_by = compile_patterns(rule.closed_by)
        self.listens = frozenset().union(self.closed_by, *self.stages)


class State:
    """The first event of each stage, by version."""

    __slots__ = ("backwards", "closed", "firsts")

    def __init__(self, versions: Sequence[_Version]) -> None:
        self.firsts: list[list[Event | None]] = [[None] * len(version.stages) for version in versions]
        self.closed = False
        self.backwards = False  # whether the first event of a stage comes after one of a later stage


class SequenceFold:
    """All versions of one sequence; see ``streams.core.verdicts.Fold``."""

    def __init__(self, rules: Sequence[SequenceRule], calendar: WorkingCalendar, titles: Mapping[str, Text]) -> None:
        self.id = rules[0].id
        self.subject_types = rules[0].subject
        self.versions = [_Version(rule, calendar, titles) for rule in rules]
        self.listens: frozenset[str] = frozenset().union(*(version.listens for version in self.versions))
        self.begins = any_of(stage for version in self.versions for stage in version.stages)

    opens = False

    def start(self) -> State:
        """Nothing seen."""
        return State(self.versions)

    def step(self, state: State, event: Event) -> bool:
        """Take the event where it is the first of a stage."""
        for version, firsts in zip(self.versions, state.firsts, strict=True):
            for index in version.stages_of.get(event.type, ()):
                if firsts[index] is None and matches(version.stages[index], event):
                    firsts[index] = event
                    # Steps are in order of time, so no later event can be earlier than this one.
                    for later in firsts[index + 1 :]:
                        if later is not None and later.at < event.at:
                            state.backwards = True
            if matches(version.closed_by, event):
                state.closed = True
        return state.backwards

    def judge(self, state: State, as_of: int, *, every: bool = False) -> tuple[list[Verdict], int | None]:
        """See ``Fold``."""
        verdicts: list[Verdict] = []
        following: int | None = None
        if not every and not state.backwards:
            return verdicts, following
        for version, firsts in zip(self.versions, state.firsts, strict=True):
            for index, event in enumerate(firsts):
                if event is None or not version.is_in_force(event.at):
                    continue
                finding = self._finding(version, firsts, index, event)
                if event.at <= as_of:
                    if every or finding.faults:
                        verdicts.append(finding.verdict(as_of))
                elif finding.faults and (following is None or event.at < following):
                    following = event.at
        return verdicts, following

    def statuses(self, state: State, as_of: int, watermark: int) -> list[Status]:
        """See ``Fold``."""
        found: list[Status] = []
        for version, firsts in zip(self.versions, state.firsts, strict=True):
            for index, event in enumerate(firsts):
                if event is None or event.at > as_of or not version.is_in_force(event.at):
                    continue
                violated = state.backwards and bool(self._finding(version, firsts, index, event).faults)
                outcome: Outcome = "violated" if violated else "met"
                found.append(Status(event, outcome, event.at, None, not violated or event.at <= watermark, False))
        return found

    def has_case(self, state: State, as_of: int) -> bool:
        """See ``Fold``."""
        return any(
            event is not None and event.at <= as_of and version.is_in_force(event.at)
            for version, firsts in zip(self.versions, state.firsts, strict=True)
            for event in firsts
        )

    def reported(self, state: State, until: int) -> list[Verdict] | None:
        """See ``Fold``: each stage at its own instant, when all events that could precede it are known."""
        if not state.backwards:
            return []
        return [
            finding.verdict(event.at)
            for version, firsts in zip(self.versions, state.firsts, strict=True)
            for index, event in enumerate(firsts)
            if event is not None and event.at <= until and version.is_in_force(event.at)
            for finding in [self._finding(version, firsts, index, event)]
            if finding.faults
        ]

    @staticmethod
    def _finding(version: _Version, firsts: Sequence[Event | None], index: int, event: Event) -> Finding:
        overtaken = [
            (other.order, label, other)
            for other, label in zip(firsts[index + 1 :], version.labels[index + 1 :], strict=True)
            if other is not None and other.at < event.at
        ]
        if not overtaken:
            return Finding(version.rule, event, (), event.at, (event,), title=version.labels[index])
        _, label, other = min(overtaken, key=lambda item: item[0])
        fault = Backwards(version.labels[index], label, other.at)
        return Finding(version.rule, event, (fault,), event.at, (other, event), title=fault.stage)

    def open_cases(self, state: State, as_of: int) -> Sequence[Event]:
        """None: each is judged at its instant."""
        return ()

    def is_stop(self, event: Event) -> bool:
        """See ``Fold``. Here no case is opened by one event and ended by another."""
        return False

    def is_idle(self, state: State) -> bool:
        """The order is closed, or no event was seen."""
        return state.closed or not any(first for firsts in state.firsts for first in firsts)

    def needed(self, state: State, until: int) -> Needed | None:
        """See ``Fold``: the first of each stage."""
        return Needed(frozenset([first.event_id for firsts in state.firsts for first in firsts if first is not None]))
