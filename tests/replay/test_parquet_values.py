"""Values of Parquet that are not what they seem: times of the old type, rounded numbers, times outside the calendar."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from streams.replay.sources.parquet_footer import Footer, footer_of
from tests.replay.runs import Runner
from tests.replay.test_sources import events_of

MAPPING = """time: {zone: Asia/Shanghai}
constants: {event_type: repair.reported}
fields: {order_id: o, occurred_at: at}
"""
NINE = "2026-03-02T09:00:00+08:00"
SPARK = base64.b64decode(
    "UEFSMRUAFQwVDBWCrPaCCxwVAhUAFQgVCAAAAgAAAFcxFQQVGBUYFZrDxLAJPBUCFQQAAACguDBGAwAAro0lABUAFQQVBBX18v3yBBwVAhUEFQ"
    "gVCAAAAAMZEQIZGAJXMRkYAlcxFQIZFgAAGRwWCBU6FgAAGRYEABkcFoABFTIWAAAAFQIZPEgMc3Bhcmtfc2NoZW1hFQQAFQwlABgBbyUATBwA"
    "AAAVBiUAGAJhdAAWAhkcGSwmABwVDBklCAAZGAFvFQAWAhY6FjomCDwYAlcxGAJXMRYAKAJXMRgCVzEAGRwVABUAFQIAPBYEAAAW2AEVGhayAR"
    "UmACYAHBUGGSUECBkYAmF0FQAWAhZwFnAmgAEmQhwYDACguDBGAwAAro0lABgMAKC4MEYDAACujSUAFgAoDACguDBGAwAAro0lABgMAKC4MEYD"
    "AACujSUAABksFQQVBBUCABUAFQQVAgA8AAAW8gEVFgAWqgEWAiYIFqoBFAAAGSwYGG9yZy5hcGFjaGUuc3BhcmsudmVyc2lvbhgFNC4zLjAAGC"
    "lvcmcuYXBhY2hlLnNwYXJrLnNxbC5wYXJxdWV0LnJvdy5tZXRhZGF0YRiYAXsidHlwZSI6InN0cnVjdCIsImZpZWxkcyI6W3sibmFtZSI6Im8i"
    "LCJ0eXBlIjoic3RyaW5nIiwibnVsbGFibGUiOmZhbHNlLCJtZXRhZGF0YSI6e319LHsibmFtZSI6ImF0IiwidHlwZSI6InRpbWVzdGFtcCIsIm"
    "51bGxhYmxlIjpmYWxzZSwibWV0YWRhdGEiOnt9fV19ABhKcGFycXVldC1tciB2ZXJzaW9uIDEuMTcuMCAoYnVpbGQgZmFjMGM3NDY1MzJlMTMz"
    "YmViOTI4YTdmNmE3ZTU3YjUxMGI0NzdhMSkZLBwAABwAAAAzAgAAUEFSMQ=="
)
"""Written by Spark 4.3 in Asia/Shanghai: ``W1``, 2026-03-02 09:00:00 as INT96, which was its default for years."""


def test_times_of_spark_of_the_old_type_are_instants(gridclock: Runner) -> None:
    """They were read eight hours early, as if the UTC in the file were the time on the wall."""
    mapping = gridclock.file("map.yaml", MAPPING)
    ((_, event),) = events_of(gridclock.file("spark.parquet", SPARK), mapping)
    assert isinstance(event, dict)
    assert event["occurred_at"] == "2026-03-02T01:00:00+00:00"
    assert footer_of(str(gridclock.path / "spark.parquet")).int96 == ("at",)
    assert "at" in gridclock("map", "suggest", gridclock.path / "spark.parquet").out


def test_those_of_other_programs_are_times_on_the_wall_and_both_together_are_refused(gridclock: Runner) -> None:
    mapping, table = gridclock.file("map.yaml", MAPPING), gridclock.path / "table"
    table.mkdir()
    (table / "a.parquet").write_bytes(SPARK.replace(b"parquet-mr", b"impala 3.4"))
    ((_, event),) = events_of(table, mapping)
    assert isinstance(event, dict)
    assert event["occurred_at"] == "2026-03-02T01:00:00+08:00"
    (table / "b.parquet").write_bytes(SPARK)
    ran = gridclock("map", "check", mapping, table)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "b.parquet: column 'at' has times of the type INT96, and so has" in ran.err


def written(path: Path, **columns: Any) -> Path:
    pl.DataFrame(columns).write_parquet(path)
    return path


def test_what_has_no_such_times_has_none(tmp_path: Path) -> None:
    columns = {f"c{number}": [[{"x": [1.5]}]] for number in range(40)}
    path = written(tmp_path / "a.parquet", **columns, at=["x"])
    assert footer_of(str(path)).int96 == ()
    assert "Polars" in footer_of(str(path)).writer
    for place in range(0, len(SPARK), 7):  # a damaged file is for the reader to refuse
        (tmp_path / "cut.parquet").write_bytes(SPARK[:place] + SPARK[place + 1 :])
        assert isinstance(footer_of(str(tmp_path / "cut.parquet")), Footer)
    (tmp_path / "cut.parquet").write_bytes(b"")
    assert footer_of(str(tmp_path / "cut.parquet")) == Footer()


@pytest.mark.parametrize(
    ("kind", "bad", "good"), [(pl.Float32, 123456789, 16777215), (pl.Float16, 2049, 2047), (pl.Float32, -16777217, 7)]
)
def test_a_number_of_few_bits_is_no_id(gridclock: Runner, kind: Any, bad: int, good: int) -> None:
    """123456789 was 123456792."""
    said = "is a number of 32 bits or less, which may be rounded: export it as text"
    mapping = gridclock.file("map.yaml", MAPPING)
    keyed = gridclock.file("key.yaml", "key: o\n" + MAPPING.replace("order_id: o", "account_id: a"))
    nested = gridclock.file("nested.yaml", MAPPING.replace("order_id: o", "order_id: s.o"))
    numbers = pl.Series([bad, good], dtype=pl.Float64).cast(kind)
    plain = written(gridclock.path / "a.parquet", o=numbers, at=[NINE] * 2, a=["A1"] * 2)
    listed = written(gridclock.path / "b.parquet", o=numbers.reshape((2, 1)).arr.to_list(), at=[NINE] * 2)
    inner = written(gridclock.path / "c.parquet", s=pl.DataFrame({"o": numbers}).to_struct(), at=[NINE] * 2)
    for path, by in ((plain, mapping), (plain, keyed), (listed, mapping), (inner, nested)):
        (_, refused), (_, event) = events_of(path, by)
        assert said in str(refused)
        assert isinstance(event, dict)
        assert str(good) in (event.get("order_id"), event["event_id"].partition("/")[0])
    amount = gridclock.file(
        "amount.yaml", MAPPING.replace("order_id: o", "order_id: a, households: {column: o, as: number}")
    )
    assert [one["households"] for _, one in events_of(plain, amount) if isinstance(one, dict)] == list(numbers)


def test_a_time_outside_the_calendar_is_refused_and_the_rest_read(gridclock: Runner) -> None:
    """A cell that means *never* ended the command with a traceback."""
    mapping = gridclock.file("map.yaml", MAPPING)
    day = pl.Series([2**31 - 1, -(2**31), 20514], dtype=pl.Int32).cast(pl.Date)
    wall = pl.Series([9 * 10**18, -9 * 10**18, 1772442000000])
    for number, (column, at) in enumerate([
        (day, "2026-03-02T00:00:00+08:00"),
        (wall.cast(pl.Datetime("ms")), NINE),
        ((wall * pl.Series([1, 1, 1000])).cast(pl.Datetime("us")), NINE),
        ((wall - pl.Series([0, 0, 28800000])).cast(pl.Datetime("ms", "Asia/Shanghai")), NINE),
    ]):  # fmt: skip
        path = written(gridclock.path / f"{number}.parquet", o=["W1", "W2", "W3"], at=column)
        *refused, (_, event) = events_of(path, mapping)
        assert all("a time outside the years 1 to 9999 (" in str(problem) for _, problem in refused)
        assert isinstance(event, dict)
        assert (event["order_id"], event["occurred_at"]) == ("W3", at)


def test_the_last_days_of_the_calendar_may_be_named_as_empty(gridclock: Runner) -> None:
    mapping = gridclock.file(
        "map.yaml", f"null_values: ['9999-12-31']\n{MAPPING.replace('at: at', 'at: at, due: never')}"
    )
    never = pl.Series([253402214400000000, 253402214400000]).cast(pl.Datetime("us"))
    path = written(gridclock.path / "a.parquet", o=["W1", "W2"], at=[NINE] * 2, never=never)
    (_, empty), (_, filled) = events_of(path, mapping)
    assert isinstance(empty, dict)
    assert isinstance(filled, dict)
    assert ("due" in empty, "due" in filled) == (False, True)


def test_one_inside_a_column_ends_with_one_line(gridclock: Runner) -> None:
    inner = pl.DataFrame({"at": pl.Series([9**18]).cast(pl.Datetime("ms"))}).to_struct()
    path = written(gridclock.path / "a.parquet", o=["W1"], s=inner)
    ran = gridclock("map", "check", gridclock.file("map.yaml", MAPPING.replace(": at", ": s.at")), path)
    assert ran.code == 2
    assert ran.err.splitlines()[-1].startswith(f"gridclock: {path}: cannot be read after row 0: ")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("cell", [{"n": "W1"}, [{"n": "W1"}]])
def test_an_object_is_no_id(gridclock: Runner, cell: Any) -> None:
    """The order was ``{'n': 'W1'}``."""
    path = written(gridclock.path / "a.parquet", o=[[cell] if isinstance(cell, dict) else cell], at=[NINE])
    ((_, problem),) = events_of(path, gridclock.file("map.yaml", MAPPING))
    assert "holds several values; an id is one" in str(problem)
