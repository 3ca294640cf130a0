"""One page a chapter of the standard: its rates, its rules, its counties."""

from __future__ import annotations

from panels import (
    NONE_STEPS,
    SOON_STEPS,
    TITLED,
    Dashboard,
    Text,
    bars,
    grown,
    left,
    overdue,
    rate,
    series,
    stat,
    table,
)

CHAPTERS: tuple[tuple[str, Text], ...] = (
    ("W", ("营业窗口", "Counter service")),
    ("B", ("业扩办电", "New connections")),
    ("M", ("装表接电", "Metering")),
    ("R", ("抄表收费", "Reading and collection")),
    ("I", ("用电检查", "Inspection")),
    ("F", ("故障抢修", "Fault repair")),
)
WINDOWS: tuple[tuple[str, Text], ...] = (("1d", ("日", "day")), ("7d", ("周", "week")), ("30d", ("月", "month")))
OF_CHAPTER = 'chapter="$chapter", city=~"$city"'
BY_RULE = "sum by (rule)"
BY_COUNTY = "sum by (city, county)"


def decided(grouped: str, window: str = "1d") -> str:
    """Cases decided; ``grouped`` is the aggregation with its labels."""
    return f"{grouped} (rule_county:gridclock_cases_decided:net{window}{{{OF_CHAPTER}}})"


def on_time(grouped: str, window: str = "1d") -> str:
    """The fraction of the decided cases that was met in time."""
    met = f"{grouped}(rule_county:gridclock_cases_met:net{window}{{{OF_CHAPTER}}})"
    of = f"{grouped}(rule_county:gridclock_cases_decided:net{window}{{{OF_CHAPTER}}})"
    return f"clamp_max({met} / ({of} > 0), 1)"


CHAPTER = Dashboard(
    "chapter",
    ("供电服务时限 · 专业", "Service time limits · chapter"),
    ("482 号文六章，每章一页：在上方选择", "The six chapters of the standard, a page each: choose above"),
    [
        *(rate(f"及时率（{zh}）", f"On-time rate, a {en}", on_time("sum", window)) for window, (zh, en) in WINDOWS),
        stat("在办计时", "Clocks running", f"sum(gridclock_open_cases{{{OF_CHAPTER}}})"),
        stat("1 小时内到期", "Running out within 1 h", f"sum({left('3600.0', OF_CHAPTER)})", steps=SOON_STEPS),
        stat("超时未办结", "Overdue and open", f"sum({overdue(OF_CHAPTER)})", steps=NONE_STEPS),
        table(
            "各规则",
            "By rule",
            [
                ("max by (rule, title_LANG, severity, clause) (gridclock_rule_info{chapter='$chapter'})", "info"),
                (decided(BY_RULE), "decided"),
                (on_time(f"{BY_RULE} "), "rate"),
                (f"{BY_RULE} (gridclock_open_cases{{{OF_CHAPTER}}})", "open"),
                (f"{BY_RULE} ({overdue(OF_CHAPTER)})", "overdue"),
                (f"{BY_RULE} {grown(f'gridclock_breaches_total{{{OF_CHAPTER}}}', '$__range')}", "breaches"),
                (f"{BY_RULE} {grown(f'gridclock_violations_total{{{OF_CHAPTER}}}', '$__range')}", "violations"),
            ],
            [
                ("title_LANG", ("规则", "Rule"), "string"),
                ("clause", ("条款", "Clause"), "string"),
                ("severity", ("级别", "Severity"), "string"),
                ("Value #B", ("日办结判定", "Decided in a day"), "short"),
                ("Value #C", ("日及时率", "On-time rate"), "percentunit"),
                ("Value #D", ("在办", "Running"), "short"),
                ("Value #E", ("超时未办结", "Overdue"), "short"),
                ("Value #F", ("超时", "Breaches"), "short"),
                ("Value #G", ("违规", "Violations"), "short"),
            ],
            (24, 10),
        ),
        series(
            "日及时率（按规则）",
            "On-time rate of a day, by rule",
            (f'avg by (title_LANG) (rule:gridclock_on_time:ratio1d{{chapter="$chapter"}} {TITLED})', "{{title_LANG}}"),
            unit="percentunit",
            maximum=1,
            minimum=None,
        ),
        series(
            "超时与违规（按规则，每小时）",
            "Breaches and violations by rule, an hour",
            (
                "sum by (title_LANG) ("
                f"increase(gridclock_breaches_total{{{OF_CHAPTER}}}[1h]) {TITLED} "
                f"or increase(gridclock_violations_total{{{OF_CHAPTER}}}[1h]) {TITLED})",
                "{{title_LANG}}",
            ),
        ),
        bars(
            "剩余时间分布",
            "Clocks by the fraction left",
            f"sum by (le) (gridclock_time_left_ratio_bucket{{{OF_CHAPTER}}})",
            "{{le}}",
            size=(12, 8),
            text=("累计：剩余不超过该比例的计时数", "Cumulative: clocks with at most that fraction left"),
        ),
        table(
            "区县及时率（日）",
            "On-time rate of a day by county",
            [
                (on_time(f"{BY_COUNTY} "), "rate"),
                (decided(BY_COUNTY), "decided"),
                (f"{BY_COUNTY} (gridclock_open_cases{{{OF_CHAPTER}}})", "open"),
            ],
            [
                ("city", ("地市", "City"), "string"),
                ("county", ("区县", "County"), "string"),
                ("Value #A", ("日及时率", "On-time rate"), "percentunit"),
                ("Value #B", ("日办结判定", "Decided in a day"), "short"),
                ("Value #C", ("在办", "Running"), "short"),
            ],
        ),
    ],
    since="now-24h",
    refresh="1m",
    variables=[
        {"name": "chapter", "type": "custom", "label": ("专业", "Chapter"), "options": CHAPTERS},
        {
            "name": "city",
            "type": "query",
            "label": ("地市", "City"),
            "query": "label_values(gridclock_open_cases, city)",
        },
    ],
)
