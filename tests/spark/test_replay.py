"""``gridclock replay --engine spark``: every result has the bytes that another replay writes."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from streams.cli import run
from streams.commands.replay_report import beside
from tests.spark.conftest import Run
from tests.spark.test_spark import ending, simulated, skewed

pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.timeout(600)]

MAP = """time: {format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}
event_type: {column: 环节, values: {受理: repair.reported, 到达: repair.arrived}}
fields: {event_id: 编号, order_id: 工单, occurred_at: 时间, area: {column: 地区, values: {城区: urban, 农村: rural}}}
"""
RESULTS = ("alerts", "cases", "dead-letters", "comparison", "report")


def rows(orders: int) -> list[dict[str, Any]]:
    """Orders that arrive after 10 to 69 minutes; every tenth arrival comes twice, every seventh with other content."""
    found = []
    for number in range(orders):
        order, area = f"BX{number}", "城区" if number % 3 else "农村"
        at = f"{number * 7 % 60:02d}:{number % 60:02d}"
        reported = {"编号": f"r{number}", "环节": "受理", "工单": order, "时间": f"2026-03-02 09:{at}", "地区": area}
        arrived = {**reported, "编号": f"a{number}", "环节": "到达", "时间": f"2026-03-02 10:{at}"}
        found += [reported, arrived]
        if number % 10 == 0:
            found.append(dict(arrived))
        if number % 7 == 0:
            found.append({**arrived, "时间": f"2026-03-02 11:{at}"})
    found[5] = {**found[5], "地区": "nowhere"}
    return found


def inputs(path: Path) -> tuple[list[Path], list[str]]:
    """Plain lines in several ranges, packed lines, CSV and a Parquet directory of several files; and their mappings."""
    plain, packed = simulated(path / "orders.jsonl"), path / "skewed.jsonl.gz"
    packed.write_bytes(gzip.compress(skewed(path / "skewed.jsonl", 3_000).read_bytes()))
    mapping, table = path / "map.yaml", path / "table"
    mapping.write_text(MAP, "utf-8")
    made = rows(60)
    pl.DataFrame(made[:60]).write_csv(path / "t.csv")
    for number, part in enumerate((made[60:90], made[90:91], made[91:])):
        own = table / f"day={number + 1}"
        own.mkdir(parents=True)
        pl.DataFrame(part).write_parquet(own / "part-0.parquet")
    return [plain, packed, path / "t.csv", table], [f"t.csv={mapping}", f"table={mapping}"]


def results(path: Path, engine: str, *, alerts: str = "jsonl", cases: str = "jsonl") -> dict[str, Path]:
    suffixes = dict(zip(RESULTS, (alerts, cases, "jsonl", "csv", "html"), strict=True))
    own = path / engine  # a report names the file beside it, so the files of all engines have the same names
    own.mkdir(exist_ok=True)
    return {name: own / f"{name}.{suffix}" for name, suffix in suffixes.items()}


def options_of(files: dict[str, Path]) -> list[str]:
    return [part for name, path in files.items() for part in (f"--{name}", str(path))]


@pytest.mark.spark_small
def test_all_results_of_a_replay_have_the_same_bytes(
    spark: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files, mappings = inputs(tmp_path)
    rules = tmp_path / "stricter"
    rules.mkdir()
    shutil.copy(Path("streams/rulebook/repair.yaml"), rules)
    changed = (rules / "repair.yaml").read_text("utf-8").replace("45 min", "20 min")
    (rules / "repair.yaml").write_text(changed, "utf-8")
    names = tmp_path / "names"  # a directory without rules
    names.mkdir()
    (names / "organisations.csv").write_text("code,zh,en\n3301,杭州供电公司,Hangzhou\n", "utf-8")
    given = [*map(str, files), *(part for one in mappings for part in ("--map", one)), "--compare", str(rules)]
    given += ["--rules", str(names)]
    mine, theirs = results(tmp_path, "python"), results(tmp_path, "spark")
    assert run(["replay", *given, *options_of(mine)]) == 3
    said = capfd.readouterr().err
    done = spark(
        "streams.cli", "replay", *given, *options_of(theirs), "--engine", "spark", "--master", "local[2]", codes=(3,)
    )
    for name, path in mine.items():
        assert path.read_bytes(), name
        assert theirs[name].read_bytes() == path.read_bytes(), name
    assert beside(theirs["report"]).read_bytes() == beside(mine["report"]).read_bytes()
    assert "conflicting_duplicate" in said
    assert "become broken" in said
    assert [line for line in said.splitlines() if line.strip() and line not in done.err] == []


def test_pseudonyms_tables_and_an_end_are_the_same(spark: Run, tmp_path: Path) -> None:
    files, mappings = inputs(tmp_path)
    key = tmp_path / "key"
    key.write_text("0123456789abcdef" * 4, "utf-8")
    key.chmod(0o600)
    given = [*map(str, files), *(part for one in mappings for part in ("--map", one)), "--pseudonym-key-file", str(key)]
    given += ["--until", "2026-03-05T12:00:00+08:00", "--as-of", "2026-03-06T00:00:00+08:00", "--quiet"]
    mine, theirs = (results(tmp_path, one, alerts="csv", cases="parquet") for one in ("python", "spark"))
    for files_of in (mine, theirs):
        del files_of["comparison"]
    assert run(["replay", *given, *options_of(mine)]) == 3
    spark("streams.cli", "replay", *given, *options_of(theirs), "--engine", "spark", "--master", "local[2]", codes=(3,))
    for name, path in mine.items():
        assert theirs[name].read_bytes() == path.read_bytes(), name


def test_the_driver_holds_one_partition_of_the_results_at_a_time(spark: Run) -> None:
    memory = {"PYSPARK_SUBMIT_ARGS": "--driver-memory 512m pyspark-shell"}  # Spark takes no less than 450
    assert spark("tests.spark.results", **memory).out == "300000000\n"


def test_a_damaged_file_is_named_and_nothing_is_written(spark: Run, tmp_path: Path) -> None:
    good, bad = ending(tmp_path)[-1], tmp_path / "bad.jsonl.gz"
    bad.write_bytes(gzip.compress(b"{}\n" * 100_000)[:-20])
    alerts = tmp_path / "alerts.jsonl"
    done = spark(
        "streams.cli", "replay", good, bad, "--engine", "spark", "--master", "local[1]", "--alerts", alerts, codes=(2,)
    )
    assert f"gridclock: {bad}:" in done.err
    assert "damaged after this line" in done.err
    assert "Traceback" not in done.err
    assert not alerts.exists()
