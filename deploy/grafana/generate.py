"""Writes the dashboards, each in Chinese and in English, from the one description below.

    python deploy/grafana/generate.py            writes deploy/grafana/dashboards/{zh,en}/*.json
    python deploy/grafana/generate.py --check    only says whether they are fresh

It needs nothing but Python. Grafana reads the files by provisioning; a change made in the browser is not kept.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
Text = tuple[str, str]  # Chinese, English
ZH, EN = 0, 1
LANGUAGES = ("zh", "en")

CHAPTERS: tuple[tuple[str, Text], ...] = (
    ("W", ("营业窗口", "Counter service")),
    ("B", ("业扩办电", "New connections")),
    ("M", ("装表接电", "Metering")),
    ("R", ("抄表收费", "Reading and collection")),
    ("I", ("用电检查", "Inspection")),
    ("F", ("故障抢修", "Fault repair")),
)

# The title of a rule instead of its id; the language is put in for LANG.
# One title a rule, also while workers of two versions run: two would make the whole query fail.
TITLED = "* on (rule) group_left (title_LANG) topk by (rule) (1, max by (rule, title_LANG) (gridclock_rule_info))"
OF_CHAPTER = 'chapter="$chapter", city=~"$city"'
RED = 'severity="red_line"'


@dataclass(frozen=True)
class Panel:
    """One panel; ``queries`` are pairs of expression and legend, ``size`` is width and height in Grafana's grid."""

    kind: str
    title: Text
    queries: Sequence[tuple[str, str | Text]]
    size: tuple[int, int] = (12, 8)
    unit: str = "short"
    text: Text | None = None
    steps: Sequence[tuple[float | None, str]] = ((None, "green"),)
    maximum: float | None = None
    minimum: float | None = 0
    columns: Sequence[tuple[str, Text, str]] = ()  # of a table: field, heading, unit
    stacked: bool = False


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; ``variables`` are Grafana's own objects but for their labels."""

    name: str
    title: Text
    text: Text
    panels: Sequence[Panel]
    since: str
    refresh: str
    variables: Sequence[dict[str, Any]] = field(default_factory=tuple)


LAG_STEPS = ((None, "green"), (10, "orange"), (60, "red"))
RATE_STEPS = ((None, "red"), (0.95, "orange"), (0.98, "green"))
NONE_STEPS = ((None, "green"), (1, "red"))
SOON_STEPS = ((None, "green"), (1, "orange"), (20, "red"))


def left(bound: str, selector: str = "") -> str:
    """Clocks with at most so many seconds left that are not overdue yet, before grouping."""
    more = f", {selector}" if selector else ""
    return (
        f'gridclock_time_left_seconds_bucket{{le="{bound}"{more}}} '
        f'- ignoring (le) gridclock_time_left_seconds_bucket{{le="0.0"{more}}}'
    )


def red_lines(window: str, by: str) -> str:
    """Red lines crossed, by an act or by a limit that ran out; less those taken back."""
    parts = (
        f'sum {by} (increase(gridclock_cases_ended_total{{{RED}, outcome=~"breached|met_late|violated"}}[{window}]))',
        f"(sum {by} (increase(gridclock_cases_reopened_total{{{RED}, outcome=~"
        f'"breached|met_late|violated"}}[{window}])) or 0 * sum {by} (gridclock_open_cases))',
    )
    return f"clamp_min({parts[0]} - {parts[1]}, 0) or {parts[0]}"


