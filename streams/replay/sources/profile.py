"""Profiles the columns of a file or topic: how many cells are filled, their values with counts, the forms of times."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import schemas.mappings as schema
from streams.errors import ConfigError, InputError
from streams.files import STANDARD, check_is_read_again, open_bytes, read_lines, text_lines
from streams.replay.sources.detection import content_form, encoding_of, first_bytes, suffix_form
from streams.replay.sources.json_rows import elements_of
from streams.replay.sources.ocel import ocel_rows
from streams.replay.sources.parquet import instants_of, parquet_files, parquet_rows, parquet_table, partitions_of
from streams.replay.sources.tables import rows_of, sheets_of
from streams.replay.sources.xes import xes_rows
from streams.wire.cells import Cells, ConversionError, text_of
from streams.wire.decoder import decode_json
from streams.wire.values import times

_LONGEST_OBJECT: Final = 64 << 20
ROWS: Final = 5_000
"""Most rows that are read."""

MOST_DIFFERENT: Final = 1_000
"""Most distinct values of a column that are held."""

_NULLS: Final = ("NULL", "null", "None", "NaN", r"\N", "无", "-", "--", "N/A", "/", "空")
MONTH_FIRST: Final = {"%m/%d/%Y %H:%M": "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S": "%d/%m/%Y %H:%M:%S"}
"""Forms that begin with the month, with the same ones that begin with the day: either may read all days up to 12."""

_DAYS: Final = ("%Y/%m/%d", "%Y年%m月%d日", "%Y.%m.%d")
_PATTERNS: Final = (
    "iso", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y-%m-%d %H:%M", "%Y年%m月%d日 %H:%M",
    "%Y年%m月%d日 %H时%M分", "%Y年%m月%d日 %H:%M:%S", "%Y年%m月%d日 %H时%M分%S秒", "%Y/%m/%d %p %I:%M",
    "%Y/%m/%d %p%I:%M:%S", "%Y/%m/%d %p %I:%M:%S", "%d-%b-%y %I.%M.%S.%f %p", "%Y%m%d%H%M%S", "%Y%m%d %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M", *MONTH_FIRST, "%Y.%m.%d %H:%M", *_DAYS,
    *MONTH_FIRST.values(), "excel", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns",
)  # fmt: skip


@dataclass
class Column:
    """The profile of one column."""

    name: str
    filled: int = 0
    values: Counter[str] = field(default_factory=Counter)
    fitting: Counter[str] = field(default_factory=Counter)
    is_typed_time: bool = False

    def add(self, value: Any) -> None:
        """Add one filled cell."""
        self.filled += 1
        try:
            text = text_of(value)
        except ConversionError:
            text = repr(value)
        if text in self.values or len(self.values) < MOST_DIFFERENT:
            self.values[text] += 1
        if isinstance(value, date | datetime):
            self.is_typed_time = True
            self.fitting["iso"] += 1
        else:
            self.fitting.update(form for form in _PATTERNS if _fits(form, value))

    @property
    def is_time(self) -> bool:
        """Whether nearly all cells are times."""
        return bool(self.filled) and len(self.time_forms()) > 0

    @property
    def is_id(self) -> bool:
        """Whether its name is that of a number given to orders, accounts, meters, people or places."""
        return _ID.search(self.name.strip()) is not None

    @property
    def is_days(self) -> bool:
        """Whether its times are days without a time of day."""
        forms = self.time_forms()
        return bool(forms) and all(
            form in _DAYS or (form == "iso" and all(_DAY.fullmatch(text) for text in self.values)) for form in forms
        )

    def time_forms(self) -> list[str]:
        """The fewest known forms that read all cells; empty where they are not times."""
        if self.filled and (self.fitting.get("iso", 0) == self.filled):
            return ["iso"]
        ordered = [
            form for form, _ in sorted(self.fitting.items(), key=lambda item: (-item[1], _PATTERNS.index(item[0])))
        ]
        found, left = [], set(self.values)
        for form in ordered:
            read = {text for text in left if _fits(form, text)}
            if read:
                found.append(form)
                left -= read
            if not left:
                break
        total = sum(self.values.values())
        unread = sum(self.values[text] for text in left)
        if self.is_id and all(form in _DIGITS for form in found):
            return []
        most = max(total * 0.1, 1 if total > 2 else 0)  # a sum at the foot of a small sheet
        return found if total and unread <= most else []


_ID: Final = re.compile(
    r"编号|编码|代码|单号|户号|表号|工号|账号|电话|手机|证件|号码?$|(^|_)(no|id|code|nbr|num|phone)$|bh$|(?<=[a-z])(No|Id|ID|Code)$|^ID$",
    re.IGNORECASE,
)
"""Names of columns that number things: their digits are no times, even where some form reads them."""

_DIGITS: Final = frozenset({"excel", "%Y%m%d%H%M%S", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns"})
"""Forms of digits alone."""

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d(T00:00:00)?")
_FIRST_YEAR, _LAST_YEAR = 1990, 2100
_READERS: Final = {form: times(schema.TimeForm(format=form, zone="UTC")) for form in _PATTERNS}
_NUMBER: Final = re.compile(r"\d{5}(\.\d+)?|\d{10}(\.\d+)?|\d{13}|\d{14}|\d{16}|\d{19}", re.ASCII)


def _fits(form: str, value: Any) -> bool:
    if isinstance(value, list | dict | bool):
        return False
    text = str(value)
    if form in _DIGITS and not _NUMBER.fullmatch(text):
        return False
    if form == "iso" and not re.match(r"\d{4}-\d{2}-\d{2}", text):
        return False
    try:
        read = _READERS[form](value)
    except ConversionError:
        return False
    return _FIRST_YEAR <= int(read[:4]) <= _LAST_YEAR


@dataclass
class Profile:
    """The profile of a file's rows. ``settings`` are the keys of a mapping needed for reading.

    ``questions`` are about settings, by their key.
    """

    name: str
    settings: dict[str, Any]
    questions: dict[str, str] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)
    rows: int = 0
    nulls: Counter[str] = field(default_factory=Counter)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row."""
        self.rows += 1
        clean = Cells((), strip=True).clean
        for name, value in row.items():
            if not name:
                continue
            column = self.columns.setdefault(name, Column(name))
            try:
                cell = clean(value)
            except ConversionError:  # not sent
                continue
            if isinstance(cell, str) and cell in _NULLS:
                self.nulls[cell] += 1
            elif cell is not None:
                column.add(cell)


