"""Which cases of a subject changed since they were last written, and which are no more.

A report is a change that somebody must hear of; a case changes more often: it begins, is met, gets other evidence. What
was last written of each case is kept as a digest with the subject, so that a restart writes nothing twice, and another
rulebook takes away what only the old one had.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b

from streams.core.alerts import case_id_of, org_of
from streams.core.explanations import arithmetic, first_and_last
from streams.core.pruning import is_over
from streams.core.records import JudgedCase, SubjectRecord
from streams.core.rulebook import Rulebook
from streams.core.verdicts import Verdict, root_of
from streams.core.working_days import WorkingCalendar


@dataclass(frozen=True, slots=True)
class CaseChange:
    """A case as it stands at ``as_of`` (microseconds), or ``None`` where it never was, by what is known now."""

    case_id: str
    case: JudgedCase | None
    as_of: int


class CaseTracker:
    """Collects the changes of one engine's cases; ``take`` empties it."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self._changes: list[CaseChange] = []

    def take(self) -> list[CaseChange]:
        """The changes since this was last called; at most one of each case between two watermarks."""
        found, self._changes = self._changes, []
        return found

    def look_again(self, record: SubjectRecord, watermark: int) -> None:
        """Have the subject decided when time comes to an event that was read ahead of it.

        No report need come of such an event, so nothing else asks for it.
        """
        ahead = None
        for event in reversed(record.history.events):
            if event.at <= watermark:
                break
            ahead = event.at
        if ahead is not None:
            record.due = ahead if record.due is None else min(record.due, ahead)

    def look(self, record: SubjectRecord, folds: Collection[int] | None, since: int, watermark: int) -> None:
        """Compare what some folds say (``None``: all) with what was last written of them.

        Those are asked besides that see an event later than ``since`` and not later than ``watermark``.
        """
        history, every = record.history, self._rulebook.folds
        states = history.states
        asked = set(states)
        if folds is not None:
            routes = self._rulebook.routes(record.subject[0])
            come = (event for event in history.events if since < event.at <= watermark)
            asked &= {*folds, *(index for event in come for index, _, _ in routes(event.type))}
        rules = set(record.cases) if folds is None else {every[index].id for index in asked}
        before = {(rule, root): digest for rule in rules for root, digest in record.cases.pop(rule, {}).items()}
        for index in sorted(asked):
            fold = every[index]
            for verdict in fold.judge(states[index], watermark, every=True)[0]:
                if is_over(verdict, record.pruned):
                    continue
                root = root_of(verdict, history.roots)
                digest = _digest(verdict, watermark, self._rulebook.calendar)
                record.cases.setdefault(fold.id, {})[root] = digest
                if before.pop((fold.id, root), None) != digest:
                    case_id = case_id_of(fold.id, record.subject, root)
                    self._changes.append(CaseChange(case_id, JudgedCase(case_id, record.subject, verdict), watermark))
        for rule, root in sorted(before):
            self._changes.append(CaseChange(case_id_of(rule, record.subject, root), None, watermark))


def is_open(verdict: Verdict, as_of: int) -> bool:
    """Whether the case's clock still ran at ``as_of``, so that its ``elapsed`` is another at every later instant."""
    return verdict.outcome in ("running", "breached") and verdict.ended_at >= as_of


def _digest(verdict: Verdict, as_of: int, calendar: WorkingCalendar) -> str:
    """Of everything that is written of a case, but for the time that goes by while its clock runs."""
    rule, anchor = verdict.rule, verdict.anchor
    said = (
        verdict.outcome,
        (rule.version, rule.clause, rule.severity, rule.title.zh, rule.title.en),
        (anchor.order_id, anchor.account_id, org_of(anchor.data)),
        (verdict.started_at, verdict.deadline, verdict.stopped_at),
        None if is_open(verdict, as_of) else verdict.ended_at,
        verdict.limit.text if verdict.limit else None,
        tuple(verdict.pauses),
        tuple(first_and_last(verdict.evidence)),
        arithmetic(verdict, calendar),
        verdict.provisional,
    )
    return blake2b(repr(said).encode(), digest_size=8).hexdigest()
