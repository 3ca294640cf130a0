"""Changes of a PostgreSQL as Debezium itself writes them, in each of its time modes: read, judged live and replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from schemas.events import EventCatalogue
from schemas.fields import parse_time
from streams.kafka.admin import TopicSpec, ensure_topics
from streams.kafka.threaded_producer import ThreadedProducer
from streams.rulebooks.mapping_files import load_mapping
from streams.wire.envelopes import changes_of
from streams.wire.mapping import MappedEvent, Place, Skipped
from tests.debezium import Change, captured_database, engines
from tests.integration.live import Live, command
from tests.replay.runs import data_of, of_rule
from tests.sink.postgres import Postgres

pytestmark = pytest.mark.broker

SHANGHAI = ZoneInfo("Asia/Shanghai")
UNTIL = "2026-03-02T12:00:00+08:00"
MODES: Final[Mapping[str, Mapping[str, str]]] = {
    "adaptive": {},
    "bare": {"converter.schemas.enable": "false", "decimal.handling.mode": "string"},
    "connect": {"time.precision.mode": "connect", "decimal.handling.mode": "double"},
    "isostring": {"time.precision.mode": "isostring"},
    "nanoseconds": {"time.precision.mode": "nanoseconds"},
}
"""Settings of a connector that change how its columns are written; without ``bare`` records have their schema."""

TABLE = """CREATE TABLE orders_{0} (order_no text PRIMARY KEY, reported timestamp NOT NULL, arrived timestamp(3),
closed timestamptz, due date, fee numeric(12, 2), load numeric);
ALTER TABLE orders_{0} REPLICA IDENTITY FULL;
INSERT INTO orders_{0} VALUES
('{0}-1', '2026-03-02 09:00', NULL, NULL, '2026-03-16', 128.50, 2.5),
('{0}-2', '2026-03-02 09:00:00.001', NULL, '2026-03-02 11:00+08', NULL, NULL, NULL);"""
CHANGES = """INSERT INTO orders_{0} VALUES ('{0}-3', '2026-03-02 09:00', '2026-03-02 09:10', NULL, NULL, -0.10, 0);
INSERT INTO orders_{0} VALUES ('{0}-4', '2026-03-02 09:00', NULL, NULL, NULL, NULL, NULL);
UPDATE orders_{0} SET arrived = '2026-03-02 09:50' WHERE order_no = '{0}-1';
UPDATE orders_{0} SET arrived = '2026-03-02 09:46:00.123' WHERE order_no = '{0}-2';
UPDATE orders_{0} SET arrived = '2026-03-02 09:44' WHERE order_no = '{0}-1';
UPDATE orders_{0} SET arrived = NULL WHERE order_no = '{0}-3';
DELETE FROM orders_{0} WHERE order_no = '{0}-4';"""
RECORDS = 10
"""Of each table: two of the snapshot, two inserts, four updates, a delete and its tombstone."""

RIGHT = {"1": "met", "2": "met_late", "3": "breached"}
LOGICAL_TYPES = {
    *(f"io.debezium.time.{unit}Timestamp" for unit in ("", "Micro", "Nano", "Iso", "Zoned")),
    "io.debezium.time.Date", "io.debezium.time.IsoDate", "io.debezium.data.VariableScaleDecimal",
    *(f"org.apache.kafka.connect.data.{name}" for name in ("Timestamp", "Date", "Decimal")),
}  # fmt: skip
EVENTS = [
    "0 1 repair.reported 09:00:00.000 snapshot=True",
    "0 1 bill.issued 09:00:00.000 amount=128.50 due_on=2026-03-16 snapshot=True",
    "1 2 repair.reported 09:00:00.001 snapshot=True",
    "1 2 repair.closed 11:00:00.000 snapshot=True",
    "2 3 repair.reported 09:00:00.000",
    "2 3 repair.arrived 09:10:00.000",
    "2 3 bill.issued 09:00:00.000 amount=-0.10",
    "3 4 repair.reported 09:00:00.000",
    "4 1 repair.reported 09:00:00.000",
    "4 1 repair.arrived 09:50:00.000",
    "4 1 bill.issued 09:00:00.000 amount=128.50 due_on=2026-03-16",
    "5 2 repair.reported 09:00:00.001",
    "5 2 repair.arrived 09:46:00.123",
    "5 2 repair.closed 11:00:00.000",
    "6 1 repair.reported 09:00:00.000",
    "6 1 repair.arrived 09:44:00.000",
    "6 1 bill.issued 09:00:00.000 amount=128.50 due_on=2026-03-16",
    "7 3 repair.reported 09:00:00.000",
    "7 3 bill.issued 09:00:00.000 amount=-0.10",
    *(f"8 {kind} is taken back" for kind in ("repair.reported", "repair.arrived", "repair.closed", "bill.issued")),
    "9 tombstone",
]
"""By record and order: what the mapping makes of the rows, in every mode."""

MAPPING = """format: debezium
time: {{formats: [iso, epoch_us, epoch_ms], zone: Asia/Shanghai}}
key: [order_no]
events:
  - {{event_type: repair.reported, occurred_at: reported, constants: {{area: urban}}}}
  - {{event_type: repair.arrived, occurred_at: arrived, when: {{column: arrived, present: true}}}}
  - {{event_type: repair.closed, occurred_at: closed, when: {{column: closed, present: true}}}}
  - event_type: bill.issued
    occurred_at: reported
    when: {{column: fee, present: true}}
    fields: {{account_id: order_no, amount: fee, due_on: due}}
