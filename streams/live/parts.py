"""What a worker is made of beside Faust."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from streams.kafka.range_reader import Reader
from streams.live.changelog import Changelog
from streams.live.clock_partition import Applied, ClockPartition, Output


@dataclass(frozen=True, slots=True)
class Topics:
    """The log and the changelog as a worker uses them beside Faust.

    ``log_ends`` gives the end offsets of those partitions of the log that have a leader. ``read_log`` and
    ``read_changelog`` read ranges of offsets again. ``write_control`` writes one control record to a partition.
    """

    log_partitions: int
    changelog: Changelog
    write_control: Callable[[int, bytes], Awaitable[None]]
    log_ends: Callable[[list[int]], Awaitable[Mapping[int, int]]]
    read_log: Reader
    read_changelog: Reader


@dataclass(frozen=True, slots=True)
class Clocks:
    """The engines now at work here, by partition, and what is called with their results.

    ``make`` makes the empty engine of a partition. ``encode`` makes the alerts, dead letters and cases of one log
    record; ``emit`` writes them and returns when the brokers have acknowledged them. Durations are in seconds.
    """

    partitions: dict[int, ClockPartition]
    make: Callable[[int], ClockPartition]
    encode: Callable[[Applied], Output]
    emit: Callable[[Output], Awaitable[None]]
    on_applied: Callable[[Applied, float], None]
    on_recovered: Callable[[float], None]
