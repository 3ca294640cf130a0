"""Errors in cells of .xls, .xlsb and .ods, which calamine gives as empty: an arrival that is #N/A is not no arrival."""

from __future__ import annotations

import base64
import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from streams.replay.sources.tables import rows_of
from tests.replay.runs import Runner
from tests.replay.test_sources import events_of

MAPPING = """time: {zone: Asia/Shanghai}
fields: {order_id: o}
events:
  - {event_type: repair.reported, occurred_at: at}
  - {event_type: repair.arrived, occurred_at: there, when: {column: there, present: true}}
"""
XLS = zlib.decompress(base64.b64decode(
    "eNrtWE1oE0EU/mY2mx/pT1JToRVDKFg1tpCmIP7QrhW0J0tVpCKKpjagtLQSelAvVmuOguBJ8VLoxUvViz/oQW8ehIoeBEFolZ7Eg6Dgoc363s"
    "tuTGsODdhqZb9l3rx5M2929r03b2f39XRkZuJB4yyWoBMG8nYI/hKZohJyG2FQv20z69ZBKraHNYVQkBzpN/G0+lWAfcj+noXGfd8LosBHKidw"
    "Hj0jw5n4KmKfrCGteA0dykexp3GHSg0aZF11Qs8IXS/0nox9JnSvSK4L7aCxM+o4pq2exE4njo/pJumrIarwSHTei6QN9XjJcXz5hiqMNdGVPZ"
    "ce+jc7Yr4qTII8150ZzmTTQzOIkgsn8d2OA9/cvfo87slXV65A8h+L5YEy8pvaB4zBPq04EHOUXr8YBQdfyKEKXSY3tJo7efTIPPZI9g0UMvEI"
    "RWt6lPpHz2ayGWr0tdFOTiVTO1qT7a3JVDy5a3cyyfIUk/Z1nLxls4cXbfZq2QJVRAdQK3xENkKY0vn83a9vDvb3WqdEMiYJvvAa2Mzrho0rrE"
    "HKNSLVUvgBEsJvF3pVZt0ofKPQKIUv1c299Q5zYFzGXJPeZrpPu+CttaWE30p87vOhx7HcJ2sb8VPds5eiU++sCTSRYQZIn69xtKgWdfsW44nl"
    "1spJGB+ENvyWPII6LE9gwHbedbUwdVDSTgQJ1anr8JAHUmr5hZW2KcMndK3aFEtsuiA2A9mDUWixdVSxpR1blfMIj1CibTjjlWizjUq9xbq6jK"
    "4WXdPR1UVdPzZRSzvz8iGmoBZATCFG/TyhIYtbPKEhE/qdCY3ihBIuKBcuHjx48ODBgwcPfxvusd1wjpqmc4QNOP91Fqjkvd8k/y0OY4SuUfos"
    "3Y9hqrO4WFH8bICp3LnUMnXc/4WMPrp7FoPol3UMVhy/9AmiSp9n2YrhP7eFKr1/vpJ1rvD9fwL6c/q7"
))  # fmt: skip
"""Written by xlwt, with a sheet before: W1 has #N/A, W2 ``=1/0`` with an empty text as its result, W3 nothing.

That text is what xlwt gives every formula, because it calculates none.
"""

OF_EXCEL = XLS.replace(b"None   ", b"\x04\0\0None")
"""The same with the name of the user as Excel writes it, so that the empty text was calculated."""

RESULT = bytes.fromhex("03000000 0000ffff")
"""The result of that formula."""


def results(gridclock: Runner, path: Path) -> list[str]:
    """What the arrivals of the orders are: a time, empty, or the cell that is refused."""
    found: dict[str, str] = {}
    mapping = gridclock.file("map.yaml", f"sheet: 工单\n{MAPPING}")
    for number, one in events_of(path, mapping):
        if isinstance(one, str):
            found[str(number)] = one.partition("column 'there' has ")[2].split(":")[0]
        elif one["event_type"] == "repair.reported":
            found[str(number)] = ""
        else:
            found[str(number)] = one["occurred_at"]
    return list(found.values())


