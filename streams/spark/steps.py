"""The steps that run in Spark's executors, on Arrow batches: records to copies by subject, and subjects judged.

They are generators over batches, as ``DataFrame.mapInArrow`` takes them. They know nothing of Spark, and use the
decoder, the deduplication and the engine of every other replay.
"""

from __future__ import annotations

import logging
import os
import sys
from array import array
from collections import Counter, deque
from collections.abc import Container, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa

from schemas.dead_letters import DeadLetter
from schemas.events import EventCatalogue
from streams.core.alerts import Subject
from streams.core.event import Event
from streams.core.rulebook import Rulebook
from streams.engine import VARIABLE, chosen
from streams.engine.document import Document
from streams.engine.judged import NativeReplay
from streams.replay.input_counts import InputCounts
from streams.replay.judging import Copies, Deduplicated, Judging, Sorted, deduplicate
from streams.replay.native import RecordsReading, read_plain, sentence_of
from streams.replay.output_form import OutputForm
from streams.replay.reading import Reading, Scope
from streams.replay.sources import MAX_AHEAD, Record, Source
from streams.replay.spill import SpillBuffer
from streams.replay.summary import Summary
from streams.rulebooks.decoding import decoder_of
from streams.spark.rulebook import RulebookFiles
from streams.wire.cloudevents import CloudEvents, ReportedCase, encode
from streams.wire.decoder import Decoder, conflict_of, dead_letter_of, encode_json, wire_fields

COPY, LINE, LETTER, COUNTS, HIGHS, ERROR = "copy", "line", "letter", "counts", "highs", "error"
ALERT, CASE, DUPLICATE, TOTALS, BEFORE, AFTER = "alert", "case", "duplicate", "totals", "before", "after"

ROUTED: Final = pa.schema(
    [
        ("kind", pa.string()),
        ("subject_type", pa.string()),
        ("subject", pa.string()),
        ("major", pa.int64()),
        ("minor", pa.int64()),
        ("position", pa.int64()),
        ("payload", pa.binary()),
    ]
)
"""A copy of an event for one subject, or the line of the event where the native engine reads it; a dead letter; the
counts of some records (all as JSON), or the rising maxima of their events' instants. ``major`` and ``minor`` are its
place in the order of arrival, ``position`` that in its source.
"""

JUDGED: Final = pa.schema(
    [
        ("kind", pa.string()),
        ("detected_at", pa.int64()),
        ("by_event", pa.bool_()),
        ("due_at", pa.int64()),
        ("subject_type", pa.string()),
        ("subject", pa.string()),
        ("rule", pa.string()),
        ("report", pa.string()),
        ("id", pa.string()),
        ("place", pa.int64()),
        ("payload", pa.binary()),
        ("explanation", pa.binary()),
        ("major", pa.int64()),
        ("minor", pa.int64()),
        ("position", pa.int64()),
    ]
)
"""An alert or a case (CloudEvent as JSON) or a dead letter, with what it is sorted by; cases by their place too.

Beside them: the arrival of a repetition, the counts and the summary of a partition, and the cases of a subject by each
of two rulebooks.
"""

LAST: Final = pa.schema([("at", pa.int64())])

ROWS: Final = 20_000
"""Copies of events judged together; one subject's are never parted."""

_log = logging.getLogger(__name__)

_read_event = msgspec.json.Decoder(Event, float_hook=Decimal).decode


