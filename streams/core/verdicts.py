"""Verdicts on the cases of a rule, and the reports that follow from them.

A *verdict* is where one case stands as of an instant. A *report* is a message that must have been sent by that instant
if the verdict is right. The engine compares the reports due with those it made. Both are structs, as is what verdicts
are made of: one is made a third as fast as a dataclass, and several are made an event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import msgspec

from schemas.limits import Limit
from schemas.rules import RuleBase
from streams.core.deadlines import Pause
from streams.core.event import Event
from streams.core.faults import Fault
from streams.core.kinds.patterns import Tests
from streams.core.saved import ById, Saved
from streams.core.working_days import WorkingCalendar

Outcome = Literal["met", "met_late", "breached", "violated", "cancelled", "running"]
AlertKind = Literal["warning", "breach", "late_completion", "violation", "retraction"]


class Report(msgspec.Struct):
    """One report: ``due`` is the instant at which it becomes certain. Treated as immutable.

    ``cause`` distinguishes reports of one kind on one case: the deadline that passed, the late stop, the fraction of
    the limit used up.
    """

    kind: AlertKind
    cause: str
    due: int


class Verdict(msgspec.Struct):
    """One case as of an instant. Instants are microseconds since the epoch, durations microseconds.

    ``root`` is the id of the event that the case starts with, as first sent: a correction does not change it; ``item``
    distinguishes several cases started by one event. ``anchor`` is that event as corrected. ``ended_at`` closes
    ``elapsed``: the stop, the cancel, or the instant of the query. ``faults`` are those of an act; ``facts`` are for
    the explanation. ``calendar`` is the one by which the limit was counted, where the rule chose one.
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
    facts: dict[str, Any] = {}  # each has its own


def root_of(verdict: Verdict, roots: Mapping[str, str]) -> str:
    """The case's identity within its rule and subject; ``roots`` are the root ids of events that replace others."""
    root = roots.get(verdict.root, verdict.root)
    return f"{root}/{verdict.item}" if verdict.item else root


class Status(NamedTuple):
    """A short verdict: as much of it as counting needs.

    ``is_certain``: all its reports were due by the watermark. ``is_running``: its clock still runs, also past its
    deadline.
    """

    anchor: Event
    outcome: Outcome
    started_at: int
    deadline: int | None
    is_certain: bool
    is_running: bool


class Needed(NamedTuple):
    """The part of a subject's history that a fold still needs, once nothing at or before some instant can change.

    ``ids`` are event ids, some possibly not in the history; ``types`` are event types whose events must all stay.
    ``saved`` is the state, where the fold must go on from it: for some kinds only, see ``Resumable``.
    """

    ids: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    saved: Sequence[Saved] = ()


class Fold(Protocol):
    """One rule, all its versions, as three functions over a subject's sorted history (DESIGN.md 3).

    ``step`` must be called in history order; it changes the state it is given and nothing else. ``judge`` changes
    nothing; it returns the verdicts (those with reports, or all with ``every``) as of an instant, counting only events
    at or before it, and the next instant at which the result changes without a further event.
    """

    @property
    def id(self) -> str:
        """The rule's id."""

    @property
    def opens(self) -> bool:
        """Whether it can have an open case; if not, ``open_cases`` need not be called."""

    @property
    def subject_types(self) -> Sequence[str]:
        """Subject types in order of precedence: the first for which an event has an id is its subject."""

    @property
    def listens(self) -> frozenset[str]:
        """The event types that concern it."""

    @property
    def begins(self) -> Tests:
        """The events that can start a case, by their own fields: a history without any of them has no case."""

    def start(self) -> Any:
        """The state of an empty history."""

    def step(self, state: Any, event: Event) -> bool:
        """Fold the next event of the history into the state.

        Returns whether ``judge`` must be called again; false only where it returns nothing now and returned nothing
        before.
        """

    def judge(self, state: Any, as_of: int, *, every: bool = False) -> tuple[list[Verdict], int | None]:
        """The verdicts as of an instant, and the next instant at which they change by time alone."""

    def statuses(self, state: Any, as_of: int, watermark: int) -> list[Status]:
        """Every case as ``judge`` gives it with ``every``, in short; ``is_certain`` as of a watermark."""

    def has_case(self, state: Any, as_of: int) -> bool:
        """Whether ``statuses`` with both instants ``as_of`` gives any."""

    def reported(self, state: Any, until: int) -> list[Verdict] | None:
        """All reports that calling ``judge`` step by step would give up to an instant (inclusive).

        For a history without corrections, with events in order of time. Each verdict is as of the instant at which its
        last report fell due, and has that report. ``None`` where only calling ``judge`` step by step gives them.
        """

    def open_cases(self, state: Any, as_of: int) -> Sequence[Event]:
        """The starting events of the open cases, also of cases that open by time alone, as of an instant."""

    def is_stop(self, event: Event) -> bool:
        """Whether the event may end a case; without a case it is an orphan."""

    def is_idle(self, state: Any) -> bool:
        """Whether no case is open and nothing of the state matters to a later event."""

    def needed(self, state: Any, until: int) -> Needed | None:
        """The events still needed, of those folded into the state, all at or before ``until`` (microseconds).

        Folding only these and all later events must give the same reports due after ``until``, and the same cases that
        were not over by then. No event at or before ``until`` is accepted any more. ``None``: all events that it sees.
        The state must not be used any more.
        """


@runtime_checkable
class Bounded(Fold, Protocol):
    """A fold that does not judge all of a subject that has more than a bound allows."""

    @property
    def bound(self) -> str:
        """What is bounded, in a word; empty where nothing of this rule is."""

    def left_out(self, state: Any) -> int | None:
        """When the latest event happened (microseconds) that is past the bound, as far as this state knows."""


@runtime_checkable
class Resumable(Fold, Protocol):
    """A fold that may go on from a saved state."""

    def load(self, saved: Sequence[Saved], events: ById) -> Any:
        """The state that ``needed`` saved; ``events`` are those of the history, by id."""
