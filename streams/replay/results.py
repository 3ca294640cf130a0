"""Result files of alerts, cases and comparisons: JSON lines, CSV, Parquet or Excel, by the file's name.

A table has a row for each record and a column for each leaf of its data (``subject.id``, ``explanation.zh``); lists and
objects without fixed members (org, arithmetic) are JSON text in one column. Parquet and Excel are converted from CSV at
the end, streaming, because results may be larger than memory.
"""

from __future__ import annotations

import csv
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from streams.core.notices import NO_NAMES, Names, place_of
from streams.files import compressed, open_named, write_whole
from streams.wire.cloudevents import encode
from streams.workbook import Kind, csv_header, csv_row, neutral, value_at, write_workbook

_TEXT = ("zh", "en")
_CASE = (
    "case_id", "rule", "rule_version", "clause", "severity", "title.zh", "title.en", "subject.type", "subject.id",
    "order_id", "account_id", "org.province", "org.city", "org.county", "org.unit", "started_at", "deadline",
    "stopped_at", "limit", "elapsed", "paused", "evidence", "arithmetic", "calendar_provisional",
)  # fmt: skip
ALERT_COLUMNS = (
    "alert_id", "kind", "due_at", "detected_at", "retracts", "explanation.zh", "explanation.en", *_CASE, "incomplete"
)  # fmt: skip
CASE_COLUMNS = ("outcome", "as_of", *_CASE)
NAME_COLUMNS = ("organisation.zh", "organisation.en")
"""Further columns of tables where the rulebook names organisations: city, county and unit by name, else by code."""


Form = Callable[[Mapping[str, Any]], bytes]
"""Encodes one CloudEvent, or one plain record, for a result file."""


def json_line(record: Mapping[str, Any]) -> bytes:
    """One record per line, unchanged."""
    return encode(record) + b"\n"


class CsvRow:
    """One record's data per row; UTF-8. ``exact`` leaves cells unchanged, for files not opened by a spreadsheet.

    ``names`` fill the columns ``NAME_COLUMNS``.
    """

    def __init__(self, columns: Sequence[str], names: Names = NO_NAMES, *, exact: bool = False) -> None:
        self._names = names
        self._paths = [column.split(".") for column in columns]
        self._shown: Callable[[Any], Any] = (lambda value: value) if exact else neutral

    def __call__(self, record: Mapping[str, Any]) -> bytes:
        """See ``Form``."""
        data = record.get("data", record)
        if self._names:
            data = {**data, "organisation": {language: place_of(data, language, self._names) for language in _TEXT}}
        return csv_row([self._shown(_cell(data, path)) for path in self._paths])


class Results:
    """Writes records one by one, or bytes that are in its form already."""

    def __init__(self, target: BinaryIO, form: Form = json_line) -> None:
        self.write_bytes = target.write
        self._form = form

    def write(self, record: Mapping[str, Any]) -> None:
        """One CloudEvent, or one plain record."""
        self.write_bytes(self._form(record))


def _cell(data: Any, path: Sequence[str]) -> Any:
    value = value_at(data, path)
    return encode(value).decode() if isinstance(value, list | dict) else value


def format_of(path: Path) -> str:
    """``csv``, ``parquet``, ``xlsx`` or ``jsonl``."""
    name = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    if path.name.lower().endswith(".xlsx"):
        return "xlsx"
    return "csv" if name.endswith(".csv") else "parquet" if name.endswith((".parquet", ".pq")) else "jsonl"


def form_of(path: Path | None, columns: Sequence[str], names: Names = NO_NAMES) -> Form:
    """The form of records in that file; JSON lines, which have codes only, on standard output."""
    if path is None or format_of(path) == "jsonl":
        return json_line
    return CsvRow(columns, names, exact=format_of(path) in ("parquet", "xlsx"))


@contextmanager
def open_results(path: Path, columns: Sequence[str]) -> Iterator[Results]:
    """A result file that appears complete at the end; otherwise it stays ``.partial``.

    Raises:
        ConfigError: where it cannot be written.
    """
    with write_whole(path) as raw:
        match format_of(path):
            case "parquet":
                yield from _parquet(path, raw, columns)
            case "xlsx":
                yield from _xlsx(path, raw, columns)
            case "csv":
                with compressed(path, raw) as target:
                    yield _table(target, columns)
            case _:
                with compressed(path, raw) as target:
                    yield Results(target)


def _table(target: BinaryIO, columns: Sequence[str], *, exact: bool = False) -> Results:
    target.write(csv_header(columns))
    return Results(target, CsvRow(columns, exact=exact))


def _parquet(path: Path, raw: BinaryIO, columns: Sequence[str]) -> Iterator[Results]:
    import polars as pl

    def convert(aside: Path) -> None:
        table = pl.scan_csv(aside, schema=pl.Schema(dict.fromkeys(columns, pl.String)))
        table.with_columns(_typed(columns)).sink_parquet(raw.name, maintain_order=True, sync_on_close=None)

    yield from _converted(path, raw, columns, convert)


def _xlsx(path: Path, raw: BinaryIO, columns: Sequence[str]) -> Iterator[Results]:
    severity = columns.index("severity") if "severity" in columns else None

    def convert(aside: Path) -> None:
        with open(aside, encoding="utf-8-sig", newline="") as text:
            rows = csv.reader(text)
            next(rows)
            write_workbook(
                raw, [(column, _kind(column)) for column in columns], rows,
                is_marked=lambda row: severity is not None and row[severity] == "red_line",
            )  # fmt: skip

    csv.field_size_limit(sys.maxsize)
    yield from _converted(path, raw, columns, convert)


def _converted(path: Path, raw: BinaryIO, columns: Sequence[str], convert: Callable[[Path], None]) -> Iterator[Results]:
    """Rows beside the file, which are converted into it at the end."""
    aside = path.with_name(path.name + ".rows.partial")
    try:
        with open_named(aside, path) as target:
            try:
                yield _table(target, columns, exact=True)
            finally:
                target.flush()
                with _uninterrupted():
                    convert(aside)
                raw.seek(0, os.SEEK_END)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C meanwhile counts at the end: half a conversion is nothing, and its rows would be lost."""
    held: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda number, _frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        raise KeyboardInterrupt


def _kind(column: str) -> Kind:
    if column.endswith(("_at", "deadline", "as_of")):
        return "instant"
    if column in ("elapsed", "paused"):
        return "duration"
    return "flag" if column in ("calendar_provisional", "incomplete") else "text"


def _typed(columns: Sequence[str]) -> list[Any]:
    """Instants as UTC microseconds, durations as seconds, flags as booleans, everything else as text."""
    import polars as pl

    made = []
    for column in columns:
        match _kind(column):
            case "instant":
                made.append(pl.col(column).str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=True))
            case "duration":
                made.append(pl.col(column).str.strip_chars_start("PT").str.strip_chars_end("S").cast(pl.Float64))
            case "flag":
                made.append((pl.col(column) == "true").fill_null(False))
            case "text" | "link":
                pass
    return made
