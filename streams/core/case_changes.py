"""The cases of a subject that changed since they were last written, and those that no longer exist.

A case changes more often than it is reported: it begins, is met, gets other evidence. A digest of each case as last
written is kept with the subject. So a restart writes nothing twice, and a new rulebook deletes the cases that only the
old one had.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
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
    """A case as it stands at ``as_of`` (microseconds), or ``None`` where by present knowledge it never existed."""

    case_id: str
    case: JudgedCase | None
    as_of: int


class CaseTracker:
    """Collects the changes of one engine's cases; ``take`` empties it."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self._changes: list[CaseChange] = []

    def take(self) -> list[CaseChange]:
        """The changes since this was last called; at most one per case between two watermarks."""
        found, self._changes = self._changes, []
        return found

    def look_again(self, record: SubjectRecord, watermark: int) -> None:
        """Schedule the subject to be decided when the watermark reaches an event read ahead of it, or its next month.

        Neither need cause a report, so no other timer exists for it. ``record.open`` must be that of this decision.
        """
        ahead = None
        for event in reversed(record.history.events):
            if event.at <= watermark:
                break
            ahead = event.at
        awaits = {case[0] for case in record.open}
        months = [
            fold.next_month(watermark)
            for fold in self._rulebook.cadences.values()
            if fold.id in awaits or (ahead is not None and record.subject[0] in fold.subject_types)
        ]
        record.due = min((at for at in (record.due, ahead, *months) if at is not None), default=None)

    def look(self, record: SubjectRecord, folds: Collection[int] | None, since: int, watermark: int) -> None:
        """Compare the cases of some folds (``None``: all) with those last written.

        Folds that see an event in ``(since, watermark]`` are compared as well.
        """
        history, every = record.history, self._rulebook.folds
        states = history.states
        asked = set(states)
        if folds is not None:
            routes = self._rulebook.routes(record.subject[0])
            come = (event for event in history.events if since < event.at <= watermark)
            asked &= {*folds, *(index for event in come for index, _, _ in routes(event.type))}
        rules = set(record.cases) if folds is None else {every[index].id for index in asked}
        cases = (
            (every[index].id, root_of(verdict, history.roots), verdict)
            for index in sorted(asked)
            for verdict in every[index].judge(states[index], watermark, every=True)[0]
        )
        self.compare(record, rules, cases, watermark)

    def compare(
        self, record: SubjectRecord, rules: Iterable[str], cases: Iterable[tuple[str, str, Verdict]], watermark: int
    ) -> None:
        """Compare the cases of some rules, each with its rule id and root, with those of these rules last written."""
        before = {(rule, root): digest for rule in rules for root, digest in record.cases.pop(rule, {}).items()}
        for rule, root, verdict in cases:
            if is_over(verdict, record.pruned):
                continue
            digest = _digest(verdict, watermark, self._rulebook.calendar)
            record.cases.setdefault(rule, {})[root] = digest
            if before.pop((rule, root), None) != digest:
                case_id = case_id_of(rule, record.subject, root)
                self._changes.append(CaseChange(case_id, JudgedCase(case_id, record.subject, verdict), watermark))
        for rule, root in sorted(before):
            self._changes.append(CaseChange(case_id_of(rule, record.subject, root), None, watermark))


def is_open(verdict: Verdict, as_of: int) -> bool:
    """Whether the case's clock still ran at ``as_of``: its ``elapsed`` then grows with every later instant."""
    return verdict.outcome in ("running", "breached") and verdict.ended_at >= as_of


def _digest(verdict: Verdict, as_of: int, calendar: WorkingCalendar) -> str:
    """Digest of everything written of a case except the elapsed time of a running clock."""
    rule, anchor = verdict.rule, verdict.anchor
    said = (
        verdict.outcome,
        (rule.version, rule.clause, rule.severity, rule.title.zh, rule.title.en),
        (anchor.order_id, anchor.account_id, org_of(anchor.data)),
        (verdict.started_at, verdict.deadline, verdict.stopped_at),
        None if is_open(verdict, as_of) else verdict.ended_at,
        verdict.limit.text if verdict.limit else None,
        tuple(first_and_last(verdict.pauses)),
        tuple(first_and_last(verdict.evidence)),
        arithmetic(verdict, calendar),
        verdict.provisional,
    )
    return blake2b(repr(said).encode(), digest_size=8).hexdigest()
