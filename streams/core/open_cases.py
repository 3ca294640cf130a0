"""The open cases of all partitions, computed from the state rows of the workers.

A worker has only its own partitions. The changelog has all: one row per subject, rewritten at each change, and one row
per partition with its watermark. Each subject is folded by the same rules as in the engine and judged as of its
partition's watermark, never by the wall clock: a case is running until the watermark has passed its deadline.

Theory of operation. A row gives a subject's history; its cases are judged at once, and the next instant at which the
verdicts would change by silence goes into a heap. When the watermark passes it, the subject is judged again. So after
every change the open cases are what an engine restored from all rows would list. Subjects without open cases and
without timers are dropped until their next row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Literal

from schemas.base import Text
from streams.core.alerts import Subject, case_id_of
from streams.core.explanations import limit_zh
from streams.core.history import History
from streams.core.pruning import is_over
from streams.core.records import BEGINNING, Snapshot
from streams.core.rulebook import Rulebook
from streams.core.verdicts import Verdict, root_of
from streams.core.watermark import is_due

LEVELS = ("province", "city", "county", "unit")
"""The organisation, top down."""

Place = tuple[str | None, str | None, str | None, str | None]
"""Codes of the organisation in the order of ``LEVELS``."""


def place_of(org: object) -> Place:
    """The codes of an event's or alert's ``org``; a value that is not text counts as missing."""
    found = org if isinstance(org, dict) else {}
    province, city, county, unit = (
        value if isinstance(value := found.get(level), str) and value else None for level in LEVELS
    )
    return province, city, county, unit


def chapter_of(clause: str) -> str:
    """The chapter of a clause: ``W`` of ``W-S5``."""
    return clause.partition("-")[0]


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A clock that was not stopped: running, or past its deadline.

    Instants are microseconds since the epoch. Without a ``deadline`` the clock is ``paused``, or the case is an act
    that is judged when its order closes.
    """

    case_id: str
    rule: str
    clause: str
    severity: str
    title: Text
    subject: Subject
    place: Place
    started_at: int
    deadline: int | None
    outcome: Literal["running", "breached"]
    limit: Text | None
    provisional: bool
    paused: bool

    @property
    def chapter(self) -> str:
        """The chapter of the main clause."""
        return chapter_of(self.clause)


class _Kept:
    """A subject that has open cases, or will have at a later watermark."""

    __slots__ = ("case_ids", "decided_at", "history", "offset", "partition", "pruned", "wake")

    def __init__(self, partition: int, history: History, snapshot: Snapshot, offset: int | None) -> None:
        self.partition = partition
        self.offset = offset
        self.history = history
        self.decided_at = snapshot.decided_at
        self.pruned = snapshot.pruned
        self.case_ids: tuple[str, ...] = ()
        self.wake: int | None = None


Follow = Callable[[Subject, Iterable[Verdict]], None]


