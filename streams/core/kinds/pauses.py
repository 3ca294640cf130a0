"""Merges old pauses of an open case, so that a case that is paused for ever does not grow with each pause.

Pauses that lie within one local day are merged into one of the same length: a limit in minutes or hours counts only how
long a clock stood still, one in days only midnights, and one in business hours only open time. Pauses before and after
the deadline stay apart, because those after it do not move it. What is over for good changes by this (the instant of an
old warning, say); the deadline, later warnings, and all sums stay. The first and the last pauses, which alerts list,
stay as they are, so alerts stay the same byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final, TypeVar

from schemas.limits import BusinessTime, Limit
from streams.core.deadlines import Pause, hours_of
from streams.core.explanations import MOST_LISTED
from streams.core.working_days import WorkingCalendar

EACH_END: Final = MOST_LISTED // 2
"""Pauses, and events that pause or resume, that are kept as they are at either end."""

T = TypeVar("T")


def ends(items: Sequence[T]) -> list[T]:
    """The first and the last items."""
    return list(items) if len(items) <= 2 * EACH_END else [*items[:EACH_END], *items[-EACH_END:]]


def merged(
    pauses: Sequence[Pause], limit: Limit | None, deadline: int | None, calendar: WorkingCalendar
) -> list[Pause]:
    """The pauses of an open case with those in the middle merged by day: at most two a day.

    ``deadline`` is that of the case, by all of its pauses; ``calendar`` the one by which its limit is counted.
    """
    if len(pauses) <= 2 * EACH_END:
        return list(pauses)

    def place(pause: Pause) -> tuple[int, bool, int]:
        """Equal for two pauses next to each other that may become one."""
        since, until = pause
        day = calendar.local_date(since)
        begins, end = calendar.start_of_day(day), calendar.start_of_day(day + 1)
        is_within = until is not None and until <= end and (since > begins or until < end)
        return day, deadline is not None and since >= deadline, 0 if is_within else since

    middle: list[Pause] = []
    for (*_, alone), together in groupby(pauses[EACH_END:-EACH_END], place):
        several = list(together)
        middle += several if alone or len(several) == 1 else _as_one(several, limit, calendar)
    return [*pauses[:EACH_END], *middle, *pauses[-EACH_END:]]


def _as_one(pauses: Sequence[Pause], limit: Limit | None, calendar: WorkingCalendar) -> list[Pause]:
    """One pause from the first instant on, as long as all of them together; none where no time counts in them."""
    since = pauses[0][0]
    closed = [(begin, end) for begin, end in pauses if end is not None]
    if not isinstance(limit, BusinessTime):
        return [(since, since + sum(end - begin for begin, end in closed))]
    hours = hours_of(calendar)
    until = hours.used_up(sum(hours.open_time(begin, end) for begin, end in closed), since)
    return [] if until is None or until == since else [(since, until)]
