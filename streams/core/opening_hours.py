"""Opening hours: the open time between two instants, and the instant at which an amount of it is used up.

Theory of operation. A calendar's opening spans are laid out once as instants, in order, joined where they touch or
overlap, with the open time before each of them. The open time from the beginning of the table to an instant is one
search and one subtraction; so is its inverse. A limit in business hours is a difference of that sum; a pause subtracts
the difference between its ends.

The conventions (CLOCKS.md, edge decision 18). An hour is an hour of real time, also across a change of clocks. A limit
used up exactly at a closing time ends at that instant, not at the next opening. A start outside the hours counts from
the next opening. A span belongs to the day on which it begins, also where it ends after midnight. Where local times
occur twice, a span lasts from the first to the last instant whose local time lies in it; where its begin or end is
skipped, it begins or ends at the change.

Example. Open 8:30 to 12:00 and 13:30 to 17:30 from Monday to Friday: two hours from Friday 16:30 end on Monday at 9:30,
one hour from Friday 16:30 ends on Friday at 17:30.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import date
from itertools import accumulate

from schemas.limits import DAY
from streams.core.working_days import EPOCH_ORDINAL, WorkingCalendar, offsets_of

Span = tuple[int, int]
"""From (inclusive) and to (exclusive): microseconds of local time after 0:00 of the day on which the span begins."""

FIRST_DAY = date(1970, 1, 1).toordinal()
LAST_DAY = date(2169, 12, 31).toordinal()
"""Spans are laid out for these days; they include fifty years from any instant of this century."""


class OpeningHours:
    """The opening spans of every day, and counting by them. Instants are microseconds since the epoch, UTC.

    ``spans_of`` gives the spans of a local date (its ordinal), in order and apart from one another.
    """

    __slots__ = ("_before", "_closes", "_opens")

    def __init__(self, calendar: WorkingCalendar, spans_of: Callable[[int], Sequence[Span]]) -> None:
        opens: list[int] = []
        closes: list[int] = []
        zone = _Zone(calendar)
        for day in range(FIRST_DAY, LAST_DAY + 1):
            midnight = zone.settled_midnight(day)
            for begins, ends in spans_of(day):
                if midnight is None:
                    opened, closed = zone.first(day, begins), zone.end(day, ends)
                else:
                    opened, closed = midnight + begins, midnight + ends
                if opened >= closed:
                    continue  # all of it was skipped by a change of clocks
                if closes and opened <= closes[-1]:
                    closes[-1] = max(closes[-1], closed)
                else:
                    opens.append(opened)
                    closes.append(closed)
        self._opens, self._closes = opens, closes
        lengths = [closed - opened for opened, closed in zip(opens, closes, strict=True)]
        self._before = list(accumulate(lengths, initial=0))

    @property
    def table(self) -> tuple[Sequence[int], Sequence[int]]:
        """The opening and the closing instants, in order."""
        return self._opens, self._closes

    def until(self, instant: int) -> int:
        """The open time from the beginning of the table to an instant, in microseconds."""
        index = bisect_right(self._opens, instant) - 1
        if index < 0:
            return 0
        return self._before[index] + min(instant, self._closes[index]) - self._opens[index]

    def open_time(self, start: int, end: int, pauses: Sequence[tuple[int, int | None]] = ()) -> int:
        """The open time between two instants at which the clock runs; an open pause lasts to the end."""
        counted = self.until(end) - self.until(start)
        for since, until in pauses:
            low, high = max(since, start), end if until is None else min(until, end)
            if low < high:
                counted -= self.until(high) - self.until(low)
        return counted

    def spans(self, start: int, end: int) -> list[tuple[int, int]]:
        """The open spans between two instants, cut to them."""
        first, last = bisect_right(self._closes, start), bisect_left(self._opens, end)
        return [
            (max(opened, start), min(closed, end))
            for opened, closed in zip(self._opens[first:last], self._closes[first:last], strict=True)
        ]

    def used_up(self, length: int, start: int, pauses: Sequence[tuple[int, int | None]] = ()) -> int | None:
        """The first instant at which ``length`` of open time has run since ``start``; zero length: the start.

        ``pauses`` are in order and do not overlap. ``None`` where an open pause begins before that instant, and after
        the end of the table.
        """
        if length <= 0:
            return start
        total = self.until(start) + length
        for since, until in pauses:
            if until is not None and until <= start:
                continue
            reached = self.until(max(since, start))
            if reached >= total:
                break
            if until is None:
                return None
            total += self.until(until) - reached
        return self._reached(total)

    def _reached(self, total: int) -> int | None:
        """The first instant at which the sum is ``total`` (positive): a closing time if it is reached there."""
        index = bisect_left(self._before, total) - 1
        return None if index >= len(self._opens) else self._opens[index] + total - self._before[index]


class _Zone:
    """Local times of a zone as instants."""

    def __init__(self, calendar: WorkingCalendar) -> None:
        found = offsets_of(calendar.zone_name)
        self._changes, self._offsets = found.changes, found.offsets

    def settled_midnight(self, day: int) -> int | None:
        """The instant of a day's 0:00; ``None`` where clocks change within three days, to which its spans may last.

        It is what the other two give, on nearly all days, and takes a tenth of their time.
        """
        local = (day - EPOCH_ORDINAL) * DAY
        index = bisect_right(self._changes, local - 3 * DAY)
        if index < len(self._changes) and self._changes[index] <= local + 3 * DAY:
            return None
        return local - self._offsets[index - 1]

    def first(self, day: int, time: int) -> int:
        """The first instant that shows a local time of a day; else the change of clocks."""
        shown, change = self._shown(day, time)
        return min(shown, default=change)

    def end(self, day: int, time: int) -> int:
        """The end of the last instant whose local time is just before the given one; else the change of clocks."""
        shown, change = self._shown(day, time - 1)
        return max(shown) + 1 if shown else change

    def _shown(self, day: int, time: int) -> tuple[list[int], int]:
        """The instants with a local time, and the change of clocks that skips it."""
        local = (day - EPOCH_ORDINAL) * DAY + time
        changes, offsets = self._changes, self._offsets
        index = bisect_right(changes, local - DAY) - 1
        found: list[int] = []
        change = changes[index]
        while index < len(changes) and changes[index] <= local + DAY:
            at = local - offsets[index]
            if at < changes[index]:
                change = changes[index]
            elif index + 1 == len(changes) or at < changes[index + 1]:
                found.append(at)
            index += 1
        return found, change
