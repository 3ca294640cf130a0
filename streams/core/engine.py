"""The engine: events and watermarks in, alerts out. The output is a pure function of the input, byte for byte.

Theory of operation. ``handle`` only stores: it adds an event to the history of one subject and returns the result.
``advance_to`` only decides: it moves the watermark, folds the changed histories, gets from their rules the reports due
by now, and returns the difference to the reports made before. So the order and batching of the events between two
watermarks do not matter.

Decisions wait for a watermark, although a late event could be judged at once: every batch of the log ends with a
watermark, so deciding earlier gains nothing, and a batch is folded once instead of once per event.

Example. fee-5-minutes on order WO1: ``handle`` service_started 09:00:00, ``advance_to`` 09:00:01 returns nothing and
``next_due`` is the warning at 09:04:00; ``advance_to`` 09:05:00 returns the breach, detected at 09:05:00. Had
service_completed 09:04:50 been handled before, it would have returned nothing; handled after, the next ``advance_to``
returns the retraction.

No clock, no input or output, no logging. Timers are a heap of (due, subject), one live entry per subject, rebuilt from
the snapshots on restore and never stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from msgspec.structs import replace

from streams.core.alerts import Alert, Subject, case_id_of, order_of, report_alert, retraction_of
from streams.core.case_changes import CaseTracker
from streams.core.cases import case_of, cases_of, forget_written, open_places, stepped
from streams.core.event import Event
from streams.core.history import Notice
from streams.core.orphans import orphans_of
from streams.core.outcome_counts import OutcomeCounts
from streams.core.pruning import cut_of, is_worth_a_look, prune, refuses
from streams.core.records import BEGINNING, JudgedCase, ReportKey, Snapshot, SubjectRecord
from streams.core.rulebook import Rulebook
from streams.core.standing import Standing, in_order
from streams.core.verdicts import Report, Verdict, root_of
from streams.core.watermark import is_due

DECIDED_AT_ONCE: Final = 500
"""Subjects decided per piece of ``advancing``: about 50 ms of processor time where each gives an alert."""


class Engine:
    """All subjects of one partition under one rulebook.

    ``keep_for`` (microseconds) is how long a subject whose cases are all closed is kept for late events and
    corrections, counted in watermark time from when it was last decided or from its last event, whichever is later;
    ``None`` keeps it for ever. An event older than that is refused where its subject is not kept. ``tally`` counts
    every verdict where it is given, ``tracker`` collects the cases that changed; each costs a second evaluation of each
    decided fold.
    """

    def __init__(
        self,
        rulebook: Rulebook,
        *,
        keep_for: int | None = None,
        tally: OutcomeCounts | None = None,
        tracker: CaseTracker | None = None,
    ) -> None:
        self._rulebook = rulebook
        self._tracker = tracker
        self._calendar = rulebook.calendar
        self._keep_for = self.prunes_after = keep_for  # the latter ``None`` where histories are not pruned
        self._tally = tally
        self._records: dict[Subject, SubjectRecord] = {}
        self._touched: dict[Subject, SubjectRecord] = {}
        self._timers: list[tuple[int, Subject]] = []
        self._expiries: list[tuple[int, Subject]] = []
        self._changed: set[Subject] = set()
        self._came: dict[Subject, int] = {}  # since the last step: the earliest event got
        self.watermark = BEGINNING

    def __len__(self) -> int:
        """Subjects kept."""
        return len(self._records)

    # -- feed --------------------------------------------------------------------------------------------

    def handle(self, subject: Subject, event: Event) -> Notice:
        """Store one event of one subject; idempotent. Decisions are made by ``advance_to``."""
        record = self._records.get(subject)
        if record is None:
            is_old = self._keep_for is not None and is_due(event.at + self._keep_for, self.watermark)
            if is_old and not event.snapshot:
                # The subject may have been dropped: a repeated event would open a case that never ends.
                return "too_old"
            record = self._records[subject] = SubjectRecord(subject)
        elif record.asleep is not None:
            self._wake(record)
        if record.pruned.until is not None and refuses(record.history, record.pruned, event):
            record.lack(event.at)
            self._changed.add(subject)
            return "too_old"
        notice = record.history.add(event)
        if self._keep_for is not None:
            seen = event if notice == "applied" else record.history.find(event.event_id) or event
            self._came[subject] = min(event.at, seen.at, self._came.get(subject, event.at))
        if notice == "applied":
            self._touched[subject] = record
            self._changed.add(subject)
            if event.at <= self.watermark:
                notice = "late"
        elif record.history.is_renewed:
            record.history.is_renewed = False
            self._changed.add(subject)
        return notice

    # -- decide ------------------------------------------------------------------------------------------

    @property
    def next_due(self) -> int | None:
        """The next instant at which time alone changes a verdict, among the subjects already decided."""
        timers = self._timers
        while timers and self._is_stale(*timers[0]):
            heappop(timers)
        return timers[0][0] if timers else None

    def advance_to(self, watermark: int) -> list[Alert]:
        """Advance the watermark and return the alerts now due, in a total order. An older watermark has no effect."""
        alerts: list[Alert] = []
        for _ in self.advancing(watermark, alerts):
            pass
        return alerts

    def advancing(self, watermark: int, alerts: list[Alert]) -> Iterator[None]:
        """``advance_to`` in pieces: the caller may do other work between two of them.

        The iterator must be exhausted before the engine is used otherwise. ``alerts``, empty at first, is in order only
        then.
        """
        self.watermark = watermark = max(watermark, self.watermark)
        decided, self._touched = self._touched, {}
        for number, record in enumerate(decided.values(), 1):
            self._decide_timed(record, alerts)
            if number % DECIDED_AT_ONCE == 0:
                yield
        number = 0
        timers = self._timers
        while timers and is_due(timers[0][0], watermark):
            due, subject = heappop(timers)
            if not self._is_stale(due, subject):
                record = decided[subject] = self._records[subject]
                self._decide_timed(record, alerts)
                number += 1
                if number % DECIDED_AT_ONCE == 0:
                    yield
        self._changed.update(decided)  # at least ``decided_at`` has changed
        self._forget()
        if len(timers) > 2 * len(self._records) + 1000:
            self._drop_stale_timers()
        alerts.sort(key=order_of)

    def _is_stale(self, due: int, subject: Subject) -> bool:
        record = self._records.get(subject)
        return record is None or record.due != due

    def _drop_stale_timers(self) -> None:
        """A met case leaves its entry in the heap; it is skipped when it falls due, possibly days later."""
        self._timers = [(record.due, record.subject) for record in self._records.values() if record.due is not None]
        heapify(self._timers)

    def _decide_timed(self, record: SubjectRecord, alerts: list[Alert]) -> None:
        if record.asleep is not None:
            self._wake(record)
        before, dues, watermark, since = record.due, record.dues, self.watermark, record.decided_at
        fresh = stepped(record, self._rulebook)
        passed = [index for index, due in dues.items() if due <= watermark] if dues else ()
        self._decide(record, watermark, alerts)
        record.counted = len(record.history.events)
        asked = None if fresh is None else record.history.states.keys() & fresh.union(passed)
        counted = None if asked is None else asked | (record.history.states.keys() & self._rulebook.cadences.keys())
        if counted is None or counted:
            record.open = open_places(record, self._rulebook, counted, watermark)
        if self._tracker is not None:
            self._tracker.look_again(record, watermark)
        if record.due is not None and record.due != before:
            heappush(self._timers, (record.due, record.subject))
        self._expire_later(record)
        self._count(record, counted, watermark)
        if self._tracker is not None:
            self._tracker.look(record, counted, since, watermark)
        if self.prunes_after is not None and is_worth_a_look(len(record.history.events), record.pruned.looked_at):
            self._prune(record, self.prunes_after)

    def _count(self, record: SubjectRecord, folds: set[int] | None, watermark: int, *, known: bool = False) -> None:
        """Update the counts of those folds, which have a state; the others have not changed. ``None``: all."""
        tally, states = self._tally, record.history.states
        if tally is None:
            return
        # As of all known events, not only up to the watermark: a met case is not evaluated again.
        as_of = max(watermark, events[-1].at) if (events := record.history.events) else watermark
        asked = states if folds is None else folds
        every = self._rulebook.folds
        found = {every[index].id: every[index].statuses(states[index], as_of, watermark) for index in asked}
        if found or folds is None:
            tally.take(record.subject, found, is_all=folds is None, known=known)

    def _decide(self, record: SubjectRecord, watermark: int, alerts: list[Alert]) -> None:
        """Judge the folds that may have changed since they were last judged; report the difference.

        These are the folds with a new event and those whose instant has passed; all, where all began again.
        """
        history, folds, dues = record.history, self._rulebook.folds, record.dues
        states = history.fold(self._rulebook.routes(record.subject[0]))
        asked: Iterable[int] = history.touched
        record.decided_at = watermark
        if history.is_fresh:
            dues.clear()
            asked = states
        elif record.due is not None and record.due <= watermark:
            asked = history.touched.union([index for index, due in dues.items() if due <= watermark])
        elif not asked:
            return
        changed: dict[int, Sequence[Verdict]] = {}
        for index in asked:
            verdicts, following = folds[index].judge(states[index], watermark)
            if following is not None:
                dues[index] = following
            elif index in dues:
                del dues[index]
            if verdicts or index in record.owed:
                changed[index] = verdicts
        record.due = min(dues.values()) if dues else None
        if history.is_fresh:
            if record.reported or changed:
                record.owed = {
                    index: owed for index, found in changed.items() if (owed := self._owed(record, index, found))
                }
                self._report_difference(record, tuple(record.reported), record.owed.values(), watermark, alerts)
            history.is_fresh = False
        elif changed:
            self._report_changed(record, changed, watermark, alerts)
        history.touched.clear()

    def _report_changed(
        self, record: SubjectRecord, changed: Mapping[int, Sequence[Verdict]], watermark: int, alerts: list[Alert]
    ) -> None:
        before: list[ReportKey] = []
        owing: list[dict[ReportKey, tuple[Verdict, int]]] = []
        # In the order of the states, whichever folds were judged, so that equal content is kept in equal order.
        for index in changed if len(changed) == 1 else [index for index in record.history.states if index in changed]:
            before += record.owed.pop(index, ())
            owed = self._owed(record, index, changed[index])
            if owed:
                record.owed[index] = owed
                owing.append(owed)
        self._report_difference(record, before, owing, watermark, alerts)

    def _owed(
        self, record: SubjectRecord, index: int, verdicts: Sequence[Verdict]
    ) -> dict[ReportKey, tuple[Verdict, int]]:
        """The reports of one fold that are due by now."""
        rule_id, roots, until = self._rulebook.folds[index].id, record.history.roots, record.pruned.until
        return {
            (rule_id, root_of(verdict, roots), report.kind, report.cause): (verdict, number)
            for verdict in verdicts
            for number, report in enumerate(verdict.reports)
            if until is None or report.due > until
        }

    def _report_difference(
        self,
        record: SubjectRecord,
        before: Sequence[ReportKey],
        owing: Iterable[Mapping[ReportKey, tuple[Verdict, int]]],
        watermark: int,
        alerts: list[Alert],
    ) -> None:
        """Withdraw the reports of ``before`` that are no longer due, and make those that are due and missing."""
        reported, watched = record.reported, self._rulebook.watched
        owing = list(owing)
        for key in before:
            # Reports of a rule that is no longer in the rulebook are kept unchanged.
            if key in reported and key[2] != "warning" and key[0] in watched and not any(key in owed for owed in owing):
                now = case_of(record, self._rulebook, key[0], key[1], watermark)
                alerts.append(retraction_of(reported.pop(key), now, watermark, self._calendar))
                record.withdrawn[key] = record.withdrawn.get(key, 0) + 1
        for owed in owing:
            for key, (verdict, number) in owed.items():
                if key in reported:
                    continue
                alert = reported[key] = self._alert(record, key, verdict, verdict.reports[number], watermark)
                alerts.append(alert)

    def _alert(self, record: SubjectRecord, key: ReportKey, verdict: Verdict, report: Report, watermark: int) -> Alert:
        return report_alert(
            verdict,
            report,
            subject=record.subject,
            case_id=case_id_of(key[0], record.subject, key[1]),
            generation=record.withdrawn.get(key, 0),
            watermark=watermark,
            calendar=self._calendar,
        )

    def _prune(self, record: SubjectRecord, keep_for: int) -> None:
        """Prune the history of a decided subject."""
        rulebook, watermark = self._rulebook, self.watermark
        cut = cut_of(record, watermark, keep_for, self._came.get(record.subject))
        less = None if cut is None else prune(self._snapshot(record), record.history, rulebook, cut)
        if less is None:
            record.pruned = replace(record.pruned, looked_at=len(record.history.events))
            return
        due, record.due, record.dues, record.owed = record.due, None, {}, {}
        self._take_back(record, less, watermark)
        if self._tracker is not None:
            forget_written(record, rulebook, watermark)
            self._tracker.look_again(record, watermark)
        if record.due is not None and record.due != due:
            heappush(self._timers, (record.due, record.subject))

    def _expire_later(self, record: SubjectRecord) -> None:
        if self._keep_for is not None and not record.expires:
            record.expires = True
            heappush(self._expiries, (record.decided_at + self._keep_for, record.subject))

    def _forget(self) -> None:
        """Drop the subjects without an open case that got nothing for ``keep_for``.

        A subject with an open case needs no entry: the end of the case decides it again, which makes one.
        """
        expiries = self._expiries
        # One that has just got an event is dropped one step later: repeated after a crash, the event would look new.
        came, self._came = self._came, {}
        later: list[tuple[int, Subject]] = []
        while expiries and is_due(expiries[0][0], self.watermark):
            entry = heappop(expiries)
            subject = entry[1]
            if subject in came:
                later.append(entry)
                continue
            if subject not in self._records:
                continue  # removed meanwhile
            record = self._records[subject]
            assert self._keep_for is not None
            # A lagging source may hold the watermark back until it moves on in one step: an event read ahead of the
            # watermark is kept as long after its instant as any other.
            events = self._awake(subject).history.events
            kept_until = max(record.decided_at, events[-1].at if events else BEGINNING) + self._keep_for
            if not is_due(kept_until, self.watermark):
                heappush(expiries, (kept_until, subject))
                continue
            record.expires = False
            if record.due is None and self._is_idle(record):
                self._drop(subject)
                self._changed.add(subject)
        for entry in later:
            heappush(expiries, entry)

    def _drop(self, subject: Subject) -> SubjectRecord | None:
        if self._tally is not None:
            self._tally.forget(subject)
        return self._records.pop(subject, None)

    def _is_idle(self, record: SubjectRecord) -> bool:
        return record.history.is_idle(self._rulebook.routes(record.subject[0]))

    def rejudge(self, subjects: Iterable[Subject]) -> None:
        """Decide these subjects again at the next ``advance_to``, because the rulebook or the calendar has changed.

        Reports that are still due are not repeated, whatever their version; the others are withdrawn. Subjects no
        longer kept are skipped.
        """
        for subject in subjects:
            if subject in self._records:
                record = self._touched[subject] = self._awake(subject)
                record.history.is_fresh = True

    # -- ask ---------------------------------------------------------------------------------------------

    def cases(self, as_of: int | None = None) -> Iterator[JudgedCase]:
        """Every case of every subject as of an instant (default: the watermark); makes no reports."""
        as_of = self.watermark if as_of is None else as_of
        for subject in sorted(self._records):
            yield from cases_of(self._awake(subject), self._rulebook, as_of)

    def orphans(self) -> Counter[str]:
        """See ``orphans_of``."""
        return orphans_of(map(self._awake, self._records), self._rulebook, self.watermark)

    # -- keep --------------------------------------------------------------------------------------------

    def take_changed(self) -> list[Subject]:
        """The subjects whose snapshot changed since the last call, in a fixed order."""
        changed, self._changed, self._came = sorted(self._changed), set(), {}
        return changed

    def subjects(self) -> list[Subject]:
        """Every subject kept, in a fixed order."""
        return sorted(self._records)

    def snapshot(self, subject: Subject) -> Snapshot | None:
        """The snapshot of a subject, or ``None`` where it is no longer kept."""
        if subject not in self._records:
            return None
        return self._snapshot(self._awake(subject))

    def _snapshot(self, record: SubjectRecord) -> Snapshot:
        return Snapshot(
            record.subject,
            tuple(record.history.events),
            tuple(record.reported.items()),
            tuple(record.withdrawn.items()),
            record.decided_at,
            tuple((rule, root, digest) for rule in sorted(record.cases) for root, digest in record.cases[rule].items()),
            record.pruned,
            record.lacks,
        )

    def standing(self, subject: Subject) -> Standing | None:
        """The standing of a subject, for its row; ``None`` where it is not kept or not yet decided."""
        record = self._records.get(subject)
        if record is None or subject in self._touched or record.decided_at == BEGINNING:
            return None
        running = self._tally.running.get(subject, ()) if self._tally is not None else ()
        return Standing(record.decided_at, record.due, *in_order(record.open, running))

    def restore(self, snapshot: Snapshot) -> None:
        """Restore a subject from its snapshot; its timers are computed from its history.

        Set ``watermark`` first, to its value when the snapshots were taken.
        """
        record = self._records[snapshot.subject] = SubjectRecord(snapshot.subject)
        if self.watermark == snapshot.decided_at == BEGINNING:
            # The snapshot was taken before the first watermark: nothing is decided yet.
            self._touched[snapshot.subject] = record
        # A subject decided ahead of the watermark has reported all until then; deciding it now would withdraw that.
        self._take_back(record, snapshot, max(self.watermark, snapshot.decided_at))
        if record.decided_at == BEGINNING:
            # Old versions did not rewrite rows at the first watermark: the subject has been decided, and recently.
            record.decided_at = self.watermark
        if record.due is not None:
            heappush(self._timers, (record.due, record.subject))
        self._expire_later(record)

    def restore_asleep(self, subject: Subject, standing: Standing, snapshot: Callable[[], Snapshot]) -> None:
        """Restore a subject without its snapshot, which is loaded at its next event.

        Equivalent to ``restore`` where the standing is of this rulebook and no later than the watermark.
        """
        record = self._records[subject] = SubjectRecord(subject, snapshot)
        record.decided_at, record.due = standing.decided_at, standing.due
        record.open = standing.open_cases
        if standing.running and self._tally is not None:
            self._tally.run(subject, standing.running)
        if record.due is not None:
            heappush(self._timers, (record.due, subject))
        self._expire_later(record)

    def _awake(self, subject: Subject) -> SubjectRecord:
        record = self._records[subject]
        if record.asleep is not None:
            self._wake(record)
        return record

    def _wake(self, record: SubjectRecord) -> None:
        assert record.asleep is not None
        snapshot = record.asleep()
        record.awake()
        due, record.due = record.due, None
        # As of the last decision: changes by time since then must count as new.
        self._take_back(record, snapshot, record.decided_at)
        if record.due is not None and record.due != due:
            heappush(self._timers, (record.due, record.subject))

    def _take_back(self, record: SubjectRecord, snapshot: Snapshot, watermark: int) -> None:
        record.history = self._rulebook.history_of(self._rulebook.declared_only(snapshot.events), snapshot.pruned)
        record.pruned, record.lacks = snapshot.pruned, snapshot.lacks
        record.reported = dict(snapshot.reported)
        record.withdrawn = dict(snapshot.withdrawn)
        record.decided_at = snapshot.decided_at
        for rule, root, digest in snapshot.cases:
            record.cases.setdefault(rule, {})[root] = digest
        states = record.history.fold(self._rulebook.routes(record.subject[0]))
        for index, state in states.items():
            following = self._rulebook.folds[index].judge(state, watermark)[1]
            if following is not None and (record.due is None or following < record.due):
                record.due = following
        record.counted = len(record.history.events)
        record.open = open_places(record, self._rulebook, None, watermark)
        if self._tracker is not None:
            self._tracker.look_again(record, watermark)
        self._count(record, None, watermark, known=True)