WALL = Dashboard(
    "wall",
    ("供电服务时限 · 大屏", "Service time limits · wall"),
    ("即将超时、今日红线、各市情况", "What runs out next, red lines today, by city"),
    [
        Panel("stat", ("在办计时", "Clocks running"), [("sum(gridclock_open_cases)", "")], (4, 4)),
        Panel(
            "stat",
            ("15 分钟内到期", "Running out within 15 min"),
            [(f"sum({left('900.0')})", "")],
            (4, 4),
            steps=SOON_STEPS,
        ),
        Panel(
            "stat",
            ("超时未办结", "Overdue and open"),
            [('sum(gridclock_time_left_seconds_bucket{le="0.0"})', "")],
            (4, 4),
            steps=NONE_STEPS,
        ),
        Panel(
            "stat",
            ("今日红线", "Red lines today"),
            [(f"round({red_lines('$__range', '')})", "")],
            (4, 4),
            steps=NONE_STEPS,
        ),
        Panel(
            "stat",
            ("日及时率", "On-time rate, a day"),
            [("gridclock:on_time:ratio1d", "")],
            (4, 4),
            "percentunit",
            steps=RATE_STEPS,
            maximum=1,
        ),
        Panel(
            "stat",
            ("时钟滞后", "Clock behind"),
            [("max(min by (partition) (gridclock_watermark_lag_seconds))", "")],
            (4, 4),
            "s",
            ("大于 60 秒时，超时尚未全部报出", "Over 60 s, not every breach has been told yet"),
            steps=LAG_STEPS,
        ),
        Panel(
            "table",
            ("即将超时（按规则和地市）", "What runs out next, by rule and city"),
            [
                (
                    f"1000 * min by (rule, title_LANG, city) (gridclock_next_deadline_timestamp_seconds {TITLED})",
                    "next",
                ),
                (f"sum by (rule, title_LANG, city) (({left('900.0')}) {TITLED})", "soon"),
                (f"sum by (rule, title_LANG, city) (({left('3600.0')}) {TITLED})", "hour"),
                (
                    f'sum by (rule, title_LANG, city) (gridclock_time_left_seconds_bucket{{le="0.0"}} {TITLED})',
                    "overdue",
                ),
            ],
            (16, 12),
            columns=(
                ("title_LANG", ("规则", "Rule"), "string"),
                ("city", ("地市", "City"), "string"),
                ("Value #A", ("最近到期", "Next deadline"), "dateTimeAsIsoNoDateIfToday"),
                ("Value #B", ("15 分钟内", "Within 15 min"), "short"),
                ("Value #C", ("1 小时内", "Within 1 h"), "short"),
                ("Value #D", ("已超时", "Overdue"), "short"),
            ),
        ),
        Panel(
            "bargauge",
            ("今日红线（按地市）", "Red lines today, by city"),
            [(f"round({red_lines('$__range', 'by (city)')})", "{{city}}")],
            (8, 6),
            steps=NONE_STEPS,
        ),
        Panel(
            "bargauge",
            ("日及时率（按地市）", "On-time rate of a day, by city"),
            [("city:gridclock_on_time:ratio1d", "{{city}}")],
            (8, 6),
            "percentunit",
            steps=RATE_STEPS,
            maximum=1,
        ),
        Panel(
            "timeseries",
            ("超时与违规（每 15 分钟）", "Breaches and violations, a quarter of an hour"),
            [
                ("sum by (city) (increase(gridclock_breaches_total[15m]))", ("超时 {{city}}", "breaches {{city}}")),
                (
                    "sum by (city) (increase(gridclock_violations_total[15m]))",
                    ("违规 {{city}}", "violations {{city}}"),
                ),
            ],
            (12, 8),
        ),
        Panel(
            "timeseries",
            ("在办计时（按剩余比例）", "Clocks running, by the fraction left"),
            [
                ('sum(gridclock_time_left_ratio_bucket{le="0.0"})', ("已超时", "overdue")),
                *(
                    (
                        f'sum(gridclock_time_left_ratio_bucket{{le="{high}"}}) '
                        f'- sum(gridclock_time_left_ratio_bucket{{le="{low}"}})',
                        text,
                    )
                    for low, high, text in (
                        ("0.0", "0.2", "0–20 %"),
                        ("0.2", "0.5", "20–50 %"),
                        ("0.5", "1.0", "50–100 %"),
                    )
                ),
            ],
            (12, 8),
            stacked=True,
        ),
    ],
    since="now/d",
    refresh="10s",
)


