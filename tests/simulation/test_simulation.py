"""The simulator: the same bytes for the same arguments, and the engine's verdicts beside its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from functools import cache
from hashlib import sha256
from typing import Any

import pytest

from schemas.rules import DeadlineRule
from streams.core.alerts import Alert
from streams.simulation import Simulation, simulate
from tests.stories import Judged, judge, local, shipped

Row = tuple[str, str, str, str, str | None, str | None, str]

RUNS = [
    pytest.param(1, date(2026, 3, 2), 30, id="March"),
    pytest.param(2, date(2026, 2, 9), 30, id="spring festival"),
    pytest.param(3, date(2026, 9, 18), 30, id="autumn holidays and make-up days"),
    pytest.param(4, date(2026, 12, 1), 60, id="into a year whose holidays are not announced"),
    pytest.param(5, date(2025, 12, 15), 75, id="from the year before"),
    pytest.param(6, date(2026, 5, 1), 1, id="one day, and that a holiday"),
    pytest.param(7, date(2024, 1, 29), 40, id="a leap year"),
    pytest.param(109, date(2026, 3, 2), 30, id="a contract signed after midnight"),
]
ORDERS = 400
PINNED = "a745680e21d3a1038821f9d63090fb2f1ae989a0f73ff4a68ed9e9f1df8f255b"


@cache
def made(seed: int, start: date, days: int) -> Simulation:
    return simulate(orders=ORDERS, seed=seed, start=start, days=days)


@cache
def judged(seed: int, start: date, days: int, *, arrival: bool = False) -> Judged:
    found = made(seed, start, days)
    return judge(found.events, found.as_of, arrival=arrival)


def expected_rows(simulation: Simulation) -> list[Row]:
    return sorted(
        (
            row["rule"],
            row["subject"]["type"],
            row["subject"]["id"],
            row["started_at"][:-6],
            row["deadline"] and row["deadline"][:-6],
            row["stopped_at"] and row["stopped_at"][:-6],
            row["outcome"],
        )
        for row in simulation.expected
    )


def judged_rows(found: Judged) -> list[Row]:
    """Every clock, and every act against a rule; what was found lawful is no matter of the simulator's."""

    def text(instant: int | None) -> str | None:
        return None if instant is None else local(instant)

    return sorted(
        (
            case.verdict.rule.id,
            *case.subject,
            local(case.verdict.started_at),
            text(case.verdict.deadline),
            text(case.verdict.stopped_at),
            case.verdict.outcome,
        )
        for case in found.cases
        if isinstance(case.verdict.rule, DeadlineRule) or case.verdict.outcome == "violated"
    )


def standing(alerts: Iterable[Alert]) -> Counter[tuple[str, str, str, str, str]]:
    """What was told and not taken back, warnings left out: rule, subject, kind, instant (violations: the start)."""
    told = list(alerts)
    withdrawn = {alert.retracts for alert in told}
    return Counter(
        (alert.rule, *alert.subject, alert.kind, local(alert.started_at if alert.kind == "violation" else alert.due_at))
        for alert in told
        if alert.kind not in ("warning", "retraction") and alert.alert_id not in withdrawn
    )


def owed(simulation: Simulation) -> Counter[tuple[str, str, str, str, str]]:
    rows = expected_rows(simulation)
    late = [row for row in rows if row[6] in ("breached", "met_late")]
    return Counter(
        [(row[0], row[1], row[2], "breach", str(row[4])) for row in late]
        + [(row[0], row[1], row[2], "late_completion", str(row[5])) for row in late if row[6] == "met_late"]
        + [(row[0], row[1], row[2], "violation", row[3]) for row in rows if row[6] == "violated"]
    )


# -- the file --------------------------------------------------------------------------------------------------


def test_same_arguments_same_content() -> None:
    assert simulate(orders=60, seed=9, start=date(2026, 3, 2), days=20) == simulate(
        orders=60, seed=9, start=date(2026, 3, 2), days=20
    )


def test_the_content_is_the_one_it_always_was() -> None:
    """Whoever changes the simulator on purpose changes this; on any machine and Python it is the same."""
    found = simulate(orders=60, seed=9, start=date(2026, 3, 2), days=20)
    assert sha256(repr((found.events, found.expected)).encode()).hexdigest() == PINNED


def test_another_seed_makes_other_orders() -> None:
    other = simulate(orders=ORDERS, seed=2, start=date(2026, 3, 2), days=30)
    assert made(1, date(2026, 3, 2), 30).events != other.events


def test_more_orders_leave_the_first_ones_as_they_are() -> None:
    few = simulate(orders=50, seed=1, start=date(2026, 3, 2), days=30)
    assert all(event in made(1, date(2026, 3, 2), 30).events for event in few.events)


