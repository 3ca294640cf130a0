"""The native engine under the clocks of a live worker.

Nothing is kept natively between two decisions. A decision gives the subject's events to the native engine, which folds
and judges them, and says what changes. Where a report is to be withdrawn, or where it does not know something, it hands
the subject back, and Python decides as if it had decided all along. So rows, reports and counts are those of the Python
engine, and a worker may use the one today and the other tomorrow.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from heapq import heappush
from types import ModuleType
from typing import Any, Final, NamedTuple

import msgspec

from schemas.events import EventCatalogue
from schemas.limits import Limit
from schemas.rules import CadenceRule, DeadlineRule, RecordingDelayRule, Rule
from streams.core.alerts import Alert, Subject
from streams.core.cases import replace_open
from streams.core.explanations import Explanation
from streams.core.history import History
from streams.core.outcome_counts import Ending, Place, Running
from streams.core.pruning import is_worth_a_look
from streams.core.records import JudgedCase, ReportKey, SubjectRecord
from streams.core.rulebook import Rulebook
from streams.core.separable_engine import SeparableEngine
from streams.core.verdicts import AlertKind, Verdict
from streams.engine import chosen
from streams.engine.document import Document
from streams.wire.decoder import encode_json

logger = logging.getLogger(__name__)

MOST_EVENTS: Final = 24
"""A subject with more events is decided by Python, which folds only the new ones."""

REPORT: Final = "a report to withdraw, or a violation to write"
"""The reason of the crate for the usual case in which Python decides."""

FAILED: Final = "a failure of the native engine"


Made = tuple[ReportKey, bytes, tuple[int, int | None, int, int | None], tuple[int, int]]
"""A report: its key, the alert as it is written, when it was started, its deadline, when it was due and stopped, and
how long it was running and paused."""

Case = tuple[tuple[str, str], tuple[Any, ...]]
"""A case: its rule id and root, and what ``NativeClocks.verdict`` takes."""


class Decision(NamedTuple):
    """The result of one decision.

    ``events`` is the JSON of all events of the subject. ``dues`` is, by fold, the next instant at which time alone
    changes its result. ``asked`` are the ids of the rules whose result may have changed; ``ended``, ``running`` and
    ``open`` (rule id and city) are their cases. ``reports`` are to be made, in this order. ``cases`` are all of the
    rules ``looked``, those of which a written case may have changed; none where cases are not written.
    """

    events: bytes
    dues: dict[int, int]
    asked: list[str]
    ended: list[Ending]
    running: list[Running]
    open: list[tuple[str, str | None]]
    reports: list[Made]
    looked: list[str]
    cases: list[Case]


class NativeClocks:
    """The compiled rulebook, for all partitions of a worker and its intake.

    ``fallbacks`` counts what it did not decide, by reason, and its failures.

    Decisions that withdraw a report are Python's by design, and so are those that write a case of a violation; they
    are not counted.
    """

    def __init__(self, module: ModuleType, rulebook: Rulebook, catalogue: EventCatalogue) -> None:
        document = Document(rulebook, catalogue)
        self._inner: Any = module.Worker(document.encoded, Place, Running)
        self._calendars = document.calendars
        self.fallbacks: Counter[str] = Counter()
        self._versions = rulebook.versions

    def decide(self, record: SubjectRecord, watermark: int, *, with_cases: bool = False) -> Decision | None:
        """A decision on one subject at a watermark; ``None`` where Python must make it."""
        history, pruned = record.history, record.pruned
        if history.has_corrections or len(history.events) > MOST_EVENTS or pruned.only or pruned.saved:
            many = "many events" if len(history.events) > MOST_EVENTS else "events that only some rules still see"
            self._fall_back("a correction" if history.has_corrections else many)
            return None
        since = record.decided_at if with_cases else None
        when = None if history.begins_again else record.counted, watermark, pruned.until, since
        text = encode_json(history.events)
        try:
            known = record.dues, list(record.reported), list(record.withdrawn.items())
            found = self._inner.decide(record.subject, history.events, text, when, known)
        except Exception:
            self._failed("a subject", "decides")
            return None
        if isinstance(found, str):
            if found != REPORT:
                self._fall_back(found)
            return None
        return Decision(text, *found)

    def is_idle(self, record: SubjectRecord) -> bool | None:
        """Whether no case of a subject is open and none of its events matters any more; ``None``: Python must tell."""
        history, pruned = record.history, record.pruned
        if history.has_corrections or pruned.only or pruned.saved:
            return None
        try:
            found = self._inner.is_idle(record.subject, encode_json(history.events))
        except Exception:
            self._failed("a subject", "looks at")
            return None
        return found if isinstance(found, bool) else None

    def entries(
        self, raw: bytes, *, latest: int, origin: str, partitions: int
    ) -> tuple[str, list[tuple[int, bytes]]] | None:
        """The type of the event in a record, and its entries for the log with the partition of each.

        They are those of ``streams.live.routing``. ``None`` where Python must decode or route it. ``latest``
        (microseconds) is the last instant that it may have.
        """
        try:
            found: tuple[str, list[tuple[int, bytes]]] | None = self._inner.entries(raw, latest, origin, partitions)
        except Exception:
            self._failed(origin, "routes")
            return None
        return found

    def verdict(self, rule_id: str, case: tuple[Any, ...]) -> Verdict:
        """The verdict behind a written case."""
        places, anchor, outcome, times, pauses, provisional, evidence = case
        started_at, deadline, stopped_at, ended_at, until = times
        rule = self._versions[rule_id][places[0]]
        limit = _limit_of(rule, places[1])
        calendar = self._calendars[places[2]] if places[2] else None
        return Verdict(
            rule, anchor.event_id, anchor, outcome, started_at, deadline, stopped_at, ended_at, (), limit,
            tuple(pauses), until, provisional, tuple(dict.fromkeys([event.event_id for event in evidence])),
            calendar=calendar,
        )  # fmt: skip

    def _failed(self, at: str, does: str) -> None:
        """Within an ``except``: log the first failure, and count each."""
        if FAILED not in self.fallbacks:
            logger.exception("the native engine failed at %s; Python %s it, and others like it", at, does)
        self._fall_back(FAILED)

    def _fall_back(self, reason: str) -> None:
        self.fallbacks[reason] += 1


class _Text(msgspec.Struct, gc=False):
    zh: str
    en: str


class _Data(msgspec.Struct, gc=False):
    """What an alert says beside its instants and lengths of time, as it is written."""

    alert_id: str
    case_id: str
    kind: AlertKind
    rule: str
    rule_version: str
    clause: str
    severity: str
    title: _Text
    order_id: str | None
    account_id: str | None
    org: dict[str, Any] | None
    limit: str | None
    evidence: tuple[str, ...]
    explanation: _Text
    arithmetic: dict[str, Any]
    calendar_provisional: bool


class _Line(msgspec.Struct, gc=False):
    data: _Data


_read_line = msgspec.json.Decoder(_Line, float_hook=Decimal).decode


def alert_of(made: Made, subject: Subject, watermark: int) -> Alert:
    """The alert of a report that was made natively."""
    key, line, (started_at, deadline, due_at, stopped_at), (elapsed, paused) = made
    data = _read_line(line).data
    return Alert(
        data.alert_id, data.case_id, data.kind, key[3], data.rule, data.rule_version, data.clause, data.severity,
        data.title.zh, data.title.en, subject, data.order_id, data.account_id, data.org, started_at, deadline, due_at,
        watermark, stopped_at, data.limit, elapsed, paused, data.evidence,
        Explanation(data.explanation.zh, data.explanation.en), data.arithmetic, data.calendar_provisional,
    )  # fmt: skip


def _limit_of(rule: Rule, place: int | None) -> Limit | None:
    """The limit of a case, at that place of those of its rule."""
    if place is None:
        return None
    if isinstance(rule, CadenceRule):
        return rule.every
    if isinstance(rule, DeadlineRule | RecordingDelayRule):
        return rule.limit[place].limit
    return getattr(rule, "limit", None)


def native_clocks(rulebook: Rulebook, catalogue: EventCatalogue, engine: str | None) -> NativeClocks | None:
    """The native engine for the clocks of a worker, where it is to be used.

    Raises:
        ConfigError: see ``chosen``.
    """
    module = chosen(engine)
    return None if module is None else NativeClocks(module, rulebook, catalogue)


class NativeEngine(SeparableEngine):
    """The engine of a partition that decides natively what it can."""

    def __init__(self, native: NativeClocks, rulebook: Rulebook, **options: Any) -> None:
        super().__init__(rulebook, **options)
        self._native = native
        self._encoded: dict[Subject, bytes] = {}  # until the row is written

    def advancing(self, watermark: int, alerts: list[Alert]) -> Iterator[None]:
        """See ``Engine.advancing``."""
        self._encoded.clear()
        return super().advancing(watermark, alerts)

    def encoded_events(self, subject: Subject) -> bytes | None:
        """See ``SeparableEngine.encoded_events``."""
        return self._encoded.pop(subject, None)

    def _decide_timed(self, record: SubjectRecord, alerts: list[Alert]) -> None:
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
            alert = record.reported[made[0]] = alert_of(made, record.subject, watermark)
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

    def _is_idle(self, record: SubjectRecord) -> bool:
        found = self._native.is_idle(record)
        return super()._is_idle(record) if found is None else found

    def _fold_again(self, record: SubjectRecord) -> None:
        """Make the states of the last decision, where it was native; the events since then come after them."""
        history = record.history
        if not history.is_folded_elsewhere:
            return
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
