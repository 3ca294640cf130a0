"""A disk that is full: the worker ends, says so in one line, and goes on when there is room again.

The disk is a small one in memory where this process may mount one, so that every write finds it full. Elsewhere a
limit on the size of the worker's files stands in for it: RocksDB's files then end in the middle of a row.
"""

from __future__ import annotations

import contextlib
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from streams.kafka.brokers import Broker
from streams.simulation import Simulation
from tests.crash.test_workers import check, some_way_on, start
from tests.integration.live import AS_SHIPPED, Live, Worker, until

SIZE = 48 * 1024 * 1024


class SmallDisk:
    """A file system that is all there is for the workers' stores."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self, worker: Worker | None, *, but: int = 0) -> None:
        """Leave so many bytes."""
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        file_size = self._filler.stat().st_size
        with self._filler.open("ab") as file:
            file.truncate(max(0, file_size - but))

    def make_room(self) -> None:
        """As a person would, who must not guess how much will be wanted."""
        self._filler.unlink()
        subprocess.run(["mount", "-o", f"remount,size={20 * SIZE}", str(self.path)], check=True)


class ShortFiles:
    """No file of a worker may grow beyond where the largest is by now."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, worker: Worker | None, *, but: int = 0) -> None:
        if worker is not None:
            largest = max(file.stat().st_size for file in self.path.rglob("*.log"))
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (largest + but, resource.RLIM_INFINITY))

    def make_room(self) -> None:
        """The limit went with the process."""


Disk = SmallDisk | ShortFiles


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    if not sys.platform.startswith("linux"):
        pytest.skip("a full disk needs tmpfs or prlimit, which are Linux's")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "gridclock-test", str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        yield ShortFiles(path)
        return
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.slow
def test_a_full_disk(
    kafka: Broker, prefix: str, tmp_path: Path, disk: Disk, events: Path, simulation: Simulation, rng: Random
) -> None:
    if kafka.kind == "embedded":
        pytest.skip("librdkafka's embedded broker forgets and has no real groups: crash tests need Apache Kafka")
    with Live(kafka.bootstrap, prefix, tmp_path, keep_days=AS_SHIPPED) as live:
        live.make_source()
        live.send(events, "--timestamps", "recorded")
        store = str(disk.path / "store")
        worker = start(live, store)
        some_way_on(live, simulation, rng)
        disk.fill(worker)
        ends_for_want_of_room(worker, disk)
        if isinstance(disk, SmallDisk):
            ends_for_want_of_room(start(live, store, ready=False), disk)
            # Room enough to begin with, not enough to take the whole state back from the changelog.
            shutil.rmtree(disk.path / "store")
            disk.fill(None, but=1024 * 1024)
            ends_for_want_of_room(start(live, store, ready=False), disk)
        disk.make_room()
        start(live, store)
        check(live, simulation)


def ends_for_want_of_room(worker: Worker, disk: Disk) -> None:
    until(lambda: worker.exit_code is not None, 60, lambda: worker.output)
    assert worker.exit_code == 2, worker.output
    last = worker.output.splitlines()[-1]
    assert last.startswith(f"gridclock: {disk.path}")
    assert "cannot be written" in last
    assert "make room there" in last
