"""Sets aside the subjects or the record at which a worker fails; see ``quarantine``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from streams.core.alerts import Subject
from streams.live.applied import Applied
from streams.live.clock_partition import (
    JUDGED_AT_ONCE,
    ROWS_AT_ONCE,
    ClockPartition,
    RestoreError,
    position_key,
    subject_key,
)
from streams.live.quarantine import cause_of, fault_of, faulty, narrowed
from streams.live.worker_parts import Output
from streams.wire.state_rows import (
    Aside,
    DamagedError,
    LogRecord,
    Position,
    StateError,
    Suspect,
    checksum_of,
    control_to_bytes,
    position_from_bytes,
    position_to_bytes,
    record_from_bytes,
)

PIECES: Final = 100
"""Pieces into which the subjects of a record are split; each is written before it is tried, about 3 ms."""

MOST_ASIDE: Final = 1_000
"""Subjects of a partition set aside; beyond it the worker ends, because the cause is not in the data."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SettingAside:
    """``set_aside``, with its access to a worker.

    ``make`` makes the empty engine of a partition, ``encode`` the messages of one record. ``row_of`` gives a stored row
    of a partition by its key, ``rows_of`` all; ``keep_position`` writes a partition's own row, ``write_control`` a
    control record to the log.
    """

    log_topic: str
    make: Callable[[int], ClockPartition]
    encode: Callable[[Applied], Output]
    row_of: Callable[[int, bytes], bytes | None]
    rows_of: Callable[[int], Iterator[tuple[bytes, bytes]]]
    keep_position: Callable[[int, bytes], Awaitable[None]]
    write_control: Callable[[int, bytes], Awaitable[None]]
    skipped: dict[tuple[int, int], LogRecord] = field(default_factory=dict)
    """By partition and offset: the replacement of a record that cannot be read."""

    async def set_aside(
        self, number: int, offset: int, raw: bytes, error: Exception, restored: Callable[[], Awaitable[ClockPartition]]
    ) -> None:
        """Find the cause and set it aside; the engine of the partition must then be restored from the rows.

        ``restored`` gives that engine from the stored rows.

        Raises: Exception: the error, where no subject and no damaged record is the cause.
        """
        position = self.position(number)
        since, found = offset, dict[Subject, str]()
        if isinstance(error, RestoreError):
            since = position.offset + 1
            found = {subject: cause_of(one) for subject, one in error.errors.items()}
        else:
            try:
                record = record_from_bytes(raw)
            except DamagedError as damage:
                await self._skip(number, offset, raw, cause_of(damage), position)
                return
            found = await self._faulty(offset, record, await restored(), position)
        if not found:
            raise error
        await self._note(number, position, since, found)

    async def before_first(self, number: int, offset: int, raw: bytes) -> bool:
        """Mark that a process tries its first record of a partition; false if it was applied before.

        If the mark exists already, the record killed a process: then the subjects of the record are tried in pieces,
        each written first, on separate engines; a piece found written is split further. A subject that kills a process
        alone, after the record has killed one, is set aside. So a process killed by something else while it tries a
        record sets nothing aside.
        """
        position = self.position(number)
        if offset <= position.offset:
            return False
        if position.suspect is not None and position.suspect.offset == offset:
            await self._narrow(number, raw, position, position.suspect)
            position = self.position(number)
        await self._mark(number, position, Suspect(offset))
        return True

    async def _narrow(self, number: int, raw: bytes, position: Position, suspect: Suspect) -> None:
        offset, subjects = suspect.offset, suspect.subjects
        if suspect.tries > 1 and subjects is not None and len(subjects) < 2:
            cause = f"the process died at it, {suspect.tries} times"
            if subjects:
                await self._note(number, position, offset, {subjects[0]: cause})
            else:
                await self._skip(number, offset, raw, cause, position)
            return
        logger.warning("%s/%d/%d: a process died at it: it is tried in pieces", self.log_topic, number, offset)
        await self._mark(number, position, Suspect(offset, suspect.tries + 1, ()))
        try:
            record = record_from_bytes(raw)
        except DamagedError:
            return  # it is tried as a whole, and fails as usual
        waiting = list(subjects) if subjects else await self._concerned(number, record, position)
        trial = self._trial(number, offset, record, position)
        size = min(JUDGED_AT_ONCE, -(-len(waiting) // PIECES))
        for at in range(0, len(waiting), size or 1):
            piece = waiting[at : at + size]
            await self._mark(number, position, Suspect(offset, suspect.tries + 1, piece))
            fault_of(trial, piece)  # an exception is raised again when the whole is tried

    async def _concerned(self, number: int, record: LogRecord, position: Position) -> list[Subject]:
        partition = self.make(number)
        partition.restore(position_to_bytes(position))
        found = {subject for subject, _, _ in record.entries} | record.released.keys()
        rows = self.rows_of(number)
        while some := list(islice(rows, ROWS_AT_ONCE)):
            found.update(partition.concerned_rows(record, some))
            await asyncio.sleep(0)
        return sorted(found)

    def has_more(self, partition: ClockPartition | None) -> bool:
        """Whether more is set aside in the partition's stored row than in its engine."""
        if partition is None:
            return False
        return {one.subject for one in self.position(partition.partition).aside} != partition.aside.keys()

    def position(self, number: int) -> Position:
        """A partition's own row as stored."""
        row = self.row_of(number, position_key(number))
        if row is not None:
            return position_from_bytes(row)
        made = self.make(number)
        return Position(-1, None, {}, {}, made.fingerprint, hashed_by=made.hashed_by)

    async def _mark(self, number: int, position: Position, suspect: Suspect) -> None:
        await self.keep_position(number, position_to_bytes(replace(position, suspect=suspect)))

    async def _note(self, number: int, position: Position, since: int, found: Mapping[Subject, str]) -> None:
        aside = [Aside(subject, since, since - 1, cause, position.at) for subject, cause in sorted(found.items())]
        await self.keep_position(number, position_to_bytes(_with_aside(position, aside)))
        for one in aside:
            logger.error(
                "%s/%d/%d: %s %s is set aside: %s; once that is repaired, gridclock dead-letters retry brings it back",
                self.log_topic, number, since, *one.subject, one.reason,
            )  # fmt: skip

    async def _skip(self, number: int, offset: int, raw: bytes, cause: str, position: Position) -> None:
        """Skip a record that cannot be read. It is written to the log first, because no state shows it."""
        instead = LogRecord(sources=position.sources, checksum=checksum_of(raw), skipped={offset: cause})
        await self.write_control(number, control_to_bytes(instead))
        self.skipped[number, offset] = instead
        logger.error("%s/%d/%d: the record cannot be read and is set aside: %s", self.log_topic, number, offset, cause)

    async def _faulty(
        self, offset: int, record: LogRecord, restored: ClockPartition, position: Position
    ) -> dict[Subject, str]:
        return await faulty(restored.concerned(record), self._trial(restored.partition, offset, record, position))

    def _trial(
        self, number: int, offset: int, record: LogRecord, position: Position
    ) -> Callable[[Collection[Subject]], None]:
        """Applies a record, reduced to some subjects, to a separate engine."""
        kept = position_to_bytes(position)

        def trial(group: Collection[Subject]) -> None:
            partition = self.make(number)
            keys = [subject_key(number, subject) for subject in group]
            partition.restore(kept, [(key, row) for key in keys if (row := self.row_of(number, key)) is not None])
            applied = partition.apply(narrowed(record, set(group)), offset)
            if applied is not None:
                self.encode(applied)

        return trial

    async def log(self, partition: ClockPartition) -> None:
        """Write the subjects of a partition that are set aside to the log, unless the log is known to have them."""
        aside = [(one.subject, one.since, one.reason) for one in partition.aside.values() if not one.is_logged]
        if aside:
            control = LogRecord(sources=partition.sources, aside=aside)
            await self.write_control(partition.partition, control_to_bytes(control))


def _with_aside(position: Position, found: Iterable[Aside]) -> Position:
    """A position with more subjects set aside."""
    aside = {one.subject: one for one in (*position.aside, *found)}
    if len(aside) > MOST_ASIDE:
        raise StateError(
            f"more than {MOST_ASIDE} subjects of one partition would be set aside: this is no matter of data"
        )
    return replace(position, aside=tuple(aside.values()), suspect=None)
