"""The two steps that run in Spark's executors, on Arrow batches: records to copies by subject, and subjects judged.

Both are generators over batches, as ``DataFrame.mapInArrow`` takes them. They know nothing of Spark, and use the
decoder, the deduplication and the engine of every other replay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import msgspec
import pyarrow as pa

from streams.core.alerts import Subject
from streams.core.event import Event
from streams.errors import InputError
from streams.replay.judging import Arrived, Judging, deduplicate
from streams.replay.sources import MAX_AHEAD
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


def route(job: Job, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Records (``value``, ``source``, ``major``, ``minor``) to ``ROUTED`` rows."""
    rulebook = job.rulebook.load().rulebook
    for batch in batches:
        rows: list[tuple[Any, ...]] = []
        counts: Counter[str] = Counter()
        highest: int | None = None
        for value, source, major, minor in zip(
            *(batch.column(name).to_pylist() for name in ("value", "source", "major", "minor")), strict=True
        ):
            raw = value.encode() if isinstance(value, str) else value or b""
            if not raw.strip():
                continue
            counts["lines"] += 1
            try:
                event = job.decoder.decode(raw, received=job.received, max_ahead=MAX_AHEAD)
            except InputError as error:
                letter = dead_letter_of(raw, error, source=source, position=minor)
                rows.append((LETTER, None, None, major, minor, letter.model_dump_json().encode()))
                continue
            counts["events"] += 1
            if job.as_of is not None and event.recorded > job.as_of:
                counts["not_yet_recorded"] += 1
                continue
            if job.ends_at is not None and event.at > job.ends_at:
                counts["after_until"] += event.corrects is None
            elif highest is None or event.at > highest:
                highest = event.at
            copies = rulebook.copies_of(event)
            counts["unwatched"] += not copies
            for (kind, number), copy in copies:
                rows.append((COPY, kind, number, major, minor, encode_json(copy)))
        found = {**counts, **({} if highest is None else {"highest": highest})}
        rows.append((COUNTS, None, None, 0, 0, encode_json(found)))
        yield _batch(rows, ROUTED)


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


def _judged(job: Job, waiting: list[tuple[Subject, int, Event]]) -> Iterator[tuple[Any, ...]]:
    assert job.ends_at is not None
    rulebook = job.rulebook.load().rulebook
    judging, writer = Judging(rulebook, job.ends_at), CloudEvents(rulebook.calendar)
    events = []
    number = 0
    for _, own in groupby(waiting, key=lambda row: row[0]):
        arrived: list[Arrived] = []
        for subject, minor, event in own:
            arrived.append((event.order, number, event, minor, [(subject, event)]))
            number += 1
        found = deduplicate(arrived)
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