def profile_of(name: str, sheet: str | None = None) -> Profile:
    """Profile the first rows of a file.

    Raises:
        ConfigError: where it cannot be read.
    """
    check_is_read_again(name)
    found_form = content_form(name)
    form = found_form or suffix_form(name)
    if found_form is None and form in ("xlsx", "parquet") and name != STANDARD:
        form = None  # a text, as some systems name .xls
    rows: Iterable[Mapping[str, Any]]
    settings: dict[str, Any] = {}
    questions: dict[str, str] = {}
    match form:
        case "xlsx":
            sheets = {} if name == STANDARD else sheets_of(name)
            chosen = sheet or max(sheets, key=sheets.__getitem__, default=None)
            settings, rows = _table(rows_of(name, chosen))
            if sheet is not None or len(sheets) > 1:
                settings["sheet"] = chosen
            if sheet is None and len(sheets) > 1:
                others = ", ".join(one for one in sheets if one != chosen)
                questions["sheet"] = f"the one with most cells; others with rows: {others}"
        case "parquet":
            rows = _parquet(name)
        case "xes":
            rows = xes_rows(name)
        case "ocel":
            settings, rows = {"format": "ocel"}, ocel_rows(name)
        case "array":
            settings, rows = json_settings(raw for _, raw, error in elements_of(name) if error is None)
        case None if first_bytes(name).lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"{":
            _check_lines(name)
            settings, rows = json_settings(line for _, line in read_lines(name))
        case _:
            settings, rows = _csv(name)
            if form is None:
                settings = {"format": "csv", **settings}
    found = profiled(name, settings, rows)
    found.questions = questions
    return found


def profiled(name: str, settings: dict[str, Any], rows: Iterable[Mapping[str, Any]]) -> Profile:
    """The profile of rows."""
    found = Profile(name, settings)
    for row in rows:
        found.add(row)
        if found.rows == ROWS:
            break
    if not found.columns:
        raise ConfigError("has no rows to look at", path=name)
    return found


