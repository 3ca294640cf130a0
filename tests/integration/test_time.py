"""What moves time and what does not, on a broker: idle partitions, silence, new partitions; and the metrics."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewPartitions

from streams.core.instants import format_us, instant_us
from streams.core.watermark import SourceWatermarks
from streams.kafka.brokers import Broker
from streams.kafka.threaded_producer import ThreadedProducer
from streams.wall_clock import WallClock
from tests.integration.live import Live, until
from tests.stories import SHANGHAI, moment

START = "2025-03-03T09:00"
SPEED = 60


@pytest.fixture
def clock() -> WallClock:
    """It is nine in the morning, and a minute passes in a second."""
    return WallClock.scaled(instant_us(moment(START)), SPEED)


@pytest.fixture
def live(kafka: Broker, prefix: str, tmp_path: Path, clock: WallClock) -> Iterator[Live]:
    flags = ["--clock-origin", clock.origin, "--clock-anchor", clock.anchor, "--clock-speed", SPEED]
    with Live(kafka.bootstrap, prefix, tmp_path, clock=[*flags, "--grace-ms", 1000]) as found:
        yield found


def started(order: str, at: int) -> dict[str, str]:
    return {
        "event_id": f"{order}-1",
        "event_type": "counter.service_started",
        "occurred_at": format_us(at, SHANGHAI),
        "order_id": order,
        "business": "fee",
    }


def completed(order: str, at: int) -> dict[str, str]:
    return {**started(order, at), "event_id": f"{order}-2", "event_type": "counter.service_completed"}


def test_silence_is_told_soon_after_the_deadline(live: Live, clock: WallClock) -> None:
    """One partition of four ever gets an event, and no event comes after it."""
    live.make_source(partitions=4)
    worker = live.worker()
    at = clock.now()
    live.send([started("WO1", at)])
    until(lambda: any(a["kind"] == "breach" for a in live.sent().values()), 90, lambda: worker.output)
    live.replay()
    (breach,) = (alert for alert in live.sent().values() if alert["kind"] == "breach")
    deadline, detected = moment(breach["deadline"]), moment(breach["detected_at"])
    # Watermarks come at least every quarter of a second, here fifteen seconds of the clock's, and are one behind.
    # What is asserted is the log's time, which does not depend on how busy this machine is; but the ticks do.
    assert instant_us(deadline) - at == 300_000_000
    assert timedelta(0) <= detected - deadline
    assert breach == live.replayed[breach["alert_id"]]
    time_of_log = SourceWatermarks()
    time_of_log.expect(f"{live.name}.events/{number}" for number in range(4))
    # The partition of the order: its records may lack a source whose end was not known just then, others' may not.
    records = live.topic("log").records
    (own,) = {partition for partition, *_, value in records if b'"WO1"' in value}
    passed = [
        time_of_log.update(json.loads(value)["watermarks"]) for partition, *_, value in records if partition == own
    ]
    earlier = max(at for at in passed if at is not None and at < instant_us(detected))
    assert earlier < instant_us(deadline), "the first watermark at or past the deadline tells it"
    check_metrics(worker.metrics())
    assert worker.metric("gridclock_breaches_total", rule="fee-5-minutes", city="unknown") == 1


def check_metrics(text: str) -> None:
    shown = set(re.findall(r"^# TYPE (gridclock_\w+) ", text, re.MULTILINE))
    assert shown >= {
        "gridclock_events_total", "gridclock_events_unwatched_total", "gridclock_dead_letters_total",
        "gridclock_entries_total", "gridclock_warnings_total", "gridclock_breaches_total",
        "gridclock_late_completions_total", "gridclock_violations_total", "gridclock_retractions_total",
        "gridclock_detection_delay_seconds", "gridclock_processing_seconds", "gridclock_watermark_lag_seconds",
        "gridclock_subjects", "gridclock_open_cases",
    }  # fmt: skip


def test_a_backlog_holds_time_back(live: Live, clock: WallClock, kafka: Broker) -> None:
    """Orders finished in time an hour ago are not called late because the worker comes late."""
    live.make_source(partitions=4)
    events = []
    for number in range(1000):
        at = clock.now() - 3_600_000_000 + number * 3_000_000
        events.append((at, started(f"WO{number}", at)))
        events.append((at + 240_000_000, completed(f"WO{number}", at + 240_000_000)))
    events.sort(key=lambda one: one[0])
    real = WallClock(clock.origin, clock.anchor, 1 / clock.speed)  # the other way round
    producer = ThreadedProducer(bootstrap_servers=live.bootstrap.split(","), linger_ms=50)
    for at, event in events:
        key = event["order_id"].encode()
        producer.send(f"{live.name}.events", json.dumps(event).encode(), key=key, timestamp_ms=real.at(at) // 1000)
    producer.close()
    live.worker(GRIDCLOCK_BATCH="100")
    told = live.settle(format_us(clock.now(), SHANGHAI))
    assert breaches(told) == []

    if kafka.kind == "embedded":
        pytest.skip("librdkafka's embedded broker cannot add partitions to a topic; the backlog itself was tested")
    # The feed gets more partitions while the worker runs; time waits for them too, and goes on.
    add_partitions(live, 6)
    until(lambda: knows(live, 6), 60, lambda: live.workers[0].output)
    at = clock.now()
    for number in range(6):
        send_to(live, number, started(f"LATE{number}", at))
    told = live.settle(format_us(at + 301_000_000, SHANGHAI))
    assert breaches(told) == [f"LATE{number}" for number in range(6)]


def test_time_waits_for_a_partition_from_the_moment_it_is_there(live: Live, clock: WallClock, kafka: Broker) -> None:
    """What comes in by it at once is in time, though the worker reads it only seconds later: minutes of this clock."""
    if kafka.kind == "embedded":
        pytest.skip("librdkafka's embedded broker cannot add partitions to a topic")
    live.make_source(partitions=1)
    live.worker()
    in_time = []
    for partition in range(1, 6):
        order, at = f"WO{partition}", clock.now() - 100_000_000
        send_to(live, 0, started(order, at))  # not by a command, whose start alone may take minutes of this clock
        add_partitions(live, partition + 1)
        send_to(live, partition, completed(order, at + 200_000_000))
        if clock.now() < at + 300_000_000:  # on a busy machine the broker may have it after the deadline: late, rightly
            in_time.append(order)
        told = live.settle(format_us(at + 301_000_000, SHANGHAI))
    assert in_time
    assert set(breaches(told)).isdisjoint(in_time)


def add_partitions(live: Live, wanted: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=live.bootstrap.split(","))
    admin.create_partitions({f"{live.name}.events": NewPartitions(wanted)})
    admin.close()


def send_to(live: Live, partition: int, event: Mapping[str, str]) -> None:
    # A producer of its own: one that is older does not know the partition yet.
    producer = ThreadedProducer(bootstrap_servers=live.bootstrap.split(","))
    producer.send(f"{live.name}.events", json.dumps(event).encode(), partition=partition).get(30)
    producer.close()


def breaches(alerts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return sorted(a["order_id"] for a in alerts.values() if (a["rule"], a["kind"]) == ("fee-5-minutes", "breach"))


def knows(live: Live, partitions: int) -> bool:
    counts = [json.loads(value)["sources"] for *_, value in live.topic("log").records]
    return bool(counts) and counts[-1] == {f"{live.name}.events": partitions}


def test_a_worker_whose_clock_is_an_hour_ahead_calls_nothing_late(kafka: Broker, prefix: str, tmp_path: Path) -> None:
    """Its own word alone would have breached whatever had less than an hour left."""
    if kafka.kind == "embedded":
        pytest.skip("librdkafka's embedded broker stamps nothing, so there is no second witness")
    with Live(kafka.bootstrap, prefix, tmp_path) as live:
        live.make_source()
        worker = live.worker(module="tests.integration.wrong_clock", WRONG_BY_S="3600")
        at = WallClock().now()
        live.send([started("WO1", at)])
        told = live.settle(format_us(at + 3_000_000, SHANGHAI))
        assert breaches(told) == []
        (passed,) = {at for at in [live.replay()] if at is not None}
        assert passed < WallClock().now()
        assert "this machine's clock is 3600.0 s ahead of the brokers': the earlier counts" in worker.output
        assert 3599 < worker.metric("gridclock_clock_ahead_seconds") < 3610


@pytest.mark.whole
def test_a_worker_without_its_broker_says_so(tmp_path: Path) -> None:
    began = time.monotonic()
    with Live("127.0.0.1:9", "nowhere-", tmp_path) as live:
        worker = live.worker(ready=False)
        until(lambda: worker.exit_code is not None, 90, lambda: worker.output)
        assert worker.exit_code == 2, began
        assert "127.0.0.1:9" in worker.output.splitlines()[-1]
