"""The steps that run in Spark's executors, on Arrow batches: records to copies by subject, and subjects judged.

They are generators over batches, as ``DataFrame.mapInArrow`` takes them. They know nothing of Spark, and use the
decoder, the deduplication and the engine of every other replay.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import zstandard

from schemas.dead_letters import DeadLetter
from schemas.events import EventCatalogue
from streams.core.alerts import Subject
from streams.core.event import Event
from streams.engine import VARIABLE, chosen
from streams.engine.document import Document
from streams.engine.judged import NativeReplay
from streams.replay.input_counts import InputCounts
from streams.replay.judging import Copies
from streams.replay.native import RecordsReading
from streams.replay.output_form import OutputForm
from streams.replay.reading import Reading, Scope
from streams.replay.sources import MAX_AHEAD, Record, Source
from streams.replay.spill import SpillBuffer
from streams.rulebooks.decoding import decoder_of
from streams.rulebooks.loader import catalogue_of_both
from streams.spark.rulebook import RulebookFiles
from streams.wire.decoder import Decoder, encode_json

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
"""An alert (CloudEvent as JSON, or in the form of the job) or a dead letter, with what it is sorted by; a case as JSON,
or, where the job has a form, a pack of many in it. Cases are in the order of their subjects.

Beside them: the arrival of a repetition, the counts and the summary of a partition, and the cases of a subject by each
of two rulebooks.
"""

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Job:
    """What every executor must know. Instants are microseconds; see ``ReplayOptions``.

    ``rival`` is a second rulebook to judge by. ``form`` is the form of alerts and cases (``None``: CloudEvents as
    JSON). ``key`` is that of pseudonyms; ``inside`` whether numbers are replaced as they come in. ``is_end_certain`` is
    false where ``ends_at`` is a guess, and judging seeks the last event that counts. ``engine`` is one of
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
    is_end_certain: bool = True
    engine: str | None = field(default_factory=lambda: os.environ.get(VARIABLE))

    def until(self, end: int, *, is_certain: bool = True) -> Job:
        """The same with an end of time."""
        return replace(self, ends_at=end, is_end_certain=is_certain)

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
        if module is None:
            return None
        document, rival = _documents(self.rulebook, self.rival)
        if not self.decoder.keeps(document.watched):
            return None
        bounds = self.received + MAX_AHEAD, self.ends_at, self.as_of
        return NativeReplay(module, document.encoded, bounds, None if rival is None else rival.encoded)

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
    own = rulebook.load()
    return own.catalogue if rival is None else catalogue_of_both(own, rival.load())


@lru_cache(maxsize=2)
def _decoder(rulebook: RulebookFiles, rival: RulebookFiles | None, key: bytes | None, inside: bool) -> Decoder:
    return decoder_of(rulebook.load(), key, catalogue_of(rulebook, rival), inside=inside)


@lru_cache(maxsize=2)
def _documents(rulebook: RulebookFiles, rival: RulebookFiles | None) -> tuple[Document, Document | None]:
    catalogue = catalogue_of(rulebook, rival)
    other = None if rival is None else Document(rival.load().rulebook, catalogue)
    return Document(rulebook.load().rulebook, catalogue, other), other


class Counted(msgspec.Struct):
    """What some records gave: counts, lines of a range that ends here, rows of copies, and dead letters.

    Instants: ``first_at`` is that of the first event, ``highest`` the latest, ``unwatched_at`` the latest of the events
    that no rule watches.
    """

    tally: dict[str, Any]
    lines: int
    copies: int
    letters: int
    first_at: int | None
    highest: int
    unwatched_at: int | None


class Totals(msgspec.Struct):
    """What came of judging a partition, beside its rows.

    Stops without a start by rule, alerts by rule and kind, how many rows of repetitions and of dead letters there are,
    the summary of cases, and the instant of the last event that counts.
    """

    orphans: dict[str, int] = {}
    alerts: list[tuple[str, str, int]] = []
    repeated: int = 0
    refused: int = 0
    summary: dict[str, Any] | None = None
    last_at: int | None = None


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
        """A ``Counted`` as JSON; ``lines`` are those of a range of a file that ends here."""
        reading = self.reading
        reading.tally.dead_letters.clear()  # counted when they are reported
        first_at = self.highs[0] if self.highs else None
        copies, letters = len(self.routed), len(self.letters)
        return encode_json(
            Counted(reading.tally.to_state(), lines, copies, letters, first_at, reading.highest, reading.unwatched_at)
        )


def route(job: Job, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Records (``value``, ``source``, ``major``, ``minor``) to ``ROUTED`` rows, read as every replay reads them."""
    for batch in batches:
        values, sources, majors, minors = (
            batch.column(name).to_pylist() for name in ("value", "source", "major", "minor")
        )
        source = _Batch(values)
        taken = Taken(job, source, source.records())
        rows: list[Row] = []
        for letter in taken.letters:
            major, minor = majors[letter.position], minors[letter.position]
            own = letter.model_copy(update={"source": sources[letter.position], "position": minor})
            rows.append((LETTER, None, None, major, minor, minor, own.model_dump_json().encode()))
        for _, place, (*what, payload) in taken.events():
            rows.append((*what, majors[place], minors[place], minors[place], payload))
        rows.append((COUNTS, None, None, 0, 0, 0, taken.counts()))
        yield record_batch(rows, ROUTED)


PACKED: Final = pa.schema([("payload", pa.binary())])
"""Many payloads in one row; see ``unpacked``."""

PACK: Final = 1 << 20
"""Bytes of payloads in one row, about."""

_payloads = msgspec.msgpack.Decoder(list[bytes]).decode


def packed(payloads: Iterable[bytes]) -> Iterator[bytes]:
    """Payloads, about a megabyte at a time, compressed: the driver holds those of a whole partition at once."""
    held: list[bytes] = []
    size = 0
    for payload in payloads:
        held.append(payload)
        size += len(payload)
        if size >= PACK:
            yield zstandard.compress(msgspec.msgpack.encode(held))
            held, size = [], 0
    if held:
        yield zstandard.compress(msgspec.msgpack.encode(held))


def unpacked(pack: bytes) -> list[bytes]:
    """The payloads of a pack."""
    return _payloads(zstandard.decompress(pack))


def pack_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows of one payload each to ``PACKED`` rows, in their order."""
    for pack in packed(payload for batch in batches for payload in batch.column(0).to_pylist()):
        yield record_batch([(pack,)], PACKED)


def record_batch(rows: list[Row], schema: pa.Schema) -> pa.RecordBatch:
    """Rows as an Arrow batch."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
