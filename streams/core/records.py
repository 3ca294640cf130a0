"""The state of a subject: in the engine a ``SubjectRecord``, stored a ``Snapshot``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from streams.core.alerts import Alert, Subject
from streams.core.event import Event
from streams.core.history import History
from streams.core.saved import Saved
from streams.core.verdicts import Verdict

BEGINNING = -(2**62)
"""The watermark before the first one."""

ReportKey = tuple[str, str, str, str]
"""The key of a report on a subject: rule id, root event id, kind, cause."""


class Pruned(msgspec.Struct, frozen=True, array_like=True):
    """How far a subject's history was pruned (``streams.core.pruning``).

    Events at or before ``until`` (microseconds) are refused; ``None`` where nothing was pruned yet. ``looked_at`` is
    the number of events at the last examination. ``only`` are events that only some rules may still see: event id, rule
    ids. ``saved`` are the states from which some rules go on: they do not see the events up to ``until`` again.
    """

    until: int | None = None
    looked_at: int = 0
    only: tuple[tuple[str, tuple[str, ...]], ...] = ()
    saved: tuple[tuple[str, tuple[Saved, ...]], ...] = ()


UNPRUNED: Final = Pruned()
"""Of a history that was never examined."""


class Snapshot(msgspec.Struct, frozen=True):
    """The whole stored state of one subject, as a value; a struct, because one is made for every row.

    ``reported`` are the reports made and not withdrawn; ``withdrawn`` counts the withdrawals of each report;
    ``decided_at`` is the watermark of the last decision. ``cases`` are the cases last written, where cases are written:
    rule id, root event id and a digest of the content. ``lacks`` is when the latest event happened (microseconds) that
    is known to have been refused: what rests on its absence may be wrong.
    """

    subject: Subject
    events: tuple[Event, ...]
    reported: tuple[tuple[ReportKey, Alert], ...]
    withdrawn: tuple[tuple[ReportKey, int], ...]
    decided_at: int
    cases: tuple[tuple[str, str, str], ...] = ()
    pruned: Pruned = UNPRUNED
    lacks: int | None = None


class JudgedCase(msgspec.Struct, frozen=True):
    """One case as of an instant, with the case id used in its alerts."""

    case_id: str
    subject: Subject
    verdict: Verdict


class SubjectRecord:
    """One subject in an engine: its history and its rules' last reports."""

    __slots__ = (
        "asleep",
        "cases",
        "counted",
        "decided_at",
        "due",
        "dues",
        "expires",
        "history",
        "lacks",
        "open",
        "owed",
        "pruned",
        "reported",
        "subject",
        "withdrawn",
    )

    def __init__(self, subject: Subject, asleep: Callable[[], Snapshot] | None = None) -> None:
        self.subject = subject
        self.asleep = asleep  # loads a snapshot not restored yet
        self.due: int | None = None
        self.open: tuple[tuple[str, str | None], ...] = ()
        self.decided_at = BEGINNING
        self.expires = False  # whether it has an entry in the expiry heap
        self.lacks: int | None = None  # see ``Snapshot``
        if asleep is None:
            self.awake()

    def awake(self) -> None:
        """Have what only a record that is not asleep has, and nothing of it known."""
        self.asleep = None
        self.history = History()
        self.pruned = UNPRUNED
        self.reported: dict[ReportKey, Alert] = {}
        self.withdrawn: dict[ReportKey, int] = {}
        self.cases: dict[str, dict[str, str]] = {}  # by rule id and root event id: a digest of the content last written
        self.dues: dict[int, int] = {}  # by fold: the next instant at which time changes its result
        self.owed: dict[int, dict[ReportKey, tuple[Verdict, int]]] = {}  # by fold: its reports at the last decision
        self.counted = 0  # events at the last count of open cases and endings

    def lack(self, at: int) -> None:
        """An event of that instant was refused."""
        self.lacks = at if self.lacks is None else max(at, self.lacks)
