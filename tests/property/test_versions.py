"""Rows that change: of the events with one id the highest version counts, in whatever order they come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.event import Event
from streams.core.history import History
from streams.replay.judging import Arrived, deduplicate
from tests.oracle.common import Fact
from tests.property.runs import Run, event_of
from tests.property.stories import END, facts_of
from tests.property.worlds import WORLDS, per_kind

KINDS = sorted(WORLDS)
MINUTE = timedelta(minutes=1)


@st.composite
def revised(draw: st.DrawFn, facts: Sequence[Fact]) -> list[Fact]:
    """The facts with a first version, and some of them again: moved, with the fields of another, as they were, void."""
    found = []
    for fact in facts:
        versions = [replace(fact, version=1)]
        for version in range(2, 2 + draw(st.integers(0, 2))):
            how = draw(st.sampled_from(["moved", "fields", "same", "void"]))
            other = draw(st.sampled_from(list(facts)))
            entered = fact.recorded + draw(st.integers(-30, 90)) * MINUTE
            match how:
                case "moved":
                    again = replace(fact, at=other.at, recorded=max(entered, other.at))
                case "fields":
                    again = replace(fact, fields=other.fields, recorded=entered)
                case "same":
                    again = fact
                case _:
                    again = replace(fact, void=True, recorded=entered)
            versions.append(replace(again, version=version))
        found += versions
    return list(draw(st.permutations(found)))


@pytest.mark.parametrize("kind", KINDS)
@per_kind
@given(data=st.data())
def test_any_order_of_versions_gives_the_verdicts_of_the_oracle(kind: str, data: st.DataObject) -> None:
    world = data.draw(WORLDS[kind]())
    facts = data.draw(revised(data.draw(facts_of(world))))
    run = Run(world)
    for fact in facts:
        run.send(fact)
        match data.draw(st.sampled_from(["", "", "decide", "crash", "repeat"])):
            case "decide":
                run.advance()
            case "crash":
                run.advance()
                run.restart()
                run.check(END)
            case "repeat":
                assert set(run.send(fact)) <= {"duplicate"}
    run.advance()
    run.check(END)
    run.advance(END)
    run.restart()
    run.check(END)


@pytest.mark.parametrize("kind", KINDS)
@per_kind
@given(data=st.data())
def test_a_replay_keeps_of_versions_what_a_live_history_keeps(kind: str, data: st.DataObject) -> None:
    world = data.draw(WORLDS[kind]())
    facts = data.draw(revised(data.draw(facts_of(world))))
    live: dict[tuple[str, str], History] = {}
    arrived: list[Arrived] = []
    for number, event in enumerate(map(event_of, facts)):
        copies = world.rulebook.copies_of(event)
        arrived.append((event.order, number, event, number, copies))
        for subject, copy in copies:
            live.setdefault(subject, History()).add(copy)
    found: dict[tuple[str, str], list[Event]] = {}
    for _, _, _, _, standing in deduplicate(arrived).events:
        for subject, copy in standing:
            found.setdefault(subject, []).append(copy)
    for subject, history in live.items():
        kept = found.get(subject, [])
        assert History(kept).effective() == history.effective()
        assert [event.entered for event in kept if not event.void] == [
            event.entered for event in history.events if not event.void
        ]
