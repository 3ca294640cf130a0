"""CSV, spreadsheets and Parquet, through a mapping.

CSV is read by the standard library: 8,600 rows of 15 columns take it 20 ms, the decoder behind it ten times as
long. Spreadsheets are read by calamine, a sheet at a time. Parquet is read by polars, some thousand rows at a time.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import zstandard

from streams.errors import ConfigError, InputError
from streams.files import KEPT_CHARACTERS, MAX_LINE, STANDARD, open_bytes
from streams.replay.sources import Record
from streams.replay.sources.detection import encoding_of, first_bytes
from streams.replay.sources.parquet import (
    columns_of,
    instants_of,
    parquet_files,
    parquet_rows,
    parquet_table,
    partitions_of,
)
from streams.replay.sources.rows import EMPTY, Header, Rows, heading
from streams.replay.sources.unread_cells import UnreadError, unread_cells
from streams.replay.sources.workbook_dates import is_from_1904
from streams.wire.cells import Since1904, is_unicode, text_of
from streams.wire.decoder import encode_json

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook


class CsvTable(Rows):
    """A CSV file with a header; positions are row numbers, the first row of data being 1."""

    def records(self) -> Iterator[Record]:
        """See ``Source``. A row of another length than the header is refused, and a line that is too long."""
        form, header = self.mapping, Header(self.input)
        csv.field_size_limit(MAX_LINE)
        quoting: Any = csv.QUOTE_NONE if form.quote == "none" else csv.QUOTE_MINIMAL
        with open_bytes(self.name) as raw:
            text = io.TextIOWrapper(raw, self._encoding(), errors="surrogateescape", newline="")
            lines = _Lines(text, self.mapping.encoding)
            rows = csv.reader(
                lines,
                delimiter=self._delimiter,
                quoting=quoting,
                quotechar=None if form.quote == "none" else form.quote,
            )
            number, columns, at = 0, [], 0
            try:
                for at, row in enumerate(_rows(rows), start=1):
                    place = header.place(at)
                    match row, place:
                        case _TooLong(), _:
                            number += place == "data"
                            yield from self._refused(number, row, place, lines)
                        case list(), "header":
                            columns = [heading(name) for name in row]
                            header.check(columns, self._hint(columns))
                        case list(), "data":
                            number += bool(row)
                            yield from self._record(number, row, columns, lines)
                    lines.forget()
                if not columns:
                    header.check([])
            except (csv.Error, OSError, EOFError, zlib.error, zstandard.ZstdError, UnicodeError) as error:
                raise ConfigError(f"damaged after row {number}: {error}", path=self.name, line=rows.line_num) from error

    def _record(self, number: int, row: list[str], header: list[str], lines: _Lines) -> Iterator[Record]:
        if not any(cell.strip() for cell in row):
            yield number, b"", EMPTY
            return
        if lines.is_swallowing(self._delimiter, self.mapping.quote, len(header)):
            raise self._unclosed(number - 1, lines)
        if len(row) > len(header) and not any(cell.strip() for cell in row[len(header) :]):
            row = row[: len(header)]
        if len(row) != len(header):
            yield number, self._original(row), _of_other_width(len(row), len(header))
            return
        yield from self.made(number, dict(zip(header, row, strict=True)), self._original(row))

    def _refused(self, number: int, row: _TooLong, place: str, lines: _Lines) -> Iterator[Record]:
        if len(lines.held) > 1:
            raise self._unclosed(number - (place == "data"), lines)
        if place == "header":
            raise ConfigError(f"the header is {row}", path=self.name, line=lines.number)
        if place == "data":
            yield number, row.beginning, InputError("too_large", None, str(row), size=row.size)

    def _unclosed(self, before: int, lines: _Lines) -> ConfigError:
        return ConfigError(
            f"a quote opens in row {before + 1}, in this line, and is not closed in that row: "
            f"{len(lines.held)} lines would be one row; correct the file, or set quote in {self.input.mapping.path} "
            "to the character that is used, or to none",
            path=self.name,
            line=lines.number - len(lines.held) + 1,
            key="quote",
        )

    def _encoding(self) -> str:
        named = self.mapping.encoding
        return "utf-8-sig" if named.lower().replace("_", "-") == "utf-8" else named

    @cached_property
    def _delimiter(self) -> str:
        is_tabs = "delimiter" not in self.mapping.model_fields_set and ".tsv" in Path(self.name).suffixes
        return "\t" if is_tabs else self.mapping.delimiter

    def _hint(self, header: list[str]) -> str:
        """Another cause of a missing column: a different encoding or delimiter."""
        wanted = {column for _, column in self.input.mapping.rows.columns()}
        if wanted <= set(header):
            return ""
        better = encoding_of(first_bytes(self.name))
        if better is not None and better != self.mapping.encoding.lower():
            if not all(map(is_unicode, header)):
                named = self.mapping.encoding.upper()
                raise self.input.mapping.error(
                    ("encoding",), f"{self.name} is not {named}; looks like {better}: set encoding: {better}"
                )
            return f"; looks like {better}: set encoding: {better} in the mapping"
        for other in ("\t", ";", "|", ","):
            if len(header) == 1 and other in header[0]:
                return f"; the columns seem to be separated by {other!r}: set delimiter in the mapping"
        return ""

    def not_of_encoding(self, note: InputError) -> InputError:
        """A row in an encoding other than the mapping's."""
        better = encoding_of(first_bytes(self.name))
        hint = f"; the file looks like {better}: set encoding" if better not in (None, self.mapping.encoding) else ""
        return InputError("not_utf8", None, f"is not valid {self.mapping.encoding}{hint}")

    def _original(self, row: list[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self._delimiter, lineterminator="").writerow(row)
        return text.getvalue().encode(self.mapping.encoding, "surrogateescape")


def _of_other_width(columns: int, headings: int) -> InputError:
    return InputError("bad_field", None, f"has {columns} columns; the header has {headings}")


class _TooLong(Exception):
    """A line, or the lines of one row, with more than ``MAX_LINE`` characters.

    ``beginning`` is that of the last line, and ``size`` its bytes.
    """

    def __init__(self, beginning: bytes, size: int) -> None:
        super().__init__(f"a line of {size:,} bytes; at most {MAX_LINE:,} are read: put each row on a line of its own")
        self.beginning = beginning
        self.size = size


def _rows(rows: Iterator[list[str]]) -> Iterator[list[str] | _TooLong]:
    while True:
        try:
            yield next(rows)
        except _TooLong as error:
            yield error  # the reader continues with the next line
        except StopIteration:
            return


class _Lines:
    """The lines of a text, and those of the current row."""

    def __init__(self, text: io.TextIOWrapper, encoding: str) -> None:
        self._text = text
        self._encoding = encoding
        self.held: list[str] = []
        self._characters = 0
        self.number = 0
        self._is_at_end = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_LINE)
        if not line:
            self._is_at_end = True
            raise StopIteration
        self.number += 1
        self.held.append(line)
        self._characters += len(line)
        if len(line) == MAX_LINE or self._characters > MAX_LINE:
            raise _TooLong(self._bytes(line[:KEPT_CHARACTERS]), self._size_of(line))
        return line

    def _size_of(self, line: str) -> int:
        """The bytes of a line that begins so; the rest of it is read."""
        size, piece = len(self._bytes(line)), line
        while not piece.endswith(("\n", "\r")) and (piece := self._text.readline(KEPT_CHARACTERS)):
            size += len(self._bytes(piece))
        return size

    def _bytes(self, text: str) -> bytes:
        return text.encode(self._encoding, "surrogateescape")

    def forget(self) -> None:
        """Called at the end of a row."""
        self.held, self._characters = [], 0

    def is_swallowing(self, delimiter: str, quote: str, columns: int) -> bool:
        """Whether a quote that was not closed made one row of several: at the end of the file, or until another quote.

        A cell may have several lines. But a line that is a whole row in itself, or the beginning of one up to the
        cell's column, shows an unclosed quote.
        """
        held = self.held
        if quote == "none" or (len(held) == 1 and not self._is_at_end):
            return False
        try:
            for _ in csv.reader(held, delimiter=delimiter, quotechar=quote, strict=True):
                pass
        except csv.Error as error:
            if "unexpected end" in str(error):
                return True
        if any(len(next(csv.reader([line], delimiter=delimiter), ())) == columns for line in held[1:-1]):
            return columns > 2
        before = held[0].split(quote)[0].count(delimiter)
        return len(held) > 1 and before >= 2 and held[-1].split(quote)[0].count(delimiter) == before


