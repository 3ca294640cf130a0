"""Every input that once ended a worker or made it forget, all at once among ordinary orders, which get their alerts.

The ordinary orders are the simulator's. Among them: a notice of 20,000 meters with a field that no type declares (k1),
an order with 2,000 pauses and long ids (k2), 30,000 readings of one account (k3), a record of 900 kB (k4, as far as a
broker takes it), batches in every codec and a log in zstd (k5), aborted and open transactions (k6), records that
retention removed unread (k7), impossible timestamps (k10); a subject at which the program fails, and a record that
kills the process. In CI 1,000 orders and a tenth of k1 to k3; ``GRIDCLOCK_AT_ONCE=20000`` is the whole.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from confluent_kafka import Producer
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic

from streams.kafka.admin import ensure_topics
from streams.kafka.topics import topics_of
from streams.settings import load_settings
from streams.simulation import Simulation, simulate
from tests.integration.live import LONG, Live, Worker, command, read_alerts, standing, until, write_events
from tests.integration.status import asked
from tests.integration.test_hostile import came_at
from tests.stories import moment, us, wire

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(1800),
    pytest.mark.live(embedded_lacks="it has neither transactions nor codecs of topics"),
]

ORDERS = int(os.environ.get("GRIDCLOCK_AT_ONCE", "1000"))
PART = 1 if ORDERS >= 20_000 else 10
"""By which the large inputs are divided."""

SOURCES = 3
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
FAULTY = "tests.integration.poisoned_worker"
FAR = us("2935-03-03T09:00") // 1000
NEVER_DONE = ("ABORTED", "STAMPED", "AHEAD", "POISON", "KILLS", "LOST")
"""Orders that begin; the completion of each is among what is not to be taken."""


class Feed:
    """Sends records as they came in, each key in one codec and one partition."""

    def __init__(self, live: Live) -> None:
        self.topic = f"{live.name}.events"
        common = {"bootstrap.servers": live.bootstrap, "linger.ms": 50, "message.max.bytes": 4_000_000}
        self._producers = [Producer({**common, "compression.type": codec}) for codec in CODECS]

    def send(self, raw: bytes, key: str, at: int, partition: int | None = None) -> None:
        """``at`` is its timestamp, in milliseconds."""
        place = crc32(key.encode())
        producer = self._producers[place % len(CODECS)]
        where = place // len(CODECS) % SOURCES if partition is None else partition
        producer.produce(self.topic, raw, key.encode(), partition=where, timestamp=at)
        producer.poll(0)

    def event(self, event: Mapping[str, Any], at: int | None = None, partition: int | None = None) -> None:
        key = str(event.get("order_id") or event.get("account_id") or event.get("meter_id") or event.get("batch_id"))
        raw = json.dumps(event, ensure_ascii=False).encode()
        self.send(raw, key, came_at(dict(event)) if at is None else at, partition)

    def flush(self) -> None:
        for producer in self._producers:
            assert producer.flush(120) == 0


def large_notice() -> dict[str, Any]:
    """k1: 262,144 bytes."""
    found = {
        "event_id": "fan", "event_type": "meter.batch_notice_posted", "occurred_at": "2025-03-04T09:00:00+08:00",
        "batch_id": "B1", "meters": [f"x{number:x}" for number in range(20_000 // PART)],
    }  # fmt: skip
    return {**found, "note": "x" * (262_000 - len(json.dumps(found)))}


def many_pauses() -> Iterator[dict[str, Any]]:
    """k2: an order that is never done."""
    at = moment("2025-03-04T09:00")
    common = {"order_id": "PAUSES", "business": "fee"}
    yield {**common, "event_id": "p", "event_type": "counter.service_started", "occurred_at": at.isoformat()}
    for number in range(4_000 // PART):
        at += timedelta(milliseconds=2)
        kind = "counter.resumed" if number % 2 else "counter.interrupted"
        name = (f"{number:06d}" + "断" * 200)[:200]
        when = at.isoformat(timespec="milliseconds")
        yield {**common, "event_id": name, "event_type": kind, "occurred_at": when, "reason": "system_failure"}


def many_readings() -> Iterator[dict[str, Any]]:
    """k3: of a placeholder account."""
    at = moment("2025-03-04T00:00")
    for number in range(30_000 // PART):
        when = (at + timedelta(seconds=20 * number)).isoformat(timespec="milliseconds")
        yield {
            "event_id": f"r{number}", "event_type": "reading.collected", "occurred_at": when, "account_id": "A0",
            "period": "2025-03", "method": "remote",
        }  # fmt: skip


def pair(order: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A service that begins, and its completion in time, which nobody may take."""
    story = f"""
        {order}-1 2025-03-04T09:00 counter.service_started {order} business=fee
        {order}-2 2025-03-04T09:03 counter.service_completed {order}
    """
    first, second = wire(story)
    return first, second


def in_transaction(live: Live, word: str, *events: Mapping[str, Any]) -> Producer:
    long = {"transaction.timeout.ms": 900_000}  # the broker's longest: the open one must not be ended by it
    producer = Producer({"bootstrap.servers": live.bootstrap, "transactional.id": f"{live.name}-{word}", **long})
    producer.init_transactions(30)
    producer.begin_transaction()
    for event in events:
        at = came_at(dict(event))
        producer.produce(f"{live.name}.events", json.dumps(event).encode(), partition=0, timestamp=at)
    producer.flush(30)
    return producer


@pytest.fixture
def live(live: Live) -> Live:
    make_topics(live)
    return live