def test_errors_of_xls(gridclock: Runner) -> None:
    path = gridclock.file("a.xls", XLS)
    assert results(gridclock, path) == ["'#N/A'", "'#UNCALCULATED formula'", ""]
    assert results(gridclock, gridclock.file("d.xls", OF_EXCEL)) == ["'#N/A'", "", ""]
    assert gridclock("replay", path, "--map", gridclock.path / "map.yaml").code == 3
    for name, code in (("#DIV/0!", 7), ("#REF!", 0x17), ("#VALUE!", 15), ("#GETTING_DATA", 43)):
        changed = XLS.replace(RESULT, struct.pack("<BBBBBBH", 2, 0, code, 0, 0, 0, 0xFFFF))
        assert results(gridclock, gridclock.file("b.xls", changed)) == ["'#N/A'", f"'{name}'", ""]
    waits = XLS.replace(RESULT, bytes(6) + b"\xff\xff")  # its text should follow, and does not
    assert results(gridclock, gridclock.file("c.xls", waits)) == ["'#N/A'", "'#UNCALCULATED formula'", ""]


def test_xls_with_an_archive_in_it_and_damaged(gridclock: Runner) -> None:
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as inner:
        inner.writestr("xl/workbook.bin", "")
    assert results(gridclock, gridclock.file("a.xls", OF_EXCEL + archive.getvalue())) == ["'#N/A'", "", ""]
    for bad in range(0, len(XLS), 61):  # a byte is wrong, or the file was not loaded to its end
        for damaged in (XLS[:bad] + b"\xfe" + XLS[bad + 1 :], XLS[:bad]):
            ran = gridclock("map", "check", gridclock.path / "map.yaml", gridclock.file("bad.xls", damaged))
            assert ran.code in (0, 2, 3), bad


def record(kind: int, body: bytes) -> bytes:
    """A record of .xlsb."""
    head = bytes([kind]) if kind < 128 else bytes([kind & 127 | 128, kind >> 7])
    return head + bytes([len(body)]) + body


def wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def xlsb(path: Path, rows: list[list[Any]]) -> Path:
    """A workbook of two sheets; a number is an error, in a pair that of a formula."""
    sheet = record(129, b"") + record(148, struct.pack("<4I", 0, len(rows) - 1, 0, 2)) + record(145, b"")
    for number, row in enumerate(rows):
        sheet += record(0, struct.pack("<IIHBBBI", number, 0, 300, 0, 0, 0, 0))
        for column, cell in enumerate(row):
            place = struct.pack("<II", column, 0)
            match cell:
                case str():
                    sheet += record(6, place + wide(cell))
                case int():
                    sheet += record(3, place + bytes([cell]))
                case (int(code), _):
                    sheet += record(
                        11, place + bytes([code]) + bytes(2) + struct.pack("<I", 2) + b"\x1c\x2a" + bytes(4)
                    )
    sheet += record(146, b"") + record(130, b"")
    empty = record(129, b"") + record(145, b"") + record(146, b"") + record(130, b"")
    bundle = b"".join(
        record(156, struct.pack("<II", 0, number) + wide(f"rId{number}") + wide(name))
        for number, name in ((1, "x"), (2, "工单"))
    )
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"
    relations = "".join(
        f'<Relationship Id="rId{number}" Type="{kind}" Target="worksheets/sheet{number}.bin"/>' for number in (1, 2)
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "xl/workbook.bin", record(131, b"") + record(143, b"") + bundle + record(144, b"") + record(132, b"")
        )
        archive.writestr("xl/_rels/workbook.bin.rels", f"<Relationships>{relations}</Relationships>")
        archive.writestr("xl/worksheets/sheet1.bin", empty)
        archive.writestr("xl/worksheets/sheet2.bin", sheet)
    return path


def zipped_anew(path: Path, part: str, change: Callable[[bytes], bytes]) -> Path:
    """A copy of a workbook with one part changed."""
    copy = path.with_name(f"changed-{path.name}")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, change(content) if name == part else content)
    return copy


