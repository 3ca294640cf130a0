"""The engine of a partition that decides natively what it can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from heapq import heappush
from typing import Any

from streams.core.alerts import Alert, Subject
from streams.core.cases import replace_open
from streams.core.event import Event
from streams.core.history import History, Notice
from streams.core.pruning import is_worth_a_look
from streams.core.records import BEGINNING, JudgedCase, Snapshot, SubjectRecord
from streams.core.rulebook import Rulebook
from streams.core.separable_engine import SeparableEngine
from streams.core.watermark import is_due
from streams.engine.clocks import NativeClocks, alert_of
from streams.engine.subjects import Made


def _kept() -> Snapshot:
    """In place of what loads a snapshot: the subject is kept natively."""
    raise AssertionError("its snapshot is given back, not loaded")


class NativeEngine(SeparableEngine):
    """Keeps a subject natively from its first event on, or from the first after a restart; its record here is asleep.

    It is given back, for good, where Python must take an event or make a decision; from then on each decision gives the
    events to the native engine, if that can decide. So it is with all subjects where cases are written.
    """

    def __init__(self, native: NativeClocks, rulebook: Rulebook, **options: Any) -> None:
        super().__init__(rulebook, **options)
        self._native = native
        self._subjects = native.subjects() if self._tracker is None else None
        self._encoded: dict[Subject, bytes] = {}  # until the row is written
        self._lines: dict[str, bytes] = {}

    def advancing(self, watermark: int, alerts: list[Alert]) -> Iterator[None]:
        """See ``Engine.advancing``."""
        self._encoded.clear()
        return super().advancing(watermark, alerts)

    def handle(self, subject: Subject, event: Event) -> Notice:
        """See ``Engine.handle``."""
        subjects, record = self._subjects, self._records.get(subject)
        if subjects is None or event.corrects is not None or event.void:
            return super().handle(subject, event)
        if record is None:
            if self._keep_for is not None and is_due(event.at + self._keep_for, self.watermark):
                return super().handle(subject, event)
        elif not self._keeps(record):
            return super().handle(subject, event)
        is_known = subjects.add(subject, event)
        if is_known is None:
            return super().handle(subject, event)
        if record is None:
            record = self._records[subject] = SubjectRecord(subject, _kept)
        if self._keep_for is not None:
            self._came[subject] = min(event.at, self._came.get(subject, event.at))
        if is_known:
            return "duplicate"
        self._touched[subject] = record
        self._changed.add(subject)
        return "late" if event.at <= self.watermark else "applied"

    def _keeps(self, record: SubjectRecord) -> bool:
        """Whether a subject is kept natively; from now on, where its row was not looked at since the start."""
        if record.asleep is None or record.asleep is _kept or self._subjects is None:
            return record.asleep is _kept
        snapshot = record.asleep()
        is_declared = self._rulebook.declared_only(snapshot.events) is snapshot.events
        if not is_declared or not self._subjects.load(snapshot):
            return False
        record.asleep = _kept
        return True

    def _wake(self, record: SubjectRecord) -> None:
        if record.asleep is not _kept:
            super()._wake(record)
            return
        assert self._subjects is not None
        found = self._subjects.remove(record.subject, record.decided_at)
        assert found is not None
        snapshot, pending = found
        record.awake()
        if record.decided_at != BEGINNING:
            record.asleep = lambda: snapshot
            super()._wake(record)
        for event in pending:
            record.history.add(event)

    def _drop(self, subject: Subject) -> SubjectRecord | None:
        record = super()._drop(subject)
        if record is not None and record.asleep is _kept and self._subjects is not None:
            self._subjects.remove(subject, record.decided_at)
        return record

    def take_lines(self) -> dict[str, bytes]:
        """See ``SeparableEngine.take_lines``."""
        found, self._lines = self._lines, {}
        return found

    def _alert_of(self, made: Made, subject: Subject) -> Alert:
        alert = alert_of(made, subject, self.watermark)
        self._lines[alert.alert_id] = made[1]
        return alert

    def row(self, subject: Subject, judged_by: str) -> bytes | None:
        """See ``SeparableEngine.row``."""
        record = self._records.get(subject)
        if record is None or record.asleep is not _kept or self._subjects is None:
            return None
        return self._subjects.row(subject, judged_by, record.due)

    def _decide_kept(self, record: SubjectRecord, alerts: list[Alert]) -> bool:
        """Decide a subject that is kept natively; ``False`` where Python must."""
        subjects = self._subjects
        assert subjects is not None
        subject, watermark, before = record.subject, self.watermark, record.due
        prunes = None if self.prunes_after is None else (self.prunes_after, self._came.get(subject))
        found = subjects.decide(subject, watermark, prunes)
        if found is None:
            return False
        record.decided_at, record.due = watermark, found.due
        if found.reports:
            made = [(report[0], self._alert_of(report, subject)) for report in found.reports]
            alerts += [alert for _, alert in made]
            subjects.add_reports(subject, made)
        if found.due is not None and found.due != before:
            heappush(self._timers, (found.due, subject))
        self._expire_later(record)
        if found.open is not None:
            replace_open(record, tuple(found.open), self.open_cases)
        if self._tally is not None:
            self._tally.change(subject, found.ended, found.reopened, found.running)
        if found.is_to_prune and self.prunes_after is not None:
            self._wake(record)
            self._prune(record, self.prunes_after)
        return True

    def encoded_events(self, subject: Subject) -> bytes | None:
        """See ``SeparableEngine.encoded_events``."""
        return self._encoded.pop(subject, None)

    def _decide_timed(self, record: SubjectRecord, alerts: list[Alert]) -> None:
        if self._keeps(record) and self._decide_kept(record, alerts):
            return
        if record.asleep is not None:
            self._wake(record)
        watermark, tracker = self.watermark, self._tracker
        found = self._native.decide(record, watermark, with_cases=tracker is not None)
        if found is None:
            self._fold_again(record)
            super()._decide_timed(record, alerts)
            return
        history, before = record.history, record.due
        asked, begins_again = found.asked, history.begins_again
        history.drop_states()
        record.decided_at, record.dues = watermark, found.dues
        record.due = min(found.dues.values(), default=None)
        if tracker is not None:
            tracker.look_again(record, watermark)
        for made in found.reports:
            alert = record.reported[made[0]] = self._alert_of(made, record.subject)
            alerts.append(alert)
        if record.due is not None and record.due != before:
            heappush(self._timers, (record.due, record.subject))
        self._expire_later(record)
        record.counted = len(history.events)
        if begins_again or asked:
            stay = () if begins_again else [case for case in record.open if case[0] not in asked]
            replace_open(record, (*stay, *found.open), self.open_cases)
            if self._tally is not None:
                self._tally.replace(record.subject, asked, found.ended, found.running, is_all=begins_again)
        if tracker is not None:
            rules = list(record.cases) if begins_again else found.looked
            verdict_of = self._native.verdict
            cases = [(rule, root, verdict_of(rule, case)) for (rule, root), case in found.cases]
            tracker.compare(record, rules, cases, watermark)
        if self.prunes_after is not None and is_worth_a_look(record.counted, record.pruned.looked_at):
            self._prune(record, self.prunes_after)
        if record.history is history:
            self._encoded[record.subject] = found.events

    def _last_at(self, record: SubjectRecord) -> int:
        if self._subjects is not None and self._keeps(record):
            return self._subjects.last_at(record.subject)
        return super()._last_at(record)

    def _is_idle(self, record: SubjectRecord) -> bool:
        if self._subjects is not None and record.asleep is _kept:
            is_idle = self._subjects.is_idle(record.subject)
            if is_idle is not None:
                return is_idle
        if record.asleep is not None:
            self._wake(record)
        found = self._native.is_idle(record)
        return super()._is_idle(record) if found is None else found

    def _fold_again(self, record: SubjectRecord) -> None:
        """Make the states of the last decision, where it was native; the events since then come after them."""
        if record.asleep is not None or not record.history.is_folded_elsewhere:
            return
        history = record.history
        counted = 0 if history.begins_again else record.counted
        record.history = again = History(history.events[:counted] or history.events)
        again.is_renewed = history.is_renewed
        if not counted:
            return  # all folds begin again
        states = again.fold(self._rulebook.routes(record.subject[0]))
        again.is_fresh = False
        again.touched.clear()
        record.owed = {}
        for index, state in states.items():
            owed = self._owed(record, index, self._rulebook.folds[index].judge(state, record.decided_at)[0])
            if owed:
                record.owed[index] = owed
        for event in history.events[counted:]:
            again.add(event)

    def cases(self, as_of: int | None = None) -> Iterator[JudgedCase]:
        """See ``Engine.cases``."""
        self._fold_all_again()
        return super().cases(as_of)

    def orphans(self) -> Counter[str]:
        """See ``Engine.orphans``."""
        self._fold_all_again()
        return super().orphans()

    def _fold_all_again(self) -> None:
        for record in self._records.values():
            self._fold_again(record)
