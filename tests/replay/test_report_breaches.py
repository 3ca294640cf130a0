"""The files beside a report: the workbook of all breaches and violations, and the report as PDF."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from schemas.base import Text
from schemas.organisations import Organisation
from streams.replay.report.breaches import Breaches
from tests.browser import chromium
from tests.replay import orders
from tests.replay.runs import Runner, data_of
from tests.replay.test_xlsx import marked_rows, rows_of, styles_of


def test_it_lists_every_broken_case_red_lines_first(gridclock: Runner) -> None:
    events = gridclock.file("events.jsonl", orders.text(400))
    cases, report = gridclock.path / "cases.jsonl", gridclock.path / "march.html"
    board = "https://board.example/"
    gridclock("replay", events, "--cases", cases, "--report", report, "--report-board", board, "--quiet")
    broken = {
        data["case_id"]: data for data in data_of(cases) if data["outcome"] in ("met_late", "breached", "violated")
    }
    path = gridclock.path / "march-breaches.xlsx"
    rows = rows_of(path)
    assert Counter(row["case_id"] for row in rows) == Counter(broken.keys())
    assert "march-breaches.xlsx" in report.read_text("utf-8")
    reds = [row["级别 severity"] == "红线 red line" for row in rows]
    assert reds == sorted(reds, reverse=True)
    assert len(set(reds)) == 2
    assert marked_rows(*styles_of(path)) == [number for number, red in enumerate(reds, 2) if red]
    for row in rows:
        data = broken[row["case_id"]]
        assert row["证据事件 evidence"].split("\n") == data["evidence"]
        assert row["时钟页 case page"] == f"https://board.example/case/{data['case_id']}"
        assert (row["完成 stopped_at"] != "") == (data["stopped_at"] is not None)
        assert row["规则 rule"] == data["rule"]
        assert row["条款 clause"].startswith(row["章 chapter"] + "-")


def test_the_alerts_keep_their_form_beside_a_report(gridclock: Runner) -> None:
    events = gridclock.file("events.jsonl", orders.text(200))
    written = []
    beside_a_report: list[str | Path] = ["--report", gridclock.path / "report.html"]
    for number, more in enumerate(([], beside_a_report)):
        for name in ("alerts.csv", "alerts.jsonl"):
            path = gridclock.path / f"{number}-{name}"
            gridclock("replay", events, "--alerts", path, "--quiet", *more)
            written.append(path.read_bytes())
    assert written[:2] == written[2:]


def alert(alert_id: str, kind: str, case_id: str = "c1", **fields: Any) -> bytes:
    data = {
        "alert_id": alert_id, "kind": kind, "case_id": case_id, "rule": "r", "clause": "X-1", "severity": "norm",
        "title": {"zh": "题", "en": "Title"}, "subject": {"type": "order", "id": "WO1"}, "org": {"city": "3301"},
        "started_at": "2026-03-02T09:00:00+08:00", "due_at": "2026-03-02T10:00:00+08:00",
        "detected_at": "2026-03-02T10:00:00+08:00", "limit": "1 h", "stopped_at": None, "elapsed": "PT3600S",
        "explanation": {"zh": alert_id, "en": alert_id}, "evidence": ["e1"], "retracts": None, **fields,
    }  # fmt: skip
    return json.dumps({"data": data}).encode()


LATE: dict[str, Any] = {"stopped_at": "2026-03-02T11:00:00+08:00", "elapsed": "PT7200S", "evidence": ["e1", "e2"]}


def listed(tmp_path: Path, *alerts: bytes, names: dict[str, Organisation] | None = None) -> list[dict[str, Any]]:
    found, target = Breaches(), io.BytesIO()
    for one in alerts:
        found.take(one)
    found.write(target, names or {})
    found.close()
    path = tmp_path / "list.xlsx"
    path.write_bytes(target.getvalue())
    return rows_of(path)


def test_what_was_retracted_is_not_listed_whichever_came_first(tmp_path: Path) -> None:
    taken_back = alert("r1", "retraction", retracts="b1")
    again = alert("b2", "breach")
    assert [row["alert_id"] for row in listed(tmp_path, alert("b1", "breach"), taken_back, again)] == ["b2"]
    assert [row["alert_id"] for row in listed(tmp_path, taken_back, alert("b1", "breach"), again)] == ["b2"]


def test_a_late_completion_says_how_the_breach_ended_unless_it_was_retracted(tmp_path: Path) -> None:
    breach, late = alert("b1", "breach"), alert("l1", "late_completion", **LATE)
    (row,) = listed(tmp_path, breach, late)
    assert (row["说明 explanation.en"], row["证据事件 evidence"]) == ("l1", "e1\ne2")
    assert row["完成 stopped_at"] != ""
    (row,) = listed(tmp_path, breach, late, alert("r1", "retraction", retracts="l1"))
    assert (row["说明 explanation.en"], row["完成 stopped_at"]) == ("b1", "")
    (row,) = listed(tmp_path, alert("v1", "violation"), late)  # of a violation it says nothing
    assert row["说明 explanation.en"] == "v1"


def test_warnings_are_not_listed_and_organisations_have_names(tmp_path: Path) -> None:
    named = {"3301": Organisation(code="3301", name=Text(zh="杭州", en="Hangzhou"))}
    (row,) = listed(tmp_path, alert("w1", "warning"), alert("=b1", "breach"), names=named)
    assert (row["单位名称 organisation.zh"], row["市 org.city"], row["alert_id"]) == ("杭州", "3301", "=b1")


@pytest.mark.whole
def test_a_report_as_pdf_is_printed(gridclock: Runner) -> None:
    chromium()
    events, page = gridclock.file("events.jsonl", orders.text(30)), gridclock.path / "report.PDF"
    ran = gridclock("replay", events, "--report", page, "--quiet")
    assert ran.code in (0, 3), ran.err
    assert page.read_bytes().startswith(b"%PDF-")
    assert (gridclock.path / "report-breaches.xlsx").exists()


def test_without_a_browser_a_pdf_is_refused_before_anything_is_read(
    gridclock: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(gridclock.path))
    page = gridclock.path / "report.pdf"
    ran = gridclock("replay", gridclock.path / "no-such-file.jsonl", "--report", page)
    assert ran.code == 2
    assert "printed by chromium" in ran.err
    assert ".html" in ran.err
    assert not page.exists()


def test_a_browser_that_fails_is_named(gridclock: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = gridclock.file("chromium", "#!/bin/sh\necho cannot draw >&2\nexit 7\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{gridclock.path}:/bin:/usr/bin")
    page = gridclock.path / "report.pdf"
    ran = gridclock("replay", gridclock.file("events.jsonl", orders.text(10)), "--report", page, "--quiet")
    assert ran.code == 2
    assert f"{fake} did not print the report: cannot draw" in ran.err
    assert not page.exists()
