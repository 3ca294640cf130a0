"""Where alerts, cases and comparisons are written: JSON lines, CSV or Parquet, told by the file's name.

A table has one row a record and one column a leaf of its data (``subject.id``, ``explanation.zh``); lists and
what has no fixed members (org, arithmetic) are JSON text in one column. Parquet is made of the CSV at the end,
streaming, because a replay's results need not fit into memory.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from streams.adapters.files import compressed, write_whole
from streams.adapters.outputs import encode

_TEXT = ("zh", "en")
_CASE = (
    "case_id", "rule", "rule_version", "clause", "severity", "title.zh", "title.en", "subject.type", "subject.id",
    "order_id", "account_id", "org.province", "org.city", "org.county", "org.unit", "started_at", "deadline",
    "stopped_at", "limit", "elapsed", "paused", "evidence", "arithmetic", "calendar_provisional",
)  # fmt: skip
ALERT_COLUMNS = (
    "alert_id", "kind", "due_at", "detected_at", "retracts", "explanation.zh", "explanation.en", *_CASE
)  # fmt: skip
CASE_COLUMNS = ("outcome", "as_of", *_CASE)


class Results(Protocol):
    """Takes records one by one."""

    def write(self, record: Mapping[str, Any]) -> None:
        """One CloudEvent, or one plain record."""


class JsonLines:
    """One record a line, as it is."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target

    def write(self, record: Mapping[str, Any]) -> None:
        """See ``Results``."""
        self._target.write(encode(record) + b"\n")


class CsvRows:
    """One record's data a row, under a header; UTF-8 with a mark, so that spreadsheets read the Chinese."""

    def __init__(self, target: BinaryIO, columns: Sequence[str]) -> None:
        self._text = io.TextIOWrapper(target, "utf-8-sig", newline="", write_through=True)
        self._rows = csv.writer(self._text, lineterminator="\n")
        self._paths = [column.split(".") for column in columns]
        self._rows.writerow(columns)

    def write(self, record: Mapping[str, Any]) -> None:
        """See ``Results``."""
        data = record.get("data", record)
        self._rows.writerow([_cell(data, path) for path in self._paths])

    def detach(self) -> None:
        """Leave the file to its owner."""
        self._text.detach()


def _cell(data: Any, path: Sequence[str]) -> Any:
    for name in path:
        data = data.get(name) if isinstance(data, Mapping) else None
    if isinstance(data, list | dict):
        return encode(data).decode()
    if isinstance(data, bool):
        return "true" if data else "false"
    return data


def format_of(path: Path) -> str:
    """``csv``, ``parquet`` or ``jsonl``."""
    name = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    return "csv" if name.endswith(".csv") else "parquet" if name.endswith((".parquet", ".pq")) else "jsonl"


@contextmanager
def open_results(path: Path, columns: Sequence[str]) -> Iterator[Results]:
    """A file of results that appears whole at the end, or stays ``.partial``.

    Raises:
        ConfigError: where it cannot be written.
    """
    with write_whole(path) as raw:
        match format_of(path):
            case "parquet":
                yield from _parquet(path, raw, columns)
            case "csv":
                with compressed(path, raw) as target:
                    rows = CsvRows(target, columns)
                    try:
                        yield rows
                    finally:
                        rows.detach()
            case _:
                with compressed(path, raw) as target:
                    yield JsonLines(target)


def _parquet(path: Path, raw: BinaryIO, columns: Sequence[str]) -> Iterator[Results]:
    import polars as pl

    aside = path.with_name(path.name + ".rows.partial")
    try:
        with open(aside, "wb") as target:
            rows = CsvRows(target, columns)
            try:
                yield rows
            finally:
                rows.detach()
                table = pl.scan_csv(aside, schema=pl.Schema(dict.fromkeys(columns, pl.String)))
                table.with_columns(_typed(columns)).sink_parquet(raw.name, maintain_order=True, sync_on_close=None)
                raw.seek(0, os.SEEK_END)
    finally:
        aside.unlink(missing_ok=True)


def _typed(columns: Sequence[str]) -> list[Any]:
    """Instants as UTC microseconds, lengths of time as seconds, flags as such; everything else is text."""
    import polars as pl

    made = []
    for column in columns:
        if column.endswith(("_at", "deadline", "as_of")) or column == "deadline":
            made.append(pl.col(column).str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=True))
        elif column in ("elapsed", "paused"):
            made.append(pl.col(column).str.strip_chars_start("PT").str.strip_chars_end("S").cast(pl.Float64))
        elif column == "calendar_provisional":
            made.append(pl.col(column) == "true")
    return made
