"""Stops without a start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from streams.core.history import names_one_of
from streams.core.records import SubjectRecord
from streams.core.rulebook import Rulebook


def orphans_of(records: Iterable[SubjectRecord], rulebook: Rulebook, watermark: int) -> Counter[str]:
    """Stops on subjects that never had a case, by rule id: the start may still come (CLOCKS.md, edge 9).

    A stop that belongs to a case of another rule is not an orphan, even where this rule waits for its own start.
    """
    found: Counter[str] = Counter()
    folds = rulebook.folds
    for record in records:
        routes = rulebook.routes(record.subject[0])
        states = record.history.fold(routes)
        if any(folds[index].has_case(state, watermark) for index, state in states.items()):
            continue
        found.update(
            fold.id
            for event in record.history.effective()
            for index, fold, before in routes(event.type)
            if fold.is_stop(event) and not names_one_of(event, before) and record.history.is_seen_by(index, event)
        )
    return found
