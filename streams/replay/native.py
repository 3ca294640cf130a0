"""A replay by the native engine; Python reads the lines and judges the subjects that it does not support, in order.

Lines that the native engine refuses go to the decoder, and the subjects of their events to the Python engine, with all
their events. Lines that exceed the memory go to disk by subject, and are judged natively from there (``native_tasks``).
"""

from __future__ import annotations

import logging
from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

import msgspec

from schemas.dead_letters import DeadLetter
from streams.core.alerts import Subject
from streams.core.event import Event
from streams.engine.judged import Line, NativeReplay
from streams.files import STANDARD
from streams.replay.input_counts import InputCounts
from streams.replay.judging import AlertKey, Arrived, Copies, Deduplicated, deduplicate
from streams.replay.output_form import OutputForm
from streams.replay.reading import POSITION_BITS, Reading, Scope, copies_by_subject
from streams.replay.sources import MAX_AHEAD, Record, Source
from streams.replay.sources.lines import Lines
from streams.replay.spill import HELD_BYTES, SpillBuffer
from streams.replay.spilled_lines import LinePartitions, LineSpill, event_rows, line_rows
from streams.wire.cloudevents import ReportedCase

WrittenCases = bytes | Iterable[ReportedCase]
"""The cases of one subject: encoded, if they are only written, else one by one."""

read_plain = msgspec.json.Decoder().decode

LOOKED_AT = 200
"""Lines of a source that decide whether the native engine reads it instead of several processes."""

_log = logging.getLogger(__name__)


class NativeReading(Reading):
    """Takes records as ``Reading`` does; ``judging`` ends it, then ``partitions`` where that gives nothing."""

    def __init__(
        self,
        scope: Scope,
        buffer: SpillBuffer,
        on_dead_letter: Callable[[DeadLetter], None],
        native: NativeReplay,
        *,
        memory: int,
        tally: InputCounts,
        highs: array[int] | None = None,
    ) -> None:
        super().__init__(scope, buffer, on_dead_letter, tally=tally, highs=highs)
        self._native = native
        self._spill = LineSpill(buffer.path)
        if highs is not None:
            native.keep_highs()
        self._memory = memory
        self._kept: list[Arrived] = []
        self._used = 0

    def read(
        self, number: int, source: Source, records: Iterable[Record], on_record: Callable[[int], None], after: int = 0
    ) -> int:
        """See ``Reading``; the position is that of the last record that Python has read."""
        return super().read(number, source, self._remaining(number, source, records, on_record), on_record, after)

    def _remaining(
        self, number: int, source: Source, records: Iterable[Record], on_record: Callable[[int], None]
    ) -> Iterable[Record]:
        """The records of a source that Python must read, in order."""
        if not isinstance(source, Lines):
            return records
        skimmed = records if source.name == STANDARD else source.records(partial(self._skim, number, on_record))
        return self._not_taken(number, skimmed, on_record)

    def _skim(self, number: int, on_record: Callable[[int], None], text: bytes, before: int) -> tuple[int, int]:
        taken, lines = self._native.skim(text, number << POSITION_BITS | before)
        if taken:
            self._taken(taken, lines, on_record)
        return taken, lines

    def _not_taken(self, number: int, records: Iterable[Record], on_record: Callable[[int], None]) -> Iterator[Record]:
        """The records that Python must read, in order."""
        base = number << POSITION_BITS
        for record in records:
            position, raw, note = record
            if note is None and self._native.take(raw, base | position):
                self._taken(len(raw), 1, on_record)
            else:
                yield record

    def _taken(self, size: int, lines: int, on_record: Callable[[int], None]) -> None:
        self.tally.lines += lines
        on_record(size)
        self._bound()

    def _bound(self) -> None:
        if self._native.memory + self._used > self._memory:
            self._put_aside()

    def _take(self, event: Event, origin: int, size: int) -> None:
        as_of, native = self._scope.as_of, self._native
        copies = self._scope.copies_of(event)
        subjects = [subject for subject, _ in copies]
        if not (event.void and event.corrects is None):
            number = native.note(event, subjects)
        elif copies and (as_of is None or event.recorded <= as_of):
            number = native.keep(subjects)  # it takes an earlier version back, and is no event itself
        else:
            number = None
        if number is not None:
            self._kept.append((event.order, number, event, origin, copies))
            self._used += HELD_BYTES + 3 * size
            self._bound()

    def _put_aside(self) -> None:
        self._spill.add(line_rows(self._native.routed()), event_rows(self._kept))
        self._native.clear()
        self._kept, self._used = [], 0

    def _count(self) -> None:
        native, tally = self._native, self.tally
        if self.highs is not None:
            self.highs.extend(native.keep_highs())
        events, after_until, not_yet, unwatched, out_of_order, *late = native.counts()
        tally.events += events
        tally.after_until += after_until
        tally.not_yet_recorded += not_yet
        tally.unwatched += unwatched
        tally.out_of_order += out_of_order
        for name, count in zip(("minute", "hour", "day"), late, strict=True):
            if count:
                tally.recorded_late[name] += count
        if native.unwatched_at is not None:
            self.unwatched_at = native.unwatched_at

    def judging(self) -> NativeJudging | None:
        """The events read, for judging; ``None`` where they are on disk."""
        self._count()
        if self._spill.count:
            self._put_aside()
            return None
        return NativeJudging(self._native, self._kept, partial(decoded, self._scope))

    def partitions(self) -> LinePartitions:
        """The events read, on disk."""
        return LinePartitions(self._scope, self._spill.store())


