"""Cells that cannot be read where they decide: the row is refused, and neither passed over nor taken for another."""

from __future__ import annotations

import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import xlsxwriter

from streams.errors import ConfigError
from streams.replay.sources.ocel import ocel_rows
from tests.replay.runs import Runner
from tests.replay.test_sources import events_of

TIME = "time: {zone: Asia/Shanghai}\n"
WHEN = """fields: {order_id: o}
events: [{event_type: repair.completed, occurred_at: at, when: {column: s, equals: 完成}}]
"""
TYPES = """event_type: {column: s, values: {完成: repair.completed}, other: skip}
fields: {order_id: o, occurred_at: at}
"""


@pytest.mark.parametrize("mapping", [WHEN, TYPES])
def test_a_deciding_cell_of_another_encoding_is_refused(gridclock: Runner, mapping: str) -> None:
    path = gridclock.file("rows.csv", "o,at,s\nW1,2026-03-02 09:00,完成\n".encode("gbk"))
    ((_, problem),) = events_of(path, gridclock.file("map.yaml", TIME + mapping))
    assert problem == "not_utf8: is not valid utf-8; the file looks like gb18030: set encoding"
    assert gridclock("replay", path, "--map", gridclock.path / "map.yaml").code == 3


def test_a_condition_on_a_number_too_long_is_refused(gridclock: Runner) -> None:
    """It ended the replay with a traceback. Of a deleted row the condition does not count."""
    row = '{"o": "W1", "at": "2026-03-02 09:00", "s": 1%s}' % ("0" * 500)
    mapping = gridclock.file("map.yaml", f"format: json\n{TIME}key: o\n{WHEN}")
    found = "bad_field: column 's': is a number of more than 400 digits (mapping key: events.0.when)"
    assert events_of(gridclock.file("a.jsonl", row), mapping) == [(1, found)]
    mapping = gridclock.file("map.yaml", f"format: debezium\n{TIME}key: o\n{WHEN}")
    deleted = f'{{"op": "d", "before": {row}, "after": null}}'
    ((_, event),) = events_of(gridclock.file("b.jsonl", deleted), mapping)
    assert isinstance(event, dict)
    assert event["void"] is True


def test_an_object_that_an_ocel_log_in_sqlite_lacks_is_not_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE event(ocel_id, ocel_type); CREATE TABLE object(ocel_id, ocel_type);"
            "CREATE TABLE event_map_type(ocel_type, ocel_type_map); CREATE TABLE event_in(ocel_id, ocel_time);"
            "CREATE TABLE event_object(ocel_event_id, ocel_object_id, ocel_qualifier);"
            "INSERT INTO event_map_type VALUES ('a', 'in'); INSERT INTO event VALUES ('e1', 'a');"
            "INSERT INTO event_in VALUES ('e1', '2026-03-02T09:00:00+08:00');"
            "INSERT INTO object VALUES ('W1', 'order');"
            "INSERT INTO event_object VALUES ('e1', 'W1', ''), ('e1', 'M1', '');"
        )
        database.commit()
    with pytest.raises(ConfigError, match="object M1 of event e1 is not in table object"):
        list(ocel_rows(str(path)))


WIDE = """fields: {order_id: 单号}
null_values: ["#NULL!"]
events:
  - {event_type: repair.reported, occurred_at: 报修}
  - {event_type: repair.arrived, occurred_at: 到达, when: {column: 到达, present: true}}
"""


def workbook(path: Path) -> Path:
    """The second sheet: errors and a formula without a result; rows 6 and 7 are formulas alone."""
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("x").write_formula("D2", "=1/0", None, "#DIV/0!")
        sheet = book.add_worksheet("工单 & <1>")
        sheet.write_row("A1", ["单号", "报修", "", "到达"])
        for row, (order, formula, result) in enumerate(
            [("W1", "=NA()", "#N/A"), ("W2", "=A1&B1", None), ("W3", '=""', ""), ("W4", "=A1 B1", "#NULL!")], start=1
        ):
            sheet.write_row(row, 0, [order, "2026-03-02 09:00"])
            sheet.write_formula(row, 3, formula, None, result)
        sheet.write_formula("A6", "=NA()", None, "#N/A")
        sheet.write_formula("D7", "=A1", None, None)
        sheet.write_row("B8", ["2026-03-02 09:00"])
        sheet.write_formula("A8", "=NA()", None, "#N/A")
    return path


