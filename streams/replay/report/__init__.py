"""The report of a replay: one self-contained HTML page in Chinese and English.

Input text goes through the template's escaping and is isolated in ``bdi`` elements; marks that change the direction of
writing are shown as their codes. The page's Content-Security-Policy forbids scripts and external resources, so even an
error in the escaping would have no effect. The language is switched by a radio button and CSS, without a script.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from schemas.organisations import Organisation
from streams.replay.comparison import Comparison
from streams.replay.input_counts import InputCounts
from streams.replay.report import charts
from streams.replay.summary import NO_ORG, RuleSummary, Share, Summary, Worst, duration_text, org_of
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


def render(
    summary: Summary,
    tally: InputCounts,
    *,
    sources: Sequence[str],
    ends_at: str,
    is_as_of: bool = False,
    comparison: Comparison | None = None,
    organisations: Mapping[str, Organisation] | None = None,
) -> str:
    """The page; ``ends_at`` is the end of time as text. The same figures and names by code give the same page."""
    files = resources.files(__package__)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=visible, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files.joinpath("page.html").read_text("utf-8"))
    rules = [_rule(name, rule, tally) for name, rule in sorted(summary.rules.items())]
    spans = _spans(summary)
    charted = sorted((rule for rule in rules if rule["total"].judged), key=lambda rule: -rule["total"].broken)
    total = Share(sum(rule["total"].judged for rule in rules), sum(rule["total"].broken for rule in rules))
    return template.render(
        css=Markup(files.joinpath("page.css").read_text("utf-8")),
        sources=sources,
        ends_at=ends_at,
        as_of=is_as_of,
        tally=tally,
        cases=sum(rule["cases"] for rule in rules),
        on_time=total.on_time,
        breached=sum(rule["breached"] for rule in rules),
        violated=sum(rule["violated"] for rule in rules),
        rules=rules,
        charted=[_with_charts(rule, spans, number) for number, rule in enumerate(charted[:CHARTED])],
        rules_left_out=len(charted) > CHARTED,
        orgs=list(_orgs(summary, spans)),
        names=organisations or {},
        week=list(_week(summary)),
        worst=[_worst(case) for case in summary.worst],
        comparison=None if comparison is None else list(_comparison(comparison)),
        quality=list(_quality(summary, tally, organisations or {})),
    )


def _rule(name: str, rule: RuleSummary, tally: InputCounts) -> dict[str, Any]:
    return {
        "id": name,
        "zh": rule.title["zh"],
        "en": rule.title["en"],
        "clause": rule.clause,
        "cases": rule.cases,
        "total": rule.total,
        "on_time": rule.total.on_time,
        "breached": rule.outcomes["breached"] + rule.outcomes["met_late"],
        "violated": rule.outcomes["violated"],
        "retracted": tally.alerts[name, "retraction"],
        "times": [duration_text(value) for value in rule.quantiles(0.5, 0.95, 1)],
        "by_day": rule.by_day,
        "used": rule.used,
    }


Spans = Sequence[tuple[date, str]]


def _spans(summary: Summary) -> Spans:
    days = [day for rule in summary.rules.values() for day in rule.by_day]
    return charts.periods(min(days), max(days)) if days else []


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


def _worst(case: Worst) -> dict[str, Any]:
    data = case.data
    outcome = data["outcome"]
    sentence = case.explanation or {"zh": OUTCOMES_ZH[outcome], "en": outcome.replace("_", " ")}
    return {
        "subject": data["subject"]["id"],
        "org": org_of(data),
        "rule": data["rule"],
        "used": case.used,
        "zh": sentence["zh"],
        "en": sentence["en"],
    }


def _comparison(comparison: Comparison) -> Iterator[tuple[str, str, list[tuple[str, Any]]]]:
    yield "按规则", "By rule", list(comparison.by_rule().items())
    yield "按单位", "By organisation", list(comparison.by_org().items())


_LATE = {
    "minute": ("录入迟于发生 1 分钟至 1 小时", "Recorded a minute to an hour after it occurred"),
    "hour": ("录入迟于发生 1 小时至 1 天", "Recorded an hour to a day after it occurred"),
    "day": ("录入迟于发生 1 天以上", "Recorded more than a day after it occurred"),
}


def _quality(
    summary: Summary, tally: InputCounts, organisations: Mapping[str, Organisation]
) -> Iterator[dict[str, Any]]:
    def row(zh: str, en: str, count: int, what: str = "") -> dict[str, Any]:
        return {"zh": zh, "en": en, "count": count, "what": what}

    yield row("读入记录", "Records read", tally.lines)
    yield row("有效事件", "Events", tally.events)
    for reason, count in sorted(tally.dead_letters.items()):
        yield row("拒收（死信）", "Refused (dead letters)", count, reason)
    yield row("重复事件", "Duplicates", tally.duplicates)
    yield row("乱序（排在更晚的事件之后）", "Out of order (behind a later event)", tally.out_of_order)
    for key, (zh, en) in _LATE.items():
        yield row(zh, en, tally.recorded_late[key])
    for rule, count in sorted(tally.orphans.items()):
        yield row("有终点而无起点", "Ends without a start", count, rule)
    yield row("无规则关注的事件", "Events that no rule watches", tally.unwatched)
    yield row("晚于判定截止时间", "After the end of time", tally.after_until)
    if tally.not_yet_recorded:
        yield row("当时尚未录入", "Not recorded by then", tally.not_yet_recorded)
    if organisations:
        unnamed = len({code for code in summary.orgs if code != NO_ORG} - organisations.keys())
        yield row("organisations.yaml 中没有名称的单位编码", "Codes that organisations.yaml does not name", unnamed)
    yield row("节假日安排尚未公布、按周末推算的时钟", "Cases on a provisional calendar", summary.provisional)
