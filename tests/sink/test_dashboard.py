"""The dashboard of results: each panel's SQL on a real PostgreSQL, as the reader that Grafana logs in as.

What a panel must show is worked out here from the records themselves, case by case.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import psycopg
import pytest
import yaml

from streams.core.counted_day import DECIDED
from streams.settings import load_settings
from streams.sink.database import Database, connection_options
from streams.sink.rows import KEYS, row_of
from streams.sink.target import Batch
from tests.operations.grafana import DEPLOY
from tests.sink.postgres import PASSWORD, Postgres, programs
from tests.sink.test_sink import expected, messages

READER_PASSWORD = "reader's-secret"
SHANGHAI = timezone(timedelta(hours=8))
Rows = list[tuple[Any, ...]]


def to_utc(day: date) -> str:
    """The first instant of a local day, as Grafana gives an end of the chosen time."""
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).astimezone(UTC).isoformat()


class Filled:
    """A database with the rows of simulated cases, and the panels asked of it for a time in the middle."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._reader: psycopg.Connection | None = None
        sent = messages()
        self.cases, self.alerts = expected(sent)
        database = Database(connection_options(load_settings(database=postgres.address(), database_password=PASSWORD)),
                            "gridclock")  # fmt: skip
        try:
            database.migrate()
            batch = Batch()
            for topic, key, value in sent:
                table = "cases" if topic == "cases" else "alerts"
                row = None if value is None else row_of(table, value)  # type: ignore[arg-type]
                batch.rows[table][key.decode() if row is None else row[KEYS[table]]] = row  # type: ignore[index]
            database.write(batch)
        finally:
            database.close()
        days = sorted({decided_on(case) for case in self.cases.values() if case["outcome"] in DECIDED})
        assert len(days) > 6
        self.since, self.until = days[2], days[-3]
        self.cities = sorted({city_of(case) for case in self.cases.values()})
        assert len(self.cities) > 1

    def reader(self) -> psycopg.Connection:
        """The connection of Grafana's user."""
        if self._reader is None:
            address = self._postgres.address().replace("user=sink", "user=gridclock_reader")
            self._reader = psycopg.connect(address, password=READER_PASSWORD, autocommit=True)
        return self._reader

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def ask(self, language: str, title: str, cities: Iterable[str] | None = None) -> psycopg.Cursor[Any]:
        """A panel's query from the first to the last of the days chosen, of these cities."""
        until = datetime.fromisoformat(to_utc(self.until + timedelta(days=1))) - timedelta(milliseconds=1)
        statement = sql_of(language, title)
        for macro, text in {
            r"\$__timeFilter\((\w+)\)": rf"\1 BETWEEN '{to_utc(self.since)}' AND '{until.isoformat()}'",
            r"\$__timeFrom\(\)": f"'{to_utc(self.since)}'",
            r"\$__timeTo\(\)": f"'{until.isoformat()}'",
            r"\$\{city:sqlstring\}": ", ".join(f"'{city}'" for city in (self.cities if cities is None else cities)),
        }.items():
            statement = re.sub(macro, text, statement)
        assert "$" not in statement
        return self.reader().execute(statement.encode())

    def decided(self, cities: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """The cases that were decided in the chosen days."""
        return [
            case
            for case in self.cases.values()
            if case["outcome"] in DECIDED
            and self.since <= decided_on(case) <= self.until
            and (cities is None or city_of(case) in cities)
        ]


def city_of(data: dict[str, Any]) -> str:
    return (data["org"] or {}).get("city") or "-"


def decided_on(case: dict[str, Any]) -> date:
    known = [datetime.fromisoformat(case[name]) for name in ("deadline", "stopped_at") if case[name] is not None]
    first = min(known, default=datetime.fromisoformat(case["started_at"])).astimezone(SHANGHAI)
    is_end_of_day = case["deadline"] is not None and first == datetime.fromisoformat(case["deadline"])
    # What ends at 24:00 is of the day that ends.
    return (first - timedelta(days=1) if is_end_of_day and first.time() == time() else first).date()


def figures(cases: list[dict[str, Any]]) -> tuple[int, int, float]:
    """Decided, late, rate."""
    met = sum(case["outcome"] == "met" for case in cases)
    return len(cases), len(cases) - met, met / len(cases)


def grouped(cases: list[dict[str, Any]], by: Callable[[dict[str, Any]], Any]) -> dict[Any, tuple[int, int, float]]:
    groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for case in cases:
        groups[by(case)].append(case)
    return {key: figures(group) for key, group in groups.items()}


def dashboard(language: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / f"grafana/dashboards/{language}/results.json").read_text("utf-8"))
    return found


