"""Engine against oracle: whatever the order, the pieces, the watermarks and the crashes, the verdicts are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from streams.core.kinds import at_most, each, evidence
from tests.oracle import at_most as naive_at_most
from tests.oracle import cases, deadline, standing
from tests.oracle import evidence as naive_evidence
from tests.oracle.common import Fact, as_it_was
from tests.property.runs import Run, event_of, in_order, moment, us, whole
from tests.property.stories import (
    END,
    MICROSECOND,
    SHANGHAI,
    World,
    contradicting,
    facts_of,
    lists_of_places,
    places,
    rule,
)
from tests.property.worlds import WORLDS, per_kind

KINDS = sorted(WORLDS)
# What is done after a fact was sent: nothing, a decision, time moved to the n-th instant, a crash, a question.
_STEPS: tuple[Any, ...] = (None, None, "decide", "repeat", "contradict", "crash", *range(0, 400, 7))


@pytest.mark.parametrize("kind", KINDS)
@per_kind
@given(data=st.data())
def test_any_arrival_gives_the_verdicts_of_the_oracle(kind: str, data: st.DataObject) -> None:
    judged_alike(kind, data)


@pytest.mark.parametrize("kind", ["at_most", "deadline", "evidence"])
@per_kind
@given(data=st.data())
def test_the_same_where_the_bounds_of_a_subject_are_reached(kind: str, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patched:
        for one, name, bound in (
            (at_most, "MOST_VIOLATIONS", 1), (naive_at_most, "MANY_VIOLATIONS", 1), (each, "MOST_THINGS", 2),
            (deadline, "MANY_THINGS", 2), (evidence, "MOST_WAITING", 2), (naive_evidence, "MANY_ACTS", 2),
        ):  # fmt: skip
            patched.setattr(one, name, bound)
        judged_alike(kind, data)


def judged_alike(kind: str, data: st.DataObject) -> None:
    """The engine against the oracle."""
    world = data.draw(WORLDS[kind]())
    facts = data.draw(facts_of(world))
    steps = [_STEPS[place] for place in data.draw(lists_of_places(len(facts), len(_STEPS)))]
    run = Run(world)
    for fact, step in zip(facts, steps, strict=True):
        run.send(fact)
        if isinstance(step, int):
            run.advance(world.instants[step % len(world.instants)])
        elif step == "repeat":
            assert set(run.send(fact)) <= {"duplicate"}
        elif step == "contradict":
            assert set(run.send(contradicting(fact))) <= {"conflict"}
        elif step is not None:
            run.advance()
            if step == "crash":
                run.restart()
                run.check(END)
    run.advance()
    run.check(END)
    run.advance(END)
    run.check(END)
    run.restart()
    run.check(END)


@pytest.mark.parametrize("kind", KINDS)
@per_kind
@given(data=st.data())
def test_time_in_one_jump_or_step_by_step_tells_the_same(kind: str, data: st.DataObject) -> None:
    world = data.draw(WORLDS[kind]())
    facts = data.draw(facts_of(world))
    first = world.instants[data.draw(places(len(world.instants)))]
    step = Run(world)
    for fact in facts:
        step.send(fact)
    step.advance(first)
    step.check(first)
    while (due := step.engine.next_due) is not None and due <= us(END):
        # Until then silence changes nothing; the oracle says so too.
        assert due > step.engine.watermark
        assert step.advance(moment(due - 1)) == []
        step.check_told()
        step.advance(moment(due))
    step.advance(END)
    step.check(END)
    jump = whole(world, facts, END)
    assert told(step) == told(jump)


def told(run: Run) -> frozenset[str]:
    return frozenset(alert_id for alert_id, alert in run.told.items() if alert.kind != "warning")


@pytest.mark.parametrize("kind", KINDS)
@per_kind
@given(data=st.data())
def test_a_corrected_stream_equals_one_that_was_right_from_the_start(kind: str, data: st.DataObject) -> None:
    world: World = data.draw(WORLDS[kind]())
    facts = data.draw(facts_of(world))
    # One subject: a correction that names other subjects than the original is known to those only.
    facts = [replace(fact, ids={"order": "O"}) for fact in facts]
    assume(not any(corrects_what_is_not_kept(world, fact, facts, kind) for fact in facts))
    corrected = whole(world, facts, END)
    effective = as_it_was(facts)
    roots = {fact.event_id: root for fact, root in effective}
    right = whole(world, [as_if_right(fact, kind) for fact, _ in effective], END)
    assert in_order(corrected.cases(END)) == in_order(
        {
            subject: [replace(case, root=roots.get(case.root, case.root)) for case in found]
            for subject, found in right.cases(END).items()
        }
    )
    assert corrected.net() == {(*head, roots.get(root, root), kind, due) for *head, root, kind, due in right.net()}


def corrects_what_is_not_kept(world: World, fact: Fact, facts: Sequence[Fact], kind: str) -> bool:
    """Whether it matters that a correction's original is of a type that no rule watches: the engine does not keep it.

    When that was entered is not known, so an act that it was corrected to is never too late. And where the correction
    was recorded before it and is withdrawn again, the engine cannot know that it is the one recorded last.
    """
    by_id = {one.event_id: one for one in facts}
    original, seen = fact, {fact.event_id}
    while (before := by_id.get(original.corrects or "")) is not None and before.event_id not in seen:
        original = before
        seen.add(before.event_id)
    matters = original is not fact and (kind == "recording_delay" or original.recorded > fact.recorded)
    return matters and not world.rulebook.copies_of(event_of(original))


def test_an_act_first_entered_as_what_no_rule_watches_is_never_too_late() -> None:
    """Nobody is held to an entry that is not kept; see ``corrects_what_is_not_kept``."""
    late = rule({"kind": "recording_delay", "act": "act", "limit": "60 min"})
    world, nine = World(SHANGHAI, [late], ("act",)), datetime(2026, 3, 2, 1, tzinfo=UTC)
    for first, outcomes in ("act2", {"met"}), ("act", {"violated"}):
        day = timedelta(days=1)
        facts = [
            Fact("a", first, nine, nine + day, {}, {"order": "O"}),
            Fact("b", "act", nine, nine + 2 * day, {}, {"order": "O"}, corrects="a"),
        ]
        found = whole(world, facts, END).cases(END)
        assert {case.outcome for case in found["order", "O"]} == outcomes


def as_if_right(fact: Fact, kind: str) -> Fact:
    """The fact told once and rightly; when what it corrects was first entered, where that is what is judged."""
    recorded = fact.recorded
    if kind == "recording_delay" and fact.type.startswith("act"):
        recorded = fact.entered or recorded
    return replace(fact, corrects=None, void=False, recorded=recorded, entered=None)


def test_the_oracle_itself_is_not_blind() -> None:
    """A breach, a late completion and a case met are told apart: the comparison compares something."""

    nine = datetime(2026, 3, 2, 1, tzinfo=UTC)
    five_minutes = rule({"kind": "deadline", "start": "start", "stop": "stop", "limit": "5 min"})
    plain = World(SHANGHAI, [five_minutes], ("start",))
    for length, outcome, kinds in (
        (timedelta(minutes=5), "met", set[str]()),
        (timedelta(minutes=5) + MICROSECOND, "met_late", {"breach", "late_completion"}),
    ):
        facts = [
            Fact("a", "start", nine, nine, {}, {"order": "O"}),
            Fact("b", "stop", nine + length, nine + length, {}, {"order": "O"}),
        ]
        found = cases(plain.rules, facts, plain.calendar, END)
        assert [case.outcome for case in found["order", "O"]] == [outcome]
        assert {kind for *_, kind, _ in standing(found)} == kinds


def test_an_end_told_twice_ends_what_begins_at_the_instant_of_the_second() -> None:
    monthly = {"kind": "cadence", "act": "act", "since": "since", "until": "until", "every": "1 natural month"}
    world = World(SHANGHAI, [rule({**monthly, "calendar": True})], ("act",))
    nine = datetime(2026, 2, 12, 1, tzinfo=UTC)
    told = (("a", "act", 0), ("b", "until", 0), ("c", "until", 5), ("d", "since", 5))
    facts = [
        Fact(name, event_type, nine + timedelta(minutes=late), nine + timedelta(minutes=late), {}, {"order": "O"})
        for name, event_type, late in told
    ]
    for number in range(1, len(facts) + 1):
        whole(world, facts[:number], END).check(END)
