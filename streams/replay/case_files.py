"""Reads the files that ``gridclock replay --cases`` writes: JSON lines, CSV or Parquet, by the file's name."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from streams.errors import ConfigError
from streams.files import open_bytes, read_lines, text_lines
from streams.replay.results import format_of
from streams.replay.sources.parquet import parquet_files

NEEDED: Final = ("rule", "outcome", "as_of", "limit", "started_at", "stopped_at", "elapsed", "paused")
"""The columns that are read, besides those of the organisation."""

_BATCH: Final = 10_000

Numbered = tuple[int, Mapping[str, Any]]
"""A line (Parquet: row) from 1, and the case's fields."""


def read_cases(name: str, on_bytes: Callable[[int], None] = lambda _n: None) -> Iterator[Numbered]:
    """The cases of a file. Parquet gives instants as ``datetime`` and durations as seconds, the others give texts.

    Raises:
        ConfigError: naming the file, the line and what is missing.
    """
    match format_of(Path(name)):
        case "csv":
            yield from _csv(name, on_bytes)
        case "parquet":
            yield from _parquet(name)
        case "xlsx":
            raise ConfigError(f"an Excel file is not read back; {_REMEDY} as JSON lines, CSV or Parquet", path=name)
        case _:
            yield from _json_lines(name, on_bytes)


def _json_lines(name: str, on_bytes: Callable[[int], None]) -> Iterator[Numbered]:
    for number, line in read_lines(name):
        on_bytes(len(line) + 1)
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"not JSON: {error}; {_REMEDY}", path=name, line=number) from error
        data = record.get("data", record) if isinstance(record, dict) else None
        if not isinstance(data, dict):
            raise ConfigError(f"not a case; {_REMEDY}", path=name, line=number)
        _check(data.keys(), name, number)
        yield number, data


def _csv(name: str, on_bytes: Callable[[int], None]) -> Iterator[Numbered]:
    with open_bytes(name) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as text:

        def lines() -> Iterator[str]:
            for line in text_lines(text, name):
                on_bytes(len(line.encode()))
                yield line

        try:
            rows = csv.DictReader(lines())
            _check(rows.fieldnames or (), name, 1)
            for row in rows:
                yield rows.line_num, row
        except (csv.Error, UnicodeDecodeError, OSError, EOFError) as error:
            raise ConfigError(f"cannot be read as CSV: {error}; {_REMEDY}", path=name) from error


def _parquet(name: str) -> Iterator[Numbered]:
    import polars as pl  # half a second, not needed for other files

    number = 0
    try:
        table = pl.scan_parquet(parquet_files(name))
        columns = table.collect_schema().names()
        _check(columns, name, None)
        wanted = [column for column in columns if column in NEEDED or column.startswith("org.")]
        for batch in table.select(wanted).collect_batches(chunk_size=_BATCH, maintain_order=True):
            for row in batch.iter_rows(named=True):
                number += 1
                yield number, row
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ConfigError(f"not Parquet, or damaged after row {number}: {error}; {_REMEDY}", path=name) from error


_REMEDY: Final = "give a file that gridclock replay --cases wrote"


def _check(found: Collection[str], name: str, line: int | None) -> None:
    for column in NEEDED:
        if column not in found:
            raise ConfigError(f"has no such field; {_REMEDY}", path=name, line=line, key=column)