@dataclass(frozen=True)
class Job:
    """What every executor must know. Instants are microseconds; see ``ReplayOptions``.

    ``rival`` is a second rulebook to judge by. ``form`` is the form of alerts and cases (``None``: CloudEvents as
    JSON). ``key`` is that of pseudonyms; ``inside`` whether numbers are replaced as they come in. ``engine`` is one of
    ``streams.engine.ENGINES``.
    """

    rulebook: RulebookFiles
    received: int
    ends_at: int | None
    as_of: int | None
    rival: RulebookFiles | None = None
    form: OutputForm | None = None
    key: bytes | None = None
    inside: bool = False
    engine: str | None = field(default_factory=lambda: os.environ.get(VARIABLE))

    def until(self, end: int) -> Job:
        """The same with a known end of time."""
        return replace(self, ends_at=end)

    @property
    def decoder(self) -> Decoder:
        """Of the vocabulary."""
        return _decoder(self.rulebook, self.rival, self.key, self.inside)

    @property
    def scope(self) -> Scope:
        """How to read."""
        return Scope(self.decoder, self._copies_of, self.received, self.ends_at, self.as_of)

    def native(self) -> NativeReplay | None:
        """The native engine, where it is built in this executor and supports the job."""
        module = chosen(self.engine)
        is_plain = self.form is None or self.form.is_plain
        if module is None or self.rival is not None or not (is_plain and self.decoder.is_usual):
            return None
        return NativeReplay(module, _document(self.rulebook), (self.received + MAX_AHEAD, self.ends_at, self.as_of))

    def copy_for(self, subject: Subject, line: bytes) -> Event:
        """The event of a line as one of its subjects sees it."""
        event = self.decoder.decode(line, received=self.received, max_ahead=MAX_AHEAD)
        return dict(self._copies_of(event))[subject]

    def _copies_of(self, event: Event) -> Copies:
        copies = self.rulebook.load().rulebook.copies_of(event)
        if self.rival is not None:
            known = {subject for subject, _ in copies}
            copies += [copy for copy in self.rival.load().rulebook.copies_of(event) if copy[0] not in known]
        return copies


@lru_cache(maxsize=2)
def catalogue_of(rulebook: RulebookFiles, rival: RulebookFiles | None) -> EventCatalogue:
    """The vocabulary of a rulebook, and of its rival: an event that only one of them knows is no dead letter."""
    own = rulebook.load().catalogue
    return own if rival is None else EventCatalogue({**rival.load().catalogue.models, **own.models})


@lru_cache(maxsize=2)
def _decoder(rulebook: RulebookFiles, rival: RulebookFiles | None, key: bytes | None, inside: bool) -> Decoder:
    return decoder_of(rulebook.load(), key, catalogue_of(rulebook, rival), inside=inside)


@lru_cache(maxsize=2)
def _document(rulebook: RulebookFiles) -> bytes:
    loaded = rulebook.load()
    return Document(loaded.rulebook, loaded.catalogue).encoded


class _Batch:
    """The records of one batch as a source; positions are places in it. Blank ones are passed over."""

    name = "spark"
    size = None

    def __init__(self, values: Iterable[str | bytes | None]) -> None:
        self._values = values

    def records(self) -> Iterator[Record]:
        """See ``Source``."""
        for place, value in enumerate(self._values):
            raw = value.encode() if isinstance(value, str) else value or b""
            if raw.strip():
                yield place, raw, None


def _never() -> Path:
    raise AssertionError("a batch is held in memory")


class Taken:
    """What some records of a source gave; ``position`` counts in it, ``number`` the events that some rule watches."""

    def __init__(self, job: Job, source: Source, records: Iterable[Record]) -> None:
        self.letters: list[DeadLetter] = []
        self.highs: array[int] = array("q")
        scope, native, buffer = job.scope, job.native(), SpillBuffer(sys.maxsize, _never)
        self.reading: Reading
        if native is None:
            self.reading = Reading(scope, buffer, self.letters.append, highs=self.highs)
        else:
            self.reading = RecordsReading(
                scope, buffer, self.letters.append, native, memory=sys.maxsize, tally=InputCounts(), highs=self.highs
            )
        self.reading.read(0, source, records, lambda _bytes: None)
        self.routed = list(self.reading.routed())

    def events(self) -> Iterator[tuple[int, int, tuple[str, str, str, bytes]]]:
        """Number and position of each event, with kind, subject and payload of its row for each of its subjects."""
        for number, position, (kind, subject), event in self.routed:
            if isinstance(event, bytes):
                yield number, position, (LINE, kind, subject, event)
            else:
                yield number, position, (COPY, kind, subject, encode_json(event))

    def counts(self, lines: int = 0) -> bytes:
        """The counts as JSON; ``lines`` are those of a range of a file that ends here."""
        reading = self.reading
        reading.tally.dead_letters.clear()  # counted when they are reported
        state = {"tally": reading.tally.to_state(), "highest": reading.highest, "lines": lines}
        return encode_json({**state, "unwatched_at": reading.unwatched_at})


