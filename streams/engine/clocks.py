"""The native engine under the clocks of a live worker.

Nothing is kept natively between two decisions. A decision gives the subject's events to the native engine, which folds
and judges them, and says what changes. Where a report is to be withdrawn, or where it does not know something, it hands
the subject back, and Python decides as if it had decided all along. So rows, reports and counts are those of the Python
engine, and a worker may use the one today and the other tomorrow.
"""

from __future__ import annotations

import logging
from collections import Counter
from types import ModuleType
from typing import Any, Final, NamedTuple

from schemas.events import EventCatalogue
from schemas.limits import Limit
from schemas.rules import CadenceRule, DeadlineRule, RecordingDelayRule, Rule
from streams.core.outcome_counts import Ending, Place, Running
from streams.core.records import SubjectRecord
from streams.core.rulebook import Rulebook
from streams.core.verdicts import Verdict
from streams.engine import chosen
from streams.engine.document import Document
from streams.engine.subjects import MOST_EVENTS, Subjects
from streams.engine.written_alerts import WrittenAlert
from streams.wire.decoder import encode_json

logger = logging.getLogger(__name__)

REPORT: Final = "a report to withdraw, or a violation to write"
"""The reason of the crate for the usual case in which Python decides."""

FAILED: Final = "a failure of the native engine"


PlainRecord = tuple[int, bytes, int | None]
"""A record of a source as it is routed natively: its offset, its value, and the last instant (microseconds) that an
event in it may have; ``None`` where it must be decoded by Python."""

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
    reports: list[WrittenAlert]
    looked: list[str]
    cases: list[Case]


class Routed(NamedTuple):
    """What has become of records: the place of the first that is not routed, the events of each type, the unwatched.

    ``unwatched`` are those of the events that no rule watches.
    """

    end: int
    counts: list[tuple[str, int]]
    unwatched: int


class NativeClocks:
    """The compiled rulebook, for all partitions of a worker and its intake.

    ``fallbacks`` counts what it did not decide, by reason, and its failures.

    Decisions that withdraw a report are Python's by design, and so are those that write a case of a violation; they
    are not counted.
    """

    def __init__(self, module: ModuleType, rulebook: Rulebook, catalogue: EventCatalogue) -> None:
        document = Document(rulebook, catalogue)
        self._inner: Any = module.Worker(document.encoded, Place, Running, WrittenAlert)
        self._subjects = module.Subjects
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

    def route(self, records: list[PlainRecord], first: int, source: str, entries: list[list[bytes]]) -> Routed | None:
        """See ``streams.live.routing``, whose entries these are."""
        try:
            found = self._inner.route(records, first, source, entries)
        except Exception:
            self._failed(f"{source}/{records[first][0]}", "routes")
            return None
        return None if found is None else Routed(*found)

    def subjects(self) -> Subjects:
        """A partition's subjects, none yet."""
        return Subjects(self._subjects(self._inner), self._failed)

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