def make_topics(live: Live) -> None:
    """A source that takes every timestamp, and a log in zstd."""
    any_stamp = {"message.timestamp.after.max.ms": str(2**63 - 1), "retention.ms": "-1"}
    admin = KafkaAdminClient(bootstrap_servers=live.bootstrap)
    admin.create_topics([NewTopic(f"{live.name}.events", SOURCES, 1, topic_configs=any_stamp)])
    specs = topics_of(load_settings(name=live.name, partitions=4, retention_days=LONG))
    ensure_topics(live.bootstrap, specs)
    (log,) = (spec for spec in specs if spec.name == f"{live.name}.log")
    # A change replaces all settings: without its retention the broker removes records stamped 2025.
    zstd = log.config() | {"compression.type": "zstd"}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, log.name, zstd)])
    admin.close()


def lose_the_first_records(live: Live) -> None:
    """k7: a worker has read to the end; what came while none was there, retention removed."""
    worker = live.worker(store="one")
    until(lambda: [one["read"] for one in asked(live)[1]["sources"]] == [0] * SOURCES, 60, lambda: worker.output)
    assert worker.stop() == 0
    feed = Feed(live)
    for partition in range(SOURCES):
        feed.event(pair("LOST")[1], partition=partition)
    feed.flush()
    admin = KafkaAdminClient(bootstrap_servers=live.bootstrap)
    admin.delete_records({TopicPartition(feed.topic, partition): 1 for partition in range(SOURCES)})
    admin.close()


def feed_all(live: Live, simulation: Simulation) -> Producer:
    """Everything at its moment; the transaction that is still open."""
    feed = Feed(live)
    events = [
        *simulation.events,
        large_notice(),
        *many_pauses(),
        *many_readings(),
        *(pair(one)[0] for one in NEVER_DONE),
    ]
    events.sort(key=came_at)
    half = len(events) // 2
    for number, event in enumerate(events):
        if number == half:
            feed.flush()
            in_transaction(live, "aborted", pair("ABORTED")[1]).abort_transaction(30)
            feed.send(b"x" * 900_000, "k4", came_at(event))
            feed.event(pair("STAMPED")[1], at=7)
            feed.event(pair("AHEAD")[1], at=FAR)
        feed.event(event)
    feed.flush()
    return in_transaction(live, "open", *pair("OPEN"))


def killed_until_it_is_found(live: Live) -> Worker:
    """Workers one after the other, until the record that kills them is a dead letter."""
    environment = {"module": FAULTY, "TEST_FAULT": "judge,kill_intake", "store": "one"}
    for _ in range(8):
        worker = live.worker(ready=False, **environment)
        until(lambda: worker.exit_code is not None or "KILLS" in letters(live), 300, lambda: worker.output)  # noqa: B023
        if worker.exit_code is None:
            return worker
    raise AssertionError(worker.output)


def letters(live: Live) -> str:
    return "".join(value.decode() for *_, value in live.topic("dead-letters").records if value is not None)


def about(alert: Mapping[str, Any]) -> tuple[str, str, str]:
    """What an alert says. One that was withdrawn amid the backlog and made again has another id."""
    return alert["case_id"], alert["kind"], alert["due_at"]


def reached(live: Live, at: str) -> bool:
    found = asked(live)[1]
    parts = found["partitions"]
    return all((one["watermark_us"] or 0) > us(at[:16]) and not one["log_behind"] for one in parts)


def test_ordinary_orders_get_exactly_their_alerts(live: Live, tmp_path: Path) -> None:
    simulation = simulate(orders=ORDERS, seed=5, start=date(2025, 3, 3), days=10)
    lose_the_first_records(live)
    still_open = feed_all(live, simulation)
    worker = killed_until_it_is_found(live)
    until(lambda: worker.metric("gridclock_source_transaction_open_seconds") > 0, 900, lambda: worker.output)
    still_open.commit_transaction(30)
    until(lambda: reached(live, simulation.as_of), 900, lambda: f"{asked(live)}{worker.output}")
    assert worker.exit_code is None

    found = standing(live.sent().values(), simulation.as_of)
    replayed = tmp_path / "ordinary.jsonl"
    ordinary = write_events(tmp_path / "ordinary-events.jsonl", simulation.events)
    done = command("replay", ordinary, "--until", simulation.as_of, "--alerts", replayed, "--quiet")
    assert done.returncode == 0, done.stderr
    wanted = Counter(map(about, standing(read_alerts(replayed), simulation.as_of)))
    assert wanted.total() > ORDERS / 10
    assert wanted - Counter(map(about, found)) == Counter()
    others = [alert for alert in found if about(alert) not in wanted]
    assert {alert["subject"]["id"] for alert in others} <= {*NEVER_DONE, "PAUSES", "OPEN"}
    breached = {alert["subject"]["id"] for alert in others if alert["rule"] == "fee-5-minutes"}
    assert breached == {*NEVER_DONE, "PAUSES"} - {"POISON", "KILLS"}
    reasons = Counter(json.loads(value)["reason"] for *_, value in live.topic("dead-letters").records)
    assert reasons == {"too_large": 1, "impossible_timestamp": 2, "quarantined": 2}
    assert worker.metric("gridclock_source_records_lost_total") + sum(
        one.output.count("were removed by the topic's retention") for one in live.workers
    ) >= SOURCES  # fmt: skip
    causes = {(one["cause"], one["subject"]) for one in asked(live)[1]["incomplete"]["causes"]}
    assert causes == {("lost", None), ("refused", None), ("quarantined", "order POISON")}
    log = tmp_path / "log.jsonl"
    where = ("--bootstrap", live.bootstrap, "--name", live.name)
    keep = {"GRIDCLOCK_KEEP_DAYS": f"{LONG:.9f}"}
    done = command("replay", "--log", "--alerts", log, *where, environment=keep)
    assert done.returncode == 0, done.stderr
    assert {alert["alert_id"]: alert for alert in read_alerts(log)} == live.sent()