class Spreadsheet(Rows):
    """One sheet of an .xlsx, .xlsm, .xlsb, .xls or .ods file; positions are the sheet's own row numbers."""

    def records(self) -> Iterator[Record]:
        """See ``Source``. A row with a value to the right of the last heading is refused."""
        header, columns = Header(self.input), list[str]()
        for number, row in self._rows():
            match header.place(number):
                case "header":
                    columns = [heading(value) for value in row]
                    while columns and not columns[-1]:
                        columns.pop()
                    header.check(columns)
                case "data":
                    width = max((n for n, value in enumerate(row, 1) if not _is_empty(value)), default=0)
                    if not width:
                        yield number, b"", EMPTY
                    elif width > len(columns):
                        original = encode_json([text_of(value) for value in row[:width]])
                        yield number, original, _of_other_width(width, len(columns))
                    else:
                        yield from self.made(number, dict(zip(columns, row, strict=False)))
        if not columns:
            header.check([])

    def _rows(self) -> Iterator[tuple[int, list[Any]]]:
        return rows_of(self.name, self.input.sheet or self.mapping.sheet, self.input.mapping.path)


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or str(value).isspace()


def rows_of(name: str, sheet: str | None, mapping: str | None = None) -> Iterator[tuple[int, list[Any]]]:
    """The rows of one sheet with their numbers from 1; ``sheet`` may be left out where only one has any.

    Raises:
        ConfigError: where the file or the sheet cannot be read.
    """
    with _workbook(name) as (book, file):
        names = book.sheet_names
        if sheet is not None and sheet not in names:
            raise ConfigError(f"has no sheet {sheet!r}; it has {', '.join(names)}", path=name, key="sheet")
        if sheet is None:
            filled = list(_sizes(book))
            if len(filled) > 1:
                raise ConfigError(
                    f"has several sheets with rows ({', '.join(filled)}): name one with --sheet or in the mapping",
                    path=name,
                    key="sheet",
                )
            sheet = filled[0] if filled else names[0]
        found = book.get_sheet_by_name(sheet)
        try:
            unread = unread_cells(file, sheet)
        except UnreadError as error:
            said = f"errors in its cells cannot be told from empty cells ({error}): save it as .xlsx"
            raise ConfigError(said, path=name) from error
        from_1904 = is_from_1904(file)
        for number, row in enumerate(found.to_python(skip_empty_area=False), start=1):
            if from_1904:
                row = [Since1904(value) if type(value) is int or type(value) is float else value for value in row]
            if unread and not all(map(_is_empty, row)):  # a row of formulas alone waits to be filled
                row = [unread.get((number, n), value) for n, value in enumerate(row)]
            yield number, row


