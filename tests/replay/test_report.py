"""The report: its figures, and what a browser makes of the page, hostile values included."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser import values_in
from tests.replay import orders
from tests.replay.runs import Runner, records_of

SCRIPT = "<script>document.title='taken'</script>"
IMAGE = "\"'><img src=x onerror=\"document.title='taken'\">"
TURNED = "WO\u202e987\u2066"
HOSTILE = ("O" + SCRIPT, "O" + IMAGE, TURNED, "</style></svg></table>", "{{ 7 * 7 }}{% raw %}", "=cmd|' /C calc'!A0")

RULES = """
chapter: X
title: {zh: 敌意, en: Hostile}
rules:
  - id: hostile
    effective_from: 2020-01-01
    clauses: [X-1]
    source: made up
    severity: red_line
    kind: deadline
    subject: order
    title: {zh: "<b>粗</b>\\u202e", en: "<script>alert(1)</script>&lt;"}
    start: counter.ticket_taken
    stop: counter.service_completed
    limit: 10 min
"""


@pytest.fixture
def hostile(gridclock: Runner) -> Path:
    (gridclock.path / "rules").mkdir()
    gridclock.file("rules/x.yaml", RULES)
    events: list[dict[str, Any]] = []
    for number, text in enumerate(HOSTILE):
        common = {"order_id": text, "org": {"city": text[:100]}, "source": text[:100]}
        events.append({"event_id": f"a{number}", "event_type": "counter.ticket_taken",
                       "occurred_at": f"2026-03-0{number + 2}T09:00:00+08:00", **common})  # fmt: skip
        events.append({"event_id": f"b{number}{text}"[:200], "event_type": "counter.service_completed",
                       "occurred_at": f"2026-03-0{number + 2}T09:30:00+08:00", **common})  # fmt: skip
    path = gridclock.lines("<i>events.jsonl", events)
    page = gridclock.path / "report.html"
    ran = gridclock("replay", path, "--only", gridclock.path / "rules", "--report", page, "--quiet")
    assert (ran.code, ran.err) == (0, "")
    return page


def test_hostile_values_are_text_and_nothing_else(chrome: str, hostile: Path) -> None:
    source = hostile.read_text("utf-8")
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", source)
    addresses = set(re.findall(r"""https?://[^"'\s<>]+""", source))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, nothing is fetched by it
    title, scripts, images, turned, tables, styles, subjects = values_in(
        chrome,
        hostile,
        [
            "document.title",
            "document.querySelectorAll('script').length",
            "document.querySelectorAll('img, i, b:not(.figures b)').length",
            r"/[\u202a-\u202e\u2066-\u2069]/.test(document.documentElement.innerText)",
            "document.querySelectorAll('main table').length",
            "document.querySelectorAll('head style').length",
            "[...document.querySelectorAll('#worst td.id:first-child')].map(cell => cell.textContent)",
        ],
    )
    assert (title, scripts, images, turned) == ("供电服务时限报告 · Time limits kept", 0, 0, False)
    assert (tables, styles) == (4, 1)
    assert sorted(subjects) == sorted((*HOSTILE[:2], "WO⟨U+202E⟩987⟨U+2066⟩", *HOSTILE[3:]))


@pytest.fixture
def ordinary(gridclock: Runner) -> Path:
    page = gridclock.path / "report.html"
    events = gridclock.file("events.jsonl", orders.text(300))
    assert gridclock("replay", events, "--report", page, "--quiet").code == 3
    return page


SHOWN = "[...document.querySelectorAll('h2')].map(heading => heading.innerText)"
HEADINGS = {
    "zh": ["按规则", "各规则按时率与用时分布", "各单位按时率", "按星期与时段", "最严重的情况", "数据质量"],
    "en": ["By rule", "Each rule over time, and the share of its limit that was used", "Each organisation over time",
           "By weekday and hour", "The worst cases", "Quality of the data"],
}  # fmt: skip


def test_it_speaks_both_languages_and_fits_a_phone(chrome: str, ordinary: Path) -> None:
    wide = "document.documentElement.scrollWidth"
    small = "Math.min(...[...document.querySelectorAll('p, td, th, h2, h3')].filter(e => e.innerText.trim() " \
            "&& !e.closest('.heat')).map(e => parseFloat(getComputedStyle(e).fontSize)))"  # fmt: skip
    zh, width, size, _, en = values_in(
        chrome, ordinary, [SHOWN, wide, small, "document.getElementById('en').click()", SHOWN], width=390
    )
    assert {"zh": zh, "en": en} == HEADINGS
    assert width == 390
    assert size >= 14


def test_its_figures_are_those_of_the_cases(chrome: str, gridclock: Runner, ordinary: Path) -> None:
    cases = gridclock.path / "cases.jsonl"
    gridclock("replay", gridclock.path / "events.jsonl", "--cases", cases, "--quiet")
    outcomes: dict[str, list[str]] = {}
    for record in records_of(cases):
        outcomes.setdefault(record["data"]["rule"], []).append(record["data"]["outcome"])
    broken = {rule: sum(found.count(name) for name in ("breached", "met_late")) for rule, found in outcomes.items()}
    (rows,) = values_in(
        chrome,
        ordinary,
        ["[...document.querySelectorAll('#rules tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))"],
    )
    assert {row[0].splitlines()[-1]: (int(row[2]), int(row[4] or 0)) for row in rows} == {
        rule: (len(found), broken[rule]) for rule, found in outcomes.items()
    }


def test_the_same_events_give_the_same_page(gridclock: Runner, ordinary: Path) -> None:
    again = gridclock.path / "again.html"
    gridclock("replay", gridclock.path / "events.jsonl", "--report", again, "--quiet", "--memory", "90K")
    assert again.read_bytes() == ordinary.read_bytes()


def test_nothing_to_report_is_a_page_too(gridclock: Runner) -> None:
    page = gridclock.path / "report.html"
    assert gridclock("replay", gridclock.file("none.jsonl", ""), "--report", page, "--quiet").code == 0
    assert "没有。" in page.read_text("utf-8")


def test_organisations_have_their_names_and_codes_without_one_are_counted(gridclock: Runner) -> None:
    (gridclock.path / "names").mkdir()
    gridclock.file("names/organisations.csv", "code,zh,en\n3301,<杭州>,Hangzhou\n")
    common = {"event_type": "repair.reported", "occurred_at": "2026-03-02T09:00:00+08:00", "area": "urban"}
    events = [{"event_id": code, "order_id": code, "org": {"city": code}, **common} for code in ("3301", "3302")]
    page, path = gridclock.path / "report.html", gridclock.lines("events.jsonl", events)
    until = "2026-03-02T12:00:00+08:00"
    ran = gridclock("replay", path, "--rules", gridclock.path / "names", "--report", page, "--until", until, "--quiet")
    assert (ran.code, ran.err) == (0, "")
    text = page.read_text("utf-8")
    assert '<span class="zh" lang="zh">&lt;杭州&gt;</span><span class="en" lang="en">Hangzhou</span>' in text
    assert "<h3><bdi>3302</bdi>" in text
    assert re.search(r"organisations\.yaml does not name.*?>1<", text, re.DOTALL)
