"""What the engine keeps of a subject: at work as a ``SubjectRecord``, at rest as a ``Snapshot``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streams.core.alerts import Alert, Subject
from streams.core.event import Event
from streams.core.history import History
from streams.core.verdicts import Verdict

BEGINNING = -(2**62)
"""The watermark before any time has passed."""

ReportKey = tuple[str, str, str, str]
"""What tells one report from another on a subject: rule id, root event id, kind, cause."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was left out of a subject's history (``streams.core.pruning``).

    No event at or before ``until`` (microseconds) is taken any more; ``None`` where nothing was left out yet.
    ``looked_at`` is how many events there were when it was last looked at. ``only`` are events that some rules alone
    may still see: event id, rule ids.
    """

    until: int | None = None
    looked_at: int = 0
    only: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that must be kept of one subject, as a value.

    ``reported`` are the reports made and not withdrawn; ``withdrawn`` counts how often each report was withdrawn;
    ``decided_at`` is the watermark under which the subject was last looked at. ``cases`` are the cases that were
    written, where they are: rule id, root event id and a digest of what was written.
    """

    subject: Subject
    events: tuple[Event, ...]
    reported: tuple[tuple[ReportKey, Alert], ...]
    withdrawn: tuple[tuple[ReportKey, int], ...]
    decided_at: int
    cases: tuple[tuple[str, str, str], ...] = ()
    pruned: Pruned = Pruned()


@dataclass(frozen=True, slots=True)
class JudgedCase:
    """One case as of an instant, with the id that alerts on it carry."""

    case_id: str
    subject: Subject
    verdict: Verdict


class SubjectRecord:
    """One subject at work in an engine: its history, and what its rules last reported."""

    __slots__ = (
        "asleep",
        "cases",
        "counted",
        "decided_at",
        "due",
        "dues",
        "expires",
        "history",
        "open",
        "owed",
        "pruned",
        "reported",
        "subject",
        "withdrawn",
    )

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.history = History()
        self.pruned = Pruned()
        self.reported: dict[ReportKey, Alert] = {}
        self.withdrawn: dict[ReportKey, int] = {}
        self.cases: dict[str, dict[str, str]] = {}  # by rule id and root event id: a digest of what was written
        self.due: int | None = None
        self.dues: dict[int, int] = {}  # by fold: when silence next changes what it says
        self.owed: dict[int, dict[ReportKey, tuple[Verdict, int]]] = {}  # by fold: what it last said must be told
        self.open: tuple[tuple[str, str | None], ...] = ()
        self.counted = 0  # events at the last count of open cases and endings
        self.decided_at = BEGINNING
        self.asleep: Callable[[], Snapshot] | None = None  # gives what has not been taken back yet
        self.expires = False  # whether an entry of the expiry heap stands for it
