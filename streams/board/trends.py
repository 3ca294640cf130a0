"""Trends: on-time rate, breaches, violations and red lines by day, rule and place, as JSON values.

Where the sink's database is configured they come from its table of cases. Else the board counts what the state still
holds (``streams.core.trends``), and the answer says from which day on that is all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date
from typing import Any, Final, Protocol

from streams.board.feed import StateReader
from streams.core.filters import Filter
from streams.core.open_cases import LEVELS
from streams.core.trends import Days, Figures, Trends
from streams.core.working_days import WorkingCalendar
from streams.errors import InputError

MOST_DAYS: Final = 366
MOST_ROWS: Final = 100
"""Rules and places in an answer, those with the most red lines and the most missed first."""

_USUAL_DAYS: Final = 30
_NONE: Final = Figures()


class TrendSource(Protocol):
    """Where figures come from; ``name`` is ``database`` or ``board``."""

    name: str

    async def trends(self, wanted: Filter, days: Days) -> Trends:
        """The figures of some days.

        Raises:
            SourceError: where they cannot be read now.
        """


class SourceError(Exception):
    """The figures cannot be read now; the text says why, and what to do."""


class BoardDays:
    """The days of which the workers' state, which the board follows, still holds every decided case."""

    name = "board"

    def __init__(self, state: StateReader) -> None:
        self._state = state

    async def trends(self, wanted: Filter, days: Days) -> Trends:
        """See ``TrendSource``."""
        decided = self._state.decided
        if decided is None:
            return Trends(None, None)
        return await asyncio.to_thread(decided.trends, wanted, days, self._state.watermark)


def days_of(query: Mapping[str, str], today: int) -> Days:
    """The days that a query asks for: ``days`` (30) up to and including ``until`` (today).

    Raises:
        InputError: for a value that is not allowed.
    """
    count, until = query.get("days") or str(_USUAL_DAYS), query.get("until")
    if not (count.isascii() and count.isdigit() and len(count) <= 3 and 1 <= int(count) <= MOST_DAYS):
        raise InputError("bad_query", "days", f"is a whole number from 1 to {MOST_DAYS}")
    last = today
    if until:
        try:
            last = date.fromisoformat(until).toordinal()
        except ValueError:
            raise InputError("bad_query", "until", "is a date such as 2026-03-02") from None
    if last <= MOST_DAYS:
        raise InputError("bad_query", "until", "is a date after the year 1")
    return Days(last - int(count) + 1, last)


class TrendPages:
    """Makes the values of the page of trends."""

    def __init__(self, source: TrendSource, calendar: WorkingCalendar) -> None:
        self._source = source
        self._calendar = calendar

    async def values(self, wanted: Filter, query: Mapping[str, str], now: int) -> dict[str, Any]:
        """The figures of the days asked for; days of which not all is known have none.

        Raises:
            InputError: for days that are not allowed.
            SourceError: where the figures cannot be read now.
        """
        today = self._calendar.local_date(now)
        days = days_of(query, today)
        found = await self._source.trends(wanted, days)
        known = range(days.since, days.until + 1)
        if found.first is None or found.last is None:
            known = range(0)
        else:
            known = range(max(days.since, found.first), min(days.until, found.last) + 1)
        total = Figures(*(sum(column) for column in zip(_NONE, *found.days.values(), strict=True)))
        return {
            "source": self._source.name,
            "since": _day(days.since),
            "until": _day(days.until),
            "today": _day(today),
            "known": {"first": _day(found.first), "last": _day(found.last)},
            "level": LEVELS[wanted.level],
            "total": _values(total),
            "days": [
                {"day": _day(day), **(_values(found.days.get(day, _NONE)) if day in known else dict.fromkeys(_KEYS))}
                for day in range(days.since, days.until + 1)
            ],
            "rules": _rows(found.rules),
            "places": _rows(found.places),
            "omitted": {
                "rules": max(0, len(found.rules) - MOST_ROWS),
                "places": max(0, len(found.places) - MOST_ROWS),
            },
            "choices": {level: list(codes) for level, codes in found.choices.items()},
        }


_KEYS: Final = (*Figures._fields, "rate")


def _day(ordinal: int | None) -> str | None:
    return None if ordinal is None else date.fromordinal(ordinal).isoformat()


def _values(figures: Figures) -> dict[str, Any]:
    """``rate`` is a share of 1, ``null`` where nothing was decided."""
    return {**figures._asdict(), "rate": figures.on_time / figures.decided if figures.decided else None}


def _rows(table: Mapping[str, Figures]) -> list[dict[str, Any]]:
    def worst(row: tuple[str, Figures]) -> tuple[int, int, int, str]:
        code, one = row
        return -one.red_lines, -(one.breaches + one.violations), -one.decided, code

    return [{"code": code, **_values(one)} for code, one in sorted(table.items(), key=worst)[:MOST_ROWS]]