class RecordsReading(NativeReading):
    """Takes records that were read already; ``routed`` ends it, ``judging`` does not follow."""

    def _remaining(
        self, number: int, source: Source, records: Iterable[Record], on_record: Callable[[int], None]
    ) -> Iterable[Record]:
        return self._not_taken(number, records, on_record)

    def routed(self) -> Iterator[tuple[int, int, Subject, Event | bytes]]:
        """See ``Reading``."""
        self._count()
        self.highest = self._native.highest
        for (number, origin, line), _, subject in self._native.routed():
            yield number, origin, subject, line
        yield from copies_by_subject(self._kept)


class NativeJudging:
    """Judges the events read: call ``last_at`` if the end is not given, then ``judge``, then ``merged``."""

    def __init__(
        self, native: NativeReplay, kept: list[Arrived], decoded: Callable[[Iterable[Line]], Iterator[Arrived]]
    ) -> None:
        self._native = native
        self._kept = kept
        self._decoded = decoded
        self._has_failed = False
        self.left_to_python: dict[Subject, str] = {}
        """The subjects that Python judges, each with the reason; after ``judge``."""
        self.orphans: Counter[str] = Counter()
        """Stops without a start on the other subjects, by rule; after ``judge``."""

    def last_at(self) -> int | None:
        """The instant of the last event that counts."""
        native_last, lines = self._native.divide()
        last = [at for at in (native_last, deduplicate(self._arrived(lines)).last_at) if at is not None]
        return max(last) if last else None

    def judge(self, end: int, threads: int, on_events: Callable[[int], None]) -> Deduplicated:
        """Judge natively up to an instant (inclusive), in so many threads; gives the events that Python must judge."""
        try:
            found = self._native.judge(end, threads)
        except RuntimeError:
            self.has_failed()
            return deduplicate(self._arrived(self._native.lines()))
        on_events(found.judged)
        self.left_to_python, self.orphans = found.left_to_python, found.orphans
        deduplicated = deduplicate(
            (order, number, event, origin, own)
            for order, number, event, origin, copies in self._arrived(found.lines)
            if (own := copies_for(copies, found.left_to_python))
        )
        known = {*deduplicated.duplicates, *deduplicated.conflicts}
        repeated = map(self._arrival_of, found.repeated)
        deduplicated.duplicates.extend(number for number in repeated if number not in known)
        return deduplicated

    def _arrival_of(self, number: int) -> int:
        """The number of arrival of an event by the number that the native engine has given it."""
        return number

    def has_failed(self) -> None:
        """Python judges all."""
        self._has_failed = True
        _log.warning("the native engine failed on these events; the Python engine judges them")

    def _arrived(self, lines: Iterable[Line]) -> list[Arrived]:
        """The events Python has read before, and these lines, in the order of arrival."""
        return sorted((*self._kept, *self._decoded(lines)), key=_number)

    def cases(
        self,
        end: int,
        by_python: Callable[[Deduplicated, int], Iterator[tuple[Subject, WrittenCases]]],
        form: OutputForm,
        *,
        of_rival: bool = False,
    ) -> Iterator[tuple[Subject, WrittenCases]]:
        """Every case as of an instant, by subject, except those of subjects left to Python.

        ``by_python`` gives those of a subject whose cases Python must write after all. ``of_rival``: by the other
        rulebook.
        """
        if self._has_failed:
            return
        for found in self._native.cases(end, of_rival=of_rival, with_alerts=not form.has_plain_cases):
            if found.left_to_python:
                arrived = sorted(self._decoded(found.left_to_python), key=_number)
                yield from by_python(
                    deduplicate(
                        (order, number, event, origin, copies_for(copies, {found.subject}))
                        for order, number, event, origin, copies in arrived
                    ),
                    end,
                )
            elif form.has_plain_cases:
                yield found.subject, found.text
            else:
                yield found.subject, [ReportedCase(read_plain(line), sentence_of(alert)) for line, alert in found.cases]

    def merged(
        self, own: Iterable[tuple[AlertKey, bytes]], counted: Counter[tuple[str, str]], form: OutputForm
    ) -> Iterator[bytes]:
        """All alerts in order and in a form; after an interruption those found so far.

        ``own`` are those of the Python engine, as JSON lines.
        """
        interrupted: KeyboardInterrupt | None = None
        try:
            for key, line in own:
                self._native.add(key, line.removesuffix(b"\n"))
        except KeyboardInterrupt as error:
            interrupted = error
        for lines, counts in self._native.alerts():
            counted.update(counts)
            yield from lines if form.is_plain else (form.alert(read_plain(line)) for line in lines)
        if interrupted is not None:
            raise interrupted


