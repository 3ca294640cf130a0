"""An engine for replay: each subject's whole history is evaluated at once, with the alerts that a live engine gives.

Subjects are independent, so a replay takes them one by one and needs no queue of timers over all of them. Where the
rules allow it (``offline``) a history is folded once; otherwise time passes step by step, as it does live.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import chain

from streams.core.alerts import Alert, Subject
from streams.core.engine import Engine
from streams.core.event import Event
from streams.core.history import History
from streams.core.offline import OfflineEvaluator
from streams.core.records import ReportKey, SubjectRecord
from streams.core.rulebook import Rulebook
from streams.core.verdicts import root_of
from streams.core.watermark import is_due


class OfflineEngine(Engine):
    """``evaluate`` each subject, then ask for its cases; it is not fed by ``handle``."""

    def __init__(self, rulebook: Rulebook) -> None:
        super().__init__(rulebook)
        self._evaluator = OfflineEvaluator(rulebook)

    @property
    def at_event(self) -> Event | None:
        """The event under way in ``evaluate``, for error messages."""
        return self._evaluator.at_event

    def evaluate(self, subject: Subject, events: Sequence[Event], end: int) -> list[tuple[bool, Alert]]:
        """Everything that is ever reported of one subject, from all its events, up to an instant.

        ``events`` are in the order of histories, without repetitions. Time passes as in ``advance_to`` up to just
        before each event, stopping wherever something is due. As subjects are independent, the alerts are those that
        all subjects' events together would have given. Each comes with whether an event brought it, and not time.
        Afterwards the subject can be asked for its cases; it cannot be fed any more.

        Events later than ``end`` count only for corrections: those are all known from the beginning, whatever their
        own instant, and what happened later than ``end``, as corrected, is left out.
        """
        record = self._records[subject] = SubjectRecord(subject)
        within = bisect_right(events, end, key=lambda event: event.at)
        if within < len(events):
            beyond, events = events[within:], events[:within]
            if any(event.corrects is not None or event.void for event in chain(events, beyond)):
                record.history = History(beyond, until=end)
                return self._evaluate_stepwise(record, events, end)
        life = self._evaluator.of(subject[0], events, end)
        if life is None:
            return self._evaluate_stepwise(record, events, end)
        states, reports = life
        record.history = History.folded(events, states)
        reported: dict[ReportKey, tuple[bool, Alert]] = {}
        for verdict, report, watermark, by_event in reports:
            key = verdict.rule.id, root_of(verdict, {}), report.kind, report.cause
            if key not in reported:
                reported[key] = by_event, self._alert(record, key, verdict, report, watermark)
        return list(reported.values())

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