class OpenCases:
    """The open cases under one rulebook, by case id. ``version`` grows with every change.

    ``follow`` is called with all cases of a subject each time that it is judged, those left out that were over when its
    history was pruned; with none when its row was deleted.
    """

    def __init__(self, rulebook: Rulebook, follow: Follow | None = None) -> None:
        self._rulebook = rulebook
        self._follow = follow
        self.rules = frozenset(fold.id for fold in rulebook.folds)
        self._subjects: dict[Subject, _Kept] = {}
        self._timers: dict[int, list[tuple[int, Subject]]] = {}
        self.cases: dict[str, OpenCase] = {}
        self.watermarks: dict[int, int] = {}
        self.version = 0

    def put(self, partition: int, snapshot: Snapshot, offset: int | None = None) -> None:
        """Take a subject's row, which lies at ``offset``; it replaces the one before."""
        history = self._rulebook.history_of(snapshot.events, snapshot.pruned)
        kept = _Kept(partition, history, snapshot, offset)
        before = self._subjects.get(snapshot.subject)
        if before is not None:
            kept.case_ids = before.case_ids
        self._subjects[snapshot.subject] = kept
        self._judge(snapshot.subject, kept)

    def offset_of(self, subject: Subject) -> int | None:
        """Where the row of a subject lies that has open cases; ``None`` where that is not known."""
        kept = self._subjects.get(subject)
        return None if kept is None else kept.offset

    def subjects(self) -> list[Subject]:
        """The subjects that have open cases, or will have when time moves."""
        return list(self._subjects)

    def drop(self, subject: Subject) -> None:
        """The subject's row was deleted."""
        kept = self._subjects.pop(subject, None)
        if kept is not None:
            self._replace(kept, {})
        if self._follow is not None:
            self._follow(subject, ())

    def advance(self, partition: int, watermark: int) -> None:
        """Advance a partition's watermark; an older one has no effect."""
        if watermark <= self.watermarks.get(partition, BEGINNING):
            return
        self.watermarks[partition] = watermark
        timers = self._timers.get(partition, [])
        while timers and is_due(timers[0][0], watermark):
            due, subject = heappop(timers)
            kept = self._subjects.get(subject)
            if kept is not None and kept.partition == partition and kept.wake == due:
                self._judge(subject, kept)

    def _judge(self, subject: Subject, kept: _Kept) -> None:
        # A subject's row may be read before the partition's row with the same watermark.
        as_of = max(kept.decided_at, self.watermarks.get(kept.partition, BEGINNING))
        states = kept.history.fold(self._rulebook.routes(subject[0]))
        roots = kept.history.roots
        found: dict[str, OpenCase] = {}
        every: list[Verdict] = []
        # A case opens when the watermark reaches its start; folds do not return that as a change by time.
        ahead = [event.at for event in kept.history.events if event.at > as_of]
        wakes = list(ahead)
        for index, state in states.items():
            fold = self._rulebook.folds[index]
            verdicts, following = fold.judge(state, as_of, every=True)
            every += verdicts
            still_open = {start.event_id for start in fold.open_cases(state, as_of)}
            cadence = self._rulebook.cadences.get(index) if still_open or ahead else None
            month = None if cadence is None else cadence.next_month(as_of)
            wakes += [at for at in (following, month) if at is not None and at > as_of]
            for verdict in verdicts:
                # A breached case with a stop or cancel ahead of the watermark is open until that instant.
                if _is_open(verdict, still_open) or (ahead and _is_unended(verdict, as_of)):
                    case_id = case_id_of(fold.id, subject, root_of(verdict, roots))
                    found[case_id] = _open_case(case_id, subject, verdict)
        self._replace(kept, found)
        if self._follow is not None:
            self._follow(subject, [verdict for verdict in every if not is_over(verdict, kept.pruned)])
        kept.wake = min(wakes, default=None)
        if kept.wake is not None:
            heappush(self._timers.setdefault(kept.partition, []), (kept.wake, subject))
        elif not found:
            self._subjects.pop(subject, None)

    def _replace(self, kept: _Kept, found: dict[str, OpenCase]) -> None:
        for case_id in kept.case_ids:
            if case_id not in found:
                del self.cases[case_id]
                self.version += 1
        for case_id, case in found.items():
            if self.cases.get(case_id) != case:
                self.cases[case_id] = case
                self.version += 1
        kept.case_ids = tuple(found)


def _is_open(verdict: Verdict, still_open: set[str]) -> bool:
    if verdict.outcome == "running":
        return True
    # A case breached and then cancelled is over; it has no stop either, like one that still waits.
    return verdict.outcome == "breached" and verdict.stopped_at is None and verdict.anchor.event_id in still_open


def _is_unended(verdict: Verdict, as_of: int) -> bool:
    return verdict.outcome == "breached" and verdict.stopped_at is None and verdict.ended_at >= as_of


def _open_case(case_id: str, subject: Subject, verdict: Verdict) -> OpenCase:
    rule, limit = verdict.rule, verdict.limit
    return OpenCase(
        case_id=case_id,
        rule=rule.id,
        clause=rule.clause,
        severity=rule.severity,
        title=rule.title,
        subject=subject,
        place=place_of(verdict.anchor.data.get("org")),
        started_at=verdict.started_at,
        deadline=verdict.deadline,
        outcome="breached" if verdict.outcome == "breached" else "running",
        limit=None if limit is None else Text(zh=limit_zh(limit), en=limit.text),
        provisional=verdict.provisional,
        paused=bool(verdict.pauses) and verdict.pauses[-1][1] is None,
    )