def windows() -> Iterator[Panel]:
    """On-time rates of a chapter by day, week, month."""
    for window, title in (("1d", ("日", "day")), ("7d", ("周", "week")), ("30d", ("月", "month"))):
        yield Panel(
            "stat",
            (f"及时率（{title[ZH]}）", f"On-time rate, a {title[EN]}"),
            [
                (
                    f"clamp_max(sum(rule_county:gridclock_cases_met:net{window}{{{OF_CHAPTER}}}) "
                    f"/ (sum(rule_county:gridclock_cases_decided:net{window}{{{OF_CHAPTER}}}) > 0), 1)",
                    "",
                )
            ],
            (4, 4),
            "percentunit",
            steps=RATE_STEPS,
            maximum=1,
        )


CHAPTER = Dashboard(
    "chapter",
    ("供电服务时限 · 专业", "Service time limits · chapter"),
    ("482 号文六章，每章一页：在上方选择", "The six chapters of the standard, a page each: choose above"),
    [
        *windows(),
        Panel("stat", ("在办计时", "Clocks running"), [(f"sum(gridclock_open_cases{{{OF_CHAPTER}}})", "")], (4, 4)),
        Panel(
            "stat",
            ("1 小时内到期", "Running out within 1 h"),
            [(f"sum({left('3600.0', OF_CHAPTER)})", "")],
            (4, 4),
            steps=SOON_STEPS,
        ),
        Panel(
            "stat",
            ("超时未办结", "Overdue and open"),
            [(f'sum(gridclock_time_left_seconds_bucket{{le="0.0", {OF_CHAPTER}}})', "")],
            (4, 4),
            steps=NONE_STEPS,
        ),
        Panel(
            "table",
            ("各规则", "By rule"),
            [
                (
                    "max by (rule, title_LANG, severity, clause) (gridclock_rule_info{chapter='$chapter'})",
                    "info",
                ),
                (f"sum by (rule) (rule_county:gridclock_cases_decided:net1d{{{OF_CHAPTER}}})", "decided"),
                (
                    f"clamp_max(sum by (rule) (rule_county:gridclock_cases_met:net1d{{{OF_CHAPTER}}}) "
                    f"/ (sum by (rule) (rule_county:gridclock_cases_decided:net1d{{{OF_CHAPTER}}}) > 0), 1)",
                    "rate",
                ),
                (f"sum by (rule) (gridclock_open_cases{{{OF_CHAPTER}}})", "open"),
                (f'sum by (rule) (gridclock_time_left_seconds_bucket{{le="0.0", {OF_CHAPTER}}})', "overdue"),
                (f"sum by (rule) (increase(gridclock_breaches_total{{{OF_CHAPTER}}}[$__range]))", "breaches"),
                (f"sum by (rule) (increase(gridclock_violations_total{{{OF_CHAPTER}}}[$__range]))", "violations"),
            ],
            (24, 10),
            columns=(
                ("title_LANG", ("规则", "Rule"), "string"),
                ("clause", ("条款", "Clause"), "string"),
                ("severity", ("级别", "Severity"), "string"),
                ("Value #B", ("日办结判定", "Decided in a day"), "short"),
                ("Value #C", ("日及时率", "On-time rate"), "percentunit"),
                ("Value #D", ("在办", "Running"), "short"),
                ("Value #E", ("超时未办结", "Overdue"), "short"),
                ("Value #F", ("超时", "Breaches"), "short"),
                ("Value #G", ("违规", "Violations"), "short"),
            ),
        ),
        Panel(
            "timeseries",
            ("日及时率（按规则）", "On-time rate of a day, by rule"),
            [
                (
                    f'avg by (title_LANG) (rule:gridclock_on_time:ratio1d{{chapter="$chapter"}} {TITLED})',
                    "{{title_LANG}}",
                )
            ],
            unit="percentunit",
            maximum=1,
            minimum=None,
        ),
        Panel(
            "timeseries",
            ("超时与违规（按规则，每小时）", "Breaches and violations by rule, an hour"),
            [
                (
                    "sum by (title_LANG) ("
                    f"increase(gridclock_breaches_total{{{OF_CHAPTER}}}[1h]) {TITLED} "
                    f"or increase(gridclock_violations_total{{{OF_CHAPTER}}}[1h]) {TITLED})",
                    "{{title_LANG}}",
                )
            ],
        ),
        Panel(
            "bargauge",
            ("剩余时间分布", "Clocks by the fraction left"),
            [(f"sum by (le) (gridclock_time_left_ratio_bucket{{{OF_CHAPTER}}})", "{{le}}")],
            text=("累计：剩余不超过该比例的计时数", "Cumulative: clocks with at most that fraction left"),
        ),
        Panel(
            "table",
            ("区县及时率（日）", "On-time rate of a day by county"),
            [
                (
                    f"clamp_max(sum by (city, county) (rule_county:gridclock_cases_met:net1d{{{OF_CHAPTER}}}) "
                    f"/ (sum by (city, county) (rule_county:gridclock_cases_decided:net1d{{{OF_CHAPTER}}}) > 0), 1)",
                    "rate",
                ),
                (
                    f"sum by (city, county) (rule_county:gridclock_cases_decided:net1d{{{OF_CHAPTER}}})",
                    "decided",
                ),
                (f"sum by (city, county) (gridclock_open_cases{{{OF_CHAPTER}}})", "open"),
            ],
            columns=(
                ("city", ("地市", "City"), "string"),
                ("county", ("区县", "County"), "string"),
                ("Value #A", ("日及时率", "On-time rate"), "percentunit"),
                ("Value #B", ("日办结判定", "Decided in a day"), "short"),
                ("Value #C", ("在办", "Running"), "short"),
            ),
        ),
    ],
    since="now-24h",
    refresh="1m",
    variables=[
        {
            "name": "chapter",
            "type": "custom",
            "label": ("专业", "Chapter"),
            "options": CHAPTERS,
        },
        {
            "name": "city",
            "type": "query",
            "label": ("地市", "City"),
            "query": "label_values(gridclock_open_cases, city)",
        },
    ],
)

