"""The notebook of the examples, executed: from a Parquet directory to a chart of on-time rates."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from streams.cli import run
from streams.simulation import simulate
from tests.replay.runs import data_of
from tests.spark.conftest import ROOT, Run

pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.timeout(600)]

NOTEBOOK = ROOT / "deploy" / "examples" / "spark.ipynb"
JUDGED = {"met", "met_late", "breached", "violated"}


def test_it_goes_from_a_parquet_directory_to_a_chart(spark: Run, tmp_path: Path) -> None:
    events = [dict(event) for event in simulate(orders=150, seed=3, start=date(2026, 3, 2), days=5).events]
    lines, until = tmp_path / "events.jsonl", "2026-03-20T00:00:00+08:00"
    lines.write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events), "utf-8")
    table = pl.DataFrame(events, infer_schema_length=None)
    (tmp_path / "events").mkdir()
    table[: len(events) // 2].write_parquet(tmp_path / "events" / "1.parquet")
    table[len(events) // 2 :].write_parquet(tmp_path / "events" / "2.parquet")
    chart, cases = tmp_path / "chart.svg", tmp_path / "cases.jsonl"
    done = spark(
        "tests.spark.notebook", NOTEBOOK,
        GRIDCLOCK_EVENTS=str(tmp_path / "events"), GRIDCLOCK_CHART=str(chart), GRIDCLOCK_UNTIL=until,
    )  # fmt: skip
    run(
        ["replay", str(lines), "--until", until, "--cases", str(cases), "--quiet", "--alerts", str(tmp_path / "alerts")]
    )
    count, met = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for case in data_of(cases):
        if case["outcome"] in JUDGED:
            count[case["rule"], case["started_at"][:10]] += 1
            met[case["rule"], case["started_at"][:10]] += case["outcome"] == "met"
    expected = [[*key, number, pytest.approx(met[key] / number)] for key, number in sorted(count.items())]
    assert len(expected) > 20
    assert json.loads(done.out.splitlines()[-1]) == expected
    picture = chart.read_text("utf-8")
    assert "<svg" in picture
    most = Counter[str]()
    for (rule, _), number in count.items():
        most[rule] += number
    assert most.most_common(1)[0][0] in picture


def test_it_is_stored_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"]] == []
