"""Whether the days of a workbook count from 1904, as those of old versions of Excel for Macintosh do, or from 1900.

calamine reads cells with the format of a date accordingly. A number without that format may be a day, too (``excel``).
"""

from __future__ import annotations

import re
import struct
import zipfile
from typing import BinaryIO, Final

from streams.replay.sources.binary_workbooks import is_xls_from_1904, xlsb_records
from streams.replay.sources.unread_cells import DAMAGED, compound

_PROPERTIES: Final = re.compile(r"""<(?:\w+:)?workbookPr\b[^<>]*\bdate1904\s*=\s*["'](?:1|true|on)["']""")
_WORKBOOK: Final = 153
"""The record of .xlsb with the properties of the workbook; the first bit of its flags is this."""


def is_from_1904(file: str | BinaryIO) -> bool:
    """Whether they do, by the file; one that is damaged is for its reader to refuse."""
    try:
        raw = compound(file)
        if raw is not None:
            return is_xls_from_1904(raw)
        with zipfile.ZipFile(file) as archive:
            parts = archive.namelist()
            if "xl/workbook.bin" in parts:
                records = xlsb_records(archive.read("xl/workbook.bin"))
                return any(kind == _WORKBOOK and bool(struct.unpack_from("<I", body)[0] & 1) for kind, body in records)
            if "xl/workbook.xml" in parts:
                text = archive.read("xl/workbook.xml").decode("utf-8", errors="replace")
                return _PROPERTIES.search(text) is not None
    except DAMAGED:
        pass
    return False