def test_errors_of_xlsb(gridclock: Runner) -> None:
    at = "2026-03-02 09:00"
    rows: list[list[Any]] = [
        ["o", "at", "there"],
        ["W1", at, 0x2A],
        ["W2", at, (7, "=1/0")],
        ["W3", at],
        ["W4", at, at],
    ]
    path = xlsb(gridclock.path / "a.xlsb", rows)
    assert results(gridclock, path) == ["'#N/A'", "'#DIV/0!'", "", "2026-03-02T09:00:00+08:00"]
    broken = zipped_anew(path, "xl/_rels/workbook.bin.rels", lambda old: old.replace(b"sheet2", b"sheet3"))
    ran = gridclock("map", "check", gridclock.path / "map.yaml", broken)
    assert (ran.code, "Traceback" in ran.err) == (2, False)


NAMES = (
    " ".join(f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text"))
    + ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
)
TEXT = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
LIBRE = 'table:formula="of:=NA()" office:value-type="string" office:string-value="" calcext:value-type="error"'


def ods(path: Path, *arrivals: str, rows: str = "") -> Path:
    """A workbook of two sheets, as LibreOffice writes them."""
    at = TEXT.format("2026-03-02 09:00")
    lines = "".join(
        f"<table:table-row {rows}>{TEXT.format(f'W{number}')}{at}{cell}</table:table-row>"
        for number, cell in enumerate(arrivals)
    )
    header = "".join(map(TEXT.format, ("o", "at", "there")))
    other = f'<table:table table:name="x"><table:table-row><table:table-cell {LIBRE}/></table:table-row></table:table>'
    content = (
        f'<?xml version="1.0"?><office:document-content {NAMES}><office:body><office:spreadsheet>{other}'
        f'<table:table table:name="工单"><table:table-row>{header}</table:table-row>{lines}</table:table>{other}'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", content)
    return path


def test_errors_of_ods(gridclock: Runner) -> None:
    comment = "<office:annotation><text:p>#N/A</text:p></office:annotation>"
    path = ods(
        gridclock.path / "a.ods",
        f"<table:table-cell {LIBRE}><text:p>#N/A</text:p></table:table-cell>",
        f"<table:table-cell {LIBRE}>{comment.replace('N/A', 'REF!')}<text:p>#DIV/0!</text:p></table:table-cell>",
        '<table:table-cell table:formula="of:=A1" office:value-type="float" office:value="0"><text:p>Err:502</text:p>'
        "</table:table-cell>",
        '<table:table-cell table:formula="of:=B2"/>',
        '<table:table-cell table:formula="of:=&quot;&quot;" office:value-type="string" office:string-value=""/>',
        f"<table:table-cell>{comment}</table:table-cell>",
        "<table:table-cell/>",
        TEXT.format("2026-03-02 09:30"),
    )
    assert results(gridclock, path) == [
        "'#N/A'", "'#DIV/0!'", "'Err", "'#UNCALCULATED of", "", "", "", "2026-03-02T09:30:00+08:00",
    ]  # fmt: skip


def test_repeated_cells_and_rows_of_ods(gridclock: Runner) -> None:
    cell = f'<table:table-cell table:number-columns-repeated="2" {LIBRE}><text:p>#N/A</text:p></table:table-cell>'
    path = ods(gridclock.path / "a.ods", cell, TEXT.format("x"), rows='table:number-rows-repeated="3"')
    found = [row[2:] for _, row in rows_of(str(path), "工单")]
    assert found == [["there", ""], *[["#N/A", "#N/A"]] * 3, *[["x", ""]] * 3]


@pytest.mark.parametrize("text", ["#SPILL!", "#GETTING_DATA", "Err:508", "#ERROR 99"])
def test_errors_of_newer_programs_are_no_ids(gridclock: Runner, text: str) -> None:
    rows = f"o,at,there\n{text},2026-03-02 09:00,\n"
    ((_, problem),) = events_of(gridclock.file("a.csv", rows), gridclock.file("map.yaml", MAPPING))
    assert "is a spreadsheet's error" in str(problem)
