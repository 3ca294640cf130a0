"""Whether time moves in every partition at work here: it always does, unless something is wrong.

A source that is read to its end moves time with the clock, one that is not with what is read. So time that stands
still means a source that nobody reads while it grows, brokers that do not answer, or a log that is not applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from streams.live.clock_partition import ClockPartition
from streams.wall_clock import monotonic

STILL_AT_MOST: Final = 15.0
"""Seconds; a new leader of a partition, or a rebalance, takes less."""


class Progress:
    """``look`` every second, from the event loop; ``trouble`` from any thread."""

    def __init__(self, partitions: Mapping[int, ClockPartition], now: Callable[[], float] = monotonic) -> None:
        self._partitions = partitions
        self._now = now
        self._moved: dict[int, tuple[int | None, float]] = {}

    def look(self) -> None:
        """Take note of what has moved."""
        now = self._now()
        found = {number: partition.watermark for number, partition in self._partitions.items()}
        before = self._moved
        self._moved = {
            number: before[number] if number in before and before[number][0] == at else (at, now)
            for number, at in found.items()
        }

    def trouble(self) -> str | None:
        """What is wrong, in a line."""
        now = self._now()
        still = {number: now - since for number, (_, since) in self._moved.items() if now - since > STILL_AT_MOST}
        if not still:
            return None
        return f"time stands still in partitions {', '.join(map(str, sorted(still)))}, for {max(still.values()):.0f} s"
