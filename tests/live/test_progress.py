"""Ready means that time moves: second by second."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from streams.live.metrics_server import Health
from streams.live.progress import STILL_AT_MOST, Progress


class World:
    def __init__(self, **watermarks: int | None) -> None:
        self.now = 0.0
        self.partitions: dict[int, Any] = {
            int(name[1:]): SimpleNamespace(watermark=at) for name, at in watermarks.items()
        }
        self.pace = Progress(self.partitions, lambda: self.now)
        self.pace.look()

    def later(self, seconds: float, **watermarks: int) -> str | None:
        self.now += seconds
        for name, at in watermarks.items():
            self.partitions[int(name[1:])].watermark = at
        self.pace.look()
        return self.pace.trouble()


def test_time_that_moves_is_no_trouble() -> None:
    world = World(p0=1, p1=None)
    assert world.later(STILL_AT_MOST, p0=2, p1=2) is None
    assert world.later(STILL_AT_MOST, p0=3, p1=3) is None


def test_time_that_stands_is_told_after_the_bound_and_not_before() -> None:
    world = World(p0=1, p3=1, p4=None)
    assert world.later(STILL_AT_MOST, p0=2) is None
    assert world.later(1, p0=3) == "time stands still in partitions 3, 4, for 16 s"
    assert world.later(1, p0=4, p3=2) == "time stands still in partitions 4, for 17 s"
    assert world.later(0, p4=1) is None


def test_a_partition_that_went_is_forgotten() -> None:
    world = World(p0=1, p1=1)
    del world.partitions[1]
    assert world.later(STILL_AT_MOST + 1, p0=2) is None
    world.partitions[1] = SimpleNamespace(watermark=1)  # come back: its time begins anew
    assert world.later(1, p0=3) is None


@pytest.mark.parametrize(
    ("is_ready", "troubles", "expected"),
    [
        (False, ["x"], (False, "starting")),
        (True, [None, None], (True, "at work")),
        (True, [None, "restoring the state"], (False, "restoring the state")),
    ],
)
def test_health_asks_everybody(*, is_ready: bool, troubles: list[str | None], expected: tuple[bool, str]) -> None:
    health = Health()
    health.is_ready = is_ready
    health.troubles += [lambda told=told: told for told in troubles]  # type: ignore[misc]
    assert health.ready() == expected
    assert health.alive() == (True, "alive")
