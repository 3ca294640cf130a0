"""What was counted fold by fold is what all folds say: after every step, and of every case at the end."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.engine import Engine
from streams.core.tally import Running, Tally
from tests.property.runs import event_of, us
from tests.property.shipped import END, INSTANTS, kinds, rulebook_of, shipped_histories

_EXAMPLES = settings(max_examples=max(20, settings().max_examples // 2))
_MORE = (timedelta(days=-1), timedelta(0), timedelta(hours=1), timedelta(days=40))


def in_order(clocks: tuple[Running, ...]) -> list[str]:
    return sorted(map(repr, clocks))


@pytest.mark.parametrize("kind", kinds())
@_EXAMPLES
@given(data=st.data())
def test_of_every_kind_of_rule(kind: str, data: st.DataObject) -> None:
    rule_id, facts = data.draw(shipped_histories(kind))
    rulebook = rulebook_of(rule_id)
    tally = Tally()
    engine = Engine(rulebook, tally=tally)
    for fact in data.draw(st.permutations(facts)):
        for subject, copy in rulebook.copies_of(event_of(fact)):
            engine.handle(subject, copy)
        if data.draw(st.booleans()):
            engine.advance_to(us(data.draw(st.sampled_from(INSTANTS)) + data.draw(st.sampled_from(_MORE))))
            all_folds = Tally()
            other = Engine(rulebook, tally=all_folds)
            other.watermark = engine.watermark
            for subject in engine.take_changed():
                snapshot = engine.snapshot(subject)
                assert snapshot is not None
                other.restore(snapshot)
                assert in_order(tally.running.get(subject, ())) == in_order(all_folds.running.get(subject, ()))
    engine.advance_to(us(END))
    counted = Counter(tally.ended)
    counted.subtract(tally.reopened)
    found: Counter[tuple[str, str]] = Counter()
    for (place, outcome), count in counted.items():
        found[place.rule, outcome] += count
    cases = Counter((case.verdict.rule.id, case.verdict.outcome) for case in engine.cases())
    assert +found == Counter({key: count for key, count in cases.items() if key[1] != "running"})
    assert all(count >= 0 for count in counted.values())
    open_now = Counter({key: count for key, count in engine.open_cases.items() if count})
    again = Engine(rulebook)
    again.watermark = engine.watermark
    for subject in engine.subjects():
        snapshot = engine.snapshot(subject)
        assert snapshot is not None
        again.restore(snapshot)
    assert open_now == again.open_cases
