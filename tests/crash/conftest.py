"""What the crash tests share. ``GRIDCLOCK_CRASH_ROUNDS=20`` is the full suite; by default it is short."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from random import Random

import pytest

from streams.kafka.java_broker import JavaCluster, why_not
from streams.simulation import Simulation, simulate
from tests.integration.live import write_events

ROUNDS = int(os.environ.get("GRIDCLOCK_CRASH_ROUNDS", "2"))
SEED = int(os.environ.get("GRIDCLOCK_CRASH_SEED", "1"))


@pytest.fixture(scope="session")
def simulation() -> Simulation:
    return simulate(orders=500 * min(ROUNDS, 20), seed=SEED, start=date(2025, 3, 3), days=30)


@pytest.fixture(scope="session")
def events(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_events(tmp_path_factory.mktemp("crash") / "events.jsonl", simulation.events)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> Random:
    """Another number in ``GRIDCLOCK_CRASH_SEED`` gives other points."""
    return Random(f"{SEED}/{request.node.name}")


@pytest.fixture(scope="package")
def cluster() -> Iterator[JavaCluster]:
    """Three nodes; a test that takes one away brings it back."""
    reason = why_not()
    if reason is not None:
        pytest.skip(f"loss of a broker needs three nodes of Apache Kafka under Java here: {reason}")
    with JavaCluster(3) as found:
        yield found
