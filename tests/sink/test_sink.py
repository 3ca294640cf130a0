"""``gridclock sink`` on a real database and broker: what is in the tables is what the topics say, whoever is killed."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg import sql

import schemas
from streams.core.counted_day import DECIDED
from streams.kafka.admin import TopicSpec, ensure_topics
from streams.kafka.brokers import Broker
from streams.kafka.child_process import ChildProcess
from streams.kafka.threaded_producer import ThreadedProducer
from streams.live.clock_partition import ClockPartition
from streams.settings import load_settings
from streams.sink.database import Database, DatabaseTarget, connection_options
from streams.sink.rows import row_of
from streams.sink.schema import MIGRATIONS
from streams.sink.target import Batch, SinkError
from streams.wire.cloudevents import CloudEvents, encode
from tests.integration.live import Children, until
from tests.property.test_crashes import HOUR, Arrival
from tests.sink.postgres import PASSWORD, Postgres
from tests.stories import shipped

Message = tuple[str, bytes, bytes | None]
"""The end of the topic's name, key and value."""

Start = Callable[..., ChildProcess]


def messages() -> list[Message]:
    """What a worker writes of simulated orders that come late and out of order, so that verdicts change."""
    calendar = shipped().rulebook.calendar
    writer, found = CloudEvents(calendar), list[Message]()
    for seed in range(1, 9):
        partition = ClockPartition(0, shipped().rulebook, keep_for=None, tracks_cases=True)
        for offset, record in enumerate(Arrival(seed, seed, 3 * 24 * HOUR, -HOUR).log()):
            applied = partition.apply(record, offset)
            assert applied is not None
            for alert in applied.alerts:
                event = writer.alert(alert)
                found.append(("alerts", event["subject"].encode(), encode(event)))
            for change in applied.cases:
                value = None if change.case is None else encode(writer.case(change.case, change.as_of))
                found.append(("cases", change.case_id.encode(), value))
    removed = next(key for topic, key, value in reversed(found) if topic == "cases" and value is not None)
    return [*found, ("cases", removed, None)]