def test_events_come_in_the_order_in_which_they_were_recorded_and_none_after_the_end() -> None:
    found = made(1, date(2026, 3, 2), 30)
    recorded = [event["recorded_at"] for event in found.events]
    assert recorded == sorted(recorded)
    assert recorded[-1] <= found.as_of == "2026-04-01T00:00:00.000+08:00"


def test_it_is_a_mix_of_everything() -> None:
    found = simulate(orders=1000, seed=1, start=date(2026, 3, 2), days=40)
    families = {event["event_type"].split(".")[0] for event in found.events}
    assert families >= {
        "counter", "application", "survey", "scheme", "contract", "connection", "grid_project", "capacity", "meter",
        "calibration", "reading", "bill", "arrears", "disconnection", "repair", "inspection",
    }  # fmt: skip
    assert {row["outcome"] for row in found.expected} == {
        "met", "met_late", "breached", "cancelled", "running", "violated",
    }  # fmt: skip
    assert {row["rule"] for row in found.expected} >= {rule.id for rule in shipped().rulebook.rules if is_timed(rule)}
    ids = Counter(event["event_id"] for event in found.events)
    assert max(ids.values()) == 2
    assert any(event.get("corrects") and event.get("void") for event in found.events)
    assert any(event.get("corrects") and not event.get("void") for event in found.events)
    assert any(event["recorded_at"] > event["occurred_at"] and "corrects" not in event for event in found.events)
    ended = {(row["stopped_at"], row["deadline"]) for row in found.expected if row["outcome"] == "met"}
    assert any(stopped == deadline for stopped, deadline in ended)


def is_timed(rule: Any) -> bool:
    return isinstance(rule, DeadlineRule) and rule.enabled


# -- beside the engine -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "start", "days"), RUNS)
def test_every_clock_is_judged_as_expected_and_there_is_no_other(seed: int, start: date, days: int) -> None:
    assert judged_rows(judged(seed, start, days)) == expected_rows(made(seed, start, days))


@pytest.mark.parametrize(("seed", "start", "days"), RUNS)
def test_what_is_told_is_what_is_expected(seed: int, start: date, days: int) -> None:
    assert standing(judged(seed, start, days).alerts) == owed(made(seed, start, days))


@pytest.mark.parametrize(("seed", "start", "days"), RUNS)
def test_in_order_of_arrival_the_net_is_the_same(seed: int, start: date, days: int) -> None:
    found = judged(seed, start, days, arrival=True)
    assert standing(found.alerts) == owed(made(seed, start, days))
    assert judged_rows(found) == expected_rows(made(seed, start, days))
    assert days == 1 or any(alert.kind == "retraction" for alert in found.alerts)


# -- unlawful variants -----------------------------------------------------------------------------------------


def test_violations_come_on_top_and_change_no_clock() -> None:
    plain = simulate(orders=3000, seed=1, start=date(2026, 3, 2), days=30, violations=False)
    found = simulate(orders=3000, seed=1, start=date(2026, 3, 2), days=30)
    broken = [row for row in found.expected if row["outcome"] == "violated"]
    timed = [row for row in found.expected if row["outcome"] != "violated"]

    def told(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:  # an omitted event shifts the ids behind it
        return [tuple(value for name, value in row.items() if name != "start_event_id") for row in rows]

    assert repr(told(timed)) == repr(told(plain.expected))
    assert not [row for row in plain.expected if row["outcome"] == "violated"]
    assert {row["rule"] for row in broken} == {
        "receipt-given", "acceptance-recorded-late", "survey-before-acceptance", "survey-by-appointment",
        "one-survey", "verify-before-dunning", "dunning-content", "arrears-notice-7-days", "arrears-30-days",
        "recheck-before-disconnection", "sporadic-replacement-contact", "two-calls-one-answer", "feedback-asked",
        "payment-check-first", "inspection-by-appointment", "two-inspectors",
    }  # fmt: skip
    acts = {event["event_id"]: event for event in found.events}
    for row in broken:
        assert row["deadline"] is row["stopped_at"] is None
        assert row["started_at"] == acts[row["start_event_id"]]["occurred_at"]
    assert max(Counter((row["subject"]["id"], row["rule"]) for row in broken).values()) == 1


@pytest.mark.parametrize("arrival", [False, True], ids=["in order", "as it arrives"])
def test_unlawful_orders_are_judged_as_expected(arrival: bool) -> None:
    found = simulate(orders=800, seed=8, start=date(2026, 3, 2), days=40)
    judged = judge(found.events, found.as_of, arrival=arrival)
    assert judged_rows(judged) == expected_rows(found)
    assert standing(judged.alerts) == owed(found)
    acts = {
        (row["rule"], row["subject"]["id"], row["start_event_id"])
        for row in found.expected
        if row["outcome"] == "violated"
    }
    assert len(acts) > 50
    assert acts == {
        (case.verdict.rule.id, case.subject[1], case.verdict.root)
        for case in judged.cases
        if case.verdict.outcome == "violated"
    }
