"""``gridclock replay --engine spark --table``: tables of Spark's catalog give what their files give."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from streams.cli import run
from tests.spark.conftest import Run
from tests.spark.test_replay import MAP, rows
from tests.spark.test_spark import simulated

pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.timeout(600)]


@pytest.mark.spark_small
def test_tables_of_the_catalog_give_what_their_files_give(spark: Run, tmp_path: Path) -> None:
    assert_tables_give_what_their_files_give(spark, tmp_path, "lake.orders")


def test_tables_of_iceberg_give_what_their_files_give(spark_with_iceberg: Run, tmp_path: Path) -> None:
    assert_tables_give_what_their_files_give(spark_with_iceberg, tmp_path, "iceberg.lake.orders", "iceberg")


def test_tables_of_delta_give_what_their_files_give(spark_with_delta: Run, tmp_path: Path) -> None:
    assert_tables_give_what_their_files_give(spark_with_delta, tmp_path, "lake.orders", "delta")


def assert_tables_give_what_their_files_give(spark: Run, tmp_path: Path, table_name: str, *form: str) -> None:
    path, table, mapping = tmp_path / "events.jsonl", tmp_path / "rows.parquet", tmp_path / "map.yaml"
    lines = [line for line in simulated(tmp_path / "orders.jsonl").read_bytes().splitlines() if line.strip()]
    path.write_bytes(b"\n".join(lines) + b"\n")
    pl.DataFrame(rows(60)).write_parquet(table)
    mapping.write_text(MAP, "utf-8")
    mine, theirs = tmp_path / "files", tmp_path / "tables"
    mine.mkdir()
    theirs.mkdir()
    names = ("alerts", "cases", "dead-letters")
    options = [part for name in names for part in (f"--{name}", str(mine / f"{name}.jsonl"))]
    assert run(["replay", str(path), str(table), "--map", f"{table}={mapping}", *options, "--quiet"]) == 3
    spark("tests.spark.tables", path, table, mapping, theirs, *form, codes=(3,))
    for name in names[:2]:
        assert (theirs / f"{name}.jsonl").read_bytes() == (mine / f"{name}.jsonl").read_bytes(), name
    own, other = ((one / "dead-letters.jsonl").read_text("utf-8").splitlines() for one in (mine, theirs))
    refused = {(source, reason) for source, _, reason, _ in map(place_of, own)}
    assert (str(path), "not_json") in refused
    assert (str(table), "conflicting_duplicate") in refused
    assert Counter(place_of(line) for line in other) == Counter(
        (str(source).replace(str(path), "events").replace(str(table), table_name), *rest)
        for source, *rest in map(place_of, own)
    )


def place_of(line: str) -> tuple[Any, ...]:
    letter = json.loads(line)
    return letter["source"], letter["position"], letter["reason"], letter["field"]
