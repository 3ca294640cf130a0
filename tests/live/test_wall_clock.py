"""Real instants and those that a clock shows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.wall_clock import WallClock

INSTANTS = st.integers(0, 4_102_444_800_000_000)


@given(st.sampled_from((0.25, 1, 60)), INSTANTS, INSTANTS, st.lists(st.none() | INSTANTS), st.integers(0, 10**9))
def test_all_at_once_are_as_each_alone(
    speed: float, origin: int, anchor: int, reals: list[int | None], later: int
) -> None:
    clock = WallClock.scaled(origin, speed, anchor)
    assert clock.all_at(reals, later) == [None if real is None else clock.at(real) + later for real in reals]
