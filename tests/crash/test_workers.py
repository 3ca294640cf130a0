"""Workers killed, restarted, added and taken away while a backlog is being read.

After each: the alerts on the topic are those that the log gives, duplicates are equal to the last word, and what
stands is what the simulator expects (``Live.settle`` and ``check``).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from streams.kafka.brokers import Broker
from streams.simulation import Simulation
from tests.crash.conftest import ROUNDS
from tests.integration.live import AS_SHIPPED, Live, Worker, expected_keys, keys, standing, until

SETTLE = 120.0
"""Seconds without progress after which a test fails; a rebalance and reading a state back take some of them."""


@pytest.fixture
def live(kafka: Broker, prefix: str, tmp_path: Path, events: Path) -> Iterator[Live]:
    if kafka.kind == "embedded":
        pytest.skip("librdkafka's embedded broker forgets and has no real groups: crash tests need Apache Kafka")
    with Live(kafka.bootstrap, prefix, tmp_path, keep_days=AS_SHIPPED) as found:
        found.make_source()
        found.send(events, "--timestamps", "recorded")
        yield found


def start(live: Live, store: str, *, ready: bool = True) -> Worker:
    # Small batches make many records of the log, and so many points to be killed at.
    # So little memory that most subjects rest in the local copy of the state.
    return live.worker(store=store, ready=ready, GRIDCLOCK_BATCH="300", GRIDCLOCK_MEMORY="100K")


def some_way_on(live: Live, simulation: Simulation, rng: Random) -> None:
    """Until some more alerts have come out, and then some random moment; towards the backlog's end at once."""
    before = len(live.topic("alerts").records)
    wanted = min(before + rng.randint(1, 120), len(expected_keys(simulation.expected)))
    deadline = time.monotonic() + 15
    while len(live.topic("alerts").records) < wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(rng.random() / 2)  # the point of it: an instant that nothing in the worker chose


def check(live: Live, simulation: Simulation) -> None:
    sent = live.settle(simulation.as_of, SETTLE)
    found = standing(sent.values(), simulation.as_of)
    assert keys(found, simulation.expected) == expected_keys(simulation.expected)
    again = len(live.topic("alerts").records) - len(sent)
    print(f"{len(sent)} alerts, {again} of them sent again")  # noqa: T201 - shown by pytest -s


@pytest.mark.slow
def test_a_worker_killed_again_and_again(live: Live, simulation: Simulation, rng: Random) -> None:
    for _ in range(ROUNDS):
        worker = start(live, "one")
        some_way_on(live, simulation, rng)
        worker.kill()
    start(live, "one")
    check(live, simulation)


@pytest.mark.slow
def test_two_workers_killed_at_once(live: Live, simulation: Simulation, rng: Random) -> None:
    for _ in range(max(1, ROUNDS // 4)):
        workers = start(live, "one"), start(live, "two")
        some_way_on(live, simulation, rng)
        for worker in workers:
            worker.kill()
    start(live, "one")
    start(live, "two")
    check(live, simulation)


@pytest.mark.slow
def test_a_rolling_restart(live: Live, simulation: Simulation, rng: Random) -> None:
    workers = {"one": start(live, "one"), "two": start(live, "two")}
    for store in ("one", "two") * max(1, ROUNDS // 4):
        some_way_on(live, simulation, rng)
        assert workers[store].stop(90) == 0, workers[store].output
        workers[store] = start(live, store)
    check(live, simulation)


@pytest.mark.slow
def test_from_one_worker_to_three_to_two(live: Live, simulation: Simulation, rng: Random) -> None:
    start(live, "one")
    some_way_on(live, simulation, rng)
    second, _ = start(live, "two"), start(live, "three")
    some_way_on(live, simulation, rng)
    assert second.stop(90) == 0, second.output
    check(live, simulation)


@pytest.mark.slow
def test_a_local_store_that_was_damaged_or_lost(live: Live, simulation: Simulation, rng: Random) -> None:
    worker = start(live, "one")
    some_way_on(live, simulation, rng)
    assert worker.stop(90) == 0, worker.output
    (tables,) = (live.directory / "one").rglob("tables")
    stores = sorted(tables.glob("*.db"))
    assert len(stores) == live.partitions
    for file in stores[0].glob("CURRENT"):
        file.write_bytes(b"nonsense")
    for file in stores[1].glob("*.log"):
        file.write_bytes(file.read_bytes()[:100])
    shutil.rmtree(stores[2])
    worker = start(live, "one")
    until(lambda: "was damaged and has been removed" in worker.output, 10, lambda: worker.output)
    check(live, simulation)


@pytest.mark.slow
def test_a_worker_that_stood_still_ends_and_spoils_nothing(live: Live, simulation: Simulation, rng: Random) -> None:
    """It sleeps until its partitions have gone to another, and wakes up in the middle of its work."""
    import signal

    first, second = start(live, "one"), start(live, "two")
    some_way_on(live, simulation, rng)
    first.signal(signal.SIGSTOP)
    until(lambda: first_is_out(second, live.partitions), 90, lambda: second.output)
    first.signal(signal.SIGCONT)
    until(lambda: first.exit_code is not None, 60, lambda: first.output)
    assert "stood still" in first.output
    check(live, simulation)


def first_is_out(second: Worker, partitions: int) -> bool:
    return second.metrics().count("\ngridclock_subjects{") == partitions