fields: {{order_id: order_no}}
constants: {{source: {0}}}
"""


def captured(database: Postgres, directory: Path) -> list[Change]:
    """What the engines write of the tables' rows and their changes."""
    settings = {name: {"table.include.list": f"public.orders_{name}", **own} for name, own in MODES.items()}
    with database.connect() as connection:
        for name in MODES:
            connection.execute(TABLE.format(name))
        with engines(database, settings, directory) as running:
            running.wait_for(2 * len(MODES))
            for name in MODES:
                for statement in CHANGES.format(name).splitlines():
                    connection.execute(statement)
            return running.wait_for(RECORDS * len(MODES))


def test_changes_that_debezium_writes_are_judged_live_and_replayed_in_each_of_its_time_modes(
    live: Live, tmp_path: Path
) -> None:
    maps = {name: tmp_path / f"{name}.yaml" for name in MODES}
    for name, path in maps.items():
        path.write_text(MAPPING.format(name), "utf-8")
    with captured_database() as database:
        changes = captured(database, tmp_path)
    written = {name: [change for change in changes if change.topic.startswith(f"{name}.")] for name in MODES}
    _check_schemas(written)
    for name, own in written.items():
        assert events_of(maps[name], own) == EVENTS, name
    topics = {name: f"{live.name}.{own[0].topic}" for name, own in written.items()}
    _send(live, {topics[name]: own for name, own in written.items()})
    live.worker(GRIDCLOCK_SOURCES=",".join(f"{topics[name]}={maps[name]}" for name in MODES))
    live.settle(UNTIL)
    assert live.topic("dead-letters").records == []
    sent = live.sent()
    retracted = {alert["retracts"] for alert in sent.values() if alert.get("retracts")}
    stands = {
        (alert["subject"]["id"], alert["kind"])
        for alert_id, alert in sent.items()
        if alert["rule"] == "repair-arrival" and alert["kind"] in ("breach", "late_completion")
        and alert_id not in retracted
    }  # fmt: skip
    late = {(f"{name}-2", kind) for name in MODES for kind in ("breach", "late_completion")}
    assert stands == late | {(f"{name}-3", "breach") for name in MODES}
    cases = tmp_path / "cases.jsonl"
    given = [word for name in MODES for word in ("--topic", topics[name], "--map", f"{topics[name]}={maps[name]}")]
    done = command("replay", *given, "--bootstrap", live.bootstrap, "--until", UNTIL, "--cases", cases)
    assert done.returncode == 0, done.stderr
    assert f"{len(MODES)} skipped: tombstone\n" in done.stderr
    found = {case["subject"]["id"]: case["outcome"] for case in of_rule(data_of(cases), "repair-arrival")}
    assert found == {f"{name}-{order}": outcome for name in MODES for order, outcome in RIGHT.items()}


def _check_schemas(written: Mapping[str, list[Change]]) -> None:
    """Every logical type of a time that Debezium has for these columns is among the records."""
    names = {
        column.get("name")
        for changes in written.values()
        for change in changes
        for side in json.loads(change.value or b"{}").get("schema", {}).get("fields", ())
        if side["field"] == "after"
        for column in side["fields"]
    }
    assert names - {None} == LOGICAL_TYPES
    assert all(b'"schema":{' not in (change.value or b"") for change in written["bare"])


def events_of(path: Path, changes: list[Change]) -> list[str]:
    """The events of the records in order, as the mapping makes them, without the name of their table."""
    rows, found = load_mapping(path, EventCatalogue.shipped()).rows, []
    for offset, change in enumerate(changes):
        for made in changes_of(rows, change.value, (), Place(str(offset), (offset,))):
            if isinstance(made, Skipped):
                found.append(f"{offset} {made.reason}")
                continue
            assert isinstance(made, MappedEvent)
            assert made.note is None, made.note
            event = json.loads(made.raw)
            if not event.get("void"):
                found.append(f"{offset} {_shown(event)}")
            elif _operation(change) == "d":
                found.append(f"{offset} {event['event_type']} is taken back")
    return found


def _operation(change: Change) -> str:
    record = json.loads(change.value or b"{}")
    return str(record.get("payload", record).get("op"))


def _shown(event: dict[str, Any]) -> str:
    at = parse_time(event["occurred_at"]).astimezone(SHANGHAI)
    order = event["order_id"].rpartition("-")[2]
    more = "".join(f" {name}={event[name]}" for name in ("due_on", "snapshot") if name in event)
    amount = f" amount={Decimal(str(event['amount'])):.2f}" if "amount" in event else ""
    return f"{order} {event['event_type']} {at.time().isoformat('milliseconds')}{amount}{more}"


def _send(live: Live, records: Mapping[str, list[Change]]) -> None:
    live.make_source(partitions=1)
    ensure_topics(live.bootstrap, [TopicSpec(topic, 1, -1) for topic in records])
    producer = ThreadedProducer(bootstrap_servers=live.bootstrap.split(","))
    try:
        for topic, changes in records.items():
            for change in changes:
                producer.send(topic, change.value, key=change.key)
        producer.flush()
    finally:
        producer.close()
