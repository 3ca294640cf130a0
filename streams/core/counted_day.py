"""The local day on which a case counts: one definition for the board, the trends, the tables of the sink.

A limit that runs out at 24:00 runs out on the day that ends: the board shows it as 24:00 of that day, and it counts on
that day, also where the stop comes at that very instant. Any other stop, and a judged act, at 0:00 is of the day that
begins. The report does not use this: it counts by the day on which a case started.

Examples. Due by 24:00 of 28 November: breached, it counts on the 28th, whenever it is found; met at 23:30 on the 28th,
and at 24:00 as well. Due on the 29th at 12:00 and met at 0:00 of the 29th, it counts on the 29th.
"""

from __future__ import annotations

from typing import Final

DECIDED: Final = frozenset({"met", "met_late", "breached", "violated"})
"""Outcomes of decided cases; cancelled and running cases are not decided."""


def within_limit_day(deadline: int) -> int:
    """An instant of the local day on which a limit runs out: the last one before the deadline (both microseconds)."""
    return deadline - 1


def counted_at(outcome: str, started_at: int, deadline: int | None, stopped_at: int | None) -> int | None:
    """An instant of the local day on which a case counts; ``None`` where it is not decided.

    Instants are microseconds. It is the limit's end or the stop, whichever is first; of a case with neither, such as an
    act that was judged, the start.
    """
    if outcome not in DECIDED:
        return None
    if deadline is None:
        return started_at if stopped_at is None else stopped_at
    ran_out = within_limit_day(deadline)
    return ran_out if stopped_at is None else min(ran_out, stopped_at)
