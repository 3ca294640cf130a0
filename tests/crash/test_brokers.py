"""Loss and return of a broker, on a cluster of three."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from streams.kafka.admin import partitions_of
from streams.kafka.java_broker import JavaCluster
from streams.simulation import Simulation
from tests.crash.test_workers import check, some_way_on, start
from tests.integration.live import AS_SHIPPED, Live


@pytest.mark.slow
def test_a_broker_is_lost_and_comes_back(
    cluster: JavaCluster, prefix: str, tmp_path: Path, events: Path, simulation: Simulation, rng: Random
) -> None:
    with Live(cluster.bootstrap, prefix, tmp_path, keep_days=AS_SHIPPED) as live:
        live.make_source()
        live.send(events, "--timestamps", "recorded")
        worker = start(live, "one")
        some_way_on(live, simulation, rng)
        lost = rng.randint(1, 3)
        cluster.kill(lost)
        for _ in range(5):  # a cluster goes on naming it for some seconds; who starts now must not fail by that
            assert partitions_of(live.bootstrap, f"{live.name}.log") == live.partitions
        some_way_on(live, simulation, rng)
        cluster.start(lost)
        if worker.exit_code is not None:  # a worker may end when it cannot go on; whoever runs it starts it again
            start(live, "one")
        check(live, simulation)
