"""What the board shows: filters, counts, what became of an alert, differences, bounds."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from streams.core.board import (
    COUNTS,
    MOST,
    ROW_COUNTS,
    ROWS,
    Acknowledgement,
    Board,
    BoardAlert,
    ShownAlert,
    View,
    difference,
)
from streams.core.filters import Filter
from streams.core.open_cases import OpenCases
from tests.boards import COUNTER, MINUTE, alert, case_id, started
from tests.stories import us

NOW = us("2026-03-02T10:00")
NANJING = {"province": "32", "city": "3201", "county": "320101", "unit": "U1"}
WUXI = {"province": "32", "city": "3202", "county": "320201", "unit": "U2"}


def board_of(*rows: Any, watermark: int = NOW, kept: int = 100) -> Board:
    running = OpenCases(COUNTER.rulebook)
    for row in rows:
        running.put(0, row)
    running.advance(0, watermark)
    return Board(running, COUNTER.rulebook.calendar, kept=kept)


def orders(view: View) -> list[str]:
    return [case.subject[1] for case in view.cases.values()]


def some() -> Board:
    """Three running (one stopped), one overdue, three places."""
    board = board_of(
        started("WO1", NOW - 4 * MINUTE, NANJING),
        started("WO2", NOW - 2 * MINUTE, WUXI),
        started("WO3", NOW - 2 * MINUTE, WUXI, business="power"),
        started("WO4", NOW - 9 * MINUTE),
    )
    board.take_alert(alert("b4", NOW - 4 * MINUTE, number="WO4"))
    board.take_alert(
        alert("r1", NOW - 30 * MINUTE, rule="repair-arrival", clause="F-R1", severity="red_line", org=WUXI)
    )
    board.take_alert(alert("old", us("2026-03-01T23:59:59.999"), org=WUXI))
    board.take_alert(alert("v1", us("2026-03-02T00:00"), kind="violation", org=NANJING))
    return board


@pytest.mark.parametrize(
    ("wanted", "cases", "alerts"),
    [
        (Filter(), ["WO1", "WO2", "WO3"], ["b4", "r1", "v1", "old"]),
        (Filter(state="overdue"), ["WO4"], ["b4", "r1", "v1", "old"]),
        (Filter(state="untimed"), [], ["b4", "r1", "v1", "old"]),
        (Filter(cases=1, alerts=2), ["WO1"], ["b4", "r1"]),
        (Filter(city="3202"), ["WO2", "WO3"], ["r1", "old"]),
        (Filter(province="32", county="320101"), ["WO1"], ["v1"]),
        (Filter(unit="U2", rule="power-20-minutes"), ["WO3"], []),
        (Filter(chapter="F"), [], ["r1"]),
        (Filter(severity="red_line"), [], ["r1"]),
        (Filter(city="nowhere"), [], []),
    ],
)
def test_filters(wanted: Filter, cases: list[str], alerts: list[str]) -> None:
    view = some().view(wanted, NOW)
    assert (orders(view), list(view.alerts)) == (cases, alerts)


@pytest.mark.parametrize(
    ("find", "cases", "alerts"),
    [
        ("wo", ["WO4", "WO1", "WO2", "WO3"], ["b4", "r1", "v1", "old"]),
        ("WO4", ["WO4"], ["b4"]),  # overdue: every state is listed
        (case_id("WO1")[:12], ["WO1"], ["r1", "v1", "old"][1:]),
        ("r1", [], ["r1"]),
        ("O1", [], []),  # how it begins, not what is in it
    ],
)
def test_ids_are_found_by_how_they_begin(find: str, cases: list[str], alerts: list[str]) -> None:
    view = some().view(Filter(find=find), NOW)
    assert (orders(view), list(view.alerts)) == (cases, alerts)


def test_nothing_is_found_by_an_id_that_is_not_shown() -> None:
    board = some()
    hidden = Board(board.running, COUNTER.rulebook.calendar, ids_of=lambda item: (f"P-{item.subject[1][::-1]}",))
    assert orders(hidden.view(Filter(find="WO4"), NOW)) == []
    assert orders(hidden.view(Filter(find="p-4ow"), NOW)) == ["WO4"]


def test_counts_are_of_everything_that_passes_the_filter() -> None:
    counts = some().view(Filter(cases=1, alerts=1), NOW).counts
    assert counts == {
        "running": 3,
        "untimed": 0,
        "overdue": 1,
        "due_15_min": 2,
        "due_1_h": 3,
        "due_today": 3,
        "due_in_shift": 3,
        "breaches_reported_today": 2,
        "breaches_due_today": 2,
        "violations_reported_today": 1,
        "violations_due_today": 1,
        "red_lines_reported_today": 1,
        "red_lines_due_today": 1,
        "unacknowledged_breaches_today": 2,
        "unacknowledged_violations_today": 1,
        "unacknowledged_today": 3,
    }
    assert some().view(Filter(city="nowhere"), NOW).counts == dict.fromkeys(COUNTS, 0)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (15 * MINUTE, (1, 1, 1)),
        (15 * MINUTE + 1, (0, 1, 1)),
        (60 * MINUTE, (0, 1, 1)),
        (60 * MINUTE + 1, (0, 0, 1)),
        (-MINUTE, (1, 1, 1)),  # past by the clock, but not by the watermark: still running
    ],
)
def test_what_is_due_soon(left: int, expected: tuple[int, int, int]) -> None:
    board = board_of(started("WO1", NOW), watermark=NOW)
    counts = board.view(Filter(), NOW + 5 * MINUTE - left).counts
    assert (counts["due_15_min"], counts["due_1_h"], counts["due_today"]) == expected
    assert counts["running"] == 1


def test_a_hand_over_has_what_is_overdue_and_what_falls_due_in_the_next_shift() -> None:
    at = NOW - 9 * MINUTE
    board = board_of(
        started("WO1", at), started("WO2", NOW + 54 * MINUTE), started("WO3", NOW + 55 * MINUTE),
        started("WO4", NOW + 55 * MINUTE + 1), structs.replace(started("WO5", NOW - MINUTE), events=_paused()),
    )  # fmt: skip
    board.running.advance(0, NOW + 56 * MINUTE)
    now = NOW  # WO1 is over; the limits of the others end 59, 60 and more than 60 minutes from now
    wanted = Filter(state="handover", shift=1)
    view = board.view(wanted, now)
    assert orders(view) == ["WO2", "WO3", "WO1"]
    assert (view.counts["due_in_shift"], view.counts["overdue"]) == (2, 1)
    assert orders(board.view(replace(wanted, cases=1), now)) == ["WO2", "WO1"]
    assert orders(board.view(replace(wanted, shift=2), now)) == ["WO2", "WO3", "WO4", "WO1"]


def test_due_today_ends_at_midnight_of_the_rulebooks_zone() -> None:
    at = us("2026-03-02T23:55")
    board = board_of(started("WO1", at), started("WO2", at + 1), watermark=at + 1)
    assert board.view(Filter(), at + 1).counts["due_today"] == 1


def test_a_stopped_clock_is_counted_and_listed_apart() -> None:
    board = board_of(structs.replace(started("WO1", NOW - MINUTE), events=_paused()))
    assert board.view(Filter(), NOW).counts["untimed"] == 1
    assert orders(board.view(Filter(), NOW)) == []
    assert orders(board.view(Filter(state="untimed"), NOW)) == ["WO1"]


def test_a_stopped_clock_is_told_from_an_act_that_waits() -> None:
    board = board_of(structs.replace(started("WO1", NOW - MINUTE), events=_paused()), started("WO2", NOW - MINUTE))
    assert {case.subject[1]: case.paused for case in board.running.cases.values()} == {"WO1": True, "WO2": False}


def _paused() -> Any:
    (event,) = started("WO1", NOW - 2 * MINUTE).events
    paused = type(event)(
        "WO1-2", "counter.interrupted", NOW - MINUTE, NOW - MINUTE, {"reason": "system_failure"}, order_id="WO1"
    )
    return event, paused


def test_breakdowns_put_what_is_worst_first() -> None:
    view = some().view(Filter(), NOW)
    # running, due in an hour, overdue; then breaches, violations and red lines, each reported and due today
    assert list(view.places) == [
        ("3202", (2, 2, 0, 1, 1, 0, 0, 1, 1)),
        ("", (0, 0, 1, 1, 1, 0, 0, 0, 0)),
        ("3201", (1, 1, 0, 0, 0, 1, 1, 0, 0)),
    ]
    assert list(view.rules) == [
        ("repair-arrival", (0, 0, 0, 1, 1, 0, 0, 1, 1)),
        ("fee-5-minutes", (2, 2, 1, 1, 1, 1, 1, 0, 0)),
        ("power-20-minutes", (1, 1, 0, 0, 0, 0, 0, 0, 0)),
    ]
    assert [code for code, _ in some().view(Filter(city="3202"), NOW).places] == ["320201"]
    assert [code for code, _ in some().view(Filter(county="320201"), NOW).places] == ["U2"]


@pytest.mark.parametrize(
    ("kind", "due", "detected", "reported", "is_due"),
    [
        ("breach", "2026-03-02T09:00", "2026-03-02T09:00", 1, 1),
        ("breach", "2026-03-02T00:00", "2026-03-02T00:00:00.001", 1, 0),  # the end of yesterday
        ("breach", "2026-03-02T00:00:00.001", "2026-03-02T00:00:00.001", 1, 1),
        ("breach", "2026-03-03T00:00", "2026-03-03T00:00", 0, 1),  # the end of today, seen just then
        ("breach", "2026-02-27T09:00", "2026-03-02T09:00", 1, 0),  # the worker was down for days
        ("breach", "2026-03-01T09:00", "2026-03-01T09:00", 0, 0),
        ("violation", "2026-03-02T00:00", "2026-03-02T00:00", 1, 1),
        ("violation", "2026-02-27T09:00", "2026-03-02T09:00", 1, 0),  # entered days late
        ("violation", "2026-03-01T23:59:59.999", "2026-03-01T23:59:59.999", 0, 0),
    ],
)
def test_reported_today_and_due_today_are_two_things(
    kind: str, due: str, detected: str, reported: int, is_due: int
) -> None:
    board = board_of()
    one = alert("a1", us(due), kind=kind, rule="repair-arrival", clause="F-R1", severity="red_line")
    board.take_alert(replace(one, detected_at=us(detected)))
    view = board.view(Filter(), us("2026-03-02T23:59"))
    name = "breaches" if kind == "breach" else "violations"
    other = "violations" if kind == "breach" else "breaches"
    for what in (name, "red_lines"):
        assert (view.counts[f"{what}_reported_today"], view.counts[f"{what}_due_today"]) == (reported, is_due)
    assert (view.counts[f"{other}_reported_today"], view.counts[f"{other}_due_today"]) == (0, 0)
    assert view.counts[f"unacknowledged_{name}_today"] == view.counts["unacknowledged_today"] == reported
    rows = [row for _, row in (*view.places, *view.rules)]
    assert len(rows) == (2 if reported or is_due else 0)
    assert all(row[-2:] == (reported, is_due) for row in rows)


TOLD = st.tuples(
    st.sampled_from(["breach", "violation"]),
    st.integers(-3000, 0),
    st.integers(0, 3000),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(TOLD, max_size=12))
def test_no_note_exceeds_its_tile(told: list[tuple[str, int, int, bool, bool, bool]]) -> None:
    board = board_of()
    for number, (kind, minutes, later, red, acknowledged, retracted) in enumerate(told):
        detected = min(NOW, NOW + (minutes + later) * MINUTE)  # nothing is detected before it is due, or after now
        one = alert(f"a{number}", NOW + minutes * MINUTE, kind=kind, severity="red_line" if red else "norm")
        board.take_alert(replace(one, detected_at=detected))
        if acknowledged:
            board.take_ack(f"a{number}", ACK)
        if retracted:
            board.take_alert(alert(f"x{number}", NOW, kind="retraction", retracts=f"a{number}"))
    counts = board.view(Filter(), NOW).counts
    for name in ("breaches", "violations", "red_lines"):
        assert counts[f"{name}_due_today"] <= counts[f"{name}_reported_today"]
    for name in ("breaches", "violations"):
        assert counts[f"unacknowledged_{name}_today"] <= counts[f"{name}_reported_today"]
    both = counts["breaches_reported_today"] + counts["violations_reported_today"]
    assert counts["red_lines_reported_today"] <= both
    apart = counts["unacknowledged_breaches_today"] + counts["unacknowledged_violations_today"]
    assert counts["unacknowledged_today"] == apart


def test_choices_of_a_level_depend_on_the_levels_above() -> None:
    assert some().view(Filter(city="3202"), NOW).choices == {
        "province": ("32",),
        "city": ("3201", "3202"),
        "county": ("320201",),
        "unit": ("U2",),
    }


# -- what became of an alert -------------------------------------------------------------------------------

BREACH = alert("b1", NOW - MINUTE)
LATE = alert("l1", NOW, kind="late_completion", sentence="done late")
RETRACTED = alert("x1", NOW, kind="retraction", retracts="b1", sentence="withdrawn")
LATE_RETRACTED = alert("x2", NOW, kind="retraction", retracts="l1")
ACK = Acknowledgement(NOW, "S1", "acknowledge", "on our way")
NOTE = Acknowledgement(NOW + 1, "S2", "annotate", "power cut")


@pytest.mark.parametrize(
    ("said", "state", "ending", "breaches", "unacknowledged"),
    [
        ([BREACH], "open", None, 1, 1),
        ([BREACH, BREACH], "open", None, 1, 1),
        ([BREACH, LATE], "completed_late", "done late", 1, 1),
        ([BREACH, LATE, LATE_RETRACTED], "open", None, 1, 1),
        ([BREACH, RETRACTED], "retracted", "withdrawn", 0, 0),
        ([BREACH, LATE, RETRACTED], "retracted", "withdrawn", 0, 0),
        ([BREACH, ("b1", ACK)], "open", None, 1, 0),
        ([BREACH, ("b1", NOTE)], "open", None, 1, 1),
        ([BREACH, ("other", ACK)], "open", None, 1, 1),
        ([BREACH, alert("w1", NOW, kind="warning")], "open", None, 1, 1),
    ],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_what_became_of_an_alert(
    said: list[Any], state: str, ending: str | None, breaches: int, unacknowledged: int, backwards: bool
) -> None:
    board = board_of()
    for one in reversed(said) if backwards else said:
        if isinstance(one, BoardAlert):
            board.take_alert(one)
        else:
            board.take_ack(*one)
    view = board.view(Filter(), NOW)
    (shown,) = view.alerts.values()
    assert (shown.state, shown.ending and shown.ending.zh) == (state, ending)
    assert (view.counts["breaches_reported_today"], view.counts["unacknowledged_today"]) == (breaches, unacknowledged)


def test_acknowledgements_are_shown_oldest_first_and_the_last_few_only() -> None:
    board = board_of()
    board.take_alert(BREACH)
    for second in reversed(range(8)):
        board.take_ack("b1", Acknowledgement(NOW + second, "S1", "annotate", str(second)))
    (shown,) = board.view(Filter(), NOW).alerts.values()
    assert [ack.note for ack in shown.acks] == ["3", "4", "5", "6", "7"]


@pytest.mark.parametrize("backwards", [False, True])
def test_how_an_alert_stands_is_not_lost_in_many_notes(backwards: bool) -> None:
    board = board_of()
    board.take_alert(BREACH)
    said = [
        Acknowledgement(NOW, "S1", "acknowledge", ""),
        Acknowledgement(NOW + 1, "S1", "silence", "", until=NOW + 9),
        Acknowledgement(NOW + 2, "S1", "silence", "", until=NOW + 8),
        Acknowledgement(NOW + 3, "S1", "assign", "", to="S2"),
        *(Acknowledgement(NOW + 4 + second, "S1", "annotate", str(second)) for second in range(300)),
    ]
    for one in reversed(said) if backwards else said:
        board.take_ack("b1", one)
    view = board.view(Filter(), NOW)
    (shown,) = view.alerts.values()
    assert shown.acks == (said[0], *said[2:4], *said[-5:])
    assert view.counts["unacknowledged_today"] == 0
    assert len(board._acks["b1"]) == 100


def test_rules_of_other_rulebooks_are_named_for_an_hour() -> None:
    board = board_of()
    board.take_alert(alert("b1", NOW, rule="not-ours"))
    board.take_alert(alert("b2", NOW - MINUTE, rule="not-ours"))
    board.take_alert(alert("b3", NOW))
    assert board.unknown_rules(NOW + 60 * MINUTE - 1) == ["not-ours"]
    assert board.unknown_rules(NOW + 60 * MINUTE) == []


# -- bounds ------------------------------------------------------------------------------------------------


def test_everything_is_bounded() -> None:
    board = board_of(kept=50)
    for index in Random(1).sample(range(200), 200):
        board.take_alert(alert(f"b{index:03d}", NOW + index, number=f"WO{index}", org={"city": f"c{index}"}))
        board.take_alert(alert(f"l{index}", NOW, kind="late_completion", number=f"WO{index}"))
        board.take_alert(alert(f"x{index}", NOW, kind="retraction", retracts=f"none{index}"))
        for second in range(3):
            board.take_ack(f"b{index:03d}", Acknowledgement(second, "S1", "annotate", ""))
    assert [len(kept) for kept in (board._told, board._oldest, board._late, board._retracted, board._acks)] == [50] * 5
    view = board.view(Filter(alerts=MOST), NOW + 200)
    assert list(view.alerts) == [f"b{index:03d}" for index in reversed(range(150, 200))]
    assert len(view.places) == ROWS


def test_ten_thousand_cases_give_a_bounded_view() -> None:
    board = board_of(*(started(f"WO{index:05d}", NOW - index * 20_000) for index in range(10_000)))
    view = board.view(Filter(cases=10**6), NOW)
    assert len(view.cases) == MOST
    assert view.counts["running"] == 10_000
    assert orders(view)[:3] == ["WO09999", "WO09998", "WO09997"]


# -- differences -------------------------------------------------------------------------------------------


def applied(old: View, change: Any) -> tuple[dict[str, Any], dict[str, ShownAlert], dict[str, Any]]:
    """What a page makes of a change: it keeps rows by id and sorts them itself."""
    cases = {key: case for key, case in old.cases.items() if key not in change.cases_gone}
    alerts = {key: shown for key, shown in old.alerts.items() if key not in change.alerts_gone}
    cases.update({case.case_id: case for case in change.cases})
    alerts.update({shown.alert.alert_id: shown for shown in change.alerts})
    rest = {
        name: getattr(old, name) if getattr(change, name) is None else getattr(change, name)
        for name in ("counts", "places", "rules", "choices")
    }
    return cases, alerts, rest


def test_a_difference_carries_no_more_than_what_changed() -> None:
    board = some()
    before = board.view(Filter(), NOW)
    assert difference(before, board.view(Filter(), NOW)) is None
    board.running.advance(0, NOW + MINUTE)  # WO1 breaches
    change = difference(before, board.view(Filter(), NOW))
    assert change is not None
    assert (change.cases, change.cases_gone, change.alerts, change.choices) == ((), (case_id("WO1"),), (), None)
    assert change.counts is not None
    assert (change.counts["running"], change.counts["overdue"]) == (2, 2)


PLACES = [NANJING, WUXI, {"city": "3205"}, {}]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("case"), st.integers(0, 9), st.integers(-10, 0), st.sampled_from(PLACES)),
        st.tuples(st.just("gone"), st.integers(0, 9)),
        st.tuples(st.just("time"), st.integers(0, 3)),
        st.tuples(
            st.just("alert"), st.sampled_from(("breach", "violation", "late_completion", "retraction")),
            st.integers(0, 9), st.integers(0, 9), st.sampled_from(PLACES),
        ),
        st.tuples(st.just("ack"), st.integers(0, 9), st.sampled_from(("acknowledge", "annotate"))),
    ),
    max_size=30,
)  # fmt: skip
FILTERS = st.builds(
    Filter,
    city=st.sampled_from((None, None, "3201", "3202")),
    rule=st.sampled_from((None, None, "fee-5-minutes")),
    severity=st.sampled_from((None, "norm")),
    state=st.sampled_from(("running", "overdue")),
    cases=st.integers(1, 4),
    alerts=st.integers(1, 4),
)


@given(STEPS, FILTERS, st.randoms(use_true_random=False))
def test_views_follow_by_differences_and_equal_those_from_scratch(
    steps: list[tuple[Any, ...]], wanted: Filter, random: Random
) -> None:
    board = board_of()
    rows: dict[int, Any] = {}
    told: list[Any] = []
    now = NOW
    view = board.view(wanted, now)
    for step in steps:
        match step:
            case "case", number, minutes, org:
                rows[number] = started(f"WO{number}", NOW + minutes * MINUTE, org)
                board.running.put(0, rows[number])
            case "gone", number:
                rows.pop(number, None)
                board.running.drop(("order", f"WO{number}"))
            case "time", minutes:
                now += minutes * MINUTE
                board.running.advance(0, now)
            case "alert", kind, number, other, org:
                # One id, one alert: what an alert says follows from its id.
                retracts = f"breach-{other}" if kind == "retraction" else None
                one = alert(
                    f"{kind}-{number}-{other}-{org.get('city')}" if kind == "retraction" else f"{kind}-{number}",
                    NOW + number * MINUTE, kind=kind, number=f"WO{number}", org=PLACES[number % 4], retracts=retracts,
                )  # fmt: skip
                told.append(one)
                board.take_alert(one)
            case "ack", number, action:
                ack = (f"breach-{number}", Acknowledgement(NOW, f"S{number}", action, ""))
                told.append(ack)
                board.take_ack(*ack)
        fresh = board.view(wanted, now)
        change = difference(view, fresh)
        if change is not None:
            cases, alerts, rest = applied(view, change)
            assert (cases, alerts) == (fresh.cases, fresh.alerts)
            assert rest == {name: getattr(fresh, name) for name in rest}
        view = fresh
    scratch = board_of(*rows.values(), watermark=now)
    random.shuffle(told)
    for one in told:
        if isinstance(one, BoardAlert):
            scratch.take_alert(one)
        else:
            scratch.take_ack(*one)
    found = scratch.view(wanted, now)
    assert _endings_apart(found) == _endings_apart(view)
    assert len(view.cases) <= wanted.cases
    assert len(view.alerts) <= wanted.alerts


def _endings_apart(view: View) -> View:
    """Two retractions of one alert cannot be; the test makes them, and which one counts is then a matter of order."""
    return replace(view, alerts={key: replace(shown, ending=None) for key, shown in view.alerts.items()})


def test_the_map_counts_the_cities_whose_position_is_known_whatever_city_is_asked_for() -> None:
    board = some()
    placed = Board(board.running, COUNTER.rulebook.calendar, placed={"3201", "3202", "3205"})
    placed.take_alert(alert("a1", NOW - MINUTE, org=WUXI))
    placed.running.put(0, started("WO5", NOW - 9 * MINUTE, {"province": "44", "city": "3205"}))
    overdue, breaches = ROW_COUNTS.index("overdue"), ROW_COUNTS.index("breaches_reported_today")

    def shown(wanted: Filter) -> list[tuple[str, int, int]]:
        return [(code, counts[overdue], counts[breaches]) for code, counts in placed.view(wanted, NOW).cities]

    everywhere = [("3201", 0, 0), ("3202", 0, 1), ("3205", 1, 0)]
    assert shown(Filter()) == shown(Filter(city="3201", county="320101")) == everywhere
    assert shown(Filter(province="32")) == shown(Filter(province="32", city="3202")) == everywhere[:2]
    assert shown(Filter(rule="power-20-minutes")) == [("3201", 0, 0), ("3202", 0, 0), ("3205", 0, 0)]
    assert board.view(Filter(), NOW).cities == []
    before = placed.view(Filter(city="3201"), NOW)
    placed.take_alert(alert("a2", NOW - MINUTE, org=WUXI))
    change = difference(before, placed.view(Filter(city="3201"), NOW))
    assert change is not None
    assert change.cities is not None
    assert change.places is None
