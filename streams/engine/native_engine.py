"""The engine of a partition that decides natively what it can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import Any

from streams.core.alerts import Alert, Subject, order_of
from streams.core.driver import Entry, Step
from streams.core.engine import DECIDED_AT_ONCE
from streams.core.event import Event
from streams.core.history import History, Notice
from streams.core.outcome_counts import ClocksAt
from streams.core.pruning import is_worth_a_look
from streams.core.records import BEGINNING, JudgedCase, Snapshot, SubjectRecord
from streams.core.rulebook import Rulebook
from streams.core.separable_engine import SeparableEngine
from streams.core.standing import Standing
from streams.core.watermark import is_due
from streams.engine.clocks import NativeClocks
from streams.engine.subjects import Subjects
from streams.engine.written_alerts import WrittenAlert
from streams.wire.state_rows import DamagedError, snapshot_from_bytes


class NativeEngine(SeparableEngine):
    """Keeps a subject natively from its first event on, or from the first after a restart; it has no record here then.

    Where Python must take an event, decide or prune, it is given back for that step, and stays Python's only where it
    cannot be kept natively as it is then. From then on each decision gives the events to the native engine, if that can
    decide. So it is with all subjects where cases are written.
    """

    def __init__(self, native: NativeClocks, rulebook: Rulebook, **options: Any) -> None:
        super().__init__(rulebook, **options)
        self._native = native
        self._subjects = native.subjects() if self._tracker is None else None
        self._row_of: Callable[[Subject], bytes | None] | None = None
        self._moved: list[Subject] = []  # within this step, from records that were asleep
        self._lent: list[Subject] = []  # given back for this step
        self._encoded: dict[Subject, bytes] = {}  # until the row is written
        self._written: list[WrittenAlert] = []

    def __len__(self) -> int:
        return super().__len__() + (0 if self._subjects is None else len(self._subjects))

    # -- feed --------------------------------------------------------------------------------------------

    def handle(self, subject: Subject, event: Event) -> Notice:
        """See ``Engine.handle``."""
        self._wake_resting(subject)
        record = self._records.get(subject)
        if self._subjects is not None and (record is None or self._moves(record)):
            notice = self._subjects.take(subject, event, self.watermark, self._keep_for)
            if notice is not None:
                return notice
            self._give_back(subject)
            self._lent.append(subject)
        return super().handle(subject, event)

    @property
    def takes_written(self) -> bool:
        """See ``SeparableEngine.takes_written``."""
        return self._subjects is not None

    def take_written(self, record: bytes, step: Step) -> list[Entry] | None:
        """See ``SeparableEngine.take_written``."""
        if self._subjects is None:
            return None
        taken = self._subjects.take_written(record, self._records, self.watermark, self._keep_for)
        if taken is None:
            return None
        for notice, event_type, count in taken.notices:
            step.notices[notice, event_type] += count
        return taken.left

    def _moves(self, record: SubjectRecord) -> bool:
        """Whether a subject is kept natively from now on: where its row was not looked at since the start."""
        if record.asleep is None or self._subjects is None:
            return False
        return self._keeps(record, record.asleep())

    def _keeps(self, record: SubjectRecord, snapshot: Snapshot) -> bool:
        expires = record.decided_at + self._keep_for if record.expires and self._keep_for is not None else None
        if not self._loads(snapshot, record.due, expires):
            return False
        super()._drop(record.subject)
        return True

    def _loads(self, snapshot: Snapshot, due: int | None = None, expires: int | None = None) -> bool:
        assert self._subjects is not None
        is_declared = self._rulebook.declared_only(snapshot.events) is snapshot.events
        return is_declared and self._subjects.load(snapshot, due, expires)

    def _give_back(self, subject: Subject) -> None:
        self._wake_resting(subject)
        given = None if self._subjects is None else self._subjects.remove(subject)
        if given is None:
            return
        record = self._hold(given.snapshot, expires=given.expires)
        for event in given.pending:
            record.history.add(event)
        if given.came is not None:
            self._came[subject] = given.came
        if given.is_touched:
            self._touched[subject] = record
        if given.is_changed:
            self._changed.add(subject)

    def _hold(self, snapshot: Snapshot, *, expires: bool) -> SubjectRecord:
        """Have a record of a subject that is no longer kept natively."""
        assert self._subjects is not None
        self._subjects.count(self._tally)
        record = self._records[snapshot.subject] = SubjectRecord(snapshot.subject)
        if snapshot.decided_at != BEGINNING:
            self._take_back(record, snapshot, snapshot.decided_at)
            if record.due is not None:
                heappush(self._timers, (record.due, snapshot.subject))
        if expires:
            self._expire_later(record)
        return record

    # -- rest --------------------------------------------------------------------------------------------

    def read_rows_by(self, row_of: Callable[[Subject], bytes | None]) -> None:
        """See ``SeparableEngine.read_rows_by``."""
        self._row_of = row_of

    def rest(self, at_most: int) -> None:
        """See ``SeparableEngine.rest``."""
        if self._subjects is not None and self._row_of is not None:
            self._subjects.rest(at_most)

    def rest_rows(self, rows: list[tuple[bytes, bytes]], prefix: bytes, judged_by: str) -> list[tuple[bytes, bytes]]:
        """See ``SeparableEngine.rest_rows``."""
        if self._subjects is None or self._row_of is None:
            return rows
        return self._subjects.add_rows(rows, prefix, judged_by, self.watermark, self._keep_for)

    def _wake_resting(self, subject: Subject) -> None:
        """Have the state of a subject, if it is at rest; here, where it cannot be kept natively."""
        if self._subjects is None or not self._subjects.is_at_rest(subject):
            return
        row = None if self._row_of is None else self._row_of(subject)
        if row is None:
            raise DamagedError(f"the state of {subject[0]} {subject[1]} is gone")
        snapshot = snapshot_from_bytes(subject, row)
        if not self._loads(snapshot):
            self._hold(snapshot, expires=self._subjects.remove_resting(subject))

    # -- decide ------------------------------------------------------------------------------------------

    @property
    def next_due(self) -> int | None:
        """See ``Engine.next_due``."""
        dues = super().next_due, None if self._subjects is None else self._subjects.next_due
        return min([due for due in dues if due is not None], default=None)

    def advancing(self, watermark: int, alerts: list[Alert]) -> Iterator[None]:
        """See ``Engine.advancing``."""
        self._encoded.clear()
        yield from super().advancing(watermark, alerts)
        if self._subjects is not None:
            self._changed.difference_update(self._moved)  # their rows are no longer made here
            self._moved.clear()
            yield from self._advance_kept(alerts)
            alerts.sort(key=order_of)

    def _advance_kept(self, alerts: list[Alert]) -> Iterator[None]:
        """Decide, prune and drop the subjects that are kept natively, and here those that are given back."""
        subjects, is_done = self._subjects, False
        assert subjects is not None
        while not is_done:
            step = subjects.decide(self.watermark, self._keep_for, self.prunes_after, DECIDED_AT_ONCE)
            is_done = step.is_done and not step.at_rest
            self._written += step.reports
            for subject in step.at_rest:
                self._wake_resting(subject)
                subjects.touch(subject)
            for subject in (*step.left, *[subject for subject in step.at_rest if subject in self._records]):
                self._give_back(subject)
                self._touched.pop(subject, None)
                self._decide_timed(self._records[subject], alerts)
                self._changed.add(subject)
                self._lent.append(subject)
            for subject in step.to_prune:
                self._give_back(subject)
                assert self.prunes_after is not None
                self._prune(self._records[subject], self.prunes_after)
                self._lent.append(subject)
            if not is_done:
                yield
        for subject in self._lent:
            lent = self._records.get(subject)
            # One that was not decided would be forgotten a step too early: that it got an event is known here only.
            if lent is not None and lent.decided_at == self.watermark != BEGINNING:
                self._keeps(lent, self._snapshot(lent))
        self._lent.clear()
        self._forget_kept(subjects)

    def _forget(self) -> None:
        if self._subjects is None:  # else see ``_forget_kept``
            super()._forget()

    def _forget_kept(self, subjects: Subjects) -> None:
        """Drop subjects, at last those that are given back meanwhile."""
        expiries, here = self._expiries, []
        while expiries and is_due(expiries[0][0], self.watermark):
            entry = heappop(expiries)
            record = self._records.get(entry[1])
            if record is not None and not self._moves(record):
                here.append(entry)
        for entry in here:
            heappush(expiries, entry)
        at_rest: list[Subject] | None = None
        while at_rest is None or at_rest:
            to_ask, at_rest = subjects.forget(self.watermark, self._keep_for)
            for subject in to_ask:
                self._give_back(subject)
            for subject in at_rest:
                self._wake_resting(subject)
        super()._forget()

    def take_written_alerts(self) -> list[WrittenAlert]:
        """The alerts of the last step that were written natively, in any order; the others are those it gave."""
        found, self._written = self._written, []
        return found

    def take_rows(self, judged_by: str, prefix: bytes) -> list[tuple[bytes, bytes | None]]:
        """See ``SeparableEngine.take_rows``."""
        if self._subjects is None:
            return []
        rows, left = self._subjects.rows(judged_by, prefix)
        for subject in left:
            self._give_back(subject)
            self._changed.add(subject)
        self._subjects.count(self._tally)
        return rows

    def row(self, subject: Subject, judged_by: str) -> bytes | None:
        """See ``SeparableEngine.row``."""
        if self._subjects is None:
            return None
        if self._row_of is not None and self._subjects.is_at_rest(subject):
            return self._row_of(subject)
        return self._subjects.row(subject, judged_by)

    def clocks_at(self) -> list[ClocksAt]:
        """See ``SeparableEngine.clocks_at``."""
        return [] if self._subjects is None else self._subjects.running()

    def encoded_events(self, subject: Subject) -> bytes | None:
        """See ``SeparableEngine.encoded_events``."""
        return self._encoded.pop(subject, None)

    def _decide_timed(self, record: SubjectRecord, alerts: list[Alert]) -> None:
        if record.asleep is not None:
            if self._subjects is not None and self._moves(record):
                self._subjects.touch(record.subject)
                self._moved.append(record.subject)
                return
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
        for made in found.reports:
            record.reported[made.key] = made.read()
        self._written += found.reports
        record.counted = len(history.events)
        if begins_again or asked:
            stay = () if begins_again else [case for case in record.open if case[0] not in asked]
            record.open = (*stay, *found.open)
            if self._tally is not None:
                self._tally.replace(record.subject, asked, found.ended, found.running, is_all=begins_again)
        if tracker is not None:
            tracker.look_again(record, watermark)
            rules = list(record.cases) if begins_again else found.looked
            verdict_of = self._native.verdict
            cases = [(rule, root, verdict_of(rule, case)) for (rule, root), case in found.cases]
            tracker.compare(record, rules, cases, watermark)
        if record.due is not None and record.due != before:
            heappush(self._timers, (record.due, record.subject))
        self._expire_later(record)
        if self.prunes_after is not None and is_worth_a_look(record.counted, record.pruned.looked_at):
            self._prune(record, self.prunes_after)
        if record.history is history:
            self._encoded[record.subject] = found.events

    def _is_idle(self, record: SubjectRecord) -> bool:
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

    # -- ask and keep ------------------------------------------------------------------------------------

    def cases(self, as_of: int | None = None) -> Iterator[JudgedCase]:
        """See ``Engine.cases``."""
        self._have_all()
        return super().cases(as_of)

    def orphans(self) -> Counter[str]:
        """See ``Engine.orphans``."""
        self._have_all()
        return super().orphans()

    def _have_all(self) -> None:
        for subject in [] if self._subjects is None else self._subjects.subjects():
            self._give_back(subject)
        for record in self._records.values():
            self._fold_again(record)

    def subjects(self) -> list[Subject]:
        """See ``Engine.subjects``."""
        return super().subjects() if self._subjects is None else sorted([*self._records, *self._subjects.subjects()])

    def snapshot(self, subject: Subject) -> Snapshot | None:
        """See ``Engine.snapshot``."""
        self._give_back(subject)
        return super().snapshot(subject)

    def standing(self, subject: Subject) -> Standing | None:
        """See ``Engine.standing``."""
        self._give_back(subject)
        return super().standing(subject)

    def rejudge(self, subjects: Iterable[Subject]) -> None:
        """See ``Engine.rejudge``."""
        subjects = list(subjects)
        for subject in subjects:
            self._give_back(subject)
        super().rejudge(subjects)

    def take_out(self, subject: Subject) -> None:
        """See ``SeparableEngine.take_out``."""
        self._give_back(subject)
        super().take_out(subject)

    def note_refused(self, subject: Subject, at: int) -> None:
        """See ``SeparableEngine.note_refused``."""
        self._give_back(subject)
        super().note_refused(subject, at)

    def concerned(self, at: int) -> set[Subject]:
        """See ``SeparableEngine.concerned``."""
        found = super().concerned(at)
        return found if self._subjects is None else found.union(self._subjects.concerned(at))
