"""A topic that takes no writes for a while, under a flood: the worker waits aloud, in bounded memory, and goes on.
Told to end meanwhile, it does not wait for the topic, and the next worker brings out what is missing.

One broker of three is away, as when it is being maintained. Then ``min.insync.replicas=3`` stops one topic and no
other: the sources can be read and the log written, so a worker that did not stop reading would fill its memory.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from streams.core.instants import instant_us
from streams.kafka.admin import connected, end_offsets
from streams.kafka.java_broker import JavaCluster
from streams.kafka.threaded_producer import ThreadedProducer
from streams.simulation import Simulation
from tests.crash.conftest import ROUNDS
from tests.crash.test_workers import SETTLE, some_way_on
from tests.integration.live import Live, Worker, expected_keys, keys, standing, until
from tests.stories import moment

MB = 1024 * 1024
STOPPED_SECONDS = 30 if ROUNDS > 2 else 12
SESSION_SECONDS = 6
AWAY = 3
HERE = (1, 2)

PADDING = 20_000
LAST = "LAST1"
"""The order whose breach comes while the worker is told to end."""

FLOOD_EVENTS = 2_500
"""50 MB, by as few events as may be, so that it is memory and not time that they cost."""

PARTITIONS = 2
GROWTH = 25 * MB
"""What may lie in a worker that has stopped reading: of the log 16 records of 0.4 MB before the agent and 2 MB
fetched ahead for each of 2 partitions; of the sources a batch of 50 events as they came and as they go into the log
(2 MB), 2 MB fetched ahead for each of 2 partitions, and half a megabyte on its way to each of 2 partitions of the
log. That is 17 MB; the rest is for what the allocator keeps. The flood is twice the bound."""


@contextmanager
def admin_of(live: Live) -> Iterator[KafkaAdminClient]:
    # A fresh one each time: one that was there before would ask the broker that has gone.
    with connected(KafkaAdminClient, live.bootstrap, {}) as client:
        yield client


def make_source(live: Live) -> None:
    """On the brokers that stay, so that it can be flooded."""
    places = {0: list(HERE), 1: list(reversed(HERE))}
    topic = NewTopic(f"{live.name}.events", -1, -1, replica_assignments=places, topic_configs={"retention.ms": "-1"})
    with admin_of(live) as admin:
        admin.create_topics([topic])


def committed(live: Live, group: str) -> dict[tuple[str, int], int]:
    with admin_of(live) as admin:
        found = admin.list_consumer_group_offsets(group)
    return {(part.topic, part.partition): offset.offset for part, offset in found.items()}


def service(order: str, simulation: Simulation, **more: str) -> dict[str, str]:
    """Begun at the end of the simulated time, and never ended: a breach that nobody counts."""
    return {
        "event_id": f"{order}-1", "event_type": "counter.service_started", "business": "fee",
        "occurred_at": simulation.as_of, "order_id": order, **more,
    }  # fmt: skip


def flood(live: Live, simulation: Simulation) -> None:
    """Four large events at the end of the simulated time, again and again: duplicates, which leave little state."""
    servers = [live.bootstrap.split(",")[node - 1] for node in HERE]
    producer = ThreadedProducer(bootstrap_servers=servers, linger_ms=20, batch_size=262_144)
    stamp = instant_us(moment(simulation.as_of)) // 1000
    for number in range(FLOOD_EVENTS):
        event = service(f"FLOOD{number % 4}", simulation, remark="x" * PADDING)
        producer.send(f"{live.name}.events", json.dumps(event).encode(), timestamp_ms=stamp)
    producer.flush(60)
    producer.close()


def memory(worker: Worker) -> int:
    (line,) = [line for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stopped", ["alerts", "state"])
def test_a_topic_that_takes_no_writes(
    stopped: str,
    cluster: JavaCluster,
    prefix: str,
    tmp_path: Path,
    events: Path,
    simulation: Simulation,
    rng: Random,
) -> None:
    if stopped == "alerts" and ROUNDS <= 2:
        pytest.skip(
            "the short form stops the state alone, to stay under 6 minutes: GRIDCLOCK_CRASH_ROUNDS=20 does both"
        )
    with Live(cluster.bootstrap, prefix, tmp_path, partitions=PARTITIONS) as live:
        topic = {"alerts": f"{live.name}.alerts", "state": f"{live.name}-state-changelog"}[stopped]
        make_source(live)
        live.send(events, "--timestamps", "recorded")
        worker = live.worker(store="one", GRIDCLOCK_BATCH="50", GRIDCLOCK_SESSION_S=str(SESSION_SECONDS))
        some_way_on(live, simulation, rng)
        until(lambda: worker.readiness() == (200, "at work"), 60, lambda: worker.output)
        live.configure(topic, {"min.insync.replicas": "3"})
        cluster.kill(AWAY)
        try:
            before = memory(worker)
            flood(live, simulation)
            peak = memory(worker)
            until(lambda: topic in worker.readiness()[1], 60, lambda: worker.output)
            done = committed(live, live.name)
            end = time.monotonic() + STOPPED_SECONDS
            while time.monotonic() < end:
                peak = max(peak, memory(worker))
                time.sleep(0.2)
            assert worker.exit_code is None, worker.output
            code, text = worker.readiness()
            assert code == 503
            assert topic in text
            assert "has taken no writes" in text
            told = f"{text.split(' has')[0]} has taken no writes"
            until(lambda: told in worker.output, 10, lambda: worker.output)
            print(f"{(peak - before) / MB:.0f} MB more than the {before / MB:.0f} MB before")  # noqa: T201
            assert peak - before < GROWTH
            the_whole_flood_is_in_the_log(live)
            assert committed(live, live.name) == done, "nothing may be acknowledged that is not kept"
            assert worker.metric("gridclock_ready") == 0
            live.configure(topic, {"min.insync.replicas": "2"})
            until(lambda: worker.readiness() == (200, "at work"), 60, lambda: worker.output)
            until(lambda: "the brokers take writes again" in worker.output, 60, lambda: worker.output)
            assert worker.metric("gridclock_ready") == 1
            live.configure(topic, {"min.insync.replicas": "3"})
            live.send([service(LAST, simulation)], "--timestamps", "recorded")
            ends_without_waiting(worker, topic)
            live.configure(topic, {"min.insync.replicas": "2"})
        finally:
            cluster.start(AWAY)
        worker = live.worker(store="one", GRIDCLOCK_SESSION_S=str(SESSION_SECONDS))
        sent = live.settle(simulation.as_of, SETTLE)
        found = standing(sent.values(), simulation.as_of)
        assert keys(found, simulation.expected) == expected_keys(simulation.expected)
        assert [alert["kind"] for alert in sent.values() if alert["subject"]["id"] == LAST] == ["breach"]
        assert worker.stop() == 0, worker.output


def ends_without_waiting(worker: Worker, topic: str) -> None:
    until(lambda: topic in worker.readiness()[1], 60, lambda: worker.output)
    assert worker.stop() == 2, worker.output
    last = worker.output.splitlines()[-1]
    assert last.startswith("gridclock: topic ")
    assert topic in last
    assert last.endswith(" s: this worker ends without waiting for it; nothing is lost")


def the_whole_flood_is_in_the_log(live: Live) -> None:
    """So it was not for want of it that memory did not grow."""
    ends = end_offsets(live.bootstrap, f"{live.name}.events")
    read = committed(live, f"{live.name}-intake")
    assert {partition: read[f"{live.name}.events", partition] for partition in ends} == ends
