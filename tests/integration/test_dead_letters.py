"""From a refused record to an alert: seen, mended, sent again once, taken by the worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from streams.kafka.threaded_producer import ThreadedProducer
from tests.integration.live import Live, command
from tests.stories import us, wire

STORY = """
e1 2025-03-03T09:00 counter.service_startd WO1 business=fee
e2 2025-03-03T09:10 counter.ticket_taken WO2
"""


def headers_on(bootstrap: str, topic: str) -> list[tuple[int, Any]]:
    """Offset and headers of every record of partition 0."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","), enable_auto_commit=False)
    part = TopicPartition(topic, 0)
    consumer.assign([part])
    consumer.seek_to_beginning(part)
    end, found = consumer.end_offsets([part])[part], []
    while consumer.position(part) < end:
        for records in consumer.poll(timeout_ms=200).values():
            found += [(record.offset, dict(record.headers)) for record in records]
    consumer.close()
    return found


def test_a_refused_record_is_mended_and_sent_once(live: Live, tmp_path: Path) -> None:
    live.make_source(partitions=1)
    producer = ThreadedProducer(bootstrap_servers=live.bootstrap.split(","))
    topic = f"{live.name}.events"
    for event in wire(STORY):
        at = us(event["occurred_at"][:16]) // 1000
        producer.send(topic, json.dumps(event).encode(), key=b"k", timestamp_ms=at).get(30)
    producer.close()
    worker = live.worker()
    live.settle("2025-03-03T09:09")
    assert [alert for alert in live.sent().values() if alert["subject"]["id"] == "WO1"] == []

    where = ("--bootstrap", live.bootstrap, "--name", live.name)
    letter_id = f"{topic}/0/0"
    listed = command("dead-letters", "list", "--json", "--reason", "unknown_type", *where)
    assert [json.loads(line)["id"] for line in listed.stdout.splitlines()] == [letter_id], listed.stderr
    assert command("dead-letters", "list", "--since", "2999-01-01T00:00:00Z", *where).stdout == ""

    mend = tmp_path / "mend.jsonl"
    done = command("dead-letters", "retry", "--all", "--source", topic, "--out", mend, *where)
    assert done.returncode == 0, done.stderr
    mend.write_text(mend.read_text("utf-8").replace("startd", "started"), "utf-8")
    mapped = {"GRIDCLOCK_SOURCES": f"{topic}=map.yaml"}  # a worker would take the event for a row, and pass it over
    kept = command("dead-letters", "retry", "--from", mend, *where, environment=mapped)
    assert (kept.returncode, kept.stdout) == (3, ""), kept.stderr
    assert f"{letter_id}: not sent: {topic} is read through a mapping" in kept.stderr
    assert "0 sent again, 0 sent before, 1 refused" in kept.stderr
    sent = command("dead-letters", "retry", "--from", mend, *where)
    assert (sent.returncode, sent.stdout) == (0, f"{letter_id} -> {topic}/0/2\n"), sent.stderr
    assert headers_on(live.bootstrap, topic) == [(0, {}), (1, {}), (2, {"gridclock-retry-of": letter_id.encode()})]

    again = command("dead-letters", "retry", "--from", mend, *where)
    assert (again.returncode, again.stdout) == (0, ""), again.stderr
    assert "0 sent again, 1 sent before" in again.stderr
    assert command("dead-letters", "list", *where).stdout == ""
    assert "[sent again]" in command("dead-letters", "list", "--retried", *where).stdout
    forced = command("dead-letters", "retry", "--from", mend, "--again", *where)
    assert forced.stdout == f"{letter_id} -> {topic}/0/3\n", forced.stderr
    shown = command("dead-letters", "show", letter_id, *where).stdout
    assert f"sent again to: {topic}/0/2, {topic}/0/3" in shown

    alerts = live.settle("2025-03-03T09:11")
    told = [
        alert["kind"] for alert in alerts.values() if alert["rule"] == "fee-5-minutes" and alert["kind"] != "warning"
    ]
    assert told == ["breach"]
    assert worker.metric("gridclock_entries_total", notice="duplicate") == 1  # the second sending does no harm
