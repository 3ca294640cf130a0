"""Tables for spreadsheets: rows of CSV, and Excel workbooks (.xlsx) with typed columns, a filter and marked rows.

No cell becomes a formula. In a workbook texts stay what they are: one that begins like a formula is marked as text
(Excel's own apostrophe), so that it stays text when somebody edits the cell. Nothing of the file depends on when it is
made.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, BinaryIO, Final, Literal

Kind = Literal["text", "instant", "duration", "flag", "link", "number"]

FORMULA: Final = tuple("=+-@\t\r\n＝＋－＠")
"""What a text begins with that a spreadsheet would take for a formula."""

MOST_ROWS: Final = 1_000_000
"""Rows of a sheet, below Excel's bound of 1,048,576; further ones go to further sheets."""

MOST_LINKS: Final = 60_000
"""Links of a sheet, below Excel's bound of 65,530; further ones are text."""

MOST_CHARACTERS: Final = 32_767
_CUT: Final = "… (cut: more than Excel takes in a cell)"
_MARKED: Final = "#FFC7CE"
_WIDTHS: Final[dict[Kind, int]] = {"text": 22, "instant": 24, "duration": 12, "flag": 10, "link": 30, "number": 12}
_FORMATS: Final[dict[Kind, str]] = {
    "text": "@", "instant": "yyyy-mm-dd hh:mm:ss.000", "duration": "[h]:mm:ss", "flag": "General",
    "link": "@", "number": "General",
}  # fmt: skip


def neutral(value: Any) -> Any:
    """A cell of CSV that no spreadsheet takes for a formula: such a text gets an apostrophe before it (OWASP)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def value_at(data: Any, path: Sequence[str]) -> Any:
    """What stands at a path in nested mappings, ``None`` where nothing does; flags are ``true`` and ``false``."""
    for name in path:
        data = data.get(name) if isinstance(data, Mapping) else None
    if isinstance(data, bool):
        return "true" if data else "false"
    return data


def csv_row(values: Iterable[Any]) -> bytes:
    """One row of CSV, in UTF-8."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def csv_header(columns: Iterable[str]) -> bytes:
    """The first row of a file of CSV, with the byte order mark that spreadsheets need to read Chinese."""
    return codecs.BOM_UTF8 + csv_row(columns)


class _Target:
    """A file to write; once it has failed, nothing more is done: the library tries again as it is thrown away."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._has_failed = False

    def __getattr__(self, name: str) -> Any:
        own = getattr(self._target, name)
        return partial(self._tried, own) if callable(own) else own

    def _tried(self, call: Callable[..., Any], *arguments: Any) -> Any:
        if self._has_failed:
            return 0
        try:
            return call(*arguments)
        except OSError:
            self._has_failed = True
            raise


def write_workbook(
    target: BinaryIO,
    columns: Sequence[tuple[str, Kind]],
    rows: Iterable[Sequence[str]],
    *,
    is_marked: Callable[[Sequence[str]], bool] = lambda _row: False,
    most_rows: int = MOST_ROWS,
) -> None:
    """Write rows of texts, as CSV has them, each cell as its column's kind; an empty text is an empty cell.

    ``instant`` is ISO 8601 with an offset: the cell is the local time there, to the millisecond. ``duration`` is
    ISO 8601 in seconds. ``flag`` is ``true`` or ``false``. ``link`` is an address of the web, ``number`` a decimal
    number. Marked rows are red.
    """
    import xlsxwriter  # late: few commands write workbooks

    book = xlsxwriter.Workbook(
        _Target(target), {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    book.set_properties({"created": datetime(2000, 1, 1, tzinfo=UTC)})
    look = {
        (kind, marked, quoted): book.add_format(
            {"num_format": shown, **({"bg_color": _MARKED} if marked else {}), "quote_prefix": quoted}
        )
        for kind, shown in _FORMATS.items()
        for marked in (False, True)
        for quoted in (False, True)
    }
    head = book.add_format({"bold": True, "bottom": 1})
    sheet, place = _sheet(book, columns, head), 0
    for row in rows:
        if place == most_rows:
            sheet.autofilter(0, 0, place, len(columns) - 1)
            sheet, place = _sheet(book, columns, head), 0
        place += 1
        marked = is_marked(row)
        for column, ((_, kind), text) in enumerate(zip(columns, row, strict=True)):
            _write(sheet, place, column, (kind, text), look[kind, marked, text.startswith(FORMULA)])
    sheet.autofilter(0, 0, place, len(columns) - 1)
    try:
        book.close()
    except xlsxwriter.exceptions.FileCreateError as error:  # around the error of the operating system
        raise error.args[0] from None


def _sheet(book: Any, columns: Sequence[tuple[str, Kind]], head: Any) -> Any:
    sheet = book.add_worksheet()
    sheet.freeze_panes(1, 0)
    for number, (name, kind) in enumerate(columns):
        sheet.set_column(number, number, _WIDTHS[kind])
        sheet.write_string(0, number, name, head)
    return sheet


def _write(sheet: Any, row: int, column: int, cell: tuple[Kind, str], look: Any) -> None:
    kind, text = cell
    if not text:
        sheet.write_blank(row, column, None, look)
        return
    match kind:
        case "instant":
            at = datetime.fromisoformat(text).replace(tzinfo=None)
            if at.year >= 1900:
                sheet.write_datetime(row, column, at, look)
                return
        case "duration":
            sheet.write_number(row, column, float(text.removeprefix("PT").removesuffix("S")) / 86_400, look)
            return
        case "flag":
            sheet.write_boolean(row, column, text == "true", look)
            return
        case "number":
            sheet.write_number(row, column, float(text), look)
            return
        case "link":
            if row <= MOST_LINKS:
                sheet.write_url(row, column, text, look, text)
                return
        case "text":
            pass
    if len(text) > MOST_CHARACTERS:
        text = text[: MOST_CHARACTERS - len(_CUT)] + _CUT
    sheet.write_string(row, column, text, look)