TITLES = [panel["title"] for panel in dashboard("en")["panels"]]


def sql_of(language: str, title: str) -> str:
    """The query of a panel, by its English title."""
    (target,) = dashboard(language)["panels"][TITLES.index(title)]["targets"]
    return str(target["rawSql"])


@pytest.fixture(scope="module")
def filled() -> Iterator[Filled]:
    if programs() is None or shutil.which("psql") is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    with Postgres() as postgres:
        make_reader(postgres, "another")  # before the sink has made its tables
        found = Filled(postgres)
        make_reader(postgres, READER_PASSWORD)  # and after
        yield found
        found.close()


def make_reader(postgres: Postgres, password: str) -> None:
    done = subprocess.run(
        ["psql", postgres.address(), "--file", DEPLOY / "postgresql/reader.sql"],
        env={**os.environ, "PGPASSWORD": PASSWORD, "RESULTS_PASSWORD": password},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert password not in done.stdout + done.stderr


ASKED: set[str] = set()


@pytest.fixture(params=["zh", "en"])
def shown(filled: Filled, request: pytest.FixtureRequest) -> Callable[..., Rows]:
    def ask(title: str, cities: Iterable[str] | None = None) -> Rows:
        ASKED.add(title)
        return filled.ask(request.param, title, cities).fetchall()

    return ask


def test_the_figures_of_the_chosen_time(filled: Filled, shown: Callable[..., Rows]) -> None:
    count, late, rate = figures(filled.decided())
    assert 0 < late < count < len(filled.cases)
    assert shown("Decided") == [(count,)]
    assert shown("Late or violated") == [(late,)]
    assert shown("On-time rate") == [(pytest.approx(rate),)]
    red = [case for case in filled.decided() if case["severity"] == "red_line"]
    assert shown("Red lines crossed") == [(figures(red)[1],)]
    everything = filled.cases.values()
    overdue = [case for case in everything if case["outcome"] == "breached" and case["stopped_at"] is None]
    assert shown("Overdue, open (now)") == [(len(overdue),)]
    assert shown("Running (now)") == [(sum(case["outcome"] == "running" for case in everything),)]


def test_a_choice_of_cities_counts_in_every_figure(filled: Filled, shown: Callable[..., Rows]) -> None:
    chosen = filled.cities[:1]
    count, late, rate = figures(filled.decided(chosen))
    assert 0 < count < len(filled.decided())
    assert shown("Decided", chosen) == [(count,)]
    assert shown("Late or violated", chosen) == [(late,)]
    assert shown("On-time rate", chosen) == [(pytest.approx(rate),)]
    assert sum(row[-3] for row in shown("On-time rate by organisation", chosen)) == count
    assert sum(row[-3] for row in shown("On-time rate by rule", chosen)) == count
    assert {row[4] for row in shown("Breaches and violations that stand, the newest 200", chosen)} <= set(chosen)


def test_nothing_decided_is_no_rate_and_not_zero(shown: Callable[..., Rows]) -> None:
    assert shown("On-time rate", ["no such city"]) == [(None,)]
    assert shown("Decided", ["no such city"]) == [(0,)]


def test_rates_by_day_and_month(filled: Filled, shown: Callable[..., Rows]) -> None:
    by_day = grouped(filled.decided(), decided_on)
    assert [(row[0].astimezone(SHANGHAI), *row[1:]) for row in shown("On-time rate by day")] == [
        (datetime(day.year, day.month, day.day, tzinfo=SHANGHAI), pytest.approx(by_day[day][2]))
        for day in sorted(by_day)
    ]
    assert [tuple(map(int, row[1:])) for row in shown("Decided and late by day")] == [
        by_day[day][:2] for day in sorted(by_day)
    ]
    months = {filled.since.strftime("%Y-%m"), filled.until.strftime("%Y-%m")}
    whole = [case for case in filled.cases.values() if case["outcome"] in DECIDED]
    by_month = {
        month: found
        for month, found in grouped(whole, lambda case: decided_on(case).strftime("%Y-%m")).items()
        if min(months) <= month <= max(months)
    }
    assert as_figures(shown("On-time rate by month"), 1) == by_month


def as_figures(rows: Rows, keys: int) -> dict[Any, tuple[int, int, Any]]:
    found = {}
    for *key, decided, late, rate in rows:
        found[key[0] if keys == 1 else tuple(key[:keys])] = int(decided), int(late), pytest.approx(rate)
    assert len(found) == len(rows)
    return found


def test_rates_by_organisation_and_rule(filled: Filled, shown: Callable[..., Rows]) -> None:
    def place(case: dict[str, Any]) -> tuple[str | None, ...]:
        return tuple((case["org"] or {}).get(level) for level in ("city", "county", "unit"))

    rows = shown("On-time rate by organisation")
    assert as_figures(rows, 3) == grouped(filled.decided(), place)
    assert [row[-1] for row in rows] == sorted(row[-1] for row in rows), "the worst first"
    rows = shown("On-time rate by rule")
    assert as_figures(rows, 1) == grouped(filled.decided(), lambda case: case["rule"])
    titles = {case["rule"]: case["title"].values() for case in filled.cases.values()}
    assert all(row[1] in titles[row[0]] for row in rows)
    assert len(rows) > 5


def test_what_stands_is_listed_and_what_was_withdrawn_is_not(filled: Filled, shown: Callable[..., Rows]) -> None:
    withdrawn = {alert["retracts"] for alert in filled.alerts.values()}
    standing = [
        alert
        for alert in filled.alerts.values()
        if alert["kind"] in ("breach", "violation")
        and alert["alert_id"] not in withdrawn
        and filled.since <= datetime.fromisoformat(alert["due_at"]).astimezone(SHANGHAI).date() <= filled.until
    ]
    rows = shown("Breaches and violations that stand, the newest 200")
    assert 0 < len(standing) <= 200
    assert sorted((row[0].timestamp(), row[3]) for row in rows) == sorted(
        (datetime.fromisoformat(alert["due_at"]).timestamp(), alert["subject"]["id"]) for alert in standing
    )
    sentences = {alert["explanation"][language] for alert in standing for language in ("zh", "en")}
    assert {row[7] for row in rows} <= sentences
    assert [row[0] for row in rows] == sorted((row[0] for row in rows), reverse=True)


def test_columns_of_a_table_are_those_of_its_query(filled: Filled) -> None:
    for language in ("zh", "en"):
        for panel, title in zip(dashboard(language)["panels"], TITLES, strict=True):
            if panel["type"] == "table":
                columns = filled.ask(language, title).description or ()
                names = list(panel["transformations"][-1]["options"]["indexByName"])
                assert [column.name for column in columns] == names, title


def test_the_cities_to_choose_from_are_those_of_the_cases(filled: Filled) -> None:
    (variable,) = dashboard("en")["templating"]["list"]
    assert [row[0] for row in filled.reader().execute(variable["query"].encode()).fetchall()] == filled.cities


def test_the_reader_reads_and_writes_nothing(filled: Filled) -> None:
    connection = filled.reader()
    connection.execute("SET default_transaction_read_only = off")  # anybody may
    for statement in (
        "DELETE FROM gridclock.cases",
        "UPDATE gridclock.offsets SET next_offset = 0",
        "CREATE TABLE gridclock.mine (a int)",
        "DROP VIEW gridclock.on_time_by_day",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_the_log_in_is_in_the_environment_alone() -> None:
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/postgresql.yaml").read_text("utf-8"))[
        "datasources"
    ]
    named = {source["url"], source["user"], *source["secureJsonData"].values(), source["jsonData"]["database"],
             source["jsonData"]["sslmode"]}  # fmt: skip
    given = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]["grafana"]["environment"]
    assert named == {f"${name}" for name in given if name.startswith("RESULTS_")}


def test_every_panel_is_asked() -> None:
    assert set(TITLES) == ASKED or not ASKED