def route(job: Job, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Records (``value``, ``source``, ``major``, ``minor``) to ``ROUTED`` rows, read as every replay reads them."""
    for batch in batches:
        values, sources, majors, minors = (
            batch.column(name).to_pylist() for name in ("value", "source", "major", "minor")
        )
        source = _Batch(values)
        taken = Taken(job, source, source.records())
        rows: list[tuple[Any, ...]] = []
        for letter in taken.letters:
            major, minor = majors[letter.position], minors[letter.position]
            own = letter.model_copy(update={"source": sources[letter.position], "position": minor})
            rows.append((LETTER, None, None, major, minor, minor, own.model_dump_json().encode()))
        for _, place, (*what, payload) in taken.events():
            rows.append((*what, majors[place], minors[place], minors[place], payload))
        rows.append((COUNTS, None, None, 0, 0, 0, taken.counts()))
        yield record_batch(rows, ROUTED)


def last(job: Job, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The instant of the last event that counts among ``ROUTED`` copies in the order of ``judge``; no row of none."""
    native = job.native()
    found: list[int | None] = []
    for waiting in _waiting(batches):
        taken, left = _given(native, waiting)
        if native is not None:
            at, _ = native.divide()
            found.append(at)
            refused = native.left()
            left += [copy for copy in taken if copy.subject in refused]
        found += [_deduplicated(_decoded(job, own)).last_at for _, own in groupby(left, key=attrgetter("subject"))]
    known = [at for at in found if at is not None]
    yield record_batch([(max(known),)] if known else [], LAST)


def judge(job: Job, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """``ROUTED`` copies, each subject's together and in order of arrival, to ``JUDGED`` rows."""
    judges = _Judges(job)
    for waiting in _waiting(batches):
        yield record_batch(list(judges.rows(waiting)), JUDGED)
    yield record_batch([_row(TOTALS, payload=judges.totals())], JUDGED)


class _Copy(NamedTuple):
    """An event as one subject sees it, or its line, and its place in the order of arrival."""

    subject: Subject
    arrival: tuple[int, int, int]
    event: Event | bytes


def _waiting(batches: Iterable[pa.RecordBatch]) -> Iterator[list[_Copy]]:
    """The copies of whole subjects, at least ``ROWS`` at a time."""
    names = ("kind", "subject_type", "subject", "major", "minor", "position", "payload")
    waiting: list[_Copy] = []
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in names]
        for kind, subject_type, number, *arrival, payload in zip(*columns, strict=True):
            subject = subject_type, number
            if len(waiting) >= ROWS and subject != waiting[-1].subject:
                yield waiting
                waiting = []
            waiting.append(_Copy(subject, tuple(arrival), payload if kind == LINE else _read_event(payload)))
    if waiting:
        yield waiting


def _given(native: NativeReplay | None, waiting: list[_Copy]) -> tuple[list[_Copy], list[_Copy]]:
    """Give subjects to the native engine: the copies that it has now, by their numbers, and those that are left."""
    if native is None:
        return [], waiting
    native.clear()
    taken: list[_Copy] = []
    left: list[_Copy] = []
    for subject, own in groupby(waiting, key=attrgetter("subject")):
        copies = list(own)
        lines = [copy.event for copy in copies if isinstance(copy.event, bytes)]
        if len(lines) < len(copies):
            left += copies
            continue
        if not all(native.take_for(line, subject) for line in lines):
            native.clear()
            return [], waiting
        taken += copies
    return taken, left


def _decoded(job: Job, copies: Iterable[_Copy]) -> list[tuple[_Copy, Event]]:
    return [
        (copy, job.copy_for(copy.subject, copy.event) if isinstance(copy.event, bytes) else copy.event)
        for copy in copies
    ]


def _deduplicated(own: Iterable[tuple[_Copy, Event]]) -> Deduplicated:
    """The events of one subject, given in order of arrival."""
    return deduplicate(
        (event.order, number, event, number, [(copy.subject, event)]) for number, (copy, event) in enumerate(own)
    )


def _events_of(job: Job, copies: Iterable[_Copy], subjects: Container[Subject]) -> list[Sorted]:
    """The events of some subjects, without repetitions."""
    own = (copy for copy in copies if copy.subject in subjects)
    by_subject = groupby(own, key=attrgetter("subject"))
    return [event for _, some in by_subject for event in _deduplicated(_decoded(job, some)).events]


class _Judges:
    """Judges the subjects of a partition, some at a time, by one rulebook or by two."""

    def __init__(self, job: Job) -> None:
        assert job.ends_at is not None
        self._job = job
        self._end = job.ends_at
        self._rulebook = job.rulebook.load().rulebook
        self._rival = None if job.rival is None else job.rival.load().rulebook
        self._form = job.form
        self._with_cases = job.form is None or job.form.needs_cases
        self._native = job.native()
        self._summary = Summary()
        self._orphans: Counter[str] = Counter()

    def totals(self) -> bytes:
        """The counts and the summary as JSON."""
        with_summary = self._form is not None and self._form.with_summary
        return encode_json({"orphans": self._orphans, "summary": self._summary.to_state() if with_summary else None})

    def rows(self, waiting: list[_Copy]) -> Iterator[tuple[Any, ...]]:
        """The ``JUDGED`` rows of whole subjects."""
        taken, left = _given(self._native, waiting)
        if self._native is not None and taken:
            left += yield from self._natively(self._native, taken)
        if left:
            yield from self._by_python(left)

    def _natively(self, native: NativeReplay, taken: Sequence[_Copy]) -> Generator[tuple[Any, ...], None, list[_Copy]]:
        """The rows of what the native engine was given; the copies that it leaves to Python."""
        try:
            found = native.judge(self._end, 1)
        except RuntimeError:
            _log.warning("the native engine failed on these events; the Python engine judges them")
            return list(taken)
        self._orphans.update(found.orphans)
        for number in found.repeated:
            yield _row(DUPLICATE, arrival=taken[number].arrival)
        ending = b"" if self._form is None else b"\n"
        for key, line in native.keyed_alerts():
            yield ALERT, *key, None, line + ending, None, None, None, None
        if self._with_cases:
            yield from self._native_cases(native, taken, ending)
        return [copy for copy in taken if copy.subject in found.left_to_python]

    def _native_cases(self, native: NativeReplay, taken: Sequence[_Copy], ending: bytes) -> Iterator[tuple[Any, ...]]:
        left: set[Subject] = set()
        for found in native.cases(self._end):
            if found.left_to_python:
                left.add(found.subject)
            elif self._form is not None and self._form.with_summary:
                reported = (ReportedCase(read_plain(line), sentence_of(alert)) for line, alert in found.cases)
                yield from self._case_rows(found.subject, reported)
            else:
                for place, (line, alert) in enumerate(found.cases):
                    case = _read_case(line).data
                    said = None if alert is None else bytes(_read_explained(alert).data.explanation)
                    payload = line + ending
                    yield _row(
                        CASE, found.subject, rule=case.rule, id=case.case_id, place=place, payload=payload,
                        explanation=said,
                    )  # fmt: skip
        if left:
            judging = Judging(self._rulebook, self._end)
            deque(judging.alerts(_events_of(self._job, taken, left)), maxlen=0)
            yield from self._cases(judging)

    def _by_python(self, waiting: Sequence[_Copy]) -> Iterator[tuple[Any, ...]]:
        events: list[Sorted] = []
        for _, own in groupby(waiting, key=attrgetter("subject")):
            copies = _decoded(self._job, own)
            found = _deduplicated(copies)
            events += found.events
            for number in found.duplicates:
                yield _row(DUPLICATE, arrival=copies[number][0].arrival)
            for number, event in found.conflicts.values():
                arrival = copies[number][0].arrival
                raw = encode_json(wire_fields(event))
                letter = dead_letter_of(raw, conflict_of(event.event_id), source="", position=arrival[2])
                payload = letter.model_dump_json().encode()
                yield _row(LETTER, id=event.event_id, payload=payload, arrival=arrival)
        writer, form = CloudEvents(self._rulebook.calendar), self._form
        judging = Judging(self._rulebook, self._end)
        for key, alert in judging.alerts(events, filtered=self._rival is not None):
            cloud_event = writer.alert(alert)
            payload = encode(cloud_event) if form is None else form.alert(cloud_event)
            yield ALERT, *key, None, payload, None, None, None, None
        self._orphans.update(judging.orphans())
        if self._with_cases:
            yield from self._cases(judging)
        if self._rival is not None:
            yield from self._side(BEFORE, self._rulebook, judging)
            second = Judging(self._rival, self._end)
            deque(second.alerts(events, filtered=True), maxlen=0)
            yield from self._side(AFTER, self._rival, second)

    def _cases(self, judging: Judging) -> Iterator[tuple[Any, ...]]:
        for subject, cases in self._by_subject(self._rulebook, judging):
            yield from self._case_rows(subject, cases)

    def _case_rows(self, subject: Subject, cases: Iterable[ReportedCase]) -> Iterator[tuple[Any, ...]]:
        form = self._form
        for place, reported in enumerate(cases):
            data = reported.event["data"]
            rule, case_id = data["rule"], data["case_id"]
            payload = encode(reported.event) if form is None else form.case(reported)
            said = None if reported.explanation is None else encode(reported.explanation)
            if form is not None and form.with_summary:
                self._summary.add(reported)
            if form is None or form.cases is not None:
                yield _row(CASE, subject, rule=rule, id=case_id, place=place, payload=payload, explanation=said)

    def _side(self, kind: str, rulebook: Rulebook, judging: Judging) -> Iterator[tuple[Any, ...]]:
        for subject, cases in self._by_subject(rulebook, judging):
            yield _row(kind, subject, payload=encode([(one.event, one.explanation) for one in cases]))

    def _by_subject(self, rulebook: Rulebook, judging: Judging) -> Iterator[tuple[Subject, list[ReportedCase]]]:
        writer = CloudEvents(rulebook.calendar)
        for subject, cases in groupby(judging.cases(), attrgetter("subject")):
            yield subject, [writer.reported(case, self._end) for case in cases]


class _CaseData(msgspec.Struct):
    rule: str
    case_id: str


class _Case(msgspec.Struct):
    """What a case is sorted by."""

    data: _CaseData


class _AlertData(msgspec.Struct):
    explanation: msgspec.Raw


class _Alert(msgspec.Struct):
    """The sentence of an alert, as it is written."""

    data: _AlertData


_read_case = msgspec.json.Decoder(_Case).decode
_read_explained = msgspec.json.Decoder(_Alert).decode


def _row(
    kind: str,
    subject: Subject | None = None,
    arrival: tuple[int, int, int] | None = None,
    **columns: str | bytes | int | None,
) -> tuple[Any, ...]:
    """A ``JUDGED`` row that is no alert."""
    found: dict[str, Any] = {"kind": kind, **columns}
    found["subject_type"], found["subject"] = subject or (None, None)
    found["major"], found["minor"], found["position"] = arrival or (None, None, None)
    return tuple(found.get(name) for name in JUDGED.names)


def record_batch(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    """Rows as an Arrow batch."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
