"""What the tally counts: how cases ended, what was taken back, and which clocks run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.alerts import Alert
from streams.core.engine import Engine
from streams.core.outcome_counts import OutcomeCounts, Place, Running
from streams.core.standing import OpenCases, in_order
from streams.simulation import simulate
from tests.stories import decoded, shipped, us, wire

ORG = 'org={"province":"32","city":"3201","county":"320101"}'
HERE = Place("fee-5-minutes", "3201", "320101")
START = f"e1 2026-03-02T09:00 counter.service_started WO1 business=fee {ORG}"


def counted(steps: Sequence[tuple[str, str]], *rules: str) -> tuple[OutcomeCounts, Engine]:
    """Each step is a line of a story, or nothing, and then a watermark."""
    loaded = shipped(*(rules or ("fee-5-minutes",)))
    tally = OutcomeCounts()
    engine = Engine(loaded.rulebook, keep_for=3600_000_000, tally=tally)
    for line, watermark in steps:
        for event in decoded(wire(line)):
            for subject, copy in loaded.rulebook.copies_of(event):
                engine.handle(subject, copy)
        engine.advance_to(us(watermark))
    return tally, engine


@pytest.mark.parametrize(
    ("steps", "ended", "reopened"),
    [
        pytest.param([(START, "2026-03-02T09:04:59.999")], {}, {}, id="running"),
        pytest.param([(START, "2026-03-02T09:05")], {"breached": 1}, {}, id="breached by silence"),
        pytest.param(
            [(START, "2026-03-02T09:00"), ("e2 2026-03-02T09:04 counter.service_completed WO1", "2026-03-02T09:03")],
            {"met": 1},
            {},
            id="met as soon as it is known, ahead of the watermark",
        ),
        pytest.param(
            [(START, "2026-03-02T09:00"), ("e2 2026-03-02T09:07 counter.service_completed WO1", "2026-03-02T09:04")],
            {},
            {},
            id="late, but not certain before the deadline",
        ),
        pytest.param(
            [(START, "2026-03-02T09:05"), ("e2 2026-03-02T09:07 counter.service_completed WO1", "2026-03-02T09:07")],
            {"breached": 1, "met_late": 1},
            {"breached": 1},
            id="breached, then completed late",
        ),
        pytest.param(
            [
                (START, "2026-03-02T09:05"),
                ("e2 2026-03-02T09:07 counter.service_completed WO1", "2026-03-02T09:07"),
                ("e3 2026-03-02T09:04:50 counter.service_completed WO1 corrects=e2", "2026-03-02T09:30"),
            ],
            {"breached": 1, "met_late": 1, "met": 1},
            {"breached": 1, "met_late": 1},
            id="corrected to met",
        ),
        pytest.param(
            [
                (START, "2026-03-02T09:05"),
                ("e3 2026-03-02T09:00 counter.service_started WO1 corrects=e1 void=true", "2026-03-02T09:30"),
            ],
            {"breached": 1},
            {"breached": 1},
            id="the start never was",
        ),
        pytest.param(
            [(START, "2026-03-02T09:05"), ("", "2026-03-02T12:00"), (START, "2026-03-02T12:01")],
            {"breached": 1},
            {},
            id="told twice, counted once",
        ),
    ],
)
def test_endings_and_what_was_taken_back(
    steps: list[tuple[str, str]], ended: dict[str, int], reopened: dict[str, int]
) -> None:
    tally, _ = counted(steps)
    assert dict(tally.ended) == {(HERE, outcome): count for outcome, count in ended.items()}
    assert dict(tally.reopened) == {(HERE, outcome): count for outcome, count in reopened.items()}


def test_running_holds_a_clock_until_it_stops_and_a_breached_one_still_runs() -> None:
    clock = Running(HERE, us("2026-03-02T09:00"), us("2026-03-02T09:05"))
    for watermark in ("2026-03-02T09:01", "2026-03-02T09:06"):
        tally, _ = counted([(START, watermark)])
        assert tally.running == {("order", "WO1"): (clock,)}
    tally, _ = counted(
        [(START, "2026-03-02T09:01"), ("e2 2026-03-02T09:04 counter.service_completed WO1", "2026-03-02T09:04")]
    )
    assert tally.running == {}


def test_a_clock_that_stands_still_runs_without_a_deadline() -> None:
    tally, _ = counted(
        [
            (START, "2026-03-02T09:01"),
            ("e2 2026-03-02T09:02 counter.interrupted WO1 reason=system_failure", "2026-03-02T09:03"),
        ]
    )
    assert tally.running == {("order", "WO1"): (Running(HERE, us("2026-03-02T09:00"), None),)}


def test_what_is_restored_is_known_and_what_is_forgotten_stays_counted() -> None:
    tally, engine = counted([(START, "2026-03-02T09:05")])
    snapshot = engine.snapshot(("order", "WO1"))
    assert snapshot is not None
    again = OutcomeCounts()
    other = Engine(shipped("fee-5-minutes").rulebook, keep_for=3600_000_000, tally=again)
    other.watermark = us("2026-03-02T09:05")
    other.restore(snapshot)
    assert (dict(again.ended), dict(again.reopened)) == ({}, {})
    assert again.running == tally.running

    for event in decoded(wire("e2 2026-03-02T09:07 counter.service_completed WO1")):
        other.handle(("order", "WO1"), event)
    other.advance_to(us("2026-03-02T09:08"))
    assert dict(again.ended) == {(HERE, "met_late"): 1}
    assert dict(again.reopened) == {(HERE, "breached"): 1}

    other.advance_to(us("2026-03-02T12:00"))
    assert len(other) == 0
    assert dict(again.ended) == {(HERE, "met_late"): 1}
    assert again.running == {}


def test_an_act_is_counted_by_what_it_was() -> None:
    act = f"e2 2026-03-02T10:00 survey.performed WO1 {ORG}"
    place = Place("survey-before-acceptance", "3201", "320101")
    rule = "survey-before-acceptance"
    early = [(act, "2026-03-02T10:00")]
    tally, _ = counted(early, rule)
    assert dict(tally.ended) == {(place, "violated"): 1}
    tally, _ = counted([*early, ("e1 2026-03-02T09:00 application.accepted WO1", "2026-03-02T10:01")], rule)
    assert dict(tally.ended) == {(place, "violated"): 1, (place, "met"): 1}
    assert dict(tally.reopened) == {(place, "violated"): 1}


def test_an_act_recorded_ahead_of_the_watermark_is_counted_at_once_when_nothing_is_wrong_with_it() -> None:
    accepted = f"e1 2026-03-02T09:00 application.accepted WO1 recorded=2026-03-02T09:10 {ORG}"
    tally, _ = counted([(accepted, "2026-03-02T09:09:59")], "acceptance-recorded-late")
    assert dict(tally.ended) == {(Place("acceptance-recorded-late", "3201", "320101"), "met"): 1}


@pytest.mark.parametrize("trail", [-86_400_000_000, 0, 3_600_000_000, 86_400_000_000])
def test_counting_changes_nothing_that_is_told(trail: int) -> None:
    """``trail``: how far the watermark is behind what it follows."""
    loaded = shipped()
    events = decoded(simulate(orders=250, seed=8, start=date(2026, 3, 2), days=10).events)
    told: list[list[Alert]] = []
    nexts: list[list[int | None]] = []
    for tally in (None, OutcomeCounts()):
        engine = Engine(loaded.rulebook, keep_for=5 * 86_400_000_000, tally=tally)
        alerts: list[Alert] = []
        due: list[int | None] = []
        for number in range(0, len(events), 7):
            for event in events[number : number + 7]:
                for subject, copy in loaded.rulebook.copies_of(event):
                    engine.handle(subject, copy)
            alerts += engine.advance_to(events[min(number + 7, len(events)) - 1].recorded - trail)
            due.append(engine.next_due)
        told.append(alerts)
        nexts.append(due)
    assert len(told[0]) > 50
    assert told[0] == told[1]
    assert nexts[0] == nexts[1]


_NAMES = st.sampled_from(("a", "ab", "b'", 'b"', "甲", ""))
_PLACES = st.builds(Place, _NAMES, st.none() | _NAMES, st.none() | _NAMES)
_INSTANTS = st.sampled_from((-1, 0, 1, 9, 10, 12, 123, 1_772_413_200_000_000))


@given(
    st.lists(st.tuples(_NAMES, st.none() | _NAMES), max_size=6).map(tuple),
    st.lists(st.builds(Running, _PLACES, _INSTANTS, st.none() | _INSTANTS), max_size=6),
)
def test_what_stands_is_in_the_order_of_its_text(open_cases: OpenCases, clocks: list[Running]) -> None:
    """Rows of before have that order."""
    ordered = in_order(open_cases, tuple(clocks))
    assert ordered == (tuple(sorted(open_cases, key=str)), tuple(sorted(clocks, key=str)))
