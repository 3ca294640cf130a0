"""Trends from the sink's PostgreSQL: its table of cases has each case as it stands now, for as long as it is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

import psycopg
from psycopg import sql

from streams.board.trends import SourceError
from streams.core.filters import Filter, choices_of
from streams.core.open_cases import LEVELS
from streams.core.trends import Days, Figures, Trends
from streams.settings import Settings
from streams.sink.database import connection_options

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 2
"""Connections at the same time, however many pages ask."""

_QUERY_SECONDS: Final = 20
_MOST_PLACES: Final = 50_000
_BY_DAY, _BY_RULE, _BY_PLACE = 0b011, 0b101, 0b110
"""What GROUPING gives for the three sets of the query: a bit is 0 for the column by which is grouped."""

_KNOWN: Final = "SELECT min(decided_on), max(decided_on) FROM {schema}.cases"
_FIGURES: Final = """
SELECT GROUPING(decided_on, rule, {level}), decided_on, rule, {level},
    count(*),
    count(*) FILTER (WHERE outcome = 'met'),
    count(*) FILTER (WHERE outcome IN ('met_late', 'breached')),
    count(*) FILTER (WHERE outcome = 'violated'),
    count(*) FILTER (WHERE outcome <> 'met' AND severity = 'red_line')
FROM {schema}.cases
WHERE outcome IN ('met', 'met_late', 'breached', 'violated') AND {wanted}
GROUP BY GROUPING SETS ((decided_on), (rule), ({level}))
"""
_PLACES: Final = """
SELECT DISTINCT province, city, county, unit FROM {schema}.cases
WHERE decided_on BETWEEN %s AND %s LIMIT {most}
"""


class DatabaseDays:
    """The days that the database and the schema have that the settings name.

    Raises:
        ConfigError: where the settings name no database that can be asked.
    """

    name = "database"

    def __init__(self, settings: Settings) -> None:
        self._options = {**connection_options(settings), "application_name": f"gridclock board {settings.name}"}
        self._schema = settings.database_schema
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def trends(self, wanted: Filter, days: Days) -> Trends:
        """See ``TrendSource``."""
        async with self._turn:
            try:
                return await asyncio.to_thread(self._read, wanted, days)
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
                logger.warning("trends: %s", error)
                raise SourceError(f"schema {self._schema} has no table of cases: start gridclock sink") from error
            except psycopg.Error as error:
                logger.warning("trends: %s", error)
                raise SourceError("the database of the sink cannot be read now; see the board's log") from error

    def _read(self, wanted: Filter, days: Days) -> Trends:
        since, until = date.fromordinal(days.since), date.fromordinal(days.until)
        with psycopg.connect(**self._options) as connection:
            # All of one moment, and nothing written.
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            connection.execute(f"SET LOCAL statement_timeout = '{_QUERY_SECONDS}s'")
            known = connection.execute(self._named(_KNOWN)).fetchone()
            if known is None or known[0] is None:
                return Trends(None, None)
            condition, values = _condition(wanted)
            figures = connection.execute(
                self._named(_FIGURES, level=sql.Identifier(LEVELS[wanted.level]), wanted=condition),
                [since, until, *values],
            ).fetchall()
            places = connection.execute(self._named(_PLACES, most=sql.Literal(_MOST_PLACES)), [since, until]).fetchall()
        return _trends(wanted, (known[0], known[1]), figures, places)

    def _named(self, text: str, **parts: sql.Composable) -> sql.Composed:
        return sql.SQL(text).format(schema=sql.Identifier(self._schema), **parts)


def _condition(wanted: Filter) -> tuple[sql.Composable, Sequence[str]]:
    """What a case must be besides decided, and the values in it that follow the two days."""
    asked = {**dict(zip(LEVELS, wanted.place, strict=True)), "rule": wanted.rule, "severity": wanted.severity}
    parts: list[sql.Composable] = [sql.SQL("decided_on BETWEEN %s AND %s")]
    values = []
    for column, value in asked.items():
        if value is not None:
            parts.append(sql.SQL("{} = %s").format(sql.Identifier(column)))
            values.append(value)
    if wanted.chapter is not None:
        parts.append(sql.SQL("split_part(clause, '-', 1) = %s"))
        values.append(wanted.chapter)
    return sql.SQL(" AND ").join(parts), values


def _trends(
    wanted: Filter, known: tuple[date, date], figures: Iterable[Sequence[Any]], places: Iterable[Sequence[Any]]
) -> Trends:
    days: dict[int, Figures] = {}
    rules: dict[str, Figures] = {}
    by_place: dict[str, Figures] = {}
    for group, day, rule, place, *counts in figures:
        if group == _BY_DAY:
            days[day.toordinal()] = Figures(*counts)
        elif group == _BY_RULE:
            rules[rule] = Figures(*counts)
        elif group == _BY_PLACE:
            by_place[place or ""] = Figures(*counts)
    seen = [(row[0], row[1], row[2], row[3]) for row in places]
    first, last = known
    return Trends(first.toordinal(), last.toordinal(), days, rules, by_place, choices_of(wanted.place, seen))
