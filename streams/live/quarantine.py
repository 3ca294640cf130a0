"""Sets aside records and subjects at which the program fails twice, with the reason; all others continue.

Where it can fail. Intake: decode, route, encode a record of a source. It is retried at once, then it becomes a dead
letter. Clocks: read a record of the log; restore a subject from its row, store its events, fold, judge, explain, encode
its alerts and its row, and write them where they exceed the topic's message size. The record is retried from the stored
rows; then the failing subjects are found by halving, on separate engines (subjects are independent). Where it fails
without any subject, or where brokers or disks fail, the data are not the cause.

A killed process leaves no exception (out of memory, a library's crash). So a process that has taken over a partition
marks the partition's position before it tries its first record. If the mark is already there, the record is tried in
pieces, each written to the position first (``SettingAside.before_first``). Only one partition at a time does so: the
piece written when the process dies is the one that was tried. For records of sources: ``poison_records``.

What is written. The position of the partition names the subject, the first offset and the reason; then a control record
in the log has the same, for ``gridclock replay --log``; then the record is applied to all other subjects. From then on
the subject's row does not change, and its entries are held: each becomes a dead letter. The subject is not judged, and
its reports are kept. ``gridclock dead-letters retry`` writes a control record that releases the subject, with the held
entries. It takes effect only if it includes all entries held since; then the subject continues as if its events had
come late.

The text of an exception often quotes the data, which may name a person. So log lines, dead letters and all else give
its class and its place in the program instead.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from aiokafka.errors import KafkaError

from schemas.dead_letters import DeadLetter
from streams.core.alerts import Subject
from streams.errors import GridclockError, InputError, InvariantError
from streams.live.applied import Held
from streams.live.clock_partition import JUDGED_AT_ONCE, RestoreError
from streams.wire.decoder import dead_letter_of, encode_json, wire_fields
from streams.wire.state_rows import DamagedError, LogRecord

MAX_PAYLOAD: Final = 200_000
"""Bytes kept of a dead letter's original."""

MAX_HELD: Final = 1_000_000
"""Bytes kept of a log record or of one of its entries: the maximum possible, so that it can be retried."""

MOST_TRIES: Final = 10
"""Tries of a log record: before each but the first, something is set aside."""

logger = logging.getLogger(__name__)


class TooLargeError(Exception):
    """A message about a subject exceeds its topic's limit; the text contains no data."""

    def __init__(self, what: str, size: int, topic: str, limit: int) -> None:
        super().__init__(
            f"{what} has {size:,} bytes, and topic {topic} takes {limit:,} (max.message.bytes): raise that and restart "
            "the workers"
        )


def is_fault(error: Exception) -> bool:
    """Whether the data, or the program because of them, may be the cause: not brokers, disks or settings."""
    if isinstance(error, DamagedError | InvariantError):
        return True
    return not isinstance(error, GridclockError | KafkaError | OSError)


async def faulty(subjects: Sequence[Subject], trial: Callable[[Collection[Subject]], None]) -> dict[Subject, str]:
    """The subjects at which a trial fails, with the causes, found by halving; empty where it fails without any."""
    found: dict[Subject, str] = {}
    if fault_of(trial, ()) is not None:
        return found
    waiting = [subjects[at : at + JUDGED_AT_ONCE] for at in range(0, len(subjects), JUDGED_AT_ONCE)]
    while waiting:
        await asyncio.sleep(0)
        group = waiting.pop()
        cause = fault_of(trial, group)
        if cause is not None and len(group) == 1:
            found[group[0]] = cause
        elif cause is not None:
            half = len(group) // 2
            waiting += [group[:half], group[half:]]
    return found


def fault_of(trial: Callable[[Collection[Subject]], None], group: Collection[Subject]) -> str | None:
    """The cause of a failed trial of those subjects; ``None`` if it succeeds."""
    try:
        trial(group)
    except Exception as error:
        if not is_fault(error):
            raise
        return cause_of(error)
    return None


def narrowed(record: LogRecord, subjects: Collection[Subject]) -> LogRecord:
    """A log record reduced to some subjects."""
    return replace(
        record,
        entries=[entry for entry in record.entries if entry[0] in subjects],
        released={subject: up_to for subject, up_to in record.released.items() if subject in subjects},
    )


def cause_of(error: BaseException) -> str:
    """The class of an exception, and its innermost place in this program."""
    if isinstance(error, TooLargeError | RestoreError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "streams" in Path(frame.filename).parts] or frames
    name = type(error).__name__
    if not own:
        return name
    last = own[-1]
    return f"{name} in {Path(last.filename).name}:{last.lineno} ({last.name})"


def quarantined(cause: str) -> InputError:
    """The error of a record or subject that is set aside."""
    return InputError("quarantined", None, f"failed twice and is set aside: {cause}")


def letter_of_held(held: Held, source: str) -> DeadLetter:
    """The dead letter of a held entry; ``source`` is the partition of the log."""
    _, event, origin = held.entry or (held.aside.subject, None, None)
    raw = b"" if event is None else encode_json(wire_fields(event))
    error = quarantined(held.aside.reason)
    letter = dead_letter_of(raw, error, source=source, position=held.offset, max_payload=MAX_HELD)
    return letter.model_copy(update={"subject": held.aside.subject, "entry": held.number, "origin": origin})


def letter_of(raw: bytes, error: InputError, *, source: str, position: int) -> DeadLetter:
    """The dead letter of a record; without its bytes if they could make this fail, too."""
    try:
        return dead_letter_of(raw, error, source=source, position=position, max_payload=MAX_PAYLOAD)
    except Exception as second:
        logger.warning("%s/%d: the dead letter is written without its payload: %s", source, position, cause_of(second))
        letter = dead_letter_of(b"", error, source=source, position=position)
        return letter.model_copy(update={"size": len(raw), "truncated": True})
