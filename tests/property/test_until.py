"""A replay that ends early: corrections are applied first, then what happened later is left out (edge decision 16)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.alerts import Subject
from streams.replay.judging import Judging, deduplicate
from tests.oracle import cases, standing
from tests.oracle.common import Found
from tests.property.runs import event_of, found_of, in_order, moment, us
from tests.property.stories import facts_of, places
from tests.property.worlds import WORLDS, per_kind


@pytest.mark.parametrize("kind", sorted(WORLDS))
@per_kind
@given(data=st.data())
def test_a_replay_that_ends_early_is_the_oracle_as_of_its_end(kind: str, data: st.DataObject) -> None:
    world = data.draw(WORLDS[kind]())
    facts = data.draw(facts_of(world))
    until = world.instants[data.draw(places(len(world.instants)))]
    judging = Judging(world.rulebook, us(until))
    events = [event_of(fact) for fact in facts]
    arrived = [
        (event.order, number, event, number, world.rulebook.copies_of(event)) for number, event in enumerate(events)
    ]
    alerts = [alert for _, alert in judging.alerts(deduplicate(arrived).events)]
    found: dict[Subject, list[Found]] = {}
    roots: dict[str, str] = {}
    for case in judging.cases():
        own = found_of(case, judging._engine._record(case.subject).history.roots)
        roots[case.case_id] = own.root
        found.setdefault(case.subject, []).append(own)
    expected = cases(world.rules, facts, world.calendar, until)
    assert in_order(found) == in_order(expected)
    net = {alert.alert_id: alert for alert in alerts if alert.retracts is None and alert.kind != "warning"}
    for alert in alerts:
        net.pop(alert.retracts or "", None)
    assert {
        (alert.subject, alert.rule, roots[alert.case_id], alert.kind, moment(alert.due_at)) for alert in net.values()
    } == standing(expected)
