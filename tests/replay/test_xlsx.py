"""Results as Excel workbooks: what a spreadsheet reads of them, typed, marked, and never a formula."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from python_calamine import CalamineWorkbook

from streams.cli import run
from streams.replay import results
from streams.replay.results import ALERT_COLUMNS, CASE_COLUMNS
from streams.workbook import write_workbook
from tests.stories import wire

STORY = """
e1 2026-03-02T09:00 counter.service_started =1+1 business=fee
e2 2026-03-02T09:07 counter.service_completed =1+1 business=fee
x 2026-03-02T10:00 disconnection.performed D1 account=1234567890 cause=arrears customer_class=ordinary
"""


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in wire(STORY)), "utf-8")
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    head, *rows = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
    return [dict(zip(map(str, head), row, strict=True)) for row in rows]


def styles_of(path: Path) -> tuple[str, str]:
    with zipfile.ZipFile(path) as book:
        return book.read("xl/styles.xml").decode(), book.read("xl/worksheets/sheet1.xml").decode()


def test_cases_and_alerts_are_typed_filtered_and_marked(events: Path, tmp_path: Path) -> None:
    cases, alerts, plain = tmp_path / "cases.xlsx", tmp_path / "alerts.xlsx", tmp_path / "cases.jsonl"
    until = ["--until", "2026-03-09T00:00:00+08:00", "--quiet"]
    assert run(["replay", str(events), "--alerts", str(alerts), "--cases", str(cases), *until]) == 0
    assert run(["replay", str(events), "--alerts", str(tmp_path / "a.jsonl"), "--cases", str(plain), *until]) == 0
    data = [json.loads(line)["data"] for line in plain.read_text("utf-8").splitlines()]
    rows = rows_of(cases)
    assert list(rows[0]) == list(CASE_COLUMNS)
    assert list(rows_of(alerts)[0]) == list(ALERT_COLUMNS)
    assert len(rows) == len(data) > 1
    for row, case in zip(rows, data, strict=True):
        assert row["started_at"] == datetime.fromisoformat(case["started_at"]).replace(tzinfo=None)  # local time
        assert row["elapsed"] == timedelta(seconds=float(case["elapsed"][2:-1]))
        assert row["calendar_provisional"] is case["calendar_provisional"]
        assert row["subject.id"] == case["subject"]["id"]
        assert row["title.zh"] == case["title"]["zh"]
    styles, sheet = styles_of(cases)
    assert f'<autoFilter ref="A1:Z{len(rows) + 1}"/>' in sheet
    assert "FFFFC7CE" in styles
    red = [number for number, case in enumerate(data, 2) if case["severity"] == "red_line"]
    assert 0 < len(red) < len(data)
    marked = marked_rows(styles, sheet)
    assert marked == red


def test_tables_name_organisations_and_json_lines_keep_their_codes(tmp_path: Path) -> None:
    rules, alerts, until = tmp_path / "rules", tmp_path / "a.csv", ["--until", "2026-03-09T00:00:00+08:00", "--quiet"]
    rules.mkdir()
    org = {"province": "33", "city": "3301", "unit": "U1"}
    placed = [{**one, "org": org} if one["event_id"] == "e1" else one for one in wire(STORY)]
    events = tmp_path / "events.jsonl"
    events.write_text("".join(json.dumps(event) + "\n" for event in placed), "utf-8")

    def written(name: str, *more: str) -> Path:
        path = tmp_path / name
        assert run(["replay", str(events), "--alerts", str(alerts), "--cases", str(path), *until, *more]) == 0
        return path

    plain = written("plain.jsonl")
    orgs = [json.loads(line)["data"]["org"] or {} for line in plain.read_text("utf-8").splitlines()]
    known = [[org[level] for level in ("city", "county", "unit") if level in org] for org in orgs]
    assert ["3301", "U1"] in known
    (rules / "organisations.csv").write_text("code,zh,en\n3301,杭州供电公司,Hangzhou\n", "utf-8")
    named = ["--rules", str(rules)]
    assert written("named.jsonl", *named).read_bytes() == plain.read_bytes()
    for language, name in (("zh", "杭州供电公司"), ("en", "Hangzhou")):
        wanted = [" / ".join(name if code == "3301" else code for code in codes) for codes in known]
        column = f"organisation.{language}"
        assert pl.read_parquet(written("c.parquet", *named))[column].fill_null("").to_list() == wanted
        assert [row[column] for row in rows_of(written("c.xlsx", *named))] == wanted
    with open(alerts, encoding="utf-8-sig", newline="") as text:
        assert "杭州供电公司" in {row["organisation.zh"].split(" / ")[0] for row in csv.DictReader(text)}


def marked_rows(styles: str, sheet: str) -> list[int]:
    """The numbers of the rows whose cells are filled."""
    cell_styles = re.search(r"<cellXfs.*?</cellXfs>", styles, re.DOTALL)
    assert cell_styles is not None
    filled = {n for n, one in enumerate(re.findall(r"<xf [^>]*>", cell_styles[0])) if 'applyFill="1"' in one}
    found = set()
    for number, cells in re.findall(r'<row r="(\d+)"[^>]*>(.*?)</row>', sheet, re.DOTALL):
        if {int(style) for style in re.findall(r'<c r="[A-Z]+\d+" s="(\d+)"', cells)} & filled:
            found.add(int(number))
    return sorted(found)


def test_a_text_that_looks_like_a_formula_is_a_text_and_stays_one(events: Path, tmp_path: Path) -> None:
    cases = tmp_path / "cases.xlsx"
    assert run(["replay", str(events), "--alerts", str(tmp_path / "a.jsonl"), "--cases", str(cases), "--quiet"]) == 0
    styles, sheet = styles_of(cases)
    assert "<f>" not in sheet
    assert "=1+1" in {row["subject.id"] for row in rows_of(cases)}
    quoted = [n for n, one in enumerate(re.findall(r"<xf [^>]*>", styles)) if 'quotePrefix="1"' in one]
    assert quoted


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_bytes_do_not_depend_on_when_or_by_how_many(events: Path, tmp_path: Path, jobs: str) -> None:
    found = []
    for number, by in enumerate(("1", jobs)):
        path = tmp_path / f"cases-{number}.xlsx"
        words = ["--alerts", str(tmp_path / "a.jsonl"), "--cases", str(path), "--jobs", by, "--quiet"]
        assert run(["replay", str(events), *words]) == 0
        found.append(path.read_bytes())
    assert found[0] == found[1]


def test_more_rows_than_a_sheet_takes_go_to_further_sheets_and_long_texts_say_that_they_are_cut() -> None:
    target = io.BytesIO()
    rows = [[str(number), "x" * (40_000 if number == 1 else 1)] for number in range(5)]
    write_workbook(target, [("n", "text"), ("t", "text")], rows, most_rows=2)
    book = CalamineWorkbook.from_filelike(io.BytesIO(target.getvalue()))
    sheets = [book.get_sheet_by_name(name).to_python() for name in book.sheet_names]
    assert [[row[0] for row in sheet[1:]] for sheet in sheets] == [["0", "1"], ["2", "3"], ["4"]]
    assert all(sheet[0] == ["n", "t"] for sheet in sheets)
    cut = str(sheets[0][2][1])
    assert (len(cut), cut.endswith("(cut: more than Excel takes in a cell)")) == (32_767, True)


def test_no_rows_are_a_sheet_with_its_head() -> None:
    target = io.BytesIO()
    write_workbook(target, [("n", "text")], [])
    assert CalamineWorkbook.from_filelike(io.BytesIO(target.getvalue())).get_sheet_by_index(0).to_python() == [["n"]]


def test_an_excel_file_of_cases_is_not_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cases.xlsx"
    path.write_bytes(b"PK")
    assert run(["rules", "suggest", "--cases", str(path)]) == 2
    assert "JSON lines, CSV or Parquet" in capsys.readouterr().err


def test_ctrl_c_while_rows_become_a_workbook_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any, **more: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        write_workbook(*given, **more)

    monkeypatch.setattr(results, "write_workbook", interrupted)
    with pytest.raises(KeyboardInterrupt), results.open_results(tmp_path / "cases.xlsx", ["rule"]) as target:
        target.write_bytes(b"fee-5-minutes\n")
    (partial,) = tmp_path.iterdir()
    assert partial.name == "cases.xlsx.partial"
    assert CalamineWorkbook.from_path(str(partial)).get_sheet_by_index(0).to_python() == [["rule"], ["fee-5-minutes"]]