PROGRAM = Dashboard(
    "program",
    ("供电服务时限 · 程序性能", "Service time limits · the program"),
    ("时钟、延迟、吞吐、拒收、状态、资源、通知", "Clock, delay, throughput, refusals, state, resources, telling"),
    [
        Panel(
            "stat",
            ("工作进程", "Workers up"),
            [('sum(up{job="gridclock"})', "")],
            (4, 4),
            steps=((None, "red"), (1, "green")),
        ),
        Panel(
            "stat",
            ("无人处理的分区", "Partitions unattended"),
            [
                (
                    "max(gridclock_log_partitions) - count(count by (partition) (gridclock_watermark_lag_seconds))",
                    "",
                )
            ],
            (4, 4),
            steps=NONE_STEPS,
        ),
        Panel(
            "stat",
            ("时钟滞后", "Clock behind"),
            [("max(min by (partition) (gridclock_watermark_lag_seconds))", "")],
            (4, 4),
            "s",
            steps=LAG_STEPS,
        ),
        Panel(
            "stat",
            ("超时告警延迟 95%", "Breach told after, 95%"),
            [
                (
                    "histogram_quantile(0.95, sum by (le) "
                    '(increase(gridclock_detection_delay_seconds_bucket{kind="breach"}[$__range])))',
                    "",
                )
            ],
            (4, 4),
            "s",
            steps=((None, "green"), (2, "orange"), (5, "red")),
        ),
        Panel("stat", ("保留对象", "Subjects kept"), [("sum(gridclock_subjects)", "")], (4, 4)),
        Panel(
            "table",
            ("版本", "Versions"),
            [("sum by (version, python) (gridclock_build_info)", "")],
            (4, 4),
            columns=(
                ("version", ("版本", "Version"), "string"),
                ("python", ("Python", "Python"), "string"),
                ("Value", ("进程数", "Workers"), "short"),
            ),
        ),
        Panel(
            "timeseries",
            ("时钟滞后（按日志分区）", "Clock behind, by log partition"),
            [("min by (partition) (gridclock_watermark_lag_seconds)", "{{partition}}")],
            unit="s",
        ),
        Panel(
            "timeseries",
            ("数据源滞后", "Sources behind"),
            [("max by (source) (gridclock_source_lag_seconds)", "{{source}}")],
            unit="s",
        ),
        Panel(
            "timeseries",
            ("告警延迟", "Delay from the instant to the alert"),
            [
                (
                    f"histogram_quantile({quantile}, sum by (le) "
                    '(rate(gridclock_detection_delay_seconds_bucket{kind=~"breach|violation"}[$__rate_interval])))',
                    f"{quantile}",
                )
                for quantile in (0.5, 0.95, 0.99)
            ],
            unit="s",
        ),
        Panel(
            "timeseries",
            ("进入事件", "Events in"),
            [("sum by (family) (rate(gridclock_events_total[$__rate_interval]))", "{{family}}")],
            unit="eps",
            stacked=True,
        ),
        Panel(
            "timeseries",
            ("入历史的事件", "Events into histories"),
            [
                ("sum by (notice) (rate(gridclock_entries_total[$__rate_interval]))", "{{notice}}"),
                (
                    "sum(rate(gridclock_events_unwatched_total[$__rate_interval]))",
                    ("无规则关注", "unwatched"),
                ),
            ],
            unit="eps",
        ),
        Panel(
            "timeseries",
            ("拒收（按原因）", "Dead letters, by reason"),
            [("sum by (reason) (increase(gridclock_dead_letters_total[5m])) > 0", "{{reason}}")],
        ),
        Panel(
            "timeseries",
            ("每条日志记录的处理时间", "Work on one record of the log"),
            [
                (
                    f"histogram_quantile({quantile}, sum by (le) "
                    "(rate(gridclock_processing_seconds_bucket[$__rate_interval])))",
                    f"{quantile}",
                )
                for quantile in (0.5, 0.99)
            ],
            unit="s",
        ),
        Panel(
            "timeseries",
            ("忙碌比例", "Part of the time at work"),
            [("sum by (instance) (rate(gridclock_processing_seconds_sum[$__rate_interval]))", "{{instance}}")],
            unit="percentunit",
        ),
        Panel(
            "timeseries",
            ("状态", "State"),
            [("sum by (instance) (gridclock_state_bytes)", "{{instance}}")],
            unit="bytes",
        ),
        Panel(
            "timeseries",
            ("保留对象（按分区）", "Subjects kept, by partition"),
            [("max by (partition) (gridclock_subjects)", "{{partition}}")],
        ),
        Panel(
            "timeseries",
            ("内存", "Memory"),
            [('process_resident_memory_bytes{job="gridclock"}', "{{instance}}")],
            unit="bytes",
        ),
        Panel(
            "timeseries",
            ("处理器", "Processor"),
            [('rate(process_cpu_seconds_total{job="gridclock"}[$__rate_interval])', "{{instance}}")],
            unit="percentunit",
        ),
        Panel(
            "timeseries",
            ("恢复时间", "Recovery"),
            [
                (
                    "sum by (instance) (gridclock_recovery_seconds_sum) "
                    "/ sum by (instance) (gridclock_recovery_seconds_count)",
                    ("启动以来平均 {{instance}}", "mean since start {{instance}}"),
                )
            ],
            unit="s",
            text=("从分区分配到开始处理第一条记录", "From a partition's assignment to its first record"),
        ),
        Panel(
            "timeseries",
            ("告警（每小时）", "Alerts, an hour"),
            [
                (f"sum(increase(gridclock_{name}_total[1h]))", text)
                for name, text in (
                    ("warnings", ("预警", "warnings")),
                    ("breaches", ("超时", "breaches")),
                    ("late_completions", ("逾期办结", "late completions")),
                    ("violations", ("违规", "violations")),
                    ("retractions", ("撤回", "retractions")),
                )
            ],
        ),
        Panel(
            "timeseries",
            ("统计在办计时所用时间", "Looking at all running clocks takes"),
            [("max by (instance) (gridclock_scan_seconds)", "{{instance}}")],
            unit="s",
        ),
        Panel(
            "stat",
            ("投递中的通知进程", "Notifiers delivering"),
            [("sum(gridclock_notify_active)", "")],
            (4, 8),
            steps=((None, "red"), (1, "green"), (2, "red")),
        ),
        Panel(
            "stat",
            ("待汇总或静默期后通知", "Alerts waiting to be told"),
            [("sum(gridclock_notify_waiting)", "")],
            (4, 8),
        ),
        Panel(
            "timeseries",
            ("消息（按渠道和结果）", "Messages, by channel and outcome"),
            [
                (
                    "sum by (channel, outcome) (increase(gridclock_notify_deliveries_total[5m]))",
                    "{{channel}} {{outcome}}",
                )
            ],
            (16, 8),
        ),
        Panel(
            "timeseries",
            ("待发消息（按渠道）", "Outbox, by channel"),
            [("sum by (channel) (gridclock_notify_outbox)", "{{channel}}")],
        ),
        Panel(
            "timeseries",
            ("送达延迟 95%（按渠道）", "Delay to the receiver, 95%, by channel"),
            [
                (
                    "histogram_quantile(0.95, sum by (le, channel) "
                    f"(rate(gridclock_notify_{name}_seconds_bucket[$__rate_interval])))",
                    text,
                )
                for name, text in (
                    ("detected_delay", ("自发现 {{channel}}", "since detection {{channel}}")),
                    ("delay", ("自计划 {{channel}}", "since planned {{channel}}")),
                )
            ],
            unit="s",
        ),
        Panel(
            "timeseries",
            ("投递失败的尝试", "Attempts that failed"),
            [
                (
                    "sum by (channel, reason) (increase(gridclock_notify_attempts_failed_total[5m])) > 0 "
                    "or sum(increase(gridclock_notify_attempts_failed_total[5m]))",
                    "{{channel}} {{reason}}",
                )
            ],
        ),
        Panel(
            "timeseries",
            ("读入告警、升级、签收（每小时）", "Alerts read, escalations, acknowledgements, an hour"),
            [
                ("sum by (kind) (increase(gridclock_notify_alerts_total[1h]))", "{{kind}}"),
                (
                    "sum by (level) (increase(gridclock_notify_escalations_total[1h]))",
                    ("升级 {{level}}", "to {{level}}"),
                ),
                ("sum by (action) (increase(gridclock_notify_acknowledgements_total[1h]))", "{{action}}"),
            ],
        ),
    ],
    since="now-6h",
    refresh="30s",
)

