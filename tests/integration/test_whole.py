"""Simulated orders through Kafka and a live worker: what must come out, whatever happens to the worker."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from streams.kafka.brokers import Broker
from streams.simulation import Simulation, simulate
from tests.integration.live import (
    AS_SHIPPED,
    Live,
    command,
    expected_keys,
    keys,
    read_alerts,
    standing,
    until,
    write_events,
)

pytestmark = pytest.mark.live(keep_days=AS_SHIPPED)

# 20,000 takes two minutes where two cores hold broker, worker and test: fewer by default, and the same code.
ORDERS = int(os.environ.get("GRIDCLOCK_TEST_ORDERS", "1200"))
SMALL = "200"
"""Small batches make many records of the log, so that what is done after so many alerts comes in the middle of it."""


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    # In the past, so that everything is a backlog on a real clock: time goes as fast as it can be read.
    return simulate(orders=ORDERS, seed=7, start=date(2025, 3, 3), days=30)


def test_a_live_worker_tells_what_the_simulator_expects(live: Live, simulation: Simulation, tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.jsonl", simulation.events)
    live.make_source()
    live.send(events, "--timestamps", "recorded")
    worker = live.worker()
    sent = live.settle(simulation.as_of)
    found = standing(sent.values(), simulation.as_of)
    assert keys(found, simulation.expected) == expected_keys(simulation.expected)

    replayed = tmp_path / "alerts.jsonl"
    done = command("replay", events, "--until", simulation.as_of, "--alerts", replayed, "--quiet")
    assert done.returncode == 0, done.stderr
    assert {alert["alert_id"] for alert in found} == {
        alert["alert_id"] for alert in standing(read_alerts(replayed), simulation.as_of)
    }
    assert worker.stop() == 0, worker.output


def wait_for_alerts(live: Live, count: int) -> None:
    """Until the worker is in the middle of it."""
    until(lambda: len(live.topic("alerts").records) >= count, 90, lambda: live.workers[-1].output)


@pytest.fixture
def backlog(live: Live, simulation: Simulation, tmp_path: Path) -> Live:
    """All orders are on the source topic, and no worker is there yet."""
    live.make_source()
    live.send(write_events(tmp_path / "events.jsonl", simulation.events), "--timestamps", "recorded")
    return live


def test_a_worker_killed_in_the_middle_loses_nothing(backlog: Live, simulation: Simulation) -> None:
    for count in (1, 120, 240):
        worker = backlog.worker(store="one", GRIDCLOCK_BATCH=SMALL, GRIDCLOCK_MEMORY="100K")
        wait_for_alerts(backlog, count)
        worker.kill()
    backlog.worker(store="one")
    found = standing(backlog.settle(simulation.as_of).values(), simulation.as_of)
    assert keys(found, simulation.expected) == expected_keys(simulation.expected)


def test_workers_join_leave_and_are_killed(kafka: Broker, backlog: Live, simulation: Simulation) -> None:
    if kafka.kind == "embedded":
        pytest.skip(f"{kafka.description} has no real groups: several workers need Apache Kafka")
    first = backlog.worker(GRIDCLOCK_BATCH=SMALL)
    wait_for_alerts(backlog, 1)
    second = backlog.worker(GRIDCLOCK_BATCH=SMALL)
    wait_for_alerts(backlog, 120)
    assert first.stop() == 0, first.output
    third = backlog.worker(GRIDCLOCK_BATCH=SMALL)
    wait_for_alerts(backlog, 240)
    second.kill()
    found = standing(backlog.settle(simulation.as_of).values(), simulation.as_of)
    assert keys(found, simulation.expected) == expected_keys(simulation.expected)
    assert third.stop() == 0, third.output
    assert "at work on" in backlog.worker(store="store-1").output


def test_a_worker_told_to_stop_in_the_middle_finishes_and_leaves(backlog: Live, simulation: Simulation) -> None:
    worker = backlog.worker(store="one", GRIDCLOCK_BATCH=SMALL)
    wait_for_alerts(backlog, 80)
    assert worker.stop() == 0, worker.output
    assert worker.output.rstrip().endswith("gridclock: stopped in order")
    backlog.replay()
    told_by_then = len(backlog.topic("alerts").records)
    assert len(backlog.sent()) == told_by_then, "an orderly stop repeats nothing"
    backlog.worker(store="one")
    found = standing(backlog.settle(simulation.as_of).values(), simulation.as_of)
    assert keys(found, simulation.expected) == expected_keys(simulation.expected)
    assert len(backlog.sent()) == len(backlog.topic("alerts").records)
