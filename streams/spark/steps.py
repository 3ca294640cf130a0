"""The two steps that run in Spark's executors, on Arrow batches: records to copies by subject, and subjects judged.

Both are generators over batches, as ``DataFrame.mapInArrow`` takes them. They know nothing of Spark, and use the
decoder, the deduplication and the engine of every other replay.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from schemas.dead_letters import DeadLetter
from streams.core.alerts import Subject
from streams.core.event import Event
from streams.replay.judging import Deduplicated, Judging, deduplicate
from streams.replay.reading import Reading, Scope
from streams.replay.sources import Record
from streams.replay.spill import SpillBuffer
from streams.spark.rulebook import RulebookFiles
from streams.wire.cloudevents import CloudEvents, encode
from streams.wire.decoder import Decoder, conflict_of, dead_letter_of, encode_json, wire_fields

COPY, LETTER, COUNTS = "copy", "letter", "counts"
ALERT, CASE = "alert", "case"

ROUTED: Final = pa.schema(
    [
        ("kind", pa.string()),
        ("subject_type", pa.string()),
        ("subject", pa.string()),
        ("major", pa.int64()),
        ("minor", pa.int64()),
        ("payload", pa.binary()),
    ]
)
"""A copy of an event for one subject, a dead letter, or the counts of a batch (all as JSON), with its place in the
order of arrival."""

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
    ]
)
"""An alert or a case (CloudEvent as JSON) or a dead letter, with what it is sorted by; cases by their place too."""

LAST: Final = pa.schema([("at", pa.int64())])

COUNTED: Final = ("lines", "events", "after_until", "not_yet_recorded", "unwatched")
"""The counts of reading that do not depend on which records come in one batch; see ``InputCounts``."""

ROWS: Final = 20_000
"""Copies of events judged together; one subject's are never parted."""

_read_event = msgspec.json.Decoder(Event, float_hook=Decimal).decode


@dataclass(frozen=True)
class Job:
    """What every executor must know. Instants are microseconds; see ``ReplayOptions``."""

    rulebook: RulebookFiles
    received: int
    ends_at: int | None
    as_of: int | None

    def until(self, end: int) -> Job:
        """The same with a known end of time."""
        return replace(self, ends_at=end)

    @cached_property
    def decoder(self) -> Decoder:
        """Of the rulebook's vocabulary."""
        return Decoder(self.rulebook.load().catalogue)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "decoder"}


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


def route(job: Job, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Records (``value``, ``source``, ``major``, ``minor``) to ``ROUTED`` rows, read as every replay reads them."""
    copies_of = job.rulebook.load().rulebook.copies_of
    scope = Scope(job.decoder, copies_of, job.received, job.ends_at, job.as_of)
    for batch in batches:
        values, sources, majors, minors = (
            batch.column(name).to_pylist() for name in ("value", "source", "major", "minor")
        )
        letters: list[DeadLetter] = []
        buffer = SpillBuffer(sys.maxsize, _never)
        reading = Reading(scope, buffer, letters.append)
        source = _Batch(values)
        reading.read(0, source, source.records(), lambda _bytes: None)
        rows: list[tuple[Any, ...]] = []
        for letter in letters:
            place = letter.position
            own = letter.model_copy(update={"source": sources[place], "position": minors[place]})
            rows.append((LETTER, None, None, majors[place], minors[place], own.model_dump_json().encode()))
        for _, _, _, place, copies in buffer.held():
            for (kind, number), copy in copies:
                rows.append((COPY, kind, number, majors[place], minors[place], encode_json(copy)))
        found = {name: getattr(reading.tally, name) for name in COUNTED}
        rows.append((COUNTS, None, None, 0, 0, encode_json({**found, "unwatched_at": reading.unwatched_at})))
        yield _batch(rows, ROUTED)


def last(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The instant of the last event that counts among ``ROUTED`` copies in the order of ``judge``; no row of none."""
    dated = (_deduplicated(own).last_at for _, own in groupby(_copies(batches), key=itemgetter(0)))
    found = [at for at in dated if at is not None]
    yield _batch([(max(found),)] if found else [], LAST)


def judge(job: Job, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """``ROUTED`` copies, each subject's together and in order of arrival, to ``JUDGED`` rows."""
    waiting: list[tuple[Subject, int, Event]] = []
    for subject, minor, event in _copies(batches):
        if len(waiting) >= ROWS and subject != waiting[-1][0]:
            yield _batch(list(_judged(job, waiting)), JUDGED)
            waiting = []
        waiting.append((subject, minor, event))
    if waiting:
        yield _batch(list(_judged(job, waiting)), JUDGED)


def _copies(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Subject, int, Event]]:
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in ("subject_type", "subject", "minor", "payload")]
        for kind, number, minor, payload in zip(*columns, strict=True):
            yield (kind, number), minor, _read_event(payload)


def _deduplicated(own: Iterable[tuple[Subject, int, Event]]) -> Deduplicated:
    """The events of one subject, given in order of arrival."""
    return deduplicate(
        (event.order, number, event, minor, [(subject, event)]) for number, (subject, minor, event) in enumerate(own)
    )


def _judged(job: Job, waiting: list[tuple[Subject, int, Event]]) -> Iterator[tuple[Any, ...]]:
    assert job.ends_at is not None
    rulebook = job.rulebook.load().rulebook
    judging, writer = Judging(rulebook, job.ends_at), CloudEvents(rulebook.calendar)
    events = []
    for _, own in groupby(waiting, key=itemgetter(0)):
        found = _deduplicated(own)
        events += found.events
        for origin, event in found.conflicts.values():
            raw = encode_json(wire_fields(event))
            letter = dead_letter_of(raw, conflict_of(event.event_id), source="", position=origin)
            yield (LETTER, *[None] * 9, letter.model_dump_json().encode(), None)
    for (detected_at, by_event, due_at, kind, own_id, rule, report, alert_id), alert in judging.alerts(events):
        payload = encode(writer.alert(alert))
        yield ALERT, detected_at, by_event, due_at, kind, own_id, rule, report, alert_id, None, payload, None
    for (kind, own_id), cases in groupby(judging.cases(), attrgetter("subject")):
        for place, case in enumerate(cases):
            reported = writer.reported(case, job.ends_at)
            said = None if reported.explanation is None else encode(reported.explanation)
            rule = case.verdict.rule.id
            yield CASE, None, None, None, kind, own_id, rule, None, case.case_id, place, encode(reported.event), said


def _batch(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
