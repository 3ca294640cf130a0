"""The parts of a worker besides Faust."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from streams.core.alerts import Subject
from streams.kafka.producer import Message
from streams.kafka.range_reader import Reader
from streams.live.applied import Applied
from streams.live.changelog import Changelog
from streams.live.clock_partition import ROWS_AT_ONCE, ClockPartition, RestoreError


@dataclass(frozen=True, slots=True)
class Output:
    """The messages of one record, and the reasons of its dead letters.

    A case without a value is a tombstone.
    """

    applied: Applied
    alerts: Sequence[Message]
    letters: Sequence[Message]
    reasons: Sequence[str]
    cases: Sequence[Message] = ()


@dataclass(frozen=True, slots=True)
class Topics:
    """A worker's access to the log and the changelog besides Faust.

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
    """The engines of this worker by partition, and the callbacks for their results.

    ``make`` makes the empty engine of a partition. ``encode`` makes the alerts, dead letters and cases of one log
    record; ``emit`` writes them and returns when the brokers have acknowledged them. Durations are in seconds.
    ``on_headers`` gets the headers of each log record, where somebody wants them.
    """

    partitions: dict[int, ClockPartition]
    make: Callable[[int], ClockPartition]
    encode: Callable[[Applied], Output]
    emit: Callable[[Output], Awaitable[None]]
    on_applied: Callable[[Applied, float], None]
    on_recovered: Callable[[float], None]
    on_headers: Callable[[Any], None] | None = None


async def in_pieces(pieces: Generator[None, None, Applied | None]) -> Applied | None:
    """Run all pieces; between two, other tasks of the event loop can run."""
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
    """Restore a partition from its rows, in pieces; ``on_some`` is called after each.

    Raises:
        RestoreError: where the program fails at some subjects, after all others were restored.
    """
    partition.restore(position)
    errors: dict[Subject, Exception] = {}
    gc.disable()  # it would scan all restored objects repeatedly, without finding garbage
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