def json_settings(lines: Iterable[bytes]) -> tuple[dict[str, Any], Iterator[Mapping[str, Any]]]:
    """The settings for lines of JSON, and their rows; those that cannot be read are left out.

    The rows raise ``ConfigError`` at their end where none can be read.
    """
    from streams.wire.envelopes import rows_of as changes

    some = [line for line, _ in zip((line for line in lines if line.strip()), range(ROWS), strict=False)]
    is_debezium = any(b'"op"' in line and (b'"after"' in line or b'"before"' in line) for line in some[:20])
    form = "debezium" if is_debezium else "json"

    def rows() -> Iterator[Mapping[str, Any]]:
        unread: InputError | None = None
        read = False
        for line in some:
            try:
                found = changes(form, line, ())
            except InputError as error:
                unread = unread or error
                continue
            read = True
            if isinstance(found, list):
                yield from (change.after for change in found if change.after is not None)
        if unread is not None and not read:
            hint = "; give its address: --registry URL" if "schema registry" in unread.detail else ""
            raise ConfigError(f"no record is JSON: the first {unread.detail}{hint}")

    return {"format": form}, rows()


def _check_lines(name: str) -> None:
    """Refuse a file that is one JSON object over several lines, with the place of the records in it."""
    with open_bytes(name) as source:
        if source.readline(_LONGEST_OBJECT).strip() in (b"{", b"\xef\xbb\xbf{"):
            rest = source.read(_LONGEST_OBJECT)
        else:
            return
    try:
        whole = decode_json(b"{" + rest)
    except (ValueError, RecursionError):
        return
    lists = sorted(_lists(whole), key=lambda item: -item[1]) if isinstance(whole, dict) else []
    place = f"; its records seem to be in {lists[0][0]} ({lists[0][1]:,})" if lists else ""
    path = f".{lists[0][0]}[]" if lists else ".RECORDS[]"
    raise ConfigError(
        f"is one JSON object over several lines{place}: write one record a line, for example with "
        f"jq -c '{path}', or all in one array",
        path=name,
    )


def _lists(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, int]]:
    """The lists of objects inside, by their path, with their lengths."""
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _lists(inner, f"{prefix}{name}.")
        elif isinstance(inner, list) and inner and isinstance(inner[0], dict):
            yield f"{prefix}{name}", len(inner)


def _parquet(name: str) -> Iterator[Mapping[str, Any]]:
    import polars as pl

    try:
        files = parquet_files(name)
        yield from parquet_rows(parquet_table(files, partitions_of(name)).head(ROWS), instants_of(files))
    except (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException) as error:
        raise ConfigError(f"not Parquet, or damaged: {error}", path=name) from error


def _csv(name: str) -> tuple[dict[str, Any], Iterator[Mapping[str, Any]]]:
    encoding = encoding_of(first_bytes(name)) or "utf-8"
    with open_bytes(name) as raw:
        text = io.TextIOWrapper(raw, "utf-8-sig" if encoding == "utf-8" else encoding, errors="replace", newline="")
        lines = [line for line, _ in zip(text_lines(text, name), range(ROWS + 50), strict=False)]
    counts = {mark: sum(line.count(mark) > 0 for line in lines[:50]) for mark in (",", "\t", ";", "|")}
    delimiter = max(counts, key=lambda mark: (counts[mark], mark == ","))
    settings: dict[str, Any] = {} if encoding == "utf-8" else {"encoding": encoding}
    if delimiter != ",":
        settings["delimiter"] = delimiter
    more, rows = _table(enumerate(csv.reader(lines, delimiter=delimiter), start=1))
    return {**settings, **more}, rows


def _table(rows: Iterable[tuple[int, Sequence[Any]]]) -> tuple[dict[str, Any], Iterator[Mapping[str, Any]]]:
    """The header (the first row that is nearly as wide as any and has words only), and the rows below it."""
    held = [(number, row) for (number, row), _ in zip(rows, range(ROWS + 50), strict=False)]
    widths = [sum(cell not in (None, "") for cell in row) for _, row in held[:30]]
    widest = max(widths, default=0)
    place = next((n for n, width in enumerate(widths) if width >= max(widest * 0.7, 1) and _is_heading(held[n][1])), 0)
    if not held:
        return {}, iter(())
    header = [text_of(cell).strip() if cell is not None else "" for cell in held[place][1]]
    number = held[place][0]
    found = (
        dict(zip(header, row, strict=False))
        for _, row in held[place + 1 :]
        if any(cell not in (None, "") for cell in row)
    )
    return ({"header_row": number} if number > 1 else {}), found


def _is_heading(row: Sequence[Any]) -> bool:
    return all(
        cell is None or (isinstance(cell, str) and not re.match(r"[\d.:/ -]+$", cell)) or cell == "" for cell in row
    )
