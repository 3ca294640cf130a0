"""Queries on the cases of one subject: the state of each, which are open, which may have changed."""

from __future__ import annotations

from collections.abc import Iterator

from streams.core.alerts import case_id_of
from streams.core.pruning import is_over
from streams.core.records import JudgedCase, SubjectRecord
from streams.core.rulebook import Rulebook
from streams.core.verdicts import Verdict, root_of


def cases_of(record: SubjectRecord, rulebook: Rulebook, as_of: int) -> Iterator[JudgedCase]:
    """Every case of one subject as of an instant (microseconds), except those over when its history was pruned."""
    subject = record.subject
    states = record.history.fold(rulebook.routes(subject[0]))
    for index in sorted(states):
        fold = rulebook.folds[index]
        for verdict in fold.judge(states[index], as_of, every=True)[0]:
            if not is_over(verdict, record.pruned):
                root = root_of(verdict, record.history.roots)
                yield JudgedCase(case_id_of(fold.id, subject, root), subject, verdict)


def case_of(record: SubjectRecord, rulebook: Rulebook, rule_id: str, root: str, as_of: int) -> Verdict | None:
    """One case of a subject as of an instant (microseconds), where it is still one."""
    roots = record.history.roots
    for index, state in record.history.states.items():
        if rulebook.folds[index].id == rule_id:
            for verdict in rulebook.folds[index].judge(state, as_of, every=True)[0]:
                if root_of(verdict, roots) == root:
                    return verdict
    return None


def forget_written(record: SubjectRecord, rulebook: Rulebook, as_of: int) -> None:
    """Drop the digests of cases that were over when the history was pruned: they never change again."""
    roots = record.history.roots
    kept = {(case.verdict.rule.id, root_of(case.verdict, roots)) for case in cases_of(record, rulebook, as_of)}
    found = {
        rule: {root: digest for root, digest in written.items() if (rule, root) in kept}
        for rule, written in record.cases.items()
    }
    record.cases = {rule: written for rule, written in found.items() if written}


def stepped(record: SubjectRecord, rulebook: Rulebook) -> set[int] | None:
    """The folds that see an event not yet counted; ``None`` where all folds begin again."""
    history = record.history
    if history.begins_again:
        return None
    routes = rulebook.routes(record.subject[0])
    return {index for event in history.events[record.counted :] for index, _, _ in routes(event.type)}


def open_places(
    record: SubjectRecord, rulebook: Rulebook, folds: set[int] | None, as_of: int
) -> tuple[tuple[str, str | None], ...]:
    """The open cases, each as rule id and city: computed again for some folds with a state (``None``: all)."""
    found: list[tuple[str, str | None]] = []
    states = record.history.states
    if folds is not None and record.open:
        again = {rulebook.folds[index].id for index in folds}
        found += [case for case in record.open if case[0] not in again]
    for index in states if folds is None else folds:
        fold = rulebook.folds[index]
        if fold.opens:
            for start in fold.open_cases(states[index], as_of):
                org = start.data.get("org")
                found.append((fold.id, org.get("city") if org else None))
    return tuple(found)
