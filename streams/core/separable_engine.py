"""An engine from which single subjects can be removed, and restored later.

Subjects are independent, so the others are not affected.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from heapq import heappush
from typing import Any, Final, NamedTuple

from streams.core.alerts import Alert, Subject
from streams.core.driver import Entry, Step
from streams.core.engine import Engine
from streams.core.outcome_counts import ClocksAt
from streams.core.records import Snapshot, SubjectRecord
from streams.core.rulebook import Rulebook
from streams.core.verdicts import Bounded
from streams.core.watermark import is_due

FEWEST_PAST_A_BOUND: Final = 25
"""A subject with fewer events is past no bound of a kind."""


class LeftOut(NamedTuple):
    """A subject has more than a bound of one rule allows, and an event of it was not judged by that rule."""

    subject: Subject
    rule: str
    bound: str


@lru_cache(maxsize=64)
def _bounded(rulebook: Rulebook) -> list[tuple[int, Bounded]]:
    """The folds with a bound, each with its place; asking 56 folds for the protocol takes some milliseconds."""
    folds = enumerate(rulebook.folds)
    return [(index, fold) for index, fold in folds if isinstance(fold, Bounded) and fold.bound]


class SeparableEngine(Engine):
    """The engine of a partition; its subjects can be set aside, and what is past a bound is known."""

    def __init__(self, rulebook: Rulebook, **options: Any) -> None:
        super().__init__(rulebook, **options)
        self._bounded = _bounded(rulebook)
        self._left_out: list[LeftOut] = []

    def take_left_out(self) -> list[LeftOut]:
        """What was found past a bound since the last call."""
        found, self._left_out = self._left_out, []
        return found

    def _decide(self, record: SubjectRecord, watermark: int, alerts: list[Alert]) -> None:
        super()._decide(record, watermark, alerts)
        if len(record.history.events) >= FEWEST_PAST_A_BOUND:
            self._note_left_out(record)

    def _note_left_out(self, record: SubjectRecord) -> None:
        """What rests on the absence of what was not judged may be wrong: as if it had been refused."""
        states, known = record.history.states, record.lacks
        for index, fold in self._bounded:
            at = fold.left_out(states[index]) if index in states else None
            if at is not None and (known is None or at > known):
                record.lack(at)
                self._left_out.append(LeftOut(record.subject, fold.id, fold.bound))

    def take_out(self, subject: Subject) -> None:
        """Drop a subject with its timers; its counted outcomes stay."""
        record = self._drop(subject)
        if record is not None:
            self._touched.pop(subject, None)

    def bring_back(self, snapshot: Snapshot) -> None:
        """Restore a subject set aside before later watermarks; the next ``advance_to`` decides it again."""
        record = self._records[snapshot.subject] = SubjectRecord(snapshot.subject)
        self._take_back(record, snapshot, snapshot.decided_at)
        if record.due is not None:
            heappush(self._timers, (record.due, record.subject))
        self._touched[snapshot.subject] = record
        self._changed.add(snapshot.subject)

    def note_refused(self, subject: Subject, at: int) -> None:
        """An event of a subject was refused before it got here; ``at`` is when it happened."""
        if subject in self._records:
            record = self._awake(subject)
        elif self.prunes_after is not None and not is_due(at + self.prunes_after, self.watermark):
            record = self._records[subject] = self._touched[subject] = SubjectRecord(subject)
        else:
            return  # version 0.1 may have to read the row, and knows none without an event
        record.lack(at)
        self._changed.add(subject)

    def lacks(self, subject: Subject) -> int | None:
        """When the latest event of a subject happened that is known to have been refused."""
        record = self._records.get(subject)
        return None if record is None else record.lacks

    @property
    def takes_written(self) -> bool:
        """Whether ``take_written`` is of use."""
        return False

    def take_written(self, record: bytes, step: Step) -> list[Entry] | None:
        """Take the entries of a record of the log as it is written, and record the result of each in the step.

        Those that are still to be fed; ``None`` where these are all.
        """
        return None

    def read_rows_by(self, row_of: Callable[[Subject], bytes | None]) -> None:
        """Read the row of a subject by that, where it is not kept in memory."""

    def rest(self, at_most: int) -> None:
        """Keep at most so many bytes of subjects in memory, where that can be. All rows must have been written."""

    def rest_rows(self, rows: list[tuple[bytes, bytes]], prefix: bytes, judged_by: str) -> list[tuple[bytes, bytes]]:
        """Have the subjects of rows in their standing without keeping the rows; those with which that cannot be.

        A key is the prefix, the subject's type, a slash and its id; ``judged_by`` is the fingerprint of the rulebook.
        """
        return rows

    def row(self, subject: Subject, judged_by: str) -> bytes | None:
        """The row of a subject under a rulebook's fingerprint, where it is not made from its snapshot."""
        return None

    def take_rows(self, judged_by: str, prefix: bytes) -> list[tuple[bytes, bytes | None]]:
        """Rows of changed subjects that are not made from their snapshots, with their keys; ``None`` deletes one.

        A key is the prefix, the subject's type, a slash and its id.
        """
        return []

    def clocks_at(self) -> list[ClocksAt]:
        """The running clocks that the tally does not have; also from another thread."""
        return []

    def encoded_events(self, subject: Subject) -> bytes | None:
        """The events of a subject in JSON, where they were encoded for its last decision."""
        return None

    def concerned(self, at: int) -> set[Subject]:
        """The subjects that a step to that watermark decides, besides those with new events."""
        due = {subject for due, subject in self._timers if is_due(due, at)}
        old = {subject for until, subject in self._expiries if is_due(until, at)}
        return {subject for subject in due | old | self._touched.keys() if subject in self._records}