def test_errors_and_formulas_without_a_result_are_not_empty_cells(gridclock: Runner) -> None:
    path = workbook(gridclock.path / "orders.xlsx")
    content = zipped(
        path, lambda text: text.replace("<v>None</v>", "").replace('<c r="D4">', '<c r="D4" t="str">')
    )  # as openpyxl and Excel write them
    mapping = gridclock.file("map.yaml", f"format: xlsx\nsheet: 工单 & <1>\n{TIME}{WIDE}")
    found = [
        (row, one if isinstance(one, str) else f"{one['event_type']} {one['order_id']}")
        for row, one in events_of(content, mapping)
    ]
    times = "fits none of the forms tried (iso; zone Asia/Shanghai) (mapping key: time)"
    assert found == [
        (2, "repair.reported W1"),
        (2, f"impossible_time: occurred_at: column '到达' has '#N/A': {times}"),
        (3, "repair.reported W2"),
        (3, f"impossible_time: occurred_at: column '到达' has '#UNCALCULATED =A1&B1': {times}"),
        (4, "repair.reported W3"),
        (5, "repair.reported W4"),
        (6, "Skipped(reason='empty row', value='')"),
        (7, "Skipped(reason='empty row', value='')"),
        (8, "bad_field: order_id: column '单号' has '#N/A': is a spreadsheet's error: correct it, or name it "
            "(mapping key: null_values)"),
    ]  # fmt: skip


def zipped(path: Path, change: Callable[[str], str]) -> Path:
    """The workbook with its sheets changed."""
    changed = path.with_name("changed.xlsx")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, change(content.decode()) if "sheets/" in name else content)
    return changed


def test_a_log_of_started_and_completed_steps_is_asked_about(gridclock: Runner) -> None:
    rows = "case:concept:name,concept:name,lifecycle:transition,time:timestamp\n" + "".join(
        f"W1,到达现场,{state},2026-03-02T0{hour}:00:00+08:00\n" for hour, state in enumerate(["schedule", "complete"])
    )
    asked = "[concept:name, lifecycle:transition], with values such as 到达现场/schedule"
    path = gridclock.file("log.csv", rows)
    suggested = gridclock("map", "suggest", path).out
    assert "# ? a step has several rows (lifecycle:transition: schedule, complete)" in suggested
    assert asked in suggested
    alike = gridclock.file("alike.csv", rows.replace("schedule", "complete"))
    assert "several rows" not in gridclock("map", "suggest", alike).out
    answered = (
        suggested.replace("column: concept:name ", "column: [concept:name, lifecycle:transition] ")
        .replace("    到达现场: ", "    到达现场/complete: ")
        .replace("other: refuse", "other: skip")
    )
    mapping = gridclock.file("map.yaml", answered)
    assert [type(one) is dict for _, one in events_of(path, mapping)] == [False, True]


def test_several_values_are_no_text_and_no_id(gridclock: Runner) -> None:
    """Two people were one staff number, ``['D1', 'D2']``."""
    mapping = gridclock.file(
        "map.yaml",
        f"format: json\n{TIME}constants: {{event_type: repair.reported}}\n"
        "fields: {order_id: o, staff_id: s, occurred_at: at}\n",
    )
    rows = '{"o": ["W1"], "s": ["D1", "D2"], "at": "2026-03-02 09:00"}\n{"o": [["W1"]], "at": "2026-03-02 09:00"}\n'
    several = "holds several values; where the field takes a list, write as: list (mapping key: fields"
    found = events_of(gridclock.file("rows.jsonl", rows), mapping)
    assert found == [
        (1, f"bad_field: staff_id: column 's' has \"['D1', 'D2']\": {several}.staff_id)"),
        (2, "bad_field: order_id: column 'o' has \"[['W1']]\": holds several values; an id is one "
            "(mapping key: fields.order_id)"),
    ]  # fmt: skip