DASHBOARDS = (WALL, CHAPTER, PROGRAM)


# --- Grafana's JSON -------------------------------------------------------------------------------------


def said(text: str | Text, language: int) -> str:
    """A text in one language, with LANG filled in."""
    found = text if isinstance(text, str) else text[language]
    return found.replace("LANG", LANGUAGES[language])


def target(number: int, query: tuple[str, str | Text], panel: Panel, language: int) -> dict[str, Any]:
    """One query of a panel."""
    expression, legend = query
    instant = panel.kind in ("table", "stat", "bargauge")
    return {
        "refId": chr(ord("A") + number),
        "datasource": DATASOURCE,
        "expr": said(expression, language),
        "legendFormat": said(legend, language),
        "instant": instant,
        "range": not instant,
        "format": "table" if panel.kind == "table" else "time_series",
    }


def drawn(panel: Panel, number: int, place: tuple[int, int], language: int) -> dict[str, Any]:
    """One panel at a place of the grid."""
    width, height = panel.size
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": color} for value, color in panel.steps],
        },
    }
    if panel.minimum is not None:
        defaults["min"] = panel.minimum
    if panel.maximum is not None:
        defaults["max"] = panel.maximum
    found: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title[language],
        "description": panel.text[language] if panel.text else "",
        "datasource": DATASOURCE,
        "gridPos": {"x": place[0], "y": place[1], "w": width, "h": height},
        "targets": [target(index, query, panel, language) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
    }
    match panel.kind:
        case "stat":
            found["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background"}
        case "bargauge":
            found["options"] = {"orientation": "horizontal", "displayMode": "basic"}
        case "timeseries":
            defaults["custom"] = {
                "fillOpacity": 30 if panel.stacked else 5,
                "stacking": {"mode": "normal" if panel.stacked else "none"},
            }
            found["options"] = {"legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull"]}}
        case "table":
            found |= as_table(panel, language)
            found["fieldConfig"]["overrides"] = [
                {
                    "matcher": {"id": "byName", "options": heading[language]},
                    "properties": [{"id": "unit", "value": unit}],
                }
                for _, heading, unit in panel.columns
            ]
    return found


