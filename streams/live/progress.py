"""Detects partitions of this worker whose watermark does not advance.

A source read to its end advances the watermark with the clock, any other with each record read. So a watermark that
does not advance means that a growing source is not read, brokers do not answer, or the log is not applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from streams.live.clock_partition import ClockPartition
from streams.wall_clock import monotonic

STILL_AT_MOST: Final = 15.0
"""Seconds without progress; a new partition leader or a rebalance takes less."""


class Progress:
    """``look`` every second, from the event loop; ``trouble`` from any thread."""

    def __init__(self, partitions: Mapping[int, ClockPartition], now: Callable[[], float] = monotonic) -> None:
        self._partitions = partitions
        self._now = now
        self._moved: dict[int, tuple[int | None, float]] = {}

    def look(self) -> None:
        """Record the partitions that have advanced."""
        now = self._now()
        found = {number: partition.watermark for number, partition in self._partitions.items()}
        before = self._moved
        self._moved = {
            number: before[number] if number in before and before[number][0] == at else (at, now)
            for number, at in found.items()
        }

    def trouble(self) -> str | None:
        """The problem, in a line; ``None`` if there is none."""
        now = self._now()
        still = {number: now - since for number, (_, since) in self._moved.items() if now - since > STILL_AT_MOST}
        if not still:
            return None
        return f"time stands still in partitions {', '.join(map(str, sorted(still)))}, for {max(still.values()):.0f} s"
