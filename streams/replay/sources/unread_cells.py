"""The cells of a spreadsheet that calamine gives as empty and that are not: errors, and formulas without a result.

That an arrival is ``#N/A`` does not mean that nobody arrived: such a cell is the text that it shows, as in CSV.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from html import unescape
from pathlib import Path
from typing import BinaryIO, Final
from xml.parsers.expat import ExpatError

from streams.replay.sources.binary_workbooks import COMPOUND, CellTexts, cells_of_xls, cells_of_xlsb, xlsb_records
from streams.replay.sources.open_documents import cells_of_ods
from streams.wire.cells import UNCALCULATED

_ATTRIBUTE: Final = re.compile(r"""([\w:]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_SHEET: Final = re.compile(r"<(?:\w+:)?sheet\s([^<>]*)>")
_RELATION: Final = re.compile(r"<(?:\w+:)?Relationship\s([^<>]*)>")
_CELL: Final = re.compile(r"<(?:\w+:)?c\s([^<>]*)(?<!/)>(.*?)</(?:\w+:)?c>", re.DOTALL)
_SUSPECT: Final = re.compile(r"""\st=["']e["']|<(?:\w+:)?f[\s/>]""")
_FORMULA: Final = re.compile(r"<(?:\w+:)?f\b[^<>]*?(?:/>|>([^<]*)<)")
_VALUE: Final = re.compile(r"<(?:\w+:)?v\b[^<>]*>([^<]+)<")
_BUNDLE_SHEET: Final = 156
"""The record of .xlsb that names a sheet and its part."""

_PLACE: Final = re.compile(r"([A-Z]+)(\d+)")


DAMAGED: Final = (
    LookupError, ValueError, NotImplementedError, struct.error, zlib.error, zipfile.BadZipFile, ExpatError
)  # fmt: skip


class UnreadError(Exception):
    """A spreadsheet that cannot be looked through."""


def unread_cells(file: str | BinaryIO, sheet: str) -> CellTexts:
    """The text of each of them.

    Raises:
        UnreadError: where they cannot be found.
    """
    try:
        raw = compound(file)
        if raw is not None:
            return cells_of_xls(raw, sheet)
        if not zipfile.is_zipfile(file):
            return {}
        with zipfile.ZipFile(file) as archive:
            parts = archive.namelist()
            if "content.xml" in parts:
                return cells_of_ods(archive.read("content.xml"), sheet)
            if "xl/workbook.bin" in parts:
                return cells_of_xlsb(archive.read(_path_in_xlsb(archive, sheet)))
            try:
                return _of_xlsx(archive.read(_path_of(archive, sheet)).decode("utf-8", errors="replace"))
            except KeyError:
                return {}
    except DAMAGED as error:
        raise UnreadError(str(error)) from error


def compound(file: str | BinaryIO) -> bytes | None:
    """The bytes of an .xls, which may have an archive embedded in it."""
    if isinstance(file, str):
        with Path(file).open("rb") as opened:
            return compound(opened)
    file.seek(0)
    beginning = file.read(len(COMPOUND))
    return beginning + file.read() if beginning == COMPOUND else None


def _of_xlsx(text: str) -> CellTexts:
    found: CellTexts = {}
    if _SUSPECT.search(text) is None:
        return found
    for cell in _CELL.finditer(text):
        attributes, inner = _attributes(cell[1]), cell[2]
        place = _PLACE.fullmatch(attributes.get("r", ""))
        formula, value, kind = _FORMULA.search(inner), _VALUE.search(inner), attributes.get("t")
        if place is None:
            continue
        if kind == "e":
            found[int(place[2]), _column(place[1])] = unescape(value[1]) if value else "#N/A"
        elif formula is not None and value is None and kind != "str":  # that is an empty text
            found[int(place[2]), _column(place[1])] = f"{UNCALCULATED} ={unescape(formula[1] or '')}"
    return found


def _path_of(archive: zipfile.ZipFile, sheet: str) -> str:
    sheets = map(_attributes, _SHEET.findall(archive.read("xl/workbook.xml").decode("utf-8", errors="replace")))
    own = next((one for one in sheets if one.get("name") == sheet), {})
    wanted = next((value for name, value in own.items() if name.endswith(":id")), None)
    return _part(archive, "xl/_rels/workbook.xml.rels", wanted, sheet)


def _path_in_xlsb(archive: zipfile.ZipFile, sheet: str) -> str:
    for kind, body in xlsb_records(archive.read("xl/workbook.bin")):
        if kind == _BUNDLE_SHEET:
            relation, at = _wide(body, 8)
            name, _ = _wide(body, at)
            if name == sheet:
                return _part(archive, "xl/_rels/workbook.bin.rels", relation, sheet)
    raise KeyError(sheet)


def _wide(body: bytes, at: int) -> tuple[str, int]:
    end = at + 4 + 2 * int(struct.unpack_from("<I", body, at)[0])
    return body[at + 4 : end].decode("utf-16-le"), end


def _part(archive: zipfile.ZipFile, path: str, wanted: str | None, sheet: str) -> str:
    relations = archive.read(path).decode("utf-8", errors="replace")
    for relation in map(_attributes, _RELATION.findall(relations)):
        if relation["Id"] == wanted:
            target = relation["Target"]
            return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
    raise KeyError(sheet)


def _attributes(text: str) -> dict[str, str]:
    return {name: unescape(double or single) for name, double, single in _ATTRIBUTE.findall(text)}


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1
