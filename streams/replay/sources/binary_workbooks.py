"""The cells of .xls and .xlsb that have an error or were never calculated, from the records of the file.

calamine gives them as empty. .xls is a compound file with records of BIFF, of which the layout is in MS-CFB and MS-XLS;
.xlsb has records of the same kind in an archive (MS-XLSB). Nothing but these cells is read here.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable, Iterator
from typing import Final

from streams.wire.cells import UNCALCULATED

CellTexts = dict[tuple[int, int], str]
"""The text of each cell, by row (from 1) and column (from 0)."""

COMPOUND: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How a compound file begins."""

_ERRORS: Final = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}
_BOF, _EOF, _BOUND_SHEET, _FILE_PASS, _CODE_PAGE = 0x809, 0x0A, 0x85, 0x2F, 0x42
_BIFF8, _DATE_MODE, _WRITE_ACCESS = 0x600, 0x22, 0x5C
_EMPTY_TEXT: Final = 3
"""The result of a formula, where it is an empty text."""

_FORMULA, _BOOL_OR_ERROR, _STRING = 0x06, 0x205, 0x207
_BETWEEN: Final = frozenset({0x4BC, 0x221, 0x236, 0x3C})
"""Records that may stand between a formula and its text: shared formulas, arrays, tables, continuations."""

_ROW, _CELL_ERROR, _FORMULA_ERROR = 0, 3, 11
_END: Final = 0xFFFFFFF0
"""Numbers of sectors end here; those above mark the end of a chain, or a free sector."""


def cells_of_xls(raw: bytes, sheet: str) -> CellTexts:
    """The cells of a sheet of .xls.

    Raises:
        ValueError, LookupError, struct.error: where the file is damaged, or has no such sheet.
    """
    book = _stream(raw)
    is_calculated = not _is_of_xlwt(book)
    found: CellTexts = {}
    depth = 0
    waiting: tuple[int, int] | None = None  # a formula whose text has not come yet
    for kind, body in _records(book, _sheet_at(book, sheet)):
        if waiting is not None and kind not in _BETWEEN:
            if kind != _STRING:
                found[waiting] = f"{UNCALCULATED} formula"
            waiting = None
        depth += (kind == _BOF) - (kind == _EOF)  # a chart within the sheet has a beginning and an end of its own
        if depth == 0:
            break
        if kind not in (_FORMULA, _BOOL_OR_ERROR) or depth > 1:
            continue
        row, column = struct.unpack_from("<HH", body)
        place = row + 1, column
        if kind == _BOOL_OR_ERROR and body[7]:
            found[place] = _error(body[6])
        elif kind == _FORMULA and body[12:14] == b"\xff\xff":
            if body[6] == 2:
                found[place] = _error(body[8])
            elif body[6] == _EMPTY_TEXT and not is_calculated:
                found[place] = f"{UNCALCULATED} formula"
            waiting = place if body[6] == 0 else None
    return found


def _is_of_xlwt(book: bytes) -> bool:
    """Whether xlwt or pyExcelerator wrote it, which give every formula an empty text as its result.

    They alone write the name of the user without the length that BIFF8 has before it.
    """
    for kind, body in _records(book, 0):
        if kind == _WRITE_ACCESS:
            return int.from_bytes(body[:2], "little") > len(body) - 3
        if kind == _EOF:
            break
    return False


def is_xls_from_1904(raw: bytes) -> bool:
    """Whether the days of an .xls count from 1904.

    Raises:
        ValueError, LookupError, struct.error: where the file is damaged.
    """
    for kind, body in _records(_stream(raw), 0):
        if kind == _DATE_MODE:
            return bool(body[0])
        if kind == _EOF:
            break
    return False


def cells_of_xlsb(raw: bytes) -> CellTexts:
    """The cells of a sheet of .xlsb, by the bytes of its part.

    Raises:
        IndexError, struct.error: where the file is damaged.
    """
    found: CellTexts = {}
    row = 0
    for kind, body in xlsb_records(raw):
        if kind == _ROW:
            row = struct.unpack_from("<I", body)[0] + 1
        elif kind in (_CELL_ERROR, _FORMULA_ERROR):
            found[row, struct.unpack_from("<I", body)[0]] = _error(body[8])
    return found


