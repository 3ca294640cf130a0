"""A topic of a database's changes, and a sheet sent through a mapping: live and replayed to the same verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streams.kafka.admin import TopicSpec, ensure_topics
from streams.kafka.threaded_producer import ThreadedProducer
from tests.integration.live import Live, command, until
from tests.replay.runs import data_of, of_rule
from tests.stories import wire

MAPPING = """format: debezium
time: {formats: [iso, epoch_us], zone: Asia/Shanghai}
key: [order_no]
events:
  - {event_type: repair.reported, occurred_at: reported_at}
  - {event_type: repair.arrived, occurred_at: arrived_at, when: {column: arrived_at, present: true}}
fields: {order_id: order_no}
constants: {area: urban}
"""
SHEET = """time: {formats: ["%Y年%m月%d日 %H:%M"], zone: Asia/Shanghai}
key: [工单编号]
events:
  - {event_type: repair.reported, occurred_at: 受理时间}
  - {event_type: repair.arrived, occurred_at: 到达时间, when: {column: 到达时间, present: true}}
fields: {order_id: 工单编号}
constants: {area: urban}
"""
NINE = 1_772_442_000_000_000  # 2026-03-02 09:00 on the wall, as Debezium writes a timestamp without a zone
UNTIL = "2026-03-02T12:00:00+08:00"


def change(op: str, order: str, arrived: int | None, before: dict[str, Any] | None = None) -> dict[str, Any]:
    row = {
        "order_no": order,
        "reported_at": NINE,
        "arrived_at": None if arrived is None else NINE + arrived * 60_000_000,
    }
    return {"op": op, "before": before if op != "d" else row, "after": None if op == "d" else row, "source": {}}


CHANGES: list[tuple[str, dict[str, Any] | None]] = [
    ("BX1", change("r", "BX1", None)),
    ("BX2", change("r", "BX2", None)),
    ("BX3", change("c", "BX3", 10)),
    ("BX4", change("c", "BX4", None)),
    ("BX1", change("u", "BX1", 50)),
    ("BX2", change("u", "BX2", 46)),
    ("BX1", change("u", "BX1", 44)),
    ("BX3", change("u", "BX3", None)),
    ("BX4", change("d", "BX4", None)),
    ("BX4", None),
]
RIGHT = {"BX1": "met", "BX2": "met_late", "BX3": "breached", "S1": "breached"}


def test_changes_of_a_table_and_a_sheet_are_judged_alike_live_and_replayed(live: Live, tmp_path: Path) -> None:
    topic, mapping = f"{live.name}.orders", tmp_path / "orders.yaml"
    mapping.write_text(MAPPING, "utf-8")
    live.make_source(partitions=1)
    ensure_topics(live.bootstrap, [TopicSpec(topic, 1, -1)])
    producer = ThreadedProducer(bootstrap_servers=live.bootstrap.split(","))
    try:
        for key, record in CHANGES:
            producer.send(topic, None if record is None else json.dumps(record).encode(), key=key.encode())
        producer.flush()
    finally:
        producer.close()
    sheet, sheet_map = tmp_path / "sheet.csv", tmp_path / "sheet.yaml"
    sheet.write_bytes("工单编号,受理时间,到达时间\r\nS1,2026年3月2日 9:00,\r\n".encode())
    sheet_map.write_text(SHEET, "utf-8")
    live.send(sheet, "--map", str(sheet_map))
    live.worker(GRIDCLOCK_SOURCES=f"{topic}={mapping},{live.name}.events")
    live.settle(UNTIL)
    stands = {
        (alert["subject"]["id"], alert["kind"])
        for alert_id, alert in live.sent().items()
        if alert["rule"] == "repair-arrival" and alert["kind"] in ("breach", "late_completion")
        and not any(other["retracts"] == alert_id for other in live.sent().values() if "retracts" in other)
    }  # fmt: skip
    assert stands == {("BX2", "breach"), ("BX2", "late_completion"), ("BX3", "breach"), ("S1", "breach")}
    assert live.topic("dead-letters").records == []
    cases = tmp_path / "cases.jsonl"
    done = command(
        "replay", "--topic", topic, "--topic", f"{live.name}.events", "--map", f"{topic}={mapping}", "--bootstrap",
        live.bootstrap, "--until", UNTIL, "--cases", cases,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 skipped: tombstone\n" in done.stderr
    found = of_rule(data_of(cases), "repair-arrival")
    assert {case["subject"]["id"]: case["outcome"] for case in found} == RIGHT
    explained = command(
        "explain", "BX1", "--topic", topic, "--map", mapping, "--bootstrap", live.bootstrap, "--until", UNTIL
    )
    assert explained.returncode == 0, explained.stderr
    assert "09:44:00" in explained.stdout


def test_letters_of_rows_are_named_as_such_whatever_this_command_knows_of_mappings(live: Live, tmp_path: Path) -> None:
    """They were called events without an ``event_type``; and an event made of one was sent among the rows."""
    topic, mapping, mend = f"{live.name}.orders", tmp_path / "orders.yaml", tmp_path / "mend.jsonl"
    mapping.write_text(MAPPING, "utf-8")
    live.make_source(partitions=1)
    ensure_topics(live.bootstrap, [TopicSpec(topic, 1, -1)])
    producer = ThreadedProducer(bootstrap_servers=live.bootstrap.split(","))
    row = change("c", "BX1", None)
    row["after"]["reported_at"] = "noon"
    producer.send(topic, json.dumps(row).encode(), key=b"BX1").get(30)
    producer.close()
    live.worker(GRIDCLOCK_SOURCES=f"{topic}={mapping},{live.name}.events")
    until(lambda: bool(live.topic("dead-letters").records), 60, lambda: "no letter")
    where = ("--bootstrap", live.bootstrap, "--name", live.name)
    assert command("dead-letters", "retry", "--all", "--out", mend, *where).returncode == 0
    for settings in ({}, {"GRIDCLOCK_SOURCES": f"{topic}={mapping}"}):
        for chosen in (["--all"], ["--from", mend]):
            done = command("dead-letters", "retry", *chosen, *where, environment=settings)
            assert (done.returncode, done.stdout) == (3, ""), done.stderr
            assert f"{topic}/0/0: not sent: " in done.stderr
            assert f"the letter holds a row of {topic}, which is read through a mapping" in done.stderr
    (event,) = wire("e1 2026-03-02T09:00 repair.reported BX1 area=urban")
    mend.write_text(json.dumps({"id": f"{topic}/0/0", "event": event}) + "\n", "utf-8")
    kept = command("dead-letters", "retry", "--from", mend, *where)
    assert (kept.returncode, kept.stdout) == (3, ""), kept.stderr
    assert "name another source by --topic" in kept.stderr
    sent = command("dead-letters", "retry", "--from", mend, "--topic", f"{live.name}.events", *where)
    assert (sent.returncode, sent.stdout) == (0, f"{topic}/0/0 -> {live.name}.events/0/0\n"), sent.stderr
