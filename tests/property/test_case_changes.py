"""The cases written one change at a time are all cases, after every step and over restarts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.case_changes import CaseTracker
from streams.core.engine import Engine
from streams.core.outcome_counts import OutcomeCounts
from streams.core.rulebook import Rulebook
from tests.property.crashing import case_data
from tests.property.runs import event_of, restore_from, us
from tests.property.shipped import END, INSTANTS, kinds, rulebook_of, shipped_histories
from tests.property.test_outcome_counts_agree import _MORE
from tests.property.worlds import per_kind


def restarted(engine: Engine, rulebook: Rulebook) -> tuple[Engine, CaseTracker]:
    tracker = CaseTracker(rulebook)
    other = Engine(rulebook, tally=OutcomeCounts(), tracker=tracker)
    restore_from(other, engine, rulebook.fingerprint)
    return other, tracker


@pytest.mark.parametrize("kind", kinds())
@per_kind
@given(data=st.data())
def test_of_every_kind_of_rule(kind: str, data: st.DataObject) -> None:
    rule_id, facts = data.draw(shipped_histories(kind))
    rulebook = rulebook_of(rule_id)
    tracker = CaseTracker(rulebook)
    engine = Engine(rulebook, tally=OutcomeCounts(), tracker=tracker)
    written: dict[str, dict[str, Any]] = {}

    def advance(at: int) -> None:
        engine.advance_to(at)
        for change in tracker.take():
            if change.case is None:
                del written[change.case_id]  # of one that was written
            else:
                written[change.case_id] = case_data(change.case, change.as_of)
        expected = {case.case_id: case_data(case, engine.watermark) for case in engine.cases()}
        assert written.keys() == expected.keys()
        for case_id, case in expected.items():
            known = written[case_id]
            assert known == case, [
                (engine.watermark, name, known.get(name), case.get(name))
                for name in known.keys() | case.keys()
                if known.get(name) != case.get(name)
            ]

    for fact in data.draw(st.permutations(facts)):
        for subject, copy in rulebook.copies_of(event_of(fact)):
            engine.handle(subject, copy)
        if data.draw(st.booleans()):
            advance(us(data.draw(st.sampled_from(INSTANTS)) + data.draw(st.sampled_from(_MORE))))
            if data.draw(st.booleans()):
                engine, tracker = restarted(engine, rulebook)
    advance(us(END))
