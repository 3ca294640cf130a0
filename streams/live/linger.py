"""How long the intake waits between two batches at low load: longer while this worker's clocks are behind.

Each batch costs a record in each partition of the log, and the record costs the clocks work although it may bring
nothing but the time. Workers that get too little of a processor would write more such records than they apply, and be
further behind each second. Time that moves in larger steps costs them less, and delays nothing more than they do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from streams.live.clock_partition import ClockPartition
from streams.wall_clock import monotonic

SHORTEST: Final = 0.05
"""Seconds between two batches at low load, where the log has few partitions."""

SHORTEST_OF_MANY: Final = 0.1
"""The same, however many it has."""

RECORDS_A_SECOND: Final = 80
"""What an intake writes to the log at low load, as long as that wait is not the longer."""

LONGEST: Final = 5.0
"""Seconds between two batches, however far the clocks are behind; less than what counts as time standing still."""

SHARE: Final = 10
"""The wait is this part of the delay of the clocks."""


class Written(Protocol):
    """The place of a record of the log, as the producer gets it."""

    @property
    def partition(self) -> int:
        """The partition of the log."""

    @property
    def offset(self) -> int:
        """The offset there."""


class Linger:
    """Measures by samples how long a record waits in the log until the clocks of this worker have applied it.

    One batch at a time is the sample: its last record in each partition. ``partitions`` are those of this worker, of
    ``log_partitions`` of the log.
    """

    def __init__(
        self, partitions: Mapping[int, ClockPartition], log_partitions: int = 1, now: Callable[[], float] = monotonic
    ) -> None:
        self._partitions = partitions
        self.shortest = min(SHORTEST_OF_MANY, max(SHORTEST, log_partitions / RECORDS_A_SECOND))
        self._now = now
        self._since = 0.0
        self._sample: dict[int, int] = {}
        self._delay = 0.0

    def wrote(self, records: Iterable[Written]) -> None:
        """The records of a batch are in the log, those of one partition in order."""
        if not self._sample:
            self._since, self._sample = self._now(), {record.partition: record.offset for record in records}

    def seconds(self) -> float:
        """The seconds from the begin of one batch to that of the next."""
        if self._sample:
            delay = self._now() - self._since
            own = self._partitions.items()
            if all(one.offset >= self._sample[number] for number, one in own if number in self._sample):
                self._sample, self._delay = {}, delay
            else:
                self._delay = max(delay, self._delay)
        return min(LONGEST, max(self.shortest, self._delay / SHARE))
