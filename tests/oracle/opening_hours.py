"""Opening hours, naively: look at every quarter of an hour whether the office is open, and count.

Only for calendars and zones that change by whole quarters. A span is open from the first to the last quarter whose wall
clock lies in it, whatever the clock shows between.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.deadline import Standstill

QUARTER = timedelta(minutes=15)
_WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def open_quarters(
    quarters: Sequence[datetime], hours: dict[str, Any], zone: str, holidays: Sequence[str], makeup: Sequence[str]
) -> dict[datetime, bool]:
    """Whether each quarter of an hour is open; ``hours`` as it is written, its week day by day."""
    shown: dict[tuple[str, str], list[int]] = {}
    for number, quarter in enumerate(quarters):
        local = quarter.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        clock, before = f"{local:%H:%M}", local - timedelta(days=1)
        for span in _written(local, hours, holidays, makeup):
            begins, ends = span.split("-")
            if begins <= clock and (clock < ends or ends <= begins):
                shown.setdefault((f"{local:%m-%d}", span), []).append(number)
        for span in _written(before, hours, holidays, makeup):
            begins, ends = span.split("-")
            if ends <= begins and clock < ends:
                shown.setdefault((f"{before:%m-%d}", span), []).append(number)
    is_open = {number for found in shown.values() for number in range(found[0], found[-1] + 1)}
    return {quarter: number in is_open for number, quarter in enumerate(quarters)}


def _written(day: datetime, hours: dict[str, Any], holidays: Sequence[str], makeup: Sequence[str]) -> list[str]:
    on = f"{day:%Y-%m-%d}"
    week = hours["week"]
    if on in hours["days"]:
        found = hours["days"][on]
    elif on[5:] in hours["recurring"] or on in holidays:
        found = "closed"
    elif on in makeup:
        found = hours.get("makeup", week.get("mon", "closed"))
    else:
        found = week.get(_WEEK[day.weekday()], "closed")
    return [] if found == "closed" else list(found)


def used_up(
    quarters: int, start: datetime, still: Sequence[Standstill], is_open_at: dict[datetime, bool]
) -> datetime | None:
    """The end of the quarter in which so many have been open and running; ``None`` where there is none in the table."""
    counted = 0
    at = start
    while at in is_open_at:
        stands = any(since <= at and (until is None or at < until) for since, until in still)
        if is_open_at[at] and not stands:
            counted += 1
            if counted == quarters:
                return at + QUARTER
        at += QUARTER
    return None
