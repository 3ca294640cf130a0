"""What must not change the verdicts of the shipped rules: order, pieces, watermarks, crashes, corrections made late."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.alerts import Alert
from streams.core.engine import Engine
from streams.core.rulebook import Rulebook
from tests.oracle.common import Fact, as_it_was
from tests.property.runs import event_of, restore_from, us
from tests.property.shipped import END, INSTANTS, kinds, rulebook_of, shipped_histories

_EXAMPLES = settings(max_examples=max(20, settings().max_examples // 20))
Row = tuple[object, ...]


def send(engine: Engine, rulebook: Rulebook, fact: Fact) -> None:
    for subject, copy in rulebook.copies_of(event_of(fact)):
        engine.handle(subject, copy)


def outcome(engine: Engine, roots: dict[str, str]) -> list[Row]:
    """Every case as of the end."""
    return sorted(
        (
            case.subject,
            roots.get(case.verdict.root, case.verdict.root),
            case.verdict.outcome,
            case.verdict.started_at,
            case.verdict.deadline or 0,
            case.verdict.stopped_at or 0,
        )
        for case in engine.cases(us(END))
    )


def net(alerts: list[Alert]) -> set[str]:
    """The reports that stand, by id of case, kind and cause."""
    standing: dict[str, Alert] = {}
    for alert in alerts:
        if alert.retracts is not None:
            withdrawn = standing.pop(alert.retracts)
            assert withdrawn.kind not in ("warning", "retraction")
        else:
            assert alert.alert_id not in standing
            standing[alert.alert_id] = alert
    assert len({alert.alert_id for alert in alerts}) == len(alerts)
    return {f"{alert.case_id} {alert.kind} {alert.due_at}" for alert in standing.values() if alert.kind != "warning"}


def whole(rulebook: Rulebook, facts: list[Fact]) -> tuple[Engine, list[Alert]]:
    engine = Engine(rulebook)
    for fact in sorted(facts, key=lambda fact: fact.place):
        send(engine, rulebook, fact)
    return engine, engine.advance_to(us(END))


@pytest.mark.parametrize("kind", kinds())
@_EXAMPLES
@given(data=st.data())
def test_arrival_changes_nothing(kind: str, data: st.DataObject) -> None:
    rule_id, facts = data.draw(shipped_histories(kind))
    steps = data.draw(st.lists(st.integers(-2, len(INSTANTS) - 1), min_size=len(facts), max_size=len(facts)))
    rulebook = rulebook_of(rule_id)
    engine, alerts = Engine(rulebook), list[Alert]()
    for fact, step in zip(facts, steps, strict=True):
        send(engine, rulebook, fact)
        if step >= 0:
            alerts += engine.advance_to(us(INSTANTS[step]))
        if step == -1:
            alerts += engine.advance_to(engine.watermark)
            old, engine = engine, Engine(rulebook)
            restore_from(engine, old)
    alerts += engine.advance_to(engine.watermark)
    while (due := engine.next_due) is not None and due <= us(END):
        assert due > engine.watermark
        assert engine.advance_to(due - 1) == []
        alerts += engine.advance_to(due)
    alerts += engine.advance_to(us(END))
    plain, at_once = whole(rulebook, facts)
    assert outcome(engine, {}) == outcome(plain, {})
    assert net(alerts) == net(at_once)


@pytest.mark.parametrize("kind", kinds())
@_EXAMPLES
@given(data=st.data())
def test_a_correction_is_as_if_it_had_always_been_so(kind: str, data: st.DataObject) -> None:
    rule_id, facts = data.draw(shipped_histories(kind))
    facts = [replace(fact, ids=facts[0].ids) for fact in facts]
    rulebook = rulebook_of(rule_id)
    effective = as_it_was(facts)
    first = {fact.event_id: fact for fact in facts}
    roots = {fact.event_id: root for fact, root in effective}
    right = [
        replace(fact, corrects=None, void=False, recorded=_entered(fact, first.get(root), rulebook))
        for fact, root in effective
    ]
    corrected, _ = whole(rulebook, facts)
    assert outcome(corrected, roots) == outcome(whole(rulebook, right)[0], roots)


def _entered(fact: Fact, original: Fact | None, rulebook: Rulebook) -> datetime:
    if fact.corrects is None or rulebook.rules[0].kind != "recording_delay":
        return fact.recorded
    return fact.at if original is None else min(original.recorded, fact.recorded)
