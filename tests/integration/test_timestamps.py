"""Records whose Kafka timestamp cannot be right: dead letters of their own reason, the same live and replayed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from streams.kafka.brokers import Broker
from streams.kafka.threaded_producer import ThreadedProducer
from tests.integration.live import Live, command
from tests.stories import us, wire

LONG_AGO, FAR = us("2025-03-03T09:00") // 1000, us("2935-03-03T09:00") // 1000
ORDERS = """
e1 2025-03-03T09:00 counter.service_started WO1 business=fee
e2 2025-03-03T09:10 counter.service_completed WO1
e3 2025-03-03T09:00 counter.service_started WO2 business=fee
e4 2025-03-03T09:20 counter.service_completed WO2
"""


def _standing(alerts: Iterable[Mapping[str, Any]]) -> set[str]:
    """Ids, without those of warnings: a worker that comes late reports the breach alone."""
    return {alert["alert_id"] for alert in alerts if alert["kind"] != "warning"}


def test_a_producer_with_an_impossible_clock_neither_admits_nor_hides_an_event(
    kafka: Broker, prefix: str, tmp_path: Path
) -> None:
    if kafka.kind == "embedded":
        pytest.skip(f"{kafka.description} stamps records itself")
    begun, done, begun_too, done_late = wire(ORDERS)
    (ahead,) = wire("x 2935-03-03T09:00 counter.service_completed WO1")
    (early,) = wire("y 2025-03-03T09:04 counter.service_completed WO2")
    with Live(kafka.bootstrap, prefix, tmp_path, partitions=2) as live:
        topic = f"{live.name}.events"
        # Brokers of today refuse stamps that are an hour ahead unless their topic says otherwise; older ones took them.
        any_stamp = {"message.timestamp.after.max.ms": str(2**63 - 1), "retention.ms": "-1"}
        admin = KafkaAdminClient(bootstrap_servers=live.bootstrap)
        admin.create_topics([NewTopic(topic, 1, 1, topic_configs=any_stamp)])
        admin.close()
        producer = ThreadedProducer(bootstrap_servers=live.bootstrap)
        for event, stamp in [
            (begun, LONG_AGO),
            (begun_too, -1),  # the producer gives no timestamp
            (early, 7),  # would hide a breach; what it says may be true, and it is sent again by hand
            (ahead, FAR),  # a device and its producer that are centuries ahead
            (done, LONG_AGO + 600_000),
            (early | {"event_id": "z"}, FAR),
            (done_late, LONG_AGO + 1_200_000),
            (ahead | {"event_id": "w"}, LONG_AGO + 1_200_000),  # the device alone
        ]:
            producer.send(topic, json.dumps(event).encode(), partition=0, timestamp_ms=stamp).get(30)
        producer.close()
        worker = live.worker()
        alerts = live.settle("2025-03-03T10:00")
        letters = [json.loads(value) for *_, value in live.topic("dead-letters").records]
        assert sorted(
            (alert["subject"]["id"], alert["kind"]) for alert in alerts.values() if alert["rule"] == "fee-5-minutes"
        ) == [(order, kind) for order in ("WO1", "WO2") for kind in ("breach", "late_completion")]
        assert worker.metric("gridclock_dead_letters_total", reason="impossible_timestamp") == 3
    found = [(letter["reason"], letter["position"]) for letter in letters]
    assert found == [*(("impossible_timestamp", at) for at in (2, 3, 5)), ("future_time", 7)]
    assert "set the clock of its producer" in letters[0]["detail"]
    assert "a record that came in at 2025-03-03T01:20:00.000+00:00" in letters[3]["detail"]

    replayed = tmp_path / "letters.jsonl"
    ran = command(
        "replay", "--topic", topic, "--bootstrap", kafka.bootstrap, "--dead-letters", replayed, "--quiet",
        "--until", "2025-03-03T10:00:00+08:00",
    )  # fmt: skip
    assert ran.returncode == 3, ran.stderr
    assert [
        (letter["reason"], letter["position"]) for letter in map(json.loads, replayed.read_text().splitlines())
    ] == found
    by_replay = [json.loads(line)["data"] for line in ran.stdout.splitlines()]
    assert _standing(by_replay) == _standing(alerts.values())