def sheets_of(name: str) -> dict[str, int]:
    """The sheets that have rows, each with its number of cells.

    Raises:
        ConfigError: where the file cannot be read.
    """
    with _workbook(name) as (book, _):
        return _sizes(book)


def _sizes(book: CalamineWorkbook) -> dict[str, int]:
    sheets = ((name, book.get_sheet_by_name(name)) for name in book.sheet_names)
    return {name: sheet.height * sheet.width for name, sheet in sheets if sheet.height}


@contextmanager
def _workbook(name: str) -> Iterator[tuple[CalamineWorkbook, str | BinaryIO]]:
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    try:
        if name == STANDARD:
            with open_bytes(name) as raw:
                file = io.BytesIO(raw.read())
            yield CalamineWorkbook.from_filelike(file), file
        else:
            yield CalamineWorkbook.from_path(name), name
    except PasswordError as error:
        raise ConfigError("is protected by a password: save it without one", path=name) from error
    except (CalamineError, OSError, IndexError) as error:
        raise ConfigError(f"cannot be read as a spreadsheet: {error}", path=name) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # calamine's own class, which it does not give
            raise
        raise ConfigError(f"cannot be read as a spreadsheet, or is damaged: {error}", path=name) from error


class ParquetTable(Rows):
    """A Parquet file, or a directory of them as Spark and Hive write it; positions are row numbers from 1."""

    _whole: ParquetTable | None = None
    """The table of which this is one file."""
    _file = ""
    _after = 0

    @cached_property
    def _partitions(self) -> Mapping[str, bool] | None:
        return partitions_of(self.name)

    @cached_property
    def _instants(self) -> frozenset[str]:
        return instants_of(parquet_files(self.name))

    def files(self) -> list[tuple[str, int]]:
        """Its files, each with the number of rows before it.

        Raises:
            ConfigError: where one cannot be read.
        """
        import polars as pl

        found, after = [], 0
        for name in parquet_files(self.name):
            found.append((name, after))
            try:
                after += pl.scan_parquet(name).select(pl.len()).collect().item()
            except (pl.exceptions.PolarsError, OSError) as error:
                raise ConfigError(f"not Parquet, or damaged: {error}", path=name) from error
        return found

    def one_file(self, name: str, after: int) -> ParquetTable:
        """The rows of one of its files, of which ``after`` rows come before it."""
        found = ParquetTable(self.input)
        found._whole, found._file, found._after = self, name, after
        return found

    def records(self) -> Iterator[Record]:
        """See ``Source``."""
        import polars as pl

        number = self._after
        try:
            whole = self if self._whole is None else self._whole
            table = parquet_table(parquet_files(self.name) if self._whole is None else [self._file], whole._partitions)
            self.input.mapping.check_columns(list(columns_of(table.collect_schema())), self.name)
            for row in parquet_rows(table, whole._instants):
                number += 1
                yield from self.made(number, row)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise ConfigError(f"not Parquet, or damaged after row {number}: {error}", path=self.name) from error
        except pl.exceptions.PanicException as error:
            raise ConfigError(f"cannot be read after row {number}: {error}", path=self.name) from error
