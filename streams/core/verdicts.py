"""What a rule says of its cases: verdicts, and the reports that follow from them.

A *verdict* is where one case stands as of an instant. A *report* is something that a subscriber must have
been told by that instant if the verdict is right. The engine compares the reports due with those it made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from schemas.limits import Limit
from schemas.rules import RuleBase
from streams.core.deadlines import Pause
from streams.core.event import Event
from streams.core.faults import Fault
from streams.core.working_days import WorkingCalendar

Outcome = Literal["met", "met_late", "breached", "violated", "cancelled", "running"]
AlertKind = Literal["warning", "breach", "late_completion", "violation", "retraction"]


@dataclass(frozen=True, slots=True)
class Report:
    """One thing to be told: ``due`` is the instant at which it becomes certain.

    ``cause`` tells apart reports of one kind on one case: the deadline that passed, the stop that came late,
    the fraction of the limit that was used up.
    """

    kind: AlertKind
    cause: str
    due: int


@dataclass(slots=True)
class Verdict:
    """One case as of an instant. Instants are microseconds since the epoch, durations microseconds.

    ``root`` is the id of the event that the case starts with, as first sent: a correction does not change it;
    ``item`` tells apart several cases that one event starts. ``anchor`` is that event as it stands now. ``ended_at``
    closes ``elapsed``: the stop, the cancel, or the instant asked about. ``faults`` say what is wrong with an act;
    ``facts`` are for the explanation. ``calendar`` is the one that the limit was counted by, where the rule chose one.
    """

    rule: RuleBase
    root: str
    anchor: Event
    outcome: Outcome
    started_at: int
    deadline: int | None
    stopped_at: int | None
    ended_at: int
    reports: tuple[Report, ...]
    limit: Limit | None = None
    pauses: tuple[Pause, ...] = ()
    until: int | None = None
    provisional: bool = False
    evidence: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    item: str = ""
    calendar: WorkingCalendar | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def root_of(verdict: Verdict, roots: Mapping[str, str]) -> str:
    """What tells the case from others of its rule and subject; ``roots`` are of events that stand for others."""
    root = roots.get(verdict.root, verdict.root)
    return f"{root}/{verdict.item}" if verdict.item else root


class Status(NamedTuple):
    """Where one case stands, in short: as much of a verdict as counting needs.

    ``is_certain``: all that must be told of it was due by the watermark. ``is_running``: its clock still runs,
    also past its deadline.
    """

    anchor: Event
    outcome: Outcome
    started_at: int
    deadline: int | None
    is_certain: bool
    is_running: bool


class Needed(NamedTuple):
    """What of a subject's history a fold must still see, once nothing at or before some instant can change.

    ``ids`` are of events, of which some may not be in the history; ``types`` are event types of which all must stay.
    """

    ids: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()


class Fold(Protocol):
    """One rule, all its versions, as three functions over a subject's sorted history (DESIGN.md 3).

    ``step`` must be called in history order; it changes the state it is given and nothing else. ``judge``
    changes nothing; it returns the verdicts (those that owe reports, or every one with ``every``) as of an
    instant, counting only what happened at or before it, and the next instant at which it would say
    something else if nothing further happened.
    """

    @property
    def id(self) -> str:
        """The rule's id."""

    @property
    def opens(self) -> bool:
        """Whether it ever has a case open: whether ``open_cases`` is worth asking."""

    @property
    def subject_types(self) -> Sequence[str]:
        """The first of these for which an event has an id is its subject."""

    @property
    def listens(self) -> frozenset[str]:
        """The event types that concern it."""

    @property
    def begins(self) -> frozenset[str]:
        """The event types that a case takes to begin: a history without any of them has no case."""

    def start(self) -> Any:
        """The state of an empty history."""

    def step(self, state: Any, event: Event) -> bool:
        """Take the next event of the history into the state.

        Returns whether to ask ``judge`` again; false only where it would say nothing and had nothing to say before.
        """

    def judge(self, state: Any, as_of: int, *, every: bool = False) -> tuple[list[Verdict], int | None]:
        """The verdicts as of an instant, and the next instant at which they change by silence."""

    def statuses(self, state: Any, as_of: int, watermark: int) -> list[Status]:
        """Every case as ``judge`` would have it with ``every``, in short; what is certain, by a watermark."""

    def reported(self, state: Any, until: int) -> list[Verdict] | None:
        """Everything that asking ``judge`` all along would have told up to an instant (inclusive), in one go.

        Of a history without corrections, whose events came in order of time. Each verdict is as of the instant at
        which its last report fell due, and tells that report. ``None`` where only asking all along can tell.
        """

    def open_cases(self, state: Any, as_of: int) -> Sequence[Event]:
        """The events that the cases now open started with; of those that open by silence, by an instant."""

    def is_stop(self, event: Event) -> bool:
        """Whether the event may end a case; where no case has begun it is an orphan."""

    def is_idle(self, state: Any) -> bool:
        """Whether no case is open and nothing of the state matters to a later event."""

    def needed(self, state: Any, until: int) -> Needed | None:
        """What must be kept of the events folded into the state, all of them at or before ``until`` (microseconds).

        Folding only these and what happens later must give the same reports due after ``until``, and the same cases
        that were not over by then. No event at or before ``until`` comes any more. ``None``: all that it listens to.
        """
