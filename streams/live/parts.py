"""What a worker is made of beside Faust."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from streams.core.alerts import Subject
from streams.kafka.range_reader import Reader
from streams.live.changelog import Changelog
from streams.live.clock_partition import ROWS_AT_ONCE, Applied, ClockPartition, Output, RestoreError


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


async def in_pieces(pieces: Generator[None, None, Applied | None]) -> Applied | None:
    """Drive them to their end; between two, whatever else the process has to do gets its turn."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            found: Applied | None = end.value
            return found
        await asyncio.sleep(0)


async def restore(
    partition: ClockPartition, position: bytes | None, rows: Iterator[tuple[bytes, bytes]], on_some: Callable[[], None]
) -> None:
    """Take a partition back from its rows, some at a time; ``on_some`` is called after each.

    Raises:
        RestoreError: where the program fails at some subjects, after all others were taken back.
    """
    partition.restore(position)
    errors: dict[Subject, Exception] = {}
    gc.disable()  # it would go through all that was restored again and again, and finds nothing
    try:
        while some := list(islice(rows, ROWS_AT_ONCE)):
            try:
                partition.restore_subjects(some)
            except RestoreError as error:
                errors |= error.errors
            on_some()
            await asyncio.sleep(0)
    finally:
        gc.freeze()
        gc.enable()
    if errors:
        raise RestoreError(errors)