def as_table(panel: Panel, language: int) -> dict[str, Any]:
    """The queries' rows merged by their labels; columns in order, with headings, and no others."""
    names = [said(name, language) for name, _, _ in panel.columns]
    organize = {
        "renameByName": {name: heading[language] for name, (_, heading, _) in zip(names, panel.columns, strict=True)},
        "indexByName": {name: index for index, name in enumerate(names)},
        "includeByName": dict.fromkeys(names, True),
    }
    return {
        "options": {"sortBy": [{"displayName": panel.columns[0][1][language]}]},
        "transformations": [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}],
    }


def variable(given: dict[str, Any], language: int) -> dict[str, Any]:
    """One of the choices above the page."""
    found: dict[str, Any] = {"name": given["name"], "type": given["type"], "label": given["label"][language]}
    if given["type"] == "custom":
        options = [(text[language], value) for value, text in given["options"]]
        found |= {
            "query": ", ".join(f"{text} : {value}" for text, value in options),
            "current": {"text": options[0][0], "value": options[0][1]},
            "options": [
                {"text": text, "value": value, "selected": number == 0} for number, (text, value) in enumerate(options)
            ],
        }
    else:
        found |= {
            "datasource": DATASOURCE,
            "query": {"query": given["query"], "refId": given["name"]},
            "definition": given["query"],
            "refresh": 2,
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "current": {"text": ["All"], "value": ["$__all"]},
        }
    return found


