"""What was counted fold by fold is what all folds say: after every step, after restarts, of every case at the end."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.engine import Engine
from streams.core.outcome_counts import Ending, OutcomeCounts, Running
from streams.core.rulebook import Rulebook
from tests.property.runs import event_of, restore_from, us
from tests.property.shipped import END, INSTANTS, kinds, rulebook_of, shipped_histories
from tests.property.worlds import per_kind
from tests.stories import open_cases

_MORE = (timedelta(days=-1), timedelta(0), timedelta(hours=1), timedelta(days=40))


def restarted(engine: Engine, rulebook: Rulebook, tally: OutcomeCounts) -> Engine:
    """Another engine from the rows of this one, its subjects asleep where that can be."""
    other = Engine(rulebook, tally=tally)
    restore_from(other, engine, rulebook.fingerprint)
    assert (other.next_due, open_cases(other)) == (engine.next_due, open_cases(engine))
    return other


def in_order(clocks: tuple[Running, ...]) -> list[str]:
    return sorted(map(repr, clocks))


@pytest.mark.parametrize("kind", kinds())
@per_kind
@given(data=st.data())
def test_of_every_kind_of_rule(kind: str, data: st.DataObject) -> None:
    rule_id, facts = data.draw(shipped_histories(kind))
    rulebook = rulebook_of(rule_id)
    tally = OutcomeCounts()
    engine = Engine(rulebook, tally=tally)
    counted: Counter[Ending] = Counter()
    for fact in data.draw(st.permutations(facts)):
        for subject, copy in rulebook.copies_of(event_of(fact)):
            engine.handle(subject, copy)
        if data.draw(st.booleans()):
            engine.advance_to(us(data.draw(st.sampled_from(INSTANTS)) + data.draw(st.sampled_from(_MORE))))
            all_folds = OutcomeCounts()
            other = Engine(rulebook, tally=all_folds)
            other.watermark = engine.watermark
            for subject in engine.take_changed():
                snapshot = engine.snapshot(subject)
                assert snapshot is not None
                other.restore(snapshot)
                assert in_order(tally.running.get(subject, ())) == in_order(all_folds.running.get(subject, ()))
            if data.draw(st.booleans()):
                counted.update(tally.ended)
                counted.subtract(tally.reopened)
                tally = OutcomeCounts()
                engine = restarted(engine, rulebook, tally)
    engine.advance_to(us(END))
    counted.update(tally.ended)
    counted.subtract(tally.reopened)
    found: Counter[tuple[str, str]] = Counter()
    for (place, outcome), count in counted.items():
        found[place.rule, outcome] += count
    cases = Counter((case.verdict.rule.id, case.verdict.outcome) for case in engine.cases())
    assert +found == Counter({key: count for key, count in cases.items() if key[1] != "running"})
    assert all(count >= 0 for count in counted.values())
    restarted(engine, rulebook, OutcomeCounts())
