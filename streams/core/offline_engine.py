"""An engine for replay: evaluates each subject's whole history at once; gives the same alerts as the live engine.

Subjects are independent, so a replay evaluates them one by one and needs no common queue of timers. Where the rules
allow it (``offline``) a history is folded once; otherwise time advances step by step, as it does live.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

from streams.core.alerts import Alert, DueAlert, Subject, alert_id_of, case_id_of
from streams.core.cases import cases_of
from streams.core.engine import Engine
from streams.core.event import Event
from streams.core.history import History
from streams.core.offline import OfflineEvaluator, ReportedVerdict
from streams.core.orphans import orphans_of
from streams.core.records import JudgedCase, ReportKey, SubjectRecord
from streams.core.rulebook import Rulebook
from streams.core.verdicts import Verdict, root_of
from streams.core.watermark import is_due

AT_ONCE: Final = 500
"""Subjects that are worth evaluating together."""


class OfflineEngine(Engine):
    """Call ``evaluate`` for all subjects, then get their cases; ``handle`` is not used.

    Where nobody asks for cases, ``keeps_cases`` is false, and what is needed for them alone is dropped at once.
    """

    def __init__(self, rulebook: Rulebook, *, keeps_cases: bool = True) -> None:
        super().__init__(rulebook)
        self._keeps_cases = keeps_cases
        self._evaluator = OfflineEvaluator(rulebook, keeps_states=keeps_cases)
        self._folded: dict[Subject, tuple[Sequence[Event], dict[int, Any]]] = {}
        """The events of the subjects that were folded once, and the states of the folds that have a case."""

    @property
    def at_event(self) -> Event | None:
        """The current event of ``evaluate``, for error messages."""
        return self._evaluator.at_event

    def evaluate(
        self, subjects: Iterable[tuple[Subject, Sequence[Event]]], end: int
    ) -> Iterator[Sequence[tuple[bool, Alert | DueAlert]]]:
        """All reports on each of some subjects, from all its events, up to an instant.

        A subject's events are in the order of histories, without repetitions. Time advances as in ``advance_to`` up to
        just before each event, stopping at every due instant. As subjects are independent, the alerts equal those of
        all subjects' events together. Each is paired with whether an event caused it (else time). Afterwards the
        subject's cases can be read; it takes no more events.

        Events later than ``end`` count only as corrections: corrections apply from the beginning, whatever their own
        instant. Events that happened later than ``end``, as corrected, are left out.
        """
        known = [(subject, events, _up_to(end, events)) for subject, events in subjects]
        lives = self._evaluator.of_each([(subject[0], within) for subject, _, within in known], end)
        for (subject, events, within), life in zip(known, lives, strict=True):
            if len(within) < len(events) and any(event.corrects is not None or event.void for event in events):
                record = self._records[subject] = SubjectRecord(subject)
                record.history = History(events[len(within) :], until=end)
                yield self._evaluate_stepwise(record, within, end)
            elif life is None:
                record = self._records[subject] = SubjectRecord(subject)
                yield self._evaluate_stepwise(record, within, end)
            else:
                states, reports = life
                if self._keeps_cases or not states:
                    self._folded[subject] = within, states
                yield self._due(subject, reports) if reports else ()

    @staticmethod
    def _due(subject: Subject, reports: Iterable[ReportedVerdict]) -> Sequence[tuple[bool, DueAlert]]:
        found: dict[ReportKey, tuple[bool, DueAlert]] = {}
        for verdict, report, watermark, by_event in reports:
            root = root_of(verdict, {})
            key = verdict.rule.id, root, report.kind, report.cause
            if key not in found:
                case_id = case_id_of(key[0], subject, root)
                alert_id = alert_id_of(case_id, report.kind, report.cause, 0)
                found[key] = by_event, DueAlert(alert_id, case_id, subject, verdict, report, watermark)
        return list(found.values())

    def cases(self, as_of: int | None = None) -> Iterator[JudgedCase]:
        """See ``Engine``."""
        as_of = self.watermark if as_of is None else as_of
        subjects = iter(sorted([*self._records, *self._folded]))
        while together := list(islice(subjects, AT_ONCE)):
            yield from self._cases_of(together, as_of)

    def _cases_of(self, subjects: Sequence[Subject], as_of: int) -> Iterator[JudgedCase]:
        """The cases of some subjects, judged fold by fold as in ``OfflineEvaluator.of_each``."""
        folds = self._rulebook.folds
        by_fold: dict[int, list[Subject]] = {}
        judged: dict[Subject, dict[int, Sequence[Verdict]]] = {}
        for subject in subjects:
            if subject in self._folded:
                judged[subject] = {}
                for index in self._folded[subject][1]:
                    by_fold.setdefault(index, []).append(subject)
        for index in self._evaluator.alike(by_fold):
            judge = folds[index].judge
            for subject in by_fold[index]:
                judged[subject][index] = judge(self._folded[subject][1][index], as_of, every=True)[0]
        for subject in subjects:
            if subject in self._records:
                yield from cases_of(self._records[subject], self._rulebook, as_of)
                continue
            for index, verdicts in sorted(judged[subject].items()):
                for verdict in verdicts:
                    yield JudgedCase(case_id_of(folds[index].id, subject, root_of(verdict, {})), subject, verdict)

    def orphans(self) -> Counter[str]:
        """See ``orphans_of``."""
        without = [subject for subject, (_, states) in self._folded.items() if not states]
        return orphans_of(map(self._record, chain(self._records, without)), self._rulebook, self.watermark)

    def _record(self, subject: Subject) -> SubjectRecord:
        found = self._records.get(subject)
        if found is None:
            found = SubjectRecord(subject)
            found.history = History.folded(*self._folded[subject])
        return found

    def _evaluate_stepwise(self, record: SubjectRecord, events: Sequence[Event], end: int) -> list[tuple[bool, Alert]]:
        history = record.history
        found: list[tuple[bool, Alert]] = []
        alerts: list[Alert] = []
        position, count = 0, len(events)
        while position < count:
            event = self._evaluator.at_event = events[position]
            at = event.at
            if record.due is not None and record.due < at:
                self._let_pass(record, at - 1, found)
            history.append(event)
            position += 1
            while position < count and events[position].at == at:
                history.append(events[position])
                position += 1
            self._decide(record, at - 1, alerts)
            if alerts:
                found += [(True, alert) for alert in alerts]
                alerts.clear()
        self._let_pass(record, end, found)
        self._evaluator.at_event = None
        return found

    def _let_pass(self, record: SubjectRecord, until: int, found: list[tuple[bool, Alert]]) -> None:
        while record.due is not None and is_due(record.due, until):
            alerts: list[Alert] = []
            self._decide(record, record.due, alerts)
            found += [(False, alert) for alert in alerts]


def _up_to(end: int, events: Sequence[Event]) -> Sequence[Event]:
    return events if not events or events[-1].at <= end else [event for event in events if event.at <= end]
