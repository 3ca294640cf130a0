"""A subject's whole life at once, as a replay judges, is what the same engine says of all events in order of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.alerts import Alert, Subject
from streams.core.driver import Driver, Step
from streams.core.engine import Engine
from streams.core.event import Event
from streams.core.offline import OfflineEvaluator
from streams.core.records import JudgedCase
from streams.core.rulebook import Rulebook
from streams.replay.judging import Judging, deduplicate
from streams.simulation import simulate
from tests.property.runs import event_of, us
from tests.property.shipped import END, kinds, rulebook_of, shipped_histories
from tests.property.worlds import per_kind
from tests.stories import decoded, shipped

Results = tuple[list[Alert], list[JudgedCase], Counter[str]]
"""Alerts, cases, and stops without a start."""


def in_order_of_time(rulebook: Rulebook, events: Iterable[Event], end: int) -> Results:
    """One engine, all subjects, time stopping before every event and at everything that is due."""
    engine = Engine(rulebook)
    driver, step = Driver(engine, stepwise=True), Step()
    ordered = sorted(events, key=lambda event: event.order)
    for at, together in groupby(ordered, key=lambda event: event.at):
        driver.advance(at - 1, step)
        driver.feed([(*copy, "") for event in together for copy in rulebook.copies_of(event)], step)
    driver.advance(end, step)
    return step.alerts, list(engine.cases(end)), engine.orphans()


def by_subject(rulebook: Rulebook, events: Iterable[Event], end: int) -> Results:
    judging = Judging(rulebook, end)
    arrived = [(event.order, number, event, number, rulebook.copies_of(event)) for number, event in enumerate(events)]
    ordered = deduplicate(arrived).events
    alerts = [alert for _, alert in judging.alerts(ordered)]
    without_cases = Judging(rulebook, end, keeps_cases=False)
    assert [alert for _, alert in without_cases.alerts(ordered)] == alerts
    assert without_cases.orphans() == judging.orphans()
    return alerts, list(judging.cases()), judging.orphans()


@pytest.mark.parametrize("kind", kinds())
@per_kind
@given(data=st.data())
def test_of_every_kind_of_rule(kind: str, data: st.DataObject) -> None:
    rule_id, facts = data.draw(shipped_histories(kind))
    events = [event_of(fact) for fact in facts]
    rulebook = rulebook_of(rule_id)
    assert by_subject(rulebook, events, us(END)) == in_order_of_time(rulebook, events, us(END))


@pytest.mark.parametrize("kind", kinds())
@per_kind
@given(data=st.data())
def test_a_fold_has_a_case_where_it_has_a_status(kind: str, data: st.DataObject) -> None:
    rule_id, facts = data.draw(shipped_histories(kind))
    events = sorted((event_of(fact) for fact in facts), key=lambda event: event.order)
    for fold in rulebook_of(rule_id).folds:
        state = fold.start()
        for event in events:
            if event.type in fold.listens:
                fold.step(state, event)
            for as_of in (event.at - 1, event.at, us(END)):
                assert fold.has_case(state, as_of) == bool(fold.statuses(state, as_of, as_of))


@pytest.mark.parametrize(("seed", "start"), [(1, date(2026, 3, 2)), (2, date(2026, 9, 21))])
def test_of_the_whole_rulebook(seed: int, start: date) -> None:
    rulebook = shipped().rulebook
    found = simulate(orders=250, seed=seed, start=start, days=12)
    events = decoded(found.events)
    end = max(event.at for event in events)
    alerts, cases, orphans = by_subject(rulebook, events, end)
    expected = in_order_of_time(rulebook, events, end)
    assert len(alerts) > 50
    assert (alerts, cases, orphans) == expected


def test_most_lives_are_told_at_once() -> None:
    """Else the test above would compare living step by step with itself."""
    rulebook = shipped().rulebook
    events = decoded(simulate(orders=250, seed=3, start=date(2026, 3, 2), days=12).events)
    by_subject: dict[Subject, list[Event]] = {}
    for event in sorted({event.event_id: event for event in events}.values(), key=lambda event: event.order):
        for subject, copy in rulebook.copies_of(event):
            by_subject.setdefault(subject, []).append(copy)
    lifetimes, end = OfflineEvaluator(rulebook), max(event.at for event in events)
    lives = [lifetimes.of(subject[0], own, end) for subject, own in by_subject.items()]
    tellings = [telling for life in lives if life is not None for telling in life[1]]
    assert len([life for life in lives if life is not None]) > 0.9 * len(lives)
    assert {telling.report.kind for telling in tellings} == {"warning", "breach", "late_completion", "violation"}
    assert any(telling.verdict.pauses for telling in tellings)
