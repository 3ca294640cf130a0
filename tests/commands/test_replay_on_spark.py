"""What ``gridclock replay --engine spark`` refuses before Spark is started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from streams.cli import run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["e.jsonl", "--master", "local[2]"], "--master needs --engine spark"),
        (["--table", "lake.orders"], "--table needs --engine spark"),
        (["--log", "--table", "lake.orders", "--engine", "spark"], "no --topic, --log or standard input"),
        (["-", "--engine", "spark"], "no --topic, --log or standard input"),
        (["--topic", "t", "--engine", "spark"], "no --topic, --log or standard input"),
        (["e.jsonl", "--engine", "spark", "--jobs", "2"], "--master local[N]"),
        (["e.jsonl", "--engine", "spark", "--memory", "1G"], "spark.executor.memory"),
        (["e.jsonl", "--engine", "spark", "--checkpoint", "c"], "retries failed tasks"),
    ],
)
def test_what_spark_does_not_do_is_refused(arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", *arguments]) == 2
    assert said in " ".join(capfd.readouterr().err.split())


def test_without_spark_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text("", "utf-8")
    monkeypatch.setitem(sys.modules, "pyspark", None)
    assert run(["replay", str(path), "--engine", "spark"]) == 2
    assert "Spark is not installed" in (said := capfd.readouterr().err)
    assert "pip install 'gridclock[spark]'" in said
