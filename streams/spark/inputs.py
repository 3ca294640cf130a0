"""The files of a replay read in Spark's executors: every format that a replay reads, in splits, one a task.

An executor opens files and mappings under the names that the command line has, so they lie where all executors see
them. A plain file is read in ranges, a Parquet directory file by file, any other file as a whole.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import pyarrow as pa

from streams.core.event import Event
from streams.errors import ConfigError
from streams.replay.sources import Record, Source, event_of
from streams.replay.sources.lines import LineRange, Lines
from streams.replay.sources.opening import Mappings, open_sources
from streams.replay.sources.tables import ParquetTable
from streams.spark.rulebook import RulebookFiles
from streams.spark.steps import COUNTS, ERROR, HIGHS, LETTER, ROUTED, Job, Row, Taken, catalogue_of, record_batch
from streams.wire.decoder import encode_json, wire_fields
from streams.wire.mapping import MappedEvent

RECORDS: Final = 20_000
BYTES: Final = 64 * 1024 * 1024
"""So many records, or of so many bytes, are taken at a time."""

ORIGINALS: Final = pa.schema([("major", pa.int64()), ("minor", pa.int64()), ("payload", pa.binary())])
"""The bytes of a record, by its place in the order of arrival."""

Wanted = Mapping[int, Sequence[tuple[int, str]]]
"""By position in a split: place in the order of arrival, and id of the event."""


@dataclass(frozen=True)
class Inputs:
    """Files, mappings and sheet, as ``gridclock replay`` takes them; see ``Mappings``."""

    names: tuple[str, ...]
    mappings: tuple[str, ...] = ()
    sheet: str | None = None


@dataclass(frozen=True)
class Split:
    """What one task reads of the ``number``-th file: a range of lines, a file of a Parquet table, or all of it.

    ``after`` is how many rows the table has before that file.
    """

    inputs: Inputs
    number: int
    part: LineRange | str | None = None
    after: int = 0

    def source(self, job: Job) -> Source:
        """What is read."""
        if isinstance(self.part, LineRange):
            return self.part
        source = _opened(self.inputs, job.rulebook, job.rival)[self.number]
        if self.part is not None:
            assert isinstance(source, ParquetTable)
            return source.one_file(self.part, self.after)
        return source


def splits_of(inputs: Inputs, sources: Sequence[Source], step: int) -> list[Split]:
    """The splits of sources in their order; plain files in ranges of ``step`` bytes.

    Raises:
        ConfigError: where a file is missing or cannot be read.
    """
    found: list[Split] = []
    for number, source in enumerate(sources):
        whole = Split(inputs, number)
        if isinstance(source, Lines) and (ranges := source.ranges(step)) is not None:
            found += [replace(whole, part=one) for one in ranges]
        elif isinstance(source, ParquetTable):
            found += [replace(whole, part=name, after=after) for name, after in source.files()]
        else:
            found.append(whole)
    return found


@lru_cache(maxsize=2)
def _opened(inputs: Inputs, rulebook: RulebookFiles, rival: RulebookFiles | None) -> list[Source]:
    catalogue = catalogue_of(rulebook, rival)
    return open_sources(inputs.names, Mappings.load(inputs.mappings, catalogue, inputs.sheet))


def read(job: Job, splits: Sequence[Split], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Numbers of splits to ``ROUTED`` rows: ``major`` is the number, ``minor`` counts the records of the split."""
    for batch in batches:
        for number in batch.column(0).to_pylist():
            try:
                yield from _read(job, number, splits[number])
            except ConfigError as error:  # as a row, because Spark tries what fails again, and shows a traceback
                yield record_batch([(ERROR, None, None, number, 0, 0, str(error).encode())], ROUTED)


def _read(job: Job, number: int, split: Split) -> Iterator[pa.RecordBatch]:
    source = split.source(job)
    yield from routed_rows(job, number, source)
    if isinstance(source, LineRange):
        none = Taken(job, source, ())
        yield record_batch([(COUNTS, None, None, number, sys.maxsize, 0, none.counts(source.lines))], ROUTED)


def routed_rows(job: Job, number: int, source: Source, first: int = 0) -> Iterator[pa.RecordBatch]:
    """``ROUTED`` rows of a source, the ``number``-th of all; ``first`` is the place of its first record there."""
    for records in _some(source.records()):
        taken = Taken(job, source, records)
        rows: list[Row] = [
            (LETTER, None, None, number, first + place, letter.position, letter.model_dump_json().encode())
            for place, letter in enumerate(taken.letters)
        ]
        for place, position, (*what, payload) in taken.events():
            rows.append((*what, number, first + place, position, payload))
        rows.append((COUNTS, None, None, number, first, 0, taken.counts()))
        if taken.highs:
            rows.append((HIGHS, None, None, number, first, 0, taken.highs.tobytes()))
        yield record_batch(rows, ROUTED)
        first += len(records)


def _some(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Records in lists; those of one row are never parted."""
    held: list[Record] = []
    size = 0
    for record in records:
        if (len(held) >= RECORDS or size >= BYTES) and record[0] != held[-1][0]:
            yield held
            held, size = [], 0
        held.append(record)
        size += len(record[1])
    if held:
        yield held


def originals(
    job: Job, wanted: Mapping[int, tuple[Split, Wanted]], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Numbers of splits to ``ORIGINALS`` rows: the records that are wanted of them, read once more."""
    for batch in batches:
        for number in batch.column(0).to_pylist():
            split, of_split = wanted[number]
            rows = [
                (number, minor, raw)
                for record in split.source(job).records()
                for minor, raw in _original(job, record, of_split.get(record[0], ()))
            ]
            yield record_batch(rows, ORIGINALS)


def _original(job: Job, record: Record, wanted: Sequence[tuple[int, str]]) -> Iterator[tuple[int, bytes]]:
    _, raw, note = record
    for minor, event_id in wanted:
        if not isinstance(note, MappedEvent):
            yield minor, raw
            continue
        if note.note is not None:
            continue
        event = event_of(job.decoder, raw, note, job.received)  # of the events of a row each stands for itself
        if isinstance(event, Event) and event.event_id == event_id:
            yield minor, encode_json(wire_fields(event))
