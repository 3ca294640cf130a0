"""Reads the sources of a replay: records become events for judging, at once or split by split.

An input split is a range of a plain file, or the next hundred thousand records of any other source. Any process can
read a split; it writes the events, counts and dead letters to files. The last of these marks the split as done, so a
continued replay reads only the others. Merged in the order of the input, splits give the counts of a single reader:
line numbers are added up, and so are events that come after a later event of an earlier split. The splits follow from
the files alone, not from memory or number of processes, which may differ in the next run.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, dropwhile
from pathlib import Path
from typing import Any, BinaryIO, Final

from schemas.dead_letters import DeadLetter
from schemas.limits import MINUTE
from streams.core.alerts import Subject
from streams.core.event import Event
from streams.errors import InputError
from streams.files import STANDARD
from streams.replay.forks import run_forked
from streams.replay.input_counts import InputCounts
from streams.replay.judging import Arrived, Copies
from streams.replay.sources import MAX_AHEAD, Record, Source, event_of
from streams.replay.sources.json_rows import JsonArray
from streams.replay.sources.lines import LineRange, Lines
from streams.replay.sources.rows import Rows
from streams.replay.sources.tables import ParquetTable
from streams.replay.spill import Partitions, SpillBuffer, SpillFile
from streams.wire.decoder import Decoder, dead_letter_of, decode_json, encode_json
from streams.wire.mapping import Skipped

POSITION_BITS: Final = 48
"""Bits of the position in an origin; the number of the source is above them."""

EVERY: Final = 100_000
"""Records of a split of a source that is not a plain file."""

RANGES: Final = 16
LEAST, MOST = 1 << 16, 1 << 24
"""The approximate number of ranges of a plain file, and their fewest and most bytes."""

REPORT_EVERY: Final = 1 << 18
"""Bytes between two reports of a process's progress."""

BEGINNING: Final = -(2**62)


@dataclass(frozen=True, slots=True)
class Scope:
    """How to read: the decoder, the time of reading, and the bounds of events (see ``ReplayOptions``; microseconds)."""

    decoder: Decoder
    copies_of: Callable[[Event], Copies]
    received: int
    ends_at: int | None
    as_of: int | None


class Reading:
    """Takes records one by one: events that some rule watches go to ``buffer``, the others are only counted.

    ``unwatched_at`` is the last instant of the others. ``highs``, where given, collects the rising maxima of the
    events' instants.
    """

    def __init__(
        self,
        scope: Scope,
        buffer: SpillBuffer,
        on_dead_letter: Callable[[DeadLetter], None],
        *,
        tally: InputCounts | None = None,
        highs: array[int] | None = None,
    ) -> None:
        self.tally = InputCounts() if tally is None else tally
        self.buffer = buffer
        self.highest = BEGINNING
        self.unwatched_at: int | None = None
        self.highs = highs
        self._scope = scope
        self._on_dead_letter = on_dead_letter

    def read(
        self, number: int, source: Source, records: Iterable[Record], on_record: Callable[[int], None], after: int = 0
    ) -> int:
        """Take records of a source, the ``number``-th of all; the position of the last one, else ``after``.

        Raises:
            ConfigError: where the source cannot be read.
        """
        decoder, received, tally = self._scope.decoder, self._scope.received, self.tally
        decode, position, base, last = decoder.decode, after, number << POSITION_BITS, -1
        see = tally.columns_of(source)
        try:
            for position, raw, note in records:
                tally.lines += position != last  # a row may give several events
                last = position
                on_record(len(raw))
                try:
                    if note is None:
                        event = decode(raw, received=received, max_ahead=MAX_AHEAD)
                    else:
                        see(note)
                        found = event_of(decoder, raw, note, received)
                        if isinstance(found, Skipped):
                            tally.skip(found)
                            continue
                        event = found
                except InputError as error:
                    tally.refuse(error)
                    self._on_dead_letter(dead_letter_of(raw, error, source=source.name, position=position))
                else:
                    self._take(event, base | position, len(raw))
        except Exception as error:
            before = source.lines_before() if isinstance(source, LineRange) else 0
            error.add_note(f"gridclock: while reading {source.name}:{before + position}, or what follows it")
            raise
        return position

    def routed(self) -> Iterator[tuple[int, int, Subject, Event | bytes]]:
        """Of events in memory: number of arrival and origin, and each subject that they concern, with its copy.

        Where the native engine read the event, its line instead of the copy; ``NativeReplay.take_for`` takes it.
        """
        return copies_by_subject(self.buffer.held())

    def _take(self, event: Event, origin: int, size: int) -> None:
        tally, scope = self.tally, self._scope
        at, recorded = event.at, event.recorded
        takes_back = event.void and event.corrects is None  # an earlier version, if there is one
        if not takes_back:
            tally.events += 1
        if scope.as_of is not None and recorded > scope.as_of:
            tally.not_yet_recorded += not takes_back
            return
        if takes_back:
            if copies := scope.copies_of(event):
                self.buffer.add(event, copies, origin, size)
            return
        if scope.ends_at is not None and at > scope.ends_at:
            # It may correct a judged event, or be corrected to before the end.
            if event.corrects is None:
                tally.after_until += 1
            if copies := scope.copies_of(event):
                self.buffer.add(event, copies, origin, size)
            return
        if at < self.highest:
            tally.out_of_order += 1
        else:
            self.highest = at
            if self.highs is not None:
                self.highs.append(at)
        if recorded - at > MINUTE:
            tally.note_late(recorded - at)
        copies = scope.copies_of(event)
        if copies:
            self.buffer.add(event, copies, origin, size)
        else:
            tally.unwatched += 1
            if self.unwatched_at is None or at > self.unwatched_at:
                self.unwatched_at = at


