"""A worker driven at will: sent, late, twice, corrected, killed, asked; the oracle is asked the same at every step."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from streams.core.records import BEGINNING
from tests.oracle.common import Fact
from tests.property.runs import Run, moment
from tests.property.stories import END, World, contradicting, fact_of, ids_of_subjects
from tests.property.worlds import WORLDS, per_kind

PLACES = st.integers(0, 200)
DELAYS = st.sampled_from((timedelta(0), timedelta(hours=1), timedelta(days=2)))


class EngineMachine(RuleBasedStateMachine):
    kind = "deadline"
    run: Run

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.world: World = data.draw(WORLDS[self.kind]())
        self.run = Run(self.world)
        self.sent = 0

    def _at(self, place: int) -> datetime:
        return self.world.instants[place % len(self.world.instants)]

    def _fact(self, place: int, at: datetime, delay: timedelta, fields: int, ids: Any) -> Fact:
        self.sent += 1
        kind = self.world.types[place % len(self.world.types)]
        own = self.world.fields[fields % len(self.world.fields)]
        return fact_of(self.sent, kind, at, delay, own, ids, None)

    @rule(place=PLACES, at=PLACES, delay=DELAYS, fields=PLACES, ids=ids_of_subjects)
    def send(self, place: int, at: int, delay: timedelta, fields: int, ids: Any) -> None:
        self.run.send(self._fact(place, self._at(at), delay, fields, ids))

    @precondition(lambda self: self.run.engine.watermark > BEGINNING)
    @rule(place=PLACES, back=st.sampled_from((0, 1, 60_000_000)), fields=PLACES, ids=ids_of_subjects)
    def send_late(self, place: int, back: int, fields: int, ids: Any) -> None:
        at = moment(self.run.engine.watermark) - timedelta(microseconds=back)
        notices = self.run.send(self._fact(place, at, timedelta(0), fields, ids))
        assert set(notices) <= {"late"}

    @precondition(lambda self: self.run.facts)
    @rule(which=PLACES)
    def send_twice(self, which: int) -> None:
        again = self.run.facts[which % len(self.run.facts)]
        assert set(self.run.send(again)) <= {"duplicate"}
        assert set(self.run.send(contradicting(again))) <= {"conflict"}

    @precondition(lambda self: self.run.facts)
    @rule(which=PLACES, place=PLACES, at=PLACES, delay=DELAYS, fields=PLACES, void=st.booleans())
    def correct(self, which: int, place: int, at: int, delay: timedelta, fields: int, void: bool) -> None:
        wrong = self.run.facts[which % len(self.run.facts)]
        right = self._fact(place, self._at(at), delay, fields, wrong.ids)
        self.run.send(replace(right, corrects=wrong.event_id, void=void))

    @rule(at=PLACES)
    def advance(self, at: int) -> None:
        self.run.advance(self._at(at))

    @rule()
    def advance_to_what_is_next(self) -> None:
        self.run.advance()
        due = self.run.engine.next_due
        if due is not None:
            self.run.advance(moment(due - 1))
            self.run.advance(moment(due))

    @rule()
    def kill_and_restore(self) -> None:
        self.run.advance()
        self.run.restart()

    @rule(at=PLACES)
    def ask(self, at: int) -> None:
        self.run.advance()
        self.run.check(self._at(at))

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.run.advance()
            self.run.check(END)
            self.run.advance(END)
            self.run.check(END)


@pytest.mark.parametrize("kind", sorted(WORLDS))
def test_a_worker_driven_at_will_is_always_right(kind: str) -> None:
    machine = type(f"{kind.title()}Machine", (EngineMachine,), {"kind": kind})
    run_state_machine_as_test(
        machine, settings=settings(per_kind, max_examples=per_kind.max_examples // 2, stateful_step_count=10)
    )
