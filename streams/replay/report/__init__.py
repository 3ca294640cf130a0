"""The report of a replay: one self-contained HTML page in Chinese and English.

Input text goes through the template's escaping and is isolated in ``bdi`` elements; marks that change the direction of
writing are shown as their codes. The page's Content-Security-Policy forbids scripts and external resources, so even an
error in the escaping would have no effect. The language is switched by a radio button and CSS, without a script.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import resources
from typing import Any, Literal

import jinja2
from markupsafe import Markup

from schemas.organisations import Organisation
from schemas.rules import Rule
from streams.core.open_cases import chapter_of
from streams.replay.comparison import Comparison
from streams.replay.input_counts import InputCounts
from streams.replay.report import charts
from streams.replay.report.breaches import page_of_case
from streams.replay.summary import NO_ORG, RuleSummary, Share, Summary, Worst, duration_text, org_of
from streams.rulebooks.loader import LoadedRulebook
from streams.wire.time_line import OUTCOMES_ZH

CHARTED = 24
"""The number of rules, and of organisations, that get charts of their own."""

_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WEEKDAYS = (("一", "Mon"), ("二", "Tue"), ("三", "Wed"), ("四", "Thu"), ("五", "Fri"), ("六", "Sat"), ("日", "Sun"))
_CALM, _RED = (255, 255, 255), (214, 69, 57)


def visible(value: Any) -> Any:
    """Text with marks of writing direction shown as codes; other values unchanged."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _TURNING.sub(lambda mark: f"⟨U+{ord(mark[0]):04X}⟩", value)
    return value


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a page says besides its figures.

    ``ends_at`` is the end of time as text. ``breaches`` is the name of the file with all breaches and violations, where
    there is one. ``board`` is the address of the live board, for links to its pages of cases. ``language`` is the one
    that the page opens with.
    """

    loaded: LoadedRulebook
    sources: Sequence[str]
    ends_at: str
    is_as_of: bool = False
    breaches: str | None = None
    board: str | None = None
    language: Literal["zh", "en"] = "zh"


def render(
    summary: Summary, tally: InputCounts, options: ReportOptions, *, comparison: Comparison | None = None
) -> str:
    """The page. The same figures and names by code give the same page."""
    files = resources.files(__package__)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=visible, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files.joinpath("page.html").read_text("utf-8"))
    written = {item.rule.id: item.rule for item in options.loaded.loaded}
    rules = sorted(
        (_rule(written[name], rule, tally) for name, rule in summary.rules.items()),
        key=lambda rule: (not rule["red"], rule["id"]),
    )
    by_id = {rule["id"]: rule for rule in rules}
    spans, period = _spans(summary)
    charted = sorted((rule for rule in rules if rule["total"].judged), key=lambda rule: -rule["total"].broken)
    names = options.loaded.organisations
    return template.render(
        css=Markup(files.joinpath("page.css").read_text("utf-8")),
        options=options,
        names=names,
        period=period,
        span=spans.length,
        tally=tally,
        totals=_totals(rules),
        red_lines=_totals(rule for rule in rules if rule["red"]),
        chapters=list(_chapters(rules, options.loaded)),
        rules=rules,
        charted=[_with_charts(rule, spans.starts, number) for number, rule in enumerate(charted[:CHARTED])],
        rules_left_out=len(charted) > CHARTED,
        orgs=list(_orgs(summary, spans.starts)),
        week=list(_week(summary)),
        worst=[_worst(case, by_id, options.board) for case in summary.worst],
        worst_by_rule=[
            (by_id[name], [_worst(case, by_id, options.board) for case in cases])
            for name, cases in sorted(summary.worst_by_rule.items(), key=lambda item: rules.index(by_id[item[0]]))
        ],
        comparison=None if comparison is None else list(_comparison(comparison, by_id)),
        quality=list(_quality(summary, tally, names)),
        lacking=list(_lacking(summary, tally, options.loaded)),
    )


def _rule(written: Rule, rule: RuleSummary, tally: InputCounts) -> dict[str, Any]:
    times = rule.quantiles(0.5, 0.95, 1)
    return {
        "id": written.id,
        "zh": rule.title["zh"],
        "en": rule.title["en"],
        "clause": rule.clause,
        "red": written.severity == "red_line",
        "summary": rule,
        **_figures([rule]),
        "retracted": tally.alerts[written.id, "retraction"],
        "times": [(duration_text(value, "zh"), duration_text(value, "en")) for value in times],
        "by_day": rule.by_day,
        "used": rule.used,
    }


def _figures(rules: Sequence[RuleSummary]) -> dict[str, Any]:
    outcomes = sum((rule.outcomes for rule in rules), Counter[str]())
    total = Share(sum(rule.total.judged for rule in rules), sum(rule.total.broken for rule in rules))
    return {
        "cases": outcomes.total(),
        "total": total,
        "undecided": outcomes["running"],
        "cancelled": outcomes["cancelled"],
        "breached": outcomes["breached"] + outcomes["met_late"],
        "violated": outcomes["violated"],
    }


def _totals(rules: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return _figures([rule["summary"] for rule in rules])


def _chapters(rules: Sequence[Mapping[str, Any]], loaded: LoadedRulebook) -> Iterator[dict[str, Any]]:
    titles = {book.chapter: book.title for book in loaded.files}
    for chapter in sorted({chapter_of(rule["clause"]) for rule in rules}):
        own = [rule for rule in rules if chapter_of(rule["clause"]) == chapter]
        title = titles.get(chapter)
        zh, en = (chapter, chapter) if title is None else (title.zh, title.en)
        red = _totals(rule for rule in own if rule["red"])["total"].broken
        yield {"id": chapter, "zh": zh, "en": en, "red": red, **_totals(own)}


Spans = Sequence[tuple[date, str]]


def _spans(summary: Summary) -> tuple[charts.Periods, tuple[date, date] | None]:
    """The periods of the charts; and the first and the last day on which a decided case started."""
    days = [day for rule in summary.rules.values() for day in rule.by_day]
    if not days:
        return charts.Periods("day", ()), None
    first, last = min(days), max(days)
    return charts.periods(first, last), (first, last)


def _with_charts(rule: dict[str, Any], spans: Spans, number: int) -> dict[str, Any]:
    labels = [label for _, label in spans]
    return {
        **rule,
        "line": charts.on_time(charts.in_periods(rule["by_day"], spans), labels, f"rule-{number}"),
        "bars": charts.used(rule["used"], f"used-{number}") if rule["used"] else None,
    }


def _orgs(summary: Summary, spans: Spans) -> Iterator[dict[str, Any]]:
    labels = [label for _, label in spans]
    found = []
    for name, by_day in sorted(summary.orgs.items()):
        total = Share(sum(day.judged for day in by_day.values()), sum(day.broken for day in by_day.values()))
        found.append((-total.broken, name, by_day, total))
    for number, (_, name, by_day, total) in enumerate(sorted(found, key=lambda item: item[:2])):
        line = None
        if number < CHARTED:
            line = charts.on_time(charts.in_periods(by_day, spans), labels, f"org-{number}")
        yield {"name": name, "total": total, "line": line}


def _week(summary: Summary) -> Iterator[dict[str, Any]]:
    for day, (zh, en) in enumerate(_WEEKDAYS):
        cells = []
        for hour in range(24):
            share = summary.week.get((day, hour), Share())
            part = share.broken / share.judged if share.judged else 0.0
            colour = ", ".join(str(round(calm + (red - calm) * part)) for calm, red in zip(_CALM, _RED, strict=True))
            cells.append({"judged": share.judged, "broken": share.broken, "colour": colour})
        yield {"zh": f"周{zh}", "en": en, "cells": cells}


def _worst(case: Worst, rules: Mapping[str, Mapping[str, Any]], board: str | None) -> dict[str, Any]:
    data = case.data
    outcome = data["outcome"]
    sentence = case.explanation or {"zh": OUTCOMES_ZH[outcome], "en": outcome.replace("_", " ")}
    return {
        "subject": data["subject"]["id"],
        "org": org_of(data),
        "rule": rules[data["rule"]],
        "used": case.used,
        "zh": sentence["zh"],
        "en": sentence["en"],
        "evidence": data["evidence"],
        "page": None if board is None else page_of_case(board, data["case_id"]),
    }


def _comparison(
    comparison: Comparison, rules: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str, list[tuple[str, Mapping[str, Any] | None, Any]]]]:
    """Tables: two titles, and of each row the code, the rule where it is one, and the sums."""
    yield "按规则", "By rule", [(name, rules.get(name), sums) for name, sums in comparison.by_rule().items()]
    yield "按单位", "By organisation", [(name, None, sums) for name, sums in comparison.by_org().items()]


_LATE = {
    "minute": ("录入迟于发生 1 分钟至 1 小时", "Recorded a minute to an hour after it occurred"),
    "hour": ("录入迟于发生 1 小时至 1 天", "Recorded an hour to a day after it occurred"),
    "day": ("录入迟于发生 1 天以上", "Recorded more than a day after it occurred"),
}


def _line(zh: str, en: str, count: int, what: str = "") -> dict[str, Any]:
    return {"zh": zh, "en": en, "count": count, "what": what}


def _quality(
    summary: Summary, tally: InputCounts, organisations: Mapping[str, Organisation]
) -> Iterator[dict[str, Any]]:
    yield _line("读入记录", "Records read", tally.lines)
    yield _line("有效事件", "Events", tally.events)
    for reason, count in sorted(tally.dead_letters.items()):
        yield _line("拒收（死信）", "Refused (dead letters)", count, reason)
    yield _line("重复事件", "Duplicates", tally.duplicates)
    yield _line("乱序（排在更晚的事件之后）", "Out of order (behind a later event)", tally.out_of_order)
    for key, (zh, en) in _LATE.items():
        yield _line(zh, en, tally.recorded_late[key])
    yield _line("无规则关注的事件", "Events that no rule watches", tally.unwatched)
    yield _line("晚于判定截止时间", "After the end of time", tally.after_until)
    if tally.not_yet_recorded:
        yield _line("当时尚未录入", "Not recorded by then", tally.not_yet_recorded)
    if organisations:
        unnamed = len({code for code in summary.orgs if code != NO_ORG} - organisations.keys())
        yield _line("organisations.yaml 中没有名称的单位编码", "Codes that organisations.yaml does not name", unnamed)
    yield _line("节假日安排尚未公布、按周末推算的时钟", "Cases on a provisional calendar", summary.provisional)


def _lacking(summary: Summary, tally: InputCounts, loaded: LoadedRulebook) -> Iterator[dict[str, Any]]:
    """What could not be judged because the data did not have it; nothing where all was there."""
    for rule, count in sorted(tally.orphans.items()):
        yield _line("有终点而无起点，未判定", "Ends without a start, not judged", count, rule)
    nowhere = sum(share.judged for share in summary.orgs.get(NO_ORG, {}).values())
    if nowhere:
        yield _line("已判定但没有单位的时钟", "Decided cases without an organisation", nowhere)
    missing = {item.rule.id for item in loaded.loaded if item.rule.enabled} - summary.rules.keys()
    for rule in sorted(missing):
        yield _line("没有任何时钟的规则：数据中没有其起点", "Rules without a case: no event starts them", 0, rule)
