"""Decided cases of simulated orders as rows of the sink, and a plain count of them: what trends must come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from functools import cache
from typing import Any, TypeVar

from streams.core.records import JudgedCase
from streams.core.trends import Figures
from streams.simulation import simulate
from streams.sink.rows import row_of
from streams.wire.cloudevents import CloudEvents, encode
from tests.stories import judge, shipped, us

Key = TypeVar("Key", int, str)
END = "2026-03-07T12:00"


@cache
def simulated() -> tuple[tuple[dict[str, Any], JudgedCase], ...]:
    """Every case as of ``END``, as the sink's row and as judged."""
    writer = CloudEvents(shipped().rulebook.calendar)
    events = list(simulate(orders=250, seed=11, start=date(2026, 3, 2), days=5).events)
    cases = judge(events, END).cases
    return tuple((row_of("cases", encode(writer.case(case, us(END)))), case) for case in cases)


def expected_of(rows: Iterable[dict[str, Any]], key: Callable[[dict[str, Any]], Key]) -> dict[Key, Figures]:
    """Counted one after the other."""
    found: dict[Key, list[dict[str, Any]]] = {}
    for row in rows:
        if row["outcome"] not in ("running", "cancelled"):
            found.setdefault(key(row), []).append(row)
    return {
        name: Figures(
            len(several),
            sum(row["outcome"] == "met" for row in several),
            sum(row["outcome"] in ("breached", "met_late") for row in several),
            sum(row["outcome"] == "violated" for row in several),
            sum(row["severity"] == "red_line" and row["outcome"] != "met" for row in several),
        )
        for name, several in found.items()
    }
