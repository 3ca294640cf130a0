"""The report: its figures, and what a browser makes of the page, hostile values included."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from streams.commands.replay_report import beside
from tests.browser import values_in
from tests.replay import orders
from tests.replay.runs import Runner, data_of, records_of

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
    assert (tables, styles) == (6, 1)
    assert sorted(subjects) == sorted((*HOSTILE[:2], "WO⟨U+202E⟩987⟨U+2066⟩", *HOSTILE[3:]))


@pytest.fixture
def ordinary(gridclock: Runner) -> Path:
    page = gridclock.path / "report.html"
    events = gridclock.file("events.jsonl", orders.text(300))
    assert gridclock("replay", events, "--report", page, "--quiet").code == 3
    return page


SHOWN = "[...document.querySelectorAll('h2')].map(heading => heading.innerText)"
HEADINGS = {
    "zh": ["按章", "按规则（红线在前）", "各规则按时率与用时分布", "各单位按时率", "按星期与时段",
           "最严重的情况（红线在前）", "各规则最严重的情况", "数据中缺少的", "数据质量"],
    "en": ["By chapter", "By rule, red lines first", "Each rule over time, and the share of its limit that was used",
           "Each organisation over time", "By weekday and hour", "The worst cases, red lines first",
           "The worst cases of each rule", "What the data lacked", "Quality of the data"],
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


def figure(text: str) -> int:
    return int(text.replace(",", "") or 0)


def cells(table: str) -> str:
    return f"[...document.querySelectorAll('{table} tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))"


def test_its_figures_are_those_of_the_cases(chrome: str, gridclock: Runner, ordinary: Path) -> None:
    cases = gridclock.path / "cases.jsonl"
    gridclock("replay", gridclock.path / "events.jsonl", "--cases", cases, "--quiet")
    found: dict[str, Counter[str]] = {}
    severity: dict[str, str] = {}
    for record in records_of(cases):
        data = record["data"]
        found.setdefault(data["rule"], Counter())[data["outcome"]] += 1
        severity[data["rule"]] = data["severity"]

    def row(outcomes: Counter[str]) -> tuple[int, str, int, int, int, int]:
        decided = sum(outcomes[name] for name in ("met", "met_late", "breached", "violated"))
        rate = f"{outcomes['met'] / decided:.1%} of {decided:,} decided" if decided else ""
        broken = outcomes["breached"] + outcomes["met_late"]
        return outcomes.total(), rate, broken, outcomes["violated"], outcomes["running"], outcomes["cancelled"]

    def shown(texts: list[str], first: int) -> tuple[int, str, int, int, int, int]:
        count, rate, *rest = texts[first : first + 6]
        broken, violated, undecided, cancelled = map(figure, rest)
        return figure(count), " ".join(rate.split()), broken, violated, undecided, cancelled

    _, rules, chapters, marked = values_in(
        chrome,
        ordinary,
        [
            "document.getElementById('en').click()",
            cells("#rules"),
            cells("#chapters"),
            "[...document.querySelectorAll('#rules tr.line td:first-child .soft')].map(node => node.innerText)",
        ],
    )
    by_rule = {texts[0].splitlines()[-1]: shown(texts, 2) for texts in rules}
    assert by_rule == {rule: row(outcomes) for rule, outcomes in found.items()}
    assert any(outcomes["running"] for outcomes in found.values())
    # red lines first, and only they are marked
    red = sorted(rule for rule, level in severity.items() if level == "red_line")
    assert list(by_rule) == red + sorted(found.keys() - set(red))
    assert marked == red
    assert [("Red line" in texts[0]) for texts in rules] == [rule in red for rule in by_rule]
    clauses = {texts[0].splitlines()[-1]: texts[1] for texts in rules}
    by_chapter: dict[str, Counter[str]] = {}
    for rule, outcomes in found.items():
        by_chapter.setdefault(clauses[rule].partition("-")[0], Counter()).update(outcomes)
    assert {texts[0].split()[0]: shown(texts, 2) for texts in chapters} == {
        chapter: row(outcomes) for chapter, outcomes in by_chapter.items()
    }


def test_lengths_of_time_are_in_the_language_of_the_page(chrome: str, ordinary: Path) -> None:
    last = "[...document.querySelectorAll('#rules tbody tr')].flatMap(row => [...row.cells].slice(-3))"
    times = rf"{last}.map(cell => cell.innerText).filter(text => text).map(text => text.replace(/[0-9.,\s]/g, ''))"
    zh, _, en = values_in(chrome, ordinary, [times, "document.getElementById('en').click()", times])
    assert zh
    assert set(zh) <= {"秒", "分钟", "小时", "天"}
    assert set(en) <= {"s", "min", "h", "d"}


def test_it_opens_in_the_language_asked_for(chrome: str, gridclock: Runner, ordinary: Path) -> None:
    page = gridclock.path / "english.html"
    gridclock("replay", gridclock.path / "events.jsonl", "--report", page, "--report-language", "en", "--quiet")
    (shown,) = values_in(chrome, page, [SHOWN])
    assert shown == HEADINGS["en"]


def test_each_rule_has_its_worst_cases_and_red_lines_come_first(chrome: str, ordinary: Path) -> None:
    marks, evidence, headings, _, open_board = values_in(
        chrome,
        ordinary,
        [
            "[...document.querySelectorAll('#worst tbody tr')].map(row => row.querySelector('.red') !== null)",
            "[...document.querySelectorAll('#worst details li')].length",
            "[...document.querySelectorAll('#worst-by-rule h3')].map(head => head.querySelector('.red') !== null)",
            "document.getElementById('en').click()",
            "document.querySelectorAll('#worst a').length",
        ],
    )
    assert marks == sorted(marks, reverse=True)
    assert True in marks
    assert headings == sorted(headings, reverse=True)
    assert evidence >= len(marks)
    assert open_board == 0  # no board was named


def test_what_the_data_lacked_is_named(chrome: str, gridclock: Runner) -> None:
    common = {"event_type": "repair.reported", "area": "urban"}
    events: list[dict[str, Any]] = [
        {"event_id": "a", "order_id": "WO1", "occurred_at": "2026-03-02T09:00:00+08:00", **common},
        {"event_id": "b", "order_id": "WO2", "occurred_at": "2026-03-02T09:00:00+08:00",
         "event_type": "counter.service_completed"},
    ]  # fmt: skip
    page, path = gridclock.path / "report.html", gridclock.lines("events.jsonl", events)
    cases, until = gridclock.path / "cases.jsonl", "2026-03-02T12:00:00+08:00"
    ran = gridclock("replay", path, "--report", page, "--cases", cases, "--until", until, "--quiet")
    assert ran.code == 0
    decided = [data for data in data_of(cases) if data["outcome"] in ("met", "met_late", "breached", "violated")]
    assert {data["rule"] for data in decided} >= {"repair-arrival"}
    _, rows = values_in(chrome, page, ["document.getElementById('en').click()", cells("#lacking")])
    lacking = {" ".join(row[0].split()): row[1] for row in rows}
    assert lacking["Decided cases without an organisation"] == str(len(decided))
    assert lacking["Ends without a start, not judged fee-5-minutes"] == "1"
    assert "Rules without a case: no event starts them repair-arrival" not in lacking
    assert "Rules without a case: no event starts them whole-connection" in lacking


def test_the_same_events_give_the_same_page(gridclock: Runner, ordinary: Path) -> None:
    (gridclock.path / "again").mkdir()
    again = gridclock.path / "again" / ordinary.name
    gridclock("replay", gridclock.path / "events.jsonl", "--report", again, "--quiet", "--memory", "90K")
    assert again.read_bytes() == ordinary.read_bytes()
    assert beside(again).read_bytes() == beside(ordinary).read_bytes()


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
