"""What the columns of tables are where the file does not say it: directories of Parquet, cells without a heading."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter

from streams.replay.sources.opening import Mappings, open_sources
from streams.replay.sources.tables import ParquetTable
from tests.replay.runs import Runner, records_of
from tests.replay.test_sources import events_of

MAP = "time: {format: %s, zone: Asia/Shanghai}\nconstants: {event_type: repair.reported, area: urban}\nfields: {%s}\n"
AT = "2026-03-02 09:00"


def partitioned(directory: Path, *parts: str) -> Path:
    for number, part in enumerate(parts):
        path = directory / part / f"part-{number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"at": [AT]}).write_parquet(path)
    return directory


def mapped(gridclock: Runner, fields: str, form: str = '"%Y-%m-%d %H:%M"') -> Path:
    return gridclock.file("map.yaml", MAP % (form, fields))


@pytest.mark.parametrize(
    "values", [["0012"], ["0012", "12"], ["1.50", "1e5"], ["true", "2026-3-1"], ["2026-03-01"], ["2026-03-01", "007"]]
)
def test_a_directory_of_a_table_is_a_column_of_its_text(gridclock: Runner, values: list[str]) -> None:
    table = partitioned(gridclock.path / "t", *(f"order={value}" for value in values))
    mapping = mapped(gridclock, "order_id: order, occurred_at: at")
    found = events_of(table, mapping)
    assert sorted(event["order_id"] for _, event in found if isinstance(event, dict)) == sorted(values)
    (source,) = open_sources([str(table)], Mappings.load([mapping]))
    assert isinstance(source, ParquetTable)
    of_files = [record[1] for part in source.files() for record in source.one_file(*part).records()]  # as Spark reads
    assert of_files == [record[1] for record in source.records()]
    assert gridclock("map", "preview", mapping, table).out.count("order=") == len(values)
    suggested = gridclock("map", "suggest", table).out
    assert all(f"{value} (1)" in suggested for value in values)


def test_directories_of_dates_are_times_in_any_form_and_dates(gridclock: Runner) -> None:
    table = partitioned(gridclock.path / "t", "city=03/day=2026-03-01", "city=03/day=__HIVE_DEFAULT_PARTITION__")
    mapping = mapped(gridclock, "order_id: at, occurred_at: day, promised_on: {column: day, as: date}, org.city: city")
    first, second = (event for _, event in events_of(table, mapping))
    assert isinstance(first, dict)
    assert (first["occurred_at"], first["promised_on"]) == ("2026-03-01T00:00:00+08:00", "2026-03-01")
    assert first["org"] == {"city": "03"}
    assert not isinstance(second, dict) or "occurred_at" not in second


def workbook(*rows: list[Any]) -> bytes:
    target = io.BytesIO()
    with xlsxwriter.Workbook(target) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    return target.getvalue()


def test_a_cell_right_of_the_last_heading_is_refused_as_in_csv(gridclock: Runner) -> None:
    rows: list[list[Any]] = [["WO1", AT], ["WO2", AT, "", 7.5], ["WO3", AT, " "], ["WO4"], ["", "", "x"], [" ", ""]]
    mapping, letters = mapped(gridclock, "order_id: id, occurred_at: at"), gridclock.path / "letters.jsonl"
    path = gridclock.file("a.xlsx", workbook(["id", "at", " "], *rows))
    ran = gridclock("replay", path, "--map", mapping, "--dead-letters", letters)
    assert ran.code == 3
    assert "a.xlsx:3: bad_field: has 4 columns; the header has 2" in ran.err
    found = [(one["position"], one["detail"], one["payload"]) for one in records_of(letters)]
    assert found[0] == (3, "has 4 columns; the header has 2", f'["WO2","{AT}","","7.5"]')
    assert found[-1] == (6, "has 3 columns; the header has 2", '["","","x"]')
    assert [position for position, *_ in found] == [3, 5, 6]
