"""A history without what is over at a cut gives the alerts of the whole one, whatever comes later than the cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.alerts import Alert
from streams.core.case_changes import CaseTracker
from streams.core.engine import Engine
from streams.core.kinds.cadence import CadenceFold
from streams.core.kinds.deadline import DeadlineFold
from streams.core.outcome_counts import OutcomeCounts
from streams.core.pruning import is_over
from streams.core.records import Pruned, SubjectRecord
from streams.core.rulebook import Rulebook
from tests.oracle.common import Fact
from tests.property.runs import event_of, restore_from, us
from tests.property.stories import END, World, facts_of, lists_of_places, rule
from tests.property.worlds import WORLDS, per_kind
from tests.stories import moment, open_cases, shipped

KEPT = (timedelta(0), timedelta(0), timedelta(hours=1), timedelta(days=2))
APART = (0, 0, 1, 28, 31, 31, 62)


class Pruning(Engine):
    """Looks at every subject whenever it is decided, and forgets none whole."""

    def _decide_timed(self, record: SubjectRecord, alerts: list[Alert]) -> None:
        super()._decide_timed(record, alerts)
        assert self._keep_for is not None
        self._came.clear()  # here no step is repeated
        self._prune(record, self._keep_for)

    def _forget(self) -> None:
        self._came.clear()


class Twins:
    """The same sent to an engine that prunes and to one that never does."""

    def __init__(self, rulebook: Rulebook, keep_for: timedelta) -> None:
        self.rulebook = rulebook
        self.keep_for = keep_for // timedelta(microseconds=1)
        self.trackers = CaseTracker(rulebook), CaseTracker(rulebook)
        self.tallies = OutcomeCounts(), OutcomeCounts()
        self.pruning: Engine = Pruning(
            rulebook, keep_for=self.keep_for, tally=self.tallies[0], tracker=self.trackers[0]
        )
        self.whole = Engine(rulebook, tally=self.tallies[1], tracker=self.trackers[1])
        self.refused = 0

    def send(self, fact: Fact) -> None:
        for subject, copy in self.rulebook.copies_of(event_of(fact)):
            notice = self.pruning.handle(subject, copy)
            if notice == "too_old":
                self.refused += 1
                continue
            known = self.whole.handle(subject, copy)
            assert (notice in ("applied", "late")) == (known in ("applied", "late"))

    def advance(self, to: int) -> None:
        cuts = {subject: record.pruned for subject, record in self.pruning._records.items()}
        # A report due by the cut is final. Of those a warning alone depends on what came after it was due: a correction
        # of that may open a case again which was done in time.
        wanted = [one for one in self.whole.advance_to(to) if not is_late_warning(one, cuts.get(one.subject))]
        assert self.pruning.advance_to(to) == wanted
        assert open_cases(self.pruning) == open_cases(self.whole)
        if any(isinstance(fold, CadenceFold) for fold in self.rulebook.folds):
            return  # a month that begins in silence is counted and written when its subject is next looked at
        assert self.tallies[0].take_counts() == self.tallies[1].take_counts()
        pruned, whole = ({change.case_id: change for change in tracker.take()} for tracker in self.trackers)
        # A case that ended at its very watermark is written once more when its subject is decided again.
        done = {
            key
            for key, change in whole.items()
            if change.case is not None and is_over(change.case.verdict, cuts[change.case.subject])
        }
        # One that ended just after the cut is written once more, as it is, when it is judged from a saved state.
        again = pruned.keys() - whole.keys()
        if again:
            known = {case.case_id: case for case in self.whole.cases()}
            assert {case_id: pruned[case_id].case for case_id in again} == {
                case_id: known[case_id] for case_id in again
            }
            pruned = {case_id: change for case_id, change in pruned.items() if case_id not in again}
        assert pruned == {case_id: change for case_id, change in whole.items() if case_id not in done}

    def restart(self) -> None:
        self.tallies = OutcomeCounts(), self.tallies[1]
        fresh = Pruning(self.rulebook, keep_for=self.keep_for, tally=self.tallies[0], tracker=self.trackers[0])
        restore_from(fresh, self.pruning)
        self.pruning = fresh

    def check(self) -> None:
        """The cases that were not over at the cut are the same."""
        kept = {case.case_id: case for case in self.pruning.cases()}
        assert kept == {case.case_id: case for case in self.whole.cases() if case.case_id in kept}


def is_late_warning(alert: Alert, pruned: Pruned | None) -> bool:
    """Whether an alert is a warning that was due by the cut."""
    until = None if pruned is None else pruned.until
    return alert.kind == "warning" and until is not None and alert.due_at <= until


def test_a_warning_due_by_the_cut_is_not_made_though_a_correction_opens_its_case_again() -> None:
    monthly = rule({"kind": "cadence", "act": "start", "every": "1 natural month", "calendar": True})
    twins = Twins(Rulebook([monthly], shipped().rulebook.calendar), timedelta(0))
    march, april = moment("2026-03-27T08:00"), moment("2026-04-27T08:00")
    for number, at in (("e0", march), ("e1", march), ("e2", april)):
        twins.send(Fact(number, "start", at, at, {}, {"order": "O"}))
        twins.advance(us(at))
    twins.send(Fact("e3", "stop", april, april, {}, {"order": "O"}, corrects="e2"))
    assert [alert.kind for alert in twins.whole.advance_to(us(april))] == ["warning"]  # it was due on the 24th
    assert twins.pruning.advance_to(us(april)) == []
    for engine in (twins.pruning, twins.whole):
        assert [alert.kind for alert in engine.advance_to(us(moment("2026-05-01T00:00")))] == ["breach"]


def test_a_month_is_met_though_an_act_before_it_is_kept_for_a_later_month() -> None:
    """The act of February for April begins March again, so that of March is kept too."""
    monthly = rule({"kind": "cadence", "act": "act", "every": "1 natural month", "calendar": True, "period": "period"})
    twins = Twins(Rulebook([monthly], shipped().rulebook.calendar), timedelta(0))
    acts = [("a", "02-12", "2026-04"), ("b", "03-14", "2026-03"), ("c", "03-15", "2026-02"), ("d", "04-02", "2026-04")]
    for name, day, period in acts:
        at = moment(f"2026-{day}T09:00")
        twins.send(Fact(name, "act", at, at, {"period": period}, {"order": "O"}))
        twins.advance(us(at))
    assert [case.verdict.outcome for case in twins.whole.cases()] == ["met", "met"]
    twins.check()


@pytest.mark.parametrize("kind", sorted(WORLDS))
@per_kind
@given(data=st.data())
def test_pruning_changes_no_alert(kind: str, data: st.DataObject) -> None:
    """Two lives of one subject, in the order in which they were entered, and time goes along with them."""
    live(kind, data)


def live(kind: str, data: st.DataObject) -> None:
    """Both engines get the same."""
    world: World = data.draw(WORLDS[kind]())
    first, second = data.draw(facts_of(world)), data.draw(facts_of(world))
    facts = [*first, *later(second, timedelta(days=data.draw(st.sampled_from(APART))))]
    facts.sort(key=lambda fact: fact.recorded)
    keep_for = data.draw(st.sampled_from(KEPT))
    twins = Twins(world.rulebook, keep_for)
    restarts = data.draw(lists_of_places(len(facts), 4))
    for fact, place in zip(facts, restarts, strict=True):
        twins.send(fact)
        twins.advance(us(fact.recorded if place else fact.at))
        if place == 1:
            twins.restart()
    twins.check()
    for instant in sorted({us(instant) for instant in world.instants if us(instant) > twins.whole.watermark}):
        twins.advance(instant)
    twins.advance(us(END))
    twins.check()


@per_kind
@given(data=st.data())
def test_going_on_from_saved_states_changes_no_alert(data: st.DataObject) -> None:
    """As above, where every state that can be saved is."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DeadlineFold, "needed_events", lambda *_: None)
        live("deadline", data)


def later(facts: Sequence[Fact], by: timedelta) -> list[Fact]:
    """The same once more, so much later, under other ids."""
    return [
        replace(
            fact,
            event_id=f"{fact.event_id}-2",
            at=fact.at + by,
            recorded=fact.recorded + by,
            corrects=None if fact.corrects is None else f"{fact.corrects}-2",
        )
        for fact in facts
    ]
