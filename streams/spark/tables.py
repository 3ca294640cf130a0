"""Tables of Spark's catalog (Hive, Iceberg, Delta, views) as the input of a replay: rows read by Spark, then as files.

A row's position is its number in Spark's order, from 1: ``monotonically_increasing_id``. It is the number of the row
where the table is one partition; of several, each begins with its own number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from typing import Any, Final

import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from streams.errors import ConfigError
from streams.replay.sources import Record, Source
from streams.replay.sources.catalog import CatalogTable
from streams.replay.sources.opening import Mappings
from streams.replay.sources.rows import Input, Rows
from streams.rulebooks.mapping_files import MappingFile
from streams.spark.frames import ROUTED, values_of
from streams.spark.inputs import Inputs, routed_rows
from streams.spark.rulebook import RulebookFiles
from streams.spark.steps import Job, catalogue_of
from streams.wire.mapping import flat
from streams.wire.typed_numbers import Read, coarse_number, in_elements, in_members

_ID: Final = "__gridclock_row"
_PARTITION_BITS: Final = 33
"""Bits of a row's number within its partition, in ``monotonically_increasing_id``."""


@dataclass(frozen=True)
class Part:
    """What a task must know of a table: its name, its number among all splits, and whether its rows are mapped."""

    inputs: Inputs
    name: str
    number: int
    is_mapped: bool


def routed_table(spark: SparkSession, job: Job, inputs: Inputs, table: CatalogTable, number: int) -> DataFrame:
    """``steps.ROUTED`` rows of a table; ``number`` is its number among all splits.

    Raises:
        ConfigError: where there is no such table, or it has not the columns of events or of its mapping.
    """
    try:
        frame = spark.table(table.name)
        columns = frame.columns
    except AnalysisException as error:
        reason = str(error.getMessage()).splitlines()[0]
        raise ConfigError(f"cannot be read as a table of Spark's catalog: {reason}", path=table.name) from error
    if table.mapping is None:
        rows = frame.select(values_of(columns, table.name).alias("value"))
    else:
        table.mapping.check_columns(list(_columns(frame.schema)), table.name)
        rows = frame
    part = Part(inputs, table.name, number, table.mapping is not None)
    return rows.withColumn(_ID, F.monotonically_increasing_id()).mapInArrow(partial(read_table, job, part), ROUTED)


def _columns(schema: StructType, prefix: str = "") -> Iterator[str]:
    for field in schema.fields:
        if isinstance(field.dataType, StructType):
            yield from _columns(field.dataType, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"


def read_table(job: Job, part: Part, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows of one partition, with their numbers, to ``ROUTED`` rows."""
    rows = (row for batch in batches for row in _rows(batch))
    first = next(rows, None)
    if first is None:
        return
    begins = first[_ID] >> _PARTITION_BITS << _PARTITION_BITS
    numbered = ((row.pop(_ID) + 1, row) for row in chain([first], rows))
    mapping = _mapping(part, job.rulebook, job.rival) if part.is_mapped else None
    source: Source = _Events(part.name, numbered)
    if mapping is not None:
        source = _Mapped(Input(part.name, mapping, (part.number,)), numbered)
    yield from routed_rows(job, part.number, source, begins)


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    coarse = {field.name: read for field in batch.schema if (read := _coarse(field.type)) is not None}
    for row in batch.to_pylist():
        for name, read in coarse.items():
            row[name] = read(row[name])
        yield row


def _coarse(kind: pa.DataType) -> Read | None:
    """How values of that type are read, if there are numbers of 32 bits in it; as ``sources.parquet`` reads a file."""
    if pa.types.is_float32(kind):
        return coarse_number(24)
    if pa.types.is_struct(kind):
        return in_members({field.name: _coarse(field.type) for field in kind})
    return in_elements(_coarse(kind.value_type)) if pa.types.is_list(kind) else None


_Numbered = Iterator[tuple[int, dict[str, Any]]]


class _Mapped(Rows):
    def __init__(self, given: Input, rows: _Numbered) -> None:
        super().__init__(given)
        self._rows = rows

    def records(self) -> Iterator[Record]:
        for number, row in self._rows:
            yield from self.made(number, flat(row))


class _Events:
    size = None

    def __init__(self, name: str, rows: _Numbered) -> None:
        self.name = name
        self._rows = rows

    def records(self) -> Iterator[Record]:
        for number, row in self._rows:
            if raw := (row["value"] or b"").strip():
                yield number, raw, None


@lru_cache(maxsize=8)
def _mapping(part: Part, rulebook: RulebookFiles, rival: RulebookFiles | None) -> MappingFile | None:
    inputs = part.inputs
    return Mappings.load(inputs.mappings, catalogue_of(rulebook, rival), inputs.sheet).of(part.name)