def rendered(dashboard: Dashboard, language: int) -> dict[str, Any]:
    """One dashboard in one language; panels from left to right, and a new row where one does not fit."""
    panels, x, y, row = [], 0, 0, 0
    for number, panel in enumerate(dashboard.panels, 1):
        width, height = panel.size
        if x + width > 24:
            x, y, row = 0, y + row, 0
        panels.append(drawn(panel, number, (x, y), language))
        x, row = x + width, max(row, height)
    here = LANGUAGES[language]
    other = LANGUAGES[1 - language]
    links = [
        {
            "type": "link",
            "title": said(("English", "中文"), language),
            "url": f"/d/gridclock-{dashboard.name}-{other}",
            "keepTime": True,
            "includeVars": True,
        },
        *(
            {
                "type": "link",
                "title": another.title[language],
                "url": f"/d/gridclock-{another.name}-{here}",
                "keepTime": False,
            }
            for another in DASHBOARDS
            if another is not dashboard
        ),
    ]
    return {
        "uid": f"gridclock-{dashboard.name}-{here}",
        "title": dashboard.title[language],
        "description": dashboard.text[language],
        "tags": ["gridclock", here],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "timezone": "Asia/Shanghai",
        "refresh": dashboard.refresh,
        "time": {"from": dashboard.since, "to": "now"},
        "templating": {"list": [variable(one, language) for one in dashboard.variables]},
        "annotations": {"list": []},
        "links": links,
        "panels": panels,
    }


def files() -> dict[Path, str]:
    """Every file with what must be in it."""
    return {
        HERE / "dashboards" / name / f"{dashboard.name}.json": json.dumps(
            rendered(dashboard, language), ensure_ascii=False, indent=1
        )
        + "\n"
        for dashboard in DASHBOARDS
        for language, name in enumerate(LANGUAGES)
    }


def main() -> int:
    """Write or check; 1 where something is not fresh."""
    stale = [path for path, text in files().items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path}: not what generate.py makes; run it", file=sys.stderr)  # noqa: T201
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files()[path], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
