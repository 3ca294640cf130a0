"""An engine from which single subjects can be removed, and restored later.

Subjects are independent, so the others are not affected.
"""

from __future__ import annotations

from heapq import heappush

from streams.core.alerts import Subject
from streams.core.engine import Engine
from streams.core.records import Snapshot, SubjectRecord
from streams.core.watermark import is_due


class SeparableEngine(Engine):
    """The engine of a partition; its subjects can be set aside."""

    def take_out(self, subject: Subject) -> None:
        """Drop a subject with its timers; its counted outcomes stay."""
        record = self._records.pop(subject, None)
        if record is not None:
            self._touched.pop(subject, None)
            self.open_cases.subtract(record.open)
            if self._tally is not None:
                self._tally.forget(subject)

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

    def encoded_events(self, subject: Subject) -> bytes | None:
        """The events of a subject in JSON, where they were encoded for its last decision."""
        return None

    def concerned(self, at: int) -> set[Subject]:
        """The subjects that a step to that watermark decides, besides those with new events."""
        due = {subject for due, subject in self._timers if is_due(due, at)}
        old = {subject for until, subject in self._expiries if is_due(until, at)}
        return {subject for subject in due | old | self._touched.keys() if subject in self._records}
