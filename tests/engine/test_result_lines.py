"""Alerts and cases written from one text for all of a kind of a rule are those that ``CloudEvents`` writes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import Text
from schemas.rules import Rule
from streams.core.alerts import DueAlert
from streams.core.event import Event
from streams.core.rulebook import Rulebook
from streams.engine.result_lines import ResultLines
from streams.replay.judging import Judging, deduplicate
from streams.simulation import simulate
from streams.wire.cloudevents import CloudEvents, encode
from tests.property.runs import event_of, us
from tests.property.shipped import END, counted_by_calendars, followed_rules, kinds, rulebook_of, shipped_histories
from tests.property.worlds import per_kind
from tests.stories import decoded, shipped


def assert_same(rulebook: Rulebook, events: Iterable[Event], end: int) -> list[DueAlert]:
    """All lines are the same; the alerts."""
    arrived = [(event.order, number, event, number, rulebook.copies_of(event)) for number, event in enumerate(events)]
    judging, calendar = Judging(rulebook, end), rulebook.calendar
    alerts = [found for _, found in judging.due(deduplicate(arrived).events) if isinstance(found, DueAlert)]
    lines, writer = ResultLines(calendar), CloudEvents(calendar)
    for alert in alerts:
        assert lines.alert(alert).decode() == encode(writer.alert(alert.made(calendar))).decode()
    for case in judging.cases():
        assert lines.case(case, end).decode() == encode(writer.case(case, end)).decode()
    return alerts


@pytest.mark.parametrize("kind", kinds())
@per_kind
@given(data=st.data())
def test_of_every_kind_of_rule(kind: str, data: st.DataObject) -> None:
    rule_id, facts = data.draw(shipped_histories(kind))
    ways = [st.just(rulebook_of(rule_id)), counted_by_calendars((rule_id,))]
    if kind in ("cadence", "deadline"):
        ways.append(followed_rules(rule_id))
    rulebook = data.draw(st.one_of(*ways))
    assert_same(rulebook, map(event_of, facts), us(END))


@pytest.mark.parametrize(("seed", "start"), [(1, date(2026, 3, 2)), (2, date(2026, 9, 21)), (3, date(2027, 12, 20))])
def test_of_the_whole_rulebook(seed: int, start: date) -> None:
    rulebook = shipped().rulebook
    events = decoded(simulate(orders=250, seed=seed, start=start, days=20).events)
    alerts = assert_same(rulebook, events, max(event.at for event in events))
    assert {alert.kind for alert in alerts} == {"warning", "breach", "late_completion", "violation"}


def test_ids_and_titles_that_json_escapes_or_that_look_like_places() -> None:
    titles = {"fee-5-minutes": Text(zh="⟦id⟧", en="⟦case⟧"), "survey-before-acceptance": Text(zh='100%"', en="%s\\")}
    rules: list[Rule] = [
        rule.model_copy(update={"title": titles[rule.id]}) if rule.id in titles else rule
        for rule in shipped().rulebook.rules
    ]
    rulebook = Rulebook(rules, shipped().rulebook.calendar, calendars=shipped().rulebook.calendars)
    events = decoded(simulate(orders=250, seed=1, start=date(2026, 3, 2), days=12).events)
    for event in events:
        event.event_id = f'%s"\\{event.event_id}'
        event.order_id = event.order_id and f'工单"{event.order_id}\\⟦case⟧%d'
        event.account_id = event.account_id and f"~%{event.account_id}"
    alerts = assert_same(rulebook, events, max(event.at for event in events))
    assert titles.keys() <= {alert.rule for alert in alerts}
