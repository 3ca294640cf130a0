"""The steps that run in Spark's executors, on Arrow batches: records to copies by subject, and subjects judged.

They are generators over batches, as ``DataFrame.mapInArrow`` takes them. They know nothing of Spark, and use the
decoder, the deduplication and the engine of every other replay.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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
from streams.replay.judging import Copies, Deduplicated, Judging, Sorted, deduplicate
from streams.replay.output_form import OutputForm
from streams.replay.reading import Reading, Scope
from streams.replay.sources import Record, Source
from streams.replay.spill import SpillBuffer
from streams.replay.summary import Summary
from streams.rulebooks.decoding import decoder_of
from streams.spark.rulebook import RulebookFiles
from streams.wire.cloudevents import CloudEvents, ReportedCase, encode
from streams.wire.decoder import Decoder, conflict_of, dead_letter_of, encode_json, wire_fields

COPY, LETTER, COUNTS, HIGHS, ERROR = "copy", "letter", "counts", "highs", "error"
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
"""A copy of an event for one subject, a dead letter, the counts of some records (all as JSON), or the rising maxima of
their events' instants. ``major`` and ``minor`` are its place in the order of arrival, ``position`` that in its source.
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

_read_event = msgspec.json.Decoder(Event, float_hook=Decimal).decode


@dataclass(frozen=True)
class Job:
    """What every executor must know. Instants are microseconds; see ``ReplayOptions``.

    ``rival`` is a second rulebook to judge by. ``form`` is the form of alerts and cases (``None``: CloudEvents as
    JSON). ``key`` is that of pseudonyms; ``inside`` whether numbers are replaced as they come in.
    """

    rulebook: RulebookFiles
    received: int
    ends_at: int | None
    as_of: int | None
    rival: RulebookFiles | None = None
    form: OutputForm | None = None
    key: bytes | None = None
    inside: bool = False

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
    """What some records of a source gave, as ``ROUTED`` rows; the first of them is the ``first``-th to arrive."""

    def __init__(self, scope: Scope, source: Source, records: Iterable[Record]) -> None:
        self.letters: list[DeadLetter] = []
        self.highs: array[int] = array("q")
        buffer = SpillBuffer(sys.maxsize, _never)
        self.reading = Reading(scope, buffer, self.letters.append, highs=self.highs)
        self.reading.read(0, source, records, lambda _bytes: None)
        self.arrived = buffer.held()

    def counts(self, lines: int = 0) -> bytes:
        """The counts as JSON; ``lines`` are those of a range of a file that ends here."""
        reading = self.reading
        reading.tally.dead_letters.clear()  # counted when they are reported
        state = {"tally": reading.tally.to_state(), "highest": reading.highest, "lines": lines}
        return encode_json({**state, "unwatched_at": reading.unwatched_at})


def route(job: Job, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Records (``value``, ``source``, ``major``, ``minor``) to ``ROUTED`` rows, read as every replay reads them."""
    scope = job.scope
    for batch in batches:
        values, sources, majors, minors = (
            batch.column(name).to_pylist() for name in ("value", "source", "major", "minor")
        )
        source = _Batch(values)
        taken = Taken(scope, source, source.records())
        rows: list[tuple[Any, ...]] = []
        for letter in taken.letters:
            major, minor = majors[letter.position], minors[letter.position]
            own = letter.model_copy(update={"source": sources[letter.position], "position": minor})
            rows.append((LETTER, None, None, major, minor, minor, own.model_dump_json().encode()))
        for _, _, _, place, copies in taken.arrived:
            for (kind, number), copy in copies:
                rows.append((COPY, kind, number, majors[place], minors[place], minors[place], encode_json(copy)))
        rows.append((COUNTS, None, None, 0, 0, 0, taken.counts()))
        yield record_batch(rows, ROUTED)


def last(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The instant of the last event that counts among ``ROUTED`` copies in the order of ``judge``; no row of none."""
    dated = (_deduplicated(own).last_at for _, own in groupby(_copies(batches), key=attrgetter("subject")))
    found = [at for at in dated if at is not None]
    yield record_batch([(max(found),)] if found else [], LAST)


def judge(job: Job, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """``ROUTED`` copies, each subject's together and in order of arrival, to ``JUDGED`` rows."""
    judges = _Judges(job)
    waiting: list[_Copy] = []
    for copy in _copies(batches):
        if len(waiting) >= ROWS and copy.subject != waiting[-1].subject:
            yield record_batch(list(judges.rows(waiting)), JUDGED)
            waiting = []
        waiting.append(copy)
    if waiting:
        yield record_batch(list(judges.rows(waiting)), JUDGED)
    yield record_batch([_row(TOTALS, payload=judges.totals())], JUDGED)


class _Copy(NamedTuple):
    """An event as one subject sees it, and its place in the order of arrival."""

    subject: Subject
    arrival: tuple[int, int, int]
    event: Event


def _copies(batches: Iterable[pa.RecordBatch]) -> Iterator[_Copy]:
    names = ("subject_type", "subject", "major", "minor", "position", "payload")
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in names]
        for kind, number, major, minor, position, payload in zip(*columns, strict=True):
            yield _Copy((kind, number), (major, minor, position), _read_event(payload))


def _deduplicated(own: Iterable[_Copy]) -> Deduplicated:
    """The events of one subject, given in order of arrival."""
    return deduplicate(
        (copy.event.order, number, copy.event, number, [(copy.subject, copy.event)]) for number, copy in enumerate(own)
    )


class _Judges:
    """Judges the subjects of a partition, some at a time, by one rulebook or by two."""

    def __init__(self, job: Job) -> None:
        assert job.ends_at is not None
        self._end = job.ends_at
        self._rulebook = job.rulebook.load().rulebook
        self._rival = None if job.rival is None else job.rival.load().rulebook
        self._form = job.form
        self._with_cases = job.form is None or job.form.needs_cases
        self._summary = Summary()
        self._orphans: Counter[str] = Counter()

    def totals(self) -> bytes:
        """The counts and the summary as JSON."""
        with_summary = self._form is not None and self._form.with_summary
        return encode_json({"orphans": self._orphans, "summary": self._summary.to_state() if with_summary else None})

    def rows(self, waiting: Sequence[_Copy]) -> Iterator[tuple[Any, ...]]:
        """The ``JUDGED`` rows of whole subjects."""
        events: list[Sorted] = []
        for _, own in groupby(waiting, key=attrgetter("subject")):
            copies = list(own)
            found = _deduplicated(copies)
            events += found.events
            for number in found.duplicates:
                yield _row(DUPLICATE, arrival=copies[number].arrival)
            for number, event in found.conflicts.values():
                arrival = copies[number].arrival
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
        form = self._form
        for subject, cases in self._by_subject(self._rulebook, judging):
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
