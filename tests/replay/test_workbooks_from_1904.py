"""Workbooks whose days count from 1904: a day without the format of a date was four years early."""

from __future__ import annotations

import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from streams.replay.sources.workbook_dates import is_from_1904
from tests.replay.runs import Runner
from tests.replay.test_errors_in_workbooks import XLS, ods, record, xlsb, zipped_anew
from tests.replay.test_sources import events_of

MAPPING = """time: {zone: Asia/Shanghai, formats: [iso, excel]}
fields: {order_id: o, account_id: n, households: {column: n, as: number}}
events:
  - {event_type: repair.reported, occurred_at: at}
  - {event_type: repair.arrived, occurred_at: there}
"""
NINE = datetime(2026, 3, 2, 9, 0)  # noqa: DTZ001 (a spreadsheet's)


def workbook(path: Path, **options: Any) -> Path:
    with xlsxwriter.Workbook(path, options) as book:
        sheet = book.add_worksheet()
        sheet.write_row("A1", ["o", "at", "there", "n"])
        sheet.write("A2", "W1")
        sheet.write_datetime("B2", NINE, book.add_format({"num_format": "yyyy-mm-dd hh:mm"}))
        sheet.write_datetime("C2", NINE)
        sheet.write("D2", 44621)
    return path


@pytest.mark.parametrize("is_old", [True, False])
def test_days_are_read_with_and_without_their_format(gridclock: Runner, is_old: bool) -> None:
    path = workbook(gridclock.path / "a.xlsx", date_1904=is_old)
    assert is_from_1904(str(path)) is is_old
    found = [one for _, one in events_of(path, gridclock.file("map.yaml", MAPPING))]
    assert [isinstance(one, dict) and one["occurred_at"] for one in found] == ["2026-03-02T09:00:00+08:00"] * 2
    assert [isinstance(one, dict) and (one["account_id"], one["households"]) for one in found] == [("44621", 44621)] * 2
    assert gridclock("map", "suggest", path).code == 0


def test_each_form_says_how_its_days_count(tmp_path: Path) -> None:
    xls = tmp_path / "a.xls"
    mode = struct.pack("<HHH", 0x22, 2, 0)
    assert mode in XLS
    for content, is_old in ((XLS, False), (XLS.replace(mode, mode[:4] + b"\1\0"), True), (XLS[:700], False)):
        xls.write_bytes(content)
        assert is_from_1904(str(xls)) is is_old
    book = xlsb(tmp_path / "a.xlsb", [["o"]])
    assert not is_from_1904(str(book))
    without = zipped_anew(book, "xl/workbook.bin", lambda old: record(153, bytes(4)) + old)
    assert not is_from_1904(str(without))
    assert is_from_1904(str(zipped_anew(book, "xl/workbook.bin", lambda old: record(153, b"\1\0\0\0") + old)))
    assert not is_from_1904(str(ods(tmp_path / "a.ods")))
    text = tmp_path / "a.txt"
    text.write_text("o", "utf-8")
    assert not is_from_1904(str(text))
