"""How long the intake waits between two batches, by how far the clocks are behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from streams.live.linger import LONGEST, SHORTEST, Linger


@dataclass
class Place:
    """A record of the log."""

    partition: int
    offset: int


@dataclass
class Applied:
    """The clocks of one partition."""

    offset: int


class Now:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def made(**offsets: int) -> tuple[Linger, dict[int, Any], Now]:
    """With own partitions ``p0`` and the like at these offsets."""
    partitions: dict[int, Any] = {int(name[1:]): Applied(offset) for name, offset in offsets.items()}
    now = Now()
    return Linger(partitions, now=now), partitions, now


@pytest.mark.parametrize(("partitions", "seconds"), [(1, SHORTEST), (4, 0.05), (6, 0.075), (8, 0.1), (64, 0.1)])
def test_a_log_of_few_partitions_is_written_more_often(partitions: int, seconds: float) -> None:
    assert Linger({}, partitions).seconds() == seconds


def test_clocks_that_follow_cost_no_wait() -> None:
    linger, partitions, now = made(p0=-1)
    assert linger.seconds() == SHORTEST
    for offset in range(5):
        linger.wrote([Place(0, offset), Place(1, 70)])  # partition 1 is another worker's
        now.at += 0.4
        partitions[0].offset = offset
        assert linger.seconds() == SHORTEST


def test_clocks_that_are_behind_make_the_wait_longer_while_they_are() -> None:
    linger, partitions, now = made(p0=9, p2=4)
    linger.wrote([Place(0, 10), Place(2, 5), Place(2, 6)])
    partitions[0].offset, partitions[2].offset = 10, 5
    found = []
    for _ in range(4):
        now.at += 10
        found.append(linger.seconds())
        linger.wrote([Place(0, 99), Place(2, 99)])  # not the sample
    assert found == [1, 2, 3, 4]
    partitions[2].offset = 6
    assert linger.seconds() == 4
    linger.wrote([Place(0, 100), Place(2, 100)])
    now.at += 0.5
    assert linger.seconds() == 4  # until the next sample is known
    partitions[0].offset = partitions[2].offset = 100
    assert linger.seconds() == SHORTEST


def test_it_is_never_longer_than_what_counts_as_time_that_moves() -> None:
    linger, _, now = made(p0=0)
    linger.wrote([Place(0, 1)])
    now.at += 3600
    assert linger.seconds() == LONGEST


def test_a_partition_that_went_to_another_worker_is_waited_for_no_more() -> None:
    linger, partitions, now = made(p0=0, p1=1)
    linger.wrote([Place(0, 1), Place(1, 1)])
    now.at += 30
    assert linger.seconds() == 3
    del partitions[0]
    linger.seconds()
    linger.wrote([Place(1, 1)])
    assert linger.seconds() == SHORTEST


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_that_get_little_of_a_processor_come_to_apply_what_they_write(workers: int) -> None:
    """Each applies 20 records of its one partition a second; each batch of any worker is a record there."""
    now, written, applied = Now(), 0, Applied(-1)
    linger = Linger({0: applied}, now=now)  # type: ignore[dict-item]
    batch_at, owed, behind = 0.0, 0.0, []
    for _ in range(60_000):  # ten minutes
        now.at += 0.01
        owed = min(owed + 0.2, written - applied.offset - 1)
        applied.offset += int(owed)
        owed -= int(owed)
        if now.at >= batch_at:
            linger.wrote([Place(0, written + workers - 1)])
            written += workers
            batch_at = now.at + linger.seconds()
        behind.append(written - applied.offset - 1)
    assert max(behind[len(behind) // 2 :]) <= max(behind[: len(behind) // 2]) < 1_000
    assert written > min(20, 10 * workers) * 300  # and time does not move much less often than they could take