def sentence_of(alert: bytes | None) -> dict[str, str] | None:
    """The sentence of an encoded alert."""
    if alert is None:
        return None
    found: dict[str, str] = read_plain(alert)["data"]["explanation"]
    return found


def are_plain(native: NativeReplay, sources: Sequence[Source]) -> bool:
    """Whether the native engine supports the first lines of the sources: at least nine of ten.

    ``native`` cannot be used afterwards. Standard input is not tested, because it can be read only once; it counts as
    not supported.
    """
    taken = total = 0
    for source in sources:
        if not isinstance(source, Lines) or source.name == STANDARD:
            return False
        for _, raw, _ in islice(source.records(), LOOKED_AT):
            total += 1
            taken += native.take(raw, 0)
    return taken * 10 >= total * 9


def decoded(scope: Scope, lines: Iterable[Line]) -> Iterator[Arrived]:
    """The events of lines that the native engine has read."""
    decode, received, copies_of = scope.decoder.decode, scope.received, scope.copies_of
    for number, origin, line in lines:
        event = decode(line, received=received, max_ahead=MAX_AHEAD)
        yield event.order, number, event, origin, copies_of(event)


def _number(arrived: Arrived) -> int:
    return arrived[1]


def copies_for(copies: Copies, subjects: Container[Subject]) -> Copies:
    """Those for some subjects."""
    return [copy for copy in copies if copy[0] in subjects]