def copies_by_subject(arrived: Iterable[Arrived]) -> Iterator[tuple[int, int, Subject, Event]]:
    """Number of arrival and origin of events, and each subject that they concern, with its copy."""
    for _, number, _, origin, copies in arrived:
        for subject, copy in copies:
            yield number, origin, subject, copy


class InputSplits:
    """Sources read split by split into files of ``directory``, and merged in order.

    ``memory`` (bytes) is the limit of each process. The merged results so far are in ``tally``, ``partitions`` and
    ``unwatched_at``; dead letters are reported in the order of the input.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        directory: Path,
        scope: Scope,
        *,
        memory: int,
        tally: InputCounts,
        on_dead_letter: Callable[[DeadLetter], None],
    ) -> None:
        self.partitions = Partitions(scope.copies_of)
        self.unwatched_at: int | None = None
        self._sources = sources
        self._directory = directory
        self._scope = scope
        self._memory = memory
        self._tally = tally
        self._on_dead_letter = on_dead_letter
        self._highest = BEGINNING
        self._ranges = self._cut()
        self._together = (0, 0)  # the next split to merge: its source, and its place there
        self._lines = 0

    def _cut(self) -> list[list[LineRange] | None]:
        total = sum(source.size or 0 for source in self._sources if isinstance(source, Lines))
        step = min(max(total // RANGES, LEAST), MOST)
        return [source.ranges(step) if isinstance(source, Lines) else None for source in self._sources]

    def read(self, jobs: int, on_record: Callable[[int], None]) -> None:
        """Read the splits that are not done, in so many processes; interrupted, those before the first gap count.

        Raises:
            ConfigError: where a source cannot be read.
        """
        anywhere: list[Callable[[Callable[[int], None]], None]] = []
        here: list[Callable[[Callable[[int], None]], None]] = []
        for number, (source, ranges) in enumerate(zip(self._sources, self._ranges, strict=True)):
            if ranges is None:
                (anywhere if _may_be_forked(source) else here).append(partial(self._read_source, number, source))
            else:
                anywhere += [
                    partial(self._read_range, number, place, part)
                    for place, part in enumerate(ranges)
                    if not self._path("read", number, place).exists()
                ]
        try:
            if jobs > 1:
                for task in here:
                    task(on_record)
                if anywhere:
                    run_forked(anywhere, on_record, jobs=jobs, step=REPORT_EVERY)
            else:
                for task in self._in_order(here, anywhere):
                    task(on_record)
                    self._put_together()
        finally:
            self._put_together()

    @staticmethod
    def _in_order(*tasks: list[Any]) -> list[Any]:
        return sorted((task for task in tasks for task in task), key=lambda task: task.args[:2])

    # -- one split -------------------------------------------------------------------------------------

    def _path(self, what: str, number: int, place: int) -> Path:
        return self._directory / f"{what}-{number:04d}-{place:05d}"

    def _own(self, what: str, number: int, place: int) -> Path:
        # A process whose parent was killed may still write the same split for a moment.
        return self._directory / f"{what}-{number:04d}-{place:05d}.{os.getpid()}"

    def _read_range(self, number: int, place: int, part: LineRange, on_record: Callable[[int], None]) -> None:
        with _InputSplit(self, number, place) as split:
            split.reading.read(number, part, part.records(), on_record)
            split.keep(lines=part.lines, ends_at=None)

    def _read_source(self, number: int, source: Source, on_record: Callable[[int], None]) -> None:
        place, after = 0, -1
        while (done := self._path("read", number, place)).exists():
            ends_at = decode_json(done.read_bytes())["ends_at"]
            if ends_at is None:
                return
            place, after = place + 1, ends_at
        records = dropwhile(partial(_is_up_to, after), source.records())
        held: Record | None = None
        while True:
            with _InputSplit(self, number, place) as split:
                some = _Some(records, held)
                after = split.reading.read(number, source, some, on_record, max(after, 0))
                held = some.held
                goes_on = held is not None
                split.keep(lines=0, ends_at=after if goes_on else None)
            if not goes_on:
                return
            place += 1

    # -- merging -------------------------------------------------------------------------------------

    def _put_together(self) -> None:
        number, place = self._together
        while number < len(self._sources):
            ranges = self._ranges[number]
            is_there = ranges is None or place < len(ranges)
            if is_there:
                path = self._path("read", number, place)
                if not path.exists():
                    break
                found = decode_json(path.read_bytes())
                self._put(number, found)
                is_there = found["ends_at"] is not None or ranges is not None
                place += 1
            if not is_there:
                number, place, self._lines = number + 1, 0, 0
            self._together = number, place

    def _put(self, number: int, found: dict[str, Any]) -> None:
        tally = InputCounts.from_state(found["tally"])
        spilled = SpillFile.from_state(found["arrivals"], self._directory)
        highs: array[int] = array("q")
        if found["highs"] is not None:
            with open(spilled.path, "rb") as source:
                source.seek(found["highs"])
                highs.frombytes(source.read())
        tally.out_of_order += bisect_left(highs, self._highest)
        tally.dead_letters.clear()  # counted when they are reported
        self._tally.add(tally)
        self._highest = max(self._highest, found["highest"])
        if found["unwatched_at"] is not None and (
            self.unwatched_at is None or found["unwatched_at"] > self.unwatched_at
        ):
            self.unwatched_at = found["unwatched_at"]
        self.partitions.put(spilled, self._lines)
        if found["letters"]:
            with open(self._directory / found["letters"], "rb") as letters:
                for line in letters:
                    letter = DeadLetter.model_validate_json(line)
                    self._tally.dead_letters[letter.reason] += 1
                    self._on_dead_letter(letter.model_copy(update={"position": letter.position + self._lines}))
        self._lines += found["lines"]


class _InputSplit:
    """One split being read, and its files."""

    def __init__(self, splits: InputSplits, number: int, place: int) -> None:
        self._own = partial(splits._own, number=number, place=place)
        self._done = splits._path("read", number, place)
        self._letters: BinaryIO | None = None
        self._highs: array[int] = array("q")
        buffer = SpillBuffer(splits._memory, lambda: self._own("events"))
        self.reading = Reading(splits._scope, buffer, self._refuse, highs=self._highs)

    def __enter__(self) -> _InputSplit:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._letters is not None:
            self._letters.close()

    def _refuse(self, letter: DeadLetter) -> None:
        if self._letters is None:
            self._letters = open(self._own("letters"), "wb")  # noqa: SIM115 (closed with the stretch)
        self._letters.write(letter.model_dump_json().encode() + b"\n")

    def keep(self, *, lines: int, ends_at: int | None) -> None:
        """Mark it as done, with its number of lines and the start of the next split of its source, if there is one."""
        reading = self.reading
        if self._letters is not None:
            self._letters.close()
        spilled = reading.buffer.store()
        highs_at = None
        if self._highs:
            with open(spilled.path, "ab" if spilled.index else "wb") as target:
                highs_at = target.tell()
                target.write(self._highs.tobytes())
        found = {
            "tally": reading.tally.to_state(),
            "highest": reading.highest,
            "unwatched_at": reading.unwatched_at,
            "arrivals": spilled.to_state(),
            "letters": None if self._letters is None else self._own("letters").name,
            "highs": highs_at,
            "lines": lines,
            "ends_at": ends_at,
        }
        unfinished = self._own("read")
        unfinished.write_bytes(encode_json(found))
        unfinished.replace(self._done)


def _may_be_forked(source: Source) -> bool:
    """Whether a forked process may read it.

    Not standard input, which is stored to be read again; nor sources that use threads (polars, kafka-python), because
    threads do not survive a fork.
    """
    if source.name == STANDARD or isinstance(source, ParquetTable):
        return False
    return isinstance(source, Rows | JsonArray | Lines)


class _Some:
    """The next hundred thousand records, and those of the same row that follow; ``held`` is the first of the rest."""

    def __init__(self, records: Iterator[Record], held: Record | None) -> None:
        self._records = records
        self.held = held

    def __iter__(self) -> Iterator[Record]:
        count, last = 0, -1
        records = self._records if self.held is None else chain((self.held,), self._records)
        self.held = None
        for record in records:
            if count >= EVERY and record[0] != last:
                self.held = record
                return
            count, last = count + 1, record[0]
            yield record


def _is_up_to(position: int, record: Record) -> bool:
    return record[0] <= position
