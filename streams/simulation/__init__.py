"""Simulated work orders and the verdicts that they must get, independent of the engine.

It imports nothing of the engine or the rulebook: the expected verdicts follow from how it made each order. The same
arguments give the same bytes on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Any

from streams.simulation.chapters import MAKERS, ROUND_THE_CLOCK
from streams.simulation.order import Order
from streams.simulation.times import is_working_day, midnight, text


@dataclass(frozen=True)
class Simulation:
    """``events`` in the order of their arrival, ``expected`` one row for each clock, as of ``as_of``."""

    events: list[dict[str, Any]]
    expected: list[dict[str, Any]]
    as_of: str


def simulate(
    *, orders: int, seed: int, start: date, days: int, violations: bool = True, first_number: int = 1
) -> Simulation:
    """Orders begun on ``days`` days from ``start`` (Shanghai); nothing is recorded after the last one's end.

    Arrears and notices began up to sixteen days earlier. An order that is not done by the end stays unfinished.
    With ``violations`` (the default) some orders break a rule of order, presence or notice; without, none does.
    Orders, accounts and meters are numbered from ``first_number`` on.
    """
    first, end = midnight(start), midnight(start + timedelta(days=days))
    span = [start + timedelta(days=offset) for offset in range(days)]
    office_days = [day for day in span if is_working_day(day)] or span
    weights = [weight for _, weight, _, _ in MAKERS]
    events: list[tuple[str, str, int, dict[str, Any]]] = []
    expected: list[dict[str, Any]] = []
    for index in range(orders):
        rng = Random(f"{seed}/{index}")
        name, _, source, make = rng.choices(MAKERS, weights)[0]
        number = first_number + index
        order = Order(f"WO{number:07d}", rng, end, source)
        if violations:
            order.slips = Random(f"{seed}/{index}/slips")
        if name in ROUND_THE_CLOCK:
            at = first + timedelta(milliseconds=rng.randrange(days * 86_400_000))
        else:
            at = midnight(rng.choice(office_days)) + timedelta(milliseconds=rng.randint(30_600_000, 59_400_000))
        if name == "arrears" or rng.random() < 0.7:
            order.account = f"A{number:08d}"
        if name in ("calibration", "replacement"):
            order.meter = f"M{number:08d}"
        make(order, at)
        events.extend(
            (event["recorded_at"], event["event_id"], place, event) for place, event in enumerate(order.events)
        )
        expected.extend(order.expected)
    events.sort(key=lambda item: item[:3])
    expected.sort(key=lambda row: (row["subject"]["type"], row["subject"]["id"], row["rule"], row["started_at"]))
    return Simulation([event for *_, event in events], expected, text(end))


__all__ = ["Simulation", "simulate"]
