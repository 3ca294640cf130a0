"""Sets aside what a worker fails at in one record of the log; the theory is in ``quarantine``."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field

from streams.core.alerts import Subject
from streams.live.clock_partition import (
    Applied,
    ClockPartition,
    Output,
    RestoreError,
    position_key,
    subject_key,
    with_aside,
)
from streams.live.quarantine import cause_of, faulty, narrowed
from streams.wire.state_rows import (
    Aside,
    DamagedError,
    LogRecord,
    checksum_of,
    control_to_bytes,
    position_from_bytes,
    record_from_bytes,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SettingAside:
    """``set_aside``, with what it needs of a worker.

    ``make`` makes the empty engine of a partition, ``encode`` what one record gives. ``row_of`` gives a kept row of a
    partition by its key; ``keep_position`` writes a partition's own row, ``write_control`` a control record to the log.
    """

    log_topic: str
    make: Callable[[int], ClockPartition]
    encode: Callable[[Applied], Output]
    row_of: Callable[[int, bytes], bytes | None]
    keep_position: Callable[[int, bytes], Awaitable[None]]
    write_control: Callable[[int, bytes], Awaitable[None]]
    skipped: dict[tuple[int, int], LogRecord] = field(default_factory=dict)
    """By partition and offset: what to apply instead of a record that cannot be read."""

    async def set_aside(
        self, number: int, offset: int, raw: bytes, error: Exception, restored: Callable[[], Awaitable[ClockPartition]]
    ) -> None:
        """Find what is at fault and set it aside; the engine of the partition must begin again from the rows then.

        ``restored`` gives that engine as the rows are kept.

        Raises:
            Exception: the error, where no subject and no damaged record is at fault.
        """
        position = self.row_of(number, position_key(number))
        kept = None if position is None else position_from_bytes(position)
        since, found = offset, dict[Subject, str]()
        if isinstance(error, RestoreError):
            since = 0 if kept is None else kept.offset + 1
            found = {subject: cause_of(one) for subject, one in error.errors.items()}
        else:
            try:
                record = record_from_bytes(raw)
            except DamagedError as damage:
                await self._skip(number, offset, raw, cause_of(damage), {} if kept is None else kept.sources)
                return
            found = await self._faulty(number, offset, record, await restored(), position)
        if not found:
            raise error
        at = None if kept is None else kept.at
        aside = [Aside(subject, since, since - 1, cause, at) for subject, cause in sorted(found.items())]
        await self.keep_position(number, with_aside(position, aside, self.make(number).fingerprint))
        for one in aside:
            logger.error(
                "%s/%d/%d: %s %s is set aside after two faults: %s; once that is repaired, gridclock dead-letters "
                "retry brings it back",
                self.log_topic, number, since, *one.subject, one.reason,
            )  # fmt: skip

    async def _skip(self, number: int, offset: int, raw: bytes, cause: str, sources: Mapping[str, int]) -> None:
        """Have a record passed over that cannot be read. The log says so first: no state shows it."""
        instead = LogRecord(sources=sources, checksum=checksum_of(raw), skipped={offset: cause})
        await self.write_control(number, control_to_bytes(instead))
        self.skipped[number, offset] = instead
        logger.error("%s/%d/%d: the record cannot be read and is set aside: %s", self.log_topic, number, offset, cause)

    async def _faulty(
        self, number: int, offset: int, record: LogRecord, restored: ClockPartition, position: bytes | None
    ) -> dict[Subject, str]:
        subjects = restored.concerned(record)
        rows = {subject: self.row_of(number, subject_key(number, subject)) for subject in subjects}

        def trial(group: Collection[Subject]) -> None:
            partition = self.make(number)
            own = [(subject_key(number, one), row) for one in group if (row := rows[one]) is not None]
            partition.restore(position, own)
            applied = partition.apply(narrowed(record, set(group)), offset)
            if applied is not None:
                self.encode(applied)

        return await faulty(subjects, trial)

    async def log(self, partition: ClockPartition) -> None:
        """Have the log say which subjects of a partition are set aside, where it has not been seen to say so."""
        aside = [(one.subject, one.since, one.reason) for one in partition.aside.values() if not one.is_logged]
        if aside:
            control = LogRecord(sources=partition.sources, aside=aside)
            await self.write_control(partition.partition, control_to_bytes(control))
