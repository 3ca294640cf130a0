"""Trends from a real PostgreSQL: the same figures as the cases that stand in its table, counted one after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import date
from typing import Any

import aiohttp
import psycopg
import pytest
from yarl import URL

from streams.board.feed import StateReader
from streams.board.server import trend_source
from streams.board.trend_database import DatabaseDays
from streams.board.trends import SourceError
from streams.core.filters import Filter
from streams.core.open_cases import LEVELS
from streams.core.trends import Days, Trends
from streams.errors import ConfigError
from streams.settings import Settings, load_settings
from streams.sink.database import Database, connection_options
from streams.sink.target import Batch
from streams.wall_clock import WallClock
from tests.boards import board, served
from tests.core import test_counted_day as midnight
from tests.decided import expected_of, simulated
from tests.sink.postgres import PASSWORD, Postgres
from tests.stories import shipped

ALL_DAYS = Days(date(2026, 1, 1).toordinal(), date(2026, 12, 31).toordinal())
FILTERS: list[tuple[Filter, Days, Callable[[dict[str, Any]], bool]]] = [
    (Filter(), ALL_DAYS, lambda _row: True),
    (Filter(city="3201"), ALL_DAYS, lambda row: row["city"] == "3201"),
    (Filter(city="3201", county="320101"), ALL_DAYS, lambda row: row["county"] == "320101"),
    (Filter(severity="red_line"), ALL_DAYS, lambda row: row["severity"] == "red_line"),
    (Filter(chapter="W"), ALL_DAYS, lambda row: row["clause"].startswith("W-")),
    (Filter(rule="fee-5-minutes"), ALL_DAYS, lambda row: row["rule"] == "fee-5-minutes"),
    (Filter(), Days(*[date(2026, 3, 4).toordinal()] * 2), lambda row: row["decided_on"] == "2026-03-04"),
    (Filter(rule="' OR 1=1 --"), ALL_DAYS, lambda _row: False),
]


def settings_of(postgres: Postgres, **more: Any) -> Settings:
    return load_settings(database=postgres.address(), database_password=PASSWORD, **more)


def trends(settings: Settings, wanted: Filter = Filter(), days: Days = ALL_DAYS) -> Trends:  # noqa: B008
    return asyncio.run(DatabaseDays(settings).trends(wanted, days))


def test_the_figures_are_those_of_the_cases_in_the_table(postgres: Postgres) -> None:
    settings = settings_of(postgres)
    with pytest.raises(SourceError, match="start gridclock sink"):
        trends(settings)
    database = Database(connection_options(settings), settings.database_schema)
    database.migrate()
    assert trends(settings) == Trends(None, None)
    rows = [row for row, _ in simulated()]
    batch = Batch()
    batch.rows["cases"] = {row["case_id"]: row for row in rows}
    database.write(batch)
    known = [row for row in rows if row["decided_on"] is not None]
    for wanted, days, is_wanted in FILTERS:
        found = trends(settings, wanted, days)
        those = [row for row in known if is_wanted(row)]
        level = ("province", "city", "county", "unit")[wanted.level]
        assert found.days == expected_of(those, lambda row: date.fromisoformat(row["decided_on"]).toordinal())
        assert found.rules == expected_of(those, lambda row: str(row["rule"]))
        assert found.places == expected_of(those, lambda row, level=level: row[level] or "")  # type: ignore[misc]
        ordinals = [date.fromisoformat(row["decided_on"]).toordinal() for row in known]
        assert (found.first, found.last) == (min(ordinals), max(ordinals))
    assert set(trends(settings, Filter(city="3201")).choices["city"]) == {row["city"] for row in known if row["city"]}
    view = database._do("SELECT sum(on_time), sum(decided) FROM {schema}.on_time_by_day").fetchone()
    whole = trends(settings).days.values()
    assert view == (sum(day.on_time for day in whole), sum(day.decided for day in whole))
    with psycopg.connect(f"{postgres.address()} password={PASSWORD}") as other:
        assert other.execute("SELECT count(*) FROM gridclock.cases").fetchone() == (len(rows),)
    database._do("DELETE FROM {schema}.cases")
    batch.rows["cases"] = {row["case_id"]: row for row in midnight.rows()}
    database.write(batch)
    assert trends(settings).days == {midnight.march(day): figures for day, figures in midnight.FIGURES.items()}
    by_day = database._do(
        "SELECT extract(day FROM day)::integer, sum(decided)::integer FROM {schema}.on_time_by_day GROUP BY day"
    ).fetchall()
    assert dict(by_day) == {day: figures.decided for day, figures in midnight.FIGURES.items()}
    database.close()


async def _odd(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    state, shown = await asyncio.to_thread(board)
    texts = {"%00": 400, "32%0001": 400, "x" * 101: 400, "%ff": 200, "%ED%A0%80": 200, "%F0%9F": 200, "%5C%27%25": 200}
    async with (
        served(state, shown, WallClock(), source=DatabaseDays(settings)) as site,
        aiohttp.ClientSession() as session,
    ):
        for path in ("/api/trends", "/api/trends.csv", "/api/trends.xlsx", "/api/cases", "/api/alerts.csv"):
            for name in (*LEVELS, "rule", "chapter", "severity", "find", "state", "shift", "days", "until", "cases"):
                for text, expected in texts.items():
                    if name == "find" and text[0] == "x":
                        continue
                    address = URL(f"{site.url}{path}?{name}={text}", encoded=True)
                    async with session.get(address) as answer:
                        allowed = {expected, 400} if name not in (*LEVELS, "rule", "chapter") else {expected}
                        if name in ("days", "until") and "trends" not in path:
                            allowed = {200}
                        assert answer.status in allowed, (path, name, text, await answer.text())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_no_query_is_too_odd_for_the_database(postgres: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    settings = settings_of(postgres)
    database = Database(connection_options(settings), settings.database_schema)
    database.migrate()
    database.write(Batch(rows={"cases": {row["case_id"]: row for row, _ in simulated()}}))
    database.close()
    asyncio.run(_odd(settings, caplog))


def test_a_database_that_is_away_is_said_and_no_secret_is() -> None:
    settings = load_settings(database="host=127.0.0.1 port=1 user=sink dbname=results", database_password=PASSWORD)
    with pytest.raises(SourceError, match="cannot be read now") as caught:
        trends(settings)
    assert PASSWORD not in str(caught.value)


def test_the_settings_decide_where_trends_come_from() -> None:
    state = StateReader(shipped().rulebook)
    assert trend_source(load_settings(), state).name == "board"
    assert trend_source(load_settings(database="host=127.0.0.1 dbname=results"), state).name == "database"
    with pytest.raises(ConfigError, match="holds a password"):
        trend_source(load_settings(database=f"host=127.0.0.1 password={PASSWORD}"), state)