def expected(sent: list[Message]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The cases and alerts that stand at the end, by id."""
    cases: dict[str, Any] = {}
    alerts: dict[str, Any] = {}
    for topic, key, value in sent:
        if value is None:
            cases.pop(key.decode(), None)
        elif topic == "cases":
            cases[key.decode()] = json.loads(value)["data"]
        else:
            data = json.loads(value)["data"]
            alerts[data["alert_id"]] = data
    return cases, alerts


@pytest.fixture
def name(kafka: Broker, prefix: str) -> str:
    ensure_topics(kafka.bootstrap, [TopicSpec(f"{prefix}.cases", 3, None, True), TopicSpec(f"{prefix}.alerts", 3)])
    return prefix


@pytest.fixture
def start(kafka: Broker, name: str, postgres: Postgres, tmp_path: Path) -> Iterator[Start]:
    with Children() as running:

        def started(word: str | None = "writing", **environment: str) -> ChildProcess:
            words = (
                "sink", "--bootstrap", kafka.bootstrap, "--name", name, "--database", postgres.address(),
                "--log-level", "debug", "--metrics-port", "0",
            )  # fmt: skip
            secrets = {"GRIDCLOCK_DATABASE_PASSWORD": PASSWORD, **environment}
            return running.start(words, tmp_path / f"sink-{len(running)}.log", secrets, word)

        yield started
    for child in running:
        assert PASSWORD not in child.output()


def send(bootstrap: str, name: str, batch: list[Message]) -> None:
    producer = ThreadedProducer(bootstrap_servers=bootstrap)
    for topic, key, value in batch:
        producer.send(f"{name}.{topic}", value, key=key)
    producer.flush()
    producer.close()


def samples(sink: ChildProcess, name: str) -> list[float]:
    """All samples of a metric, by the page that the sink names."""
    address = sink.output().rpartition("metrics http")[2].split()[0]
    with urllib.request.urlopen(f"http{address}", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return [sample.value for family in families for sample in family.samples if sample.name == name]


def table(postgres: Postgres, columns: str, source: str) -> dict[str, tuple[Any, ...]]:
    """Rows by their first column; none while there is no such table or no database."""
    try:
        with postgres.connect() as connection:
            rows = connection.execute(f"SELECT {columns} FROM gridclock.{source}").fetchall()
    except psycopg.errors.UndefinedTable:
        return {}
    return {row[0]: row[1:] for row in rows}


def cases_there(postgres: Postgres) -> dict[str, tuple[Any, ...]]:
    return table(postgres, "case_id, outcome, rule, subject_id, city, evidence, arithmetic, as_of", "cases")


def is_there(postgres: Postgres, sent: list[Message]) -> bool:
    cases, alerts = expected(sent)
    found = {case_id: (*row[:-1], row[-1].timestamp()) for case_id, row in cases_there(postgres).items()}
    wanted = {
        case_id: (
            data["outcome"], data["rule"], data["subject"]["id"], (data["org"] or {}).get("city"), data["evidence"],
            data["arithmetic"], seconds_of(data["as_of"]),
        )
        for case_id, data in cases.items()
    }  # fmt: skip
    said = {
        one: row for one, row in table(postgres, "alert_id, kind, rule, retracts, explanation_zh", "alerts").items()
    }
    return found == wanted and said == {
        alert_id: (data["kind"], data["rule"], data["retracts"], data["explanation"]["zh"])
        for alert_id, data in alerts.items()
    }


def seconds_of(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_sink_and_database_killed_at_random_the_rows_are_what_the_topics_say(
    kafka: Broker, name: str, postgres: Postgres, start: Start
) -> None:
    sent, rng = messages(), Random(7)
    assert sum(value is None for *_, value in sent) >= 1
    sink = start()
    step = len(sent) // 8 + 1
    for position in range(0, len(sent), step):
        send(kafka.bootstrap, name, sent[position : position + step])
        rows = len(cases_there(postgres))
        if position:
            until(lambda rows=rows: len(cases_there(postgres)) >= rows, 60, sink.output)  # type: ignore[misc]
        if rng.random() < 0.5:
            postgres.stop(signal.SIGQUIT)
            if rng.random() < 0.5:
                sink.kill()
                postgres.start()
                sink = start()
            else:
                postgres.start()
        else:
            sink.kill()
            sink = start()
    bad = ("cases", b"x", b"not a case")
    send(kafka.bootstrap, name, [bad])
    until(lambda: is_there(postgres, sent), 60, sink.output)
    until(lambda: len(table(postgres, "topic, value", "refused")) == 1, 60, sink.output)
    assert table(postgres, "topic, value", "refused") == {f"{name}.cases": (b"not a case",)}
    os.kill(sink.pid, signal.SIGTERM)
    assert sink.wait(30) == 0, sink.output()
    views_are_right(postgres, sent)


def views_are_right(postgres: Postgres, sent: list[Message]) -> None:
    cases, alerts = expected(sent)
    decided = [data for data in cases.values() if data["outcome"] in DECIDED]
    by_rule = Counter(data["rule"] for data in decided)
    met = Counter(data["rule"] for data in decided if data["outcome"] == "met")
    found = table(postgres, "rule, decided, on_time, rate", "on_time_by_rule")
    assert found == {rule: (count, met[rule], met[rule] / count) for rule, count in by_rule.items()}
    for view in ("day", "month", "organisation"):
        with postgres.connect() as connection:
            total = connection.execute(f"SELECT sum(decided), sum(on_time) FROM gridclock.on_time_by_{view}").fetchone()
        assert total == (len(decided), met.total())
    withdrawn = {data["retracts"] for data in alerts.values()}
    standing = {one for one, data in alerts.items() if data["kind"] != "retraction" and one not in withdrawn}
    assert table(postgres, "alert_id, kind", "standing_alerts").keys() == standing


def test_a_second_sink_stands_by_and_takes_over(kafka: Broker, name: str, postgres: Postgres, start: Start) -> None:
    sent = messages()[:50]
    first = start()
    second = start("stands by")
    send(kafka.bootstrap, name, sent)
    until(lambda: is_there(postgres, sent), 60, first.output)
    first.kill()
    until(lambda: "writing" in second.output(), 60, second.output)
    more = messages()[50:100]
    send(kafka.bootstrap, name, more)
    until(lambda: is_there(postgres, [*sent, *more]), 60, second.output)
    # The second has written these alone, and says so.
    until(lambda: sum(samples(second, "gridclock_sink_lag_records")) == 0, 60, second.output)
    assert sum(samples(second, "gridclock_sink_records_total")) == len(more)
    assert samples(second, "gridclock_sink_active") == [1]
    assert len(samples(second, "gridclock_sink_lag_records")) == 6


def test_it_waits_for_a_database_that_is_away_and_says_so_once(
    kafka: Broker, name: str, postgres: Postgres, start: Start
) -> None:
    sent = messages()[:50]
    send(kafka.bootstrap, name, sent)
    postgres.stop()
    sink = start("away for")
    postgres.start()
    until(lambda: "writing" in sink.output(), 60, sink.output)
    until(lambda: is_there(postgres, sent), 60, sink.output)
    assert sink.output().count("away for") == 1
    assert sink.output().count("there again after") == 1
    assert samples(sink, "gridclock_sink_retries_total")[0] > 0
    assert samples(sink, "gridclock_sink_away_seconds") == [0]


def test_it_waits_for_a_database_that_takes_no_writes(
    kafka: Broker, name: str, postgres: Postgres, start: Start
) -> None:
    """As a standby does before it is promoted: at the start, and while the sink is at work."""
    sent = messages()[:50]

    def read_only(word: str) -> None:
        with postgres.connect() as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER DATABASE results SET default_transaction_read_only = {word}")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'gridclock sink%'"
            )

    read_only("on")
    sink = start("read-only transaction")
    read_only("off")
    until(lambda: "writing" in sink.output(), 60, sink.output)
    read_only("on")
    send(kafka.bootstrap, name, sent)
    until(lambda: sink.output().count("away for") == 2, 60, sink.output)
    read_only("off")
    until(lambda: is_there(postgres, sent), 60, sink.output)
    assert sink.exit_code is None


@pytest.mark.parametrize(
    "change", ["DROP TABLE gridclock.alerts CASCADE", "ALTER TABLE gridclock.alerts DROP COLUMN order_id CASCADE"]
)
def test_tables_that_somebody_changed_end_it_with_what_to_do(
    kafka: Broker, name: str, postgres: Postgres, start: Start, change: str
) -> None:
    sent = messages()[:50]
    sink = start()
    with postgres.connect() as connection:
        connection.execute(change)
    send(kafka.bootstrap, name, sent)
    until(lambda: sink.exit_code is not None, 60, sink.output)
    assert sink.exit_code == 2
    assert "DROP SCHEMA gridclock CASCADE, and start the sink" in sink.output().splitlines()[-1]
    with postgres.connect() as connection:
        connection.execute("DROP SCHEMA gridclock CASCADE")
    again = start()
    until(lambda: is_there(postgres, sent), 60, again.output)


def test_an_older_schema_becomes_a_newer_one_and_keeps_its_rows(postgres: Postgres) -> None:
    settings = load_settings(database=postgres.address(), database_password=PASSWORD)
    database = Database(connection_options(settings), "gridclock")
    value = next(value for topic, _, value in messages() if topic == "alerts" and value is not None)
    data = json.loads(value)["data"]
    old = {name: found for name, found in row_of("alerts", value).items() if name != "incomplete"}
    try:
        with postgres.connect() as connection:
            connection.execute("CREATE SCHEMA gridclock")
            connection.execute("CREATE TABLE gridclock.migrations AS SELECT 1 AS version")
            connection.execute(sql.SQL(MIGRATIONS[0]).format(schema=sql.Identifier("gridclock")))
            names, places = ", ".join(old), ", ".join("%s" for _ in old)
            connection.execute(f"INSERT INTO gridclock.alerts ({names}) VALUES ({places})", list(old.values()))
            connection.execute("INSERT INTO gridclock.offsets VALUES ('g.cases', 0, 7), ('g.alerts', 0, 8)")
            assert database.migrate() == len(MIGRATIONS) - 1
            found = connection.execute("SELECT alert_id, incomplete FROM gridclock.standing_alerts").fetchall()
        assert found == [(data["alert_id"], False)]
        assert database.offsets() == {("g.alerts", 0): 8}  # the cases are read again, since their days may be others
    finally:
        database.close()


@pytest.mark.broker
def test_records_that_no_worker_writes_are_kept_in_the_table_refused_and_end_nothing(
    kafka: Broker, name: str, postgres: Postgres, start: Start
) -> None:
    """Every field of a case and an alert with every odd value; after them all, one of each that is right."""
    examples = Path(schemas.__file__).parent / "examples"
    odd: tuple[Any, ...] = (
        0, 1772415700, "1772415700", 1e300, None, "", True, [], {}, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z",
        "2026-03-01T09:00:00.123456789+08:00", "2026-03-01T09:00+08:00", "2026-03-01T09:00:00,5Z",
        "2026-03-01T09:00:00+23:59", "2026-03-01 09:00:00-15:59", "2026-03-01", "PT1e5S",
        "\u2028", "'; DROP TABLE x; --", "%s %(x)s",
        Random(1).randbytes(4_000).hex(), "\U0001f600" * 3_000,
    )  # fmt: skip
    sent: list[Message] = []
    for topic, file in (("cases", "case"), ("alerts", "alert")):
        whole = json.loads((examples / f"{file}.json").read_text("utf-8"))
        for field in whole["data"]:
            for value in odd:
                sent.append((topic, b"k", json.dumps({**whole, "data": {**whole["data"], field: value}}).encode()))
        for field in ("province", "city", "county", "unit"):
            for value in odd:
                data = {**whole["data"], "org": {field: value}}
                sent.append((topic, b"k", json.dumps({**whole, "data": data}).encode()))
        # What JSON takes and PostgreSQL does not: each ended the sink, and every start after it.
        text = json.dumps({**whole, "data": {**whole["data"], "arithmetic": {"x": "@"}}})
        sent += [(topic, b"k", text.replace('"@"', number).encode()) for number in ("1e400", "-1e400", "NaN")]
        for data in ({"a\0b": 1}, {"elapsed": f"PT{'9' * 400}S"}):
            sent.append((topic, b"k", json.dumps({**whole, "data": {**whole["data"], **data}}).encode()))
        sent += [(topic, b"a\0b", None), (topic, b"\xff", None)]
        for key in (f"{file}_id", "rule"):
            whole["data"][key] = "the last one"
        sent.append((topic, b"k", json.dumps(whole).encode()))
    sink = start()
    send(kafka.bootstrap, name, sent)
    places = (("case_id", "cases"), ("alert_id", "alerts"))
    until(
        lambda: all("the last one" in table(postgres, columns, source) for columns, source in places), 60, sink.output
    )
    with postgres.connect() as connection:
        read = connection.execute("SELECT sum(next_offset) FROM gridclock.offsets").fetchone()
    assert read == (len(sent),)
    assert 0 < postgres.count("refused") < len(sent)


def test_a_schema_of_a_newer_program_is_refused_and_one_made_twice_is_the_same(postgres: Postgres) -> None:
    settings = load_settings(database=postgres.address(), database_password=PASSWORD)
    database = Database(connection_options(settings), "gridclock")
    try:
        assert database.own()
        assert database.migrate() == len(MIGRATIONS)
        assert database.migrate() == 0
        with postgres.connect() as connection:
            connection.execute("INSERT INTO gridclock.migrations VALUES (99)")
        with pytest.raises(SinkError, match="version 99"):
            database.migrate()
    finally:
        database.close()


@pytest.mark.broker
def test_a_locked_table_and_a_limit_on_transactions_are_waited_for(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.sink.database._LOCK_SECONDS", 1)
    target = DatabaseTarget(load_settings(database=postgres.address(), database_password=PASSWORD))
    with postgres.connect() as other:
        store = target.open()
        store.migrate()
        other.execute("BEGIN")
        other.execute("LOCK TABLE gridclock.offsets")
        ending = threading.Timer(10, other.execute, ["ROLLBACK"])  # a sink that waits without end fails, not hangs
        ending.start()
        with pytest.raises(target.away, match="lock timeout"):
            store.write(Batch(offsets={("g.cases", 0): (0, 1)}))
        ending.cancel()
        other.execute("ROLLBACK")
        store.write(Batch(offsets={("g.cases", 0): (0, 1)}))
        assert store.offsets() == {("g.cases", 0): 1}
        store.close()
    assert issubclass(psycopg.errors.IdleInTransactionSessionTimeout, target.away)
    assert issubclass(psycopg.errors.TransactionTimeout, target.away)
