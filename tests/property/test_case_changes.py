"""The cases written one change at a time are all cases, after every step and over restarts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.limits import DAY
from streams.core.case_changes import CaseTracker
from streams.core.engine import Engine
from streams.core.event import Event
from streams.core.outcome_counts import OutcomeCounts
from streams.core.rulebook import Rulebook
from tests.property.crashing import case_data
from tests.property.runs import event_of, restore_from, us
from tests.property.shipped import END, INSTANTS, kinds, rulebook_of, shipped_histories
from tests.property.test_outcome_counts_agree import _MORE
from tests.property.worlds import per_kind
from tests.stories import SHANGHAI


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


@pytest.mark.parametrize("restarts", [False, True])
def test_the_case_of_a_month_is_written_when_the_month_begins(restarts: bool) -> None:
    """No event comes and no report is due then."""
    rulebook = rulebook_of("monthly-reading")
    tracker = CaseTracker(rulebook)
    engine = Engine(rulebook, tally=OutcomeCounts(), tracker=tracker)
    read = us(datetime(2026, 3, 4, tzinfo=SHANGHAI))
    event = Event("a", "reading.collected", read, read, {}, None, "A", "M", None)
    for subject, copy in rulebook.copies_of(event):
        engine.handle(subject, copy)
    engine.advance_to(us(datetime(2026, 3, 25, tzinfo=SHANGHAI)))
    if restarts:
        engine, tracker = restarted(engine, rulebook)
    engine.advance_to(us(datetime(2026, 4, 1, tzinfo=SHANGHAI)) - 1)
    assert tracker.take() == []
    april, may = "month/2026-04", "month/2026-05"
    for month, expected in ((4, {april: "running"}), (5, {april: "breached", may: "running"})):
        engine.advance_to(us(datetime(2026, month, 1, tzinfo=SHANGHAI)))
        written = {change.case.verdict.root: change.case.verdict.outcome for change in tracker.take() if change.case}
        assert written == expected


def test_a_meter_that_was_removed_is_dropped_for_all_its_months() -> None:
    rulebook = rulebook_of("monthly-reading")
    engine = Engine(rulebook, tally=OutcomeCounts(), tracker=CaseTracker(rulebook), keep_for=60 * DAY)
    for name, event_type, day in (("a", "reading.collected", 4), ("z", "meter.removed", 5)):
        at = us(datetime(2026, 3, day, tzinfo=SHANGHAI))
        for subject, copy in rulebook.copies_of(Event(name, event_type, at, at, {}, None, None, "M", None)):
            engine.handle(subject, copy)
        engine.advance_to(at)
    for day in range(70):
        engine.advance_to(us(datetime(2026, 3, 5, tzinfo=SHANGHAI) + timedelta(days=day)))
    assert len(engine) == 0