def xlsb_records(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """The records of a part of .xlsb, each with its type.

    Raises:
        IndexError: where it is damaged.
    """
    at = 0
    while at < len(raw):
        kind, size = raw[at], 0
        at += 1
        if kind & 0x80:
            kind = kind & 0x7F | (raw[at] & 0x7F) << 7
            at += 1
        for shift in (0, 7, 14, 21):
            byte = raw[at]
            at += 1
            size |= (byte & 0x7F) << shift
            if not byte & 0x80:
                break
        yield kind, raw[at : at + size]
        at += size


def _error(code: int) -> str:
    return _ERRORS.get(code, f"#ERROR {code}")


def _records(book: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= len(book):
        kind, size = struct.unpack_from("<HH", book, at)
        yield kind, book[at + 4 : at + 4 + size]
        at += 4 + size


def _sheet_at(book: bytes, sheet: str) -> int:
    """Where the records of a sheet begin.

    Raises:
        ValueError: where it is not there, or is encrypted.
    """
    is_old, page = False, "cp1252"
    for kind, body in _records(book, 0):
        if kind in (_EOF, _FILE_PASS):
            break
        if kind == _BOF:
            is_old = struct.unpack_from("<H", body)[0] < _BIFF8
        elif kind == _CODE_PAGE:
            page = _codec(struct.unpack_from("<H", body)[0])
        elif kind == _BOUND_SHEET and _name(body, page if is_old else None) == sheet:
            return int(struct.unpack_from("<I", body)[0])
    raise ValueError(f"no sheet {sheet!r}")


def _codec(page: int) -> str:
    """Pages 10000 and 32768 are Apple's; of an unknown one the names in ASCII are read."""
    name = {10_000: "mac_roman", 32_768: "mac_roman", 32_769: "cp1252"}.get(page, f"cp{page}")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "latin-1"


def _name(body: bytes, page: str | None) -> str:
    length = body[6]
    if page is not None:
        return body[7 : 7 + length].decode(page, errors="replace")
    return body[8 : 8 + 2 * length].decode("utf-16-le") if body[7] & 1 else body[8 : 8 + length].decode("latin-1")


def _stream(raw: bytes) -> bytes:
    """The stream of the workbook within a compound file."""
    size = 1 << struct.unpack_from("<H", raw, 30)[0]
    first_directory, _, cutoff, first_mini, _, first_more = struct.unpack_from("<6I", raw, 48)
    heads = list(struct.unpack_from("<109I", raw, 76))
    for sector in _chain(lambda one: _numbers(raw, one, size)[-1], first_more):
        heads += _numbers(raw, sector, size)[:-1]
    table = [number for sector in heads if sector < _END for number in _numbers(raw, sector, size)]

    def read(start: int) -> bytes:
        return b"".join(_sector(raw, one, size) for one in _chain(table.__getitem__, start))

    directory = read(first_directory)
    entries = [directory[at : at + 128] for at in range(0, len(directory), 128)]
    for entry in entries:
        name = entry[: max(0, struct.unpack_from("<H", entry, 64)[0] - 2)].decode("utf-16-le", errors="replace")
        if name.lower() not in ("workbook", "book"):
            continue
        start, length = struct.unpack_from("<II", entry, 116)
        if length >= cutoff:
            return read(start)[:length]
        minis = read(first_mini)
        links = struct.unpack(f"<{len(minis) // 4}I", minis)
        small = read(struct.unpack_from("<I", entries[0], 116)[0])
        return b"".join(small[64 * one : 64 * one + 64] for one in _chain(links.__getitem__, start))[:length]
    raise ValueError("no workbook in it")


def _chain(following: Callable[[int], int], sector: int) -> Iterator[int]:
    seen: set[int] = set()
    while sector < _END:
        if sector in seen:
            raise ValueError("sectors in a circle")
        seen.add(sector)
        yield sector
        sector = following(sector)


def _sector(raw: bytes, number: int, size: int) -> bytes:
    return raw[(number + 1) * size : (number + 2) * size]


def _numbers(raw: bytes, sector: int, size: int) -> tuple[int, ...]:
    return struct.unpack_from(f"<{size // 4}I", raw, (sector + 1) * size)
