"""CSV and Parquet, through a mapping.

CSV is read by the standard library: 8,600 rows of 15 columns take it 20 ms, the decoder behind it ten times as
long. Parquet is read by polars, some thousand rows at a time.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streams.errors import ConfigError, InputError
from streams.files import open_bytes
from streams.replay.sources import Record
from streams.wire.mapping import RowMapping

BATCH = 20_000
"""Rows of a Parquet file held at a time."""

_LONGEST_CELL = 10_000_000


class CsvTable:
    """A CSV file with a header; positions are row numbers, the first row of data being 1."""

    def __init__(self, name: str, mapping: RowMapping) -> None:
        self.name = name
        self._mapping = mapping

    @property
    def size(self) -> int | None:
        """Unknown: the records given are not the file's own bytes."""
        return None

    def records(self) -> Iterator[Record]:
        """See ``Source``. A row of another length than the header is refused."""
        form = self._mapping.mapping
        csv.field_size_limit(_LONGEST_CELL)
        with open_bytes(self.name) as raw:
            encoding = "utf-8-sig" if form.encoding.lower().replace("_", "-") == "utf-8" else form.encoding
            text = io.TextIOWrapper(raw, encoding, errors="surrogateescape", newline="")
            rows = csv.reader(text, delimiter=form.delimiter)
            number = 0
            try:
                header = [name.strip() for name in next(rows, [])]
                self._mapping.check_columns(header, self.name)
                for row in rows:
                    if not row:
                        continue
                    number += 1
                    yield from self._record(number, row, header)
            except (csv.Error, OSError, EOFError) as error:
                raise ConfigError(f"damaged after row {number}: {error}", path=self.name, line=rows.line_num) from error

    def _record(self, number: int, row: list[str], header: list[str]) -> Iterator[Record]:
        if len(row) != len(header):
            detail = f"has {len(row)} columns; the header has {len(header)}"
            yield number, self._original(row), InputError("bad_field", None, detail)
            return
        try:
            wire = self._mapping.event(dict(zip(header, row, strict=True)), self.name, number)
        except (UnicodeEncodeError, TypeError, ValueError):
            # what is not of the file's encoding cannot be written as JSON
            detail = f"is not valid {self._mapping.mapping.encoding}"
            yield number, self._original(row), InputError("not_utf8", None, detail)
            return
        if wire is not None:
            yield number, wire, None

    def _original(self, row: list[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self._mapping.mapping.delimiter, lineterminator="").writerow(row)
        return text.getvalue().encode(self._mapping.mapping.encoding, "surrogateescape")


class ParquetTable:
    """A Parquet file; positions are row numbers from 1."""

    def __init__(self, name: str, mapping: RowMapping) -> None:
        self.name = name
        self._mapping = mapping

    @property
    def size(self) -> int | None:
        """Unknown: see ``CsvTable``."""
        return None

    def records(self) -> Iterator[Record]:
        """See ``Source``."""
        import polars as pl  # half a second, which other sources need not wait for

        number = 0
        if not Path(self.name).is_file():
            raise ConfigError("cannot be read: no such file", path=self.name)
        try:
            table = pl.scan_parquet(self.name)
            self._mapping.check_columns(table.collect_schema().names(), self.name)
            for batch in table.collect_batches(chunk_size=BATCH, maintain_order=True):
                for row in batch.iter_rows(named=True):
                    number += 1
                    yield from self._record(number, row)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise ConfigError(f"not Parquet, or damaged after row {number}: {error}", path=self.name) from error

    def _record(self, number: int, row: dict[str, Any]) -> Iterator[Record]:
        try:
            wire = self._mapping.event(row, self.name, number)
        except (TypeError, ValueError, OverflowError) as error:
            yield number, repr(row).encode(), InputError("bad_field", None, f"cannot be written as JSON: {error}")
            return
        if wire is not None:
            yield number, wire, None
