"""The results in PostgreSQL, as ``gridclock sink`` writes them: exact on-time rates by day, month, unit and rule.

Every query is of the chosen time and cities. A day is one of the zone in which the dashboards are shown, which is that
of the rulebook.
"""

from __future__ import annotations

from panels import NONE_STEPS, Dashboard, Panel, rate, series, stat, table

ZONE = "Asia/Shanghai"
RATED = "sum(on_time)::double precision / nullif(sum(decided), 0)"
COUNTS = "sum(decided) AS decided, sum(decided) - sum(on_time) AS late"


def local_day(instant: str) -> str:
    """The local day of one end of the chosen time."""
    return f"({instant}::timestamptz AT TIME ZONE '{ZONE}')::date"


CITIES = "coalesce(city, '-') IN (${city:sqlstring})"
DAYS = f"day BETWEEN {local_day('$__timeFrom()')} AND {local_day('$__timeTo()')} AND {CITIES}"
BY_DAY = f"FROM gridclock.on_time_by_day WHERE {DAYS}"
# Whole months: a rate of a month that the chosen time cuts is that of the month.
MONTHS = (
    f"month BETWEEN date_trunc('month', {local_day('$__timeFrom()')}::timestamp)::date "
    f"AND {local_day('$__timeTo()')} AND {CITIES}"
)
TITLE = (
    "(SELECT title_LANG FROM gridclock.cases WHERE cases.rule = found.rule ORDER BY started_at DESC LIMIT 1) AS title"
)
# Of the day's first instant: that is where a day stands on a page that is shown in the same zone.
TIME = f"day::timestamp AT TIME ZONE '{ZONE}' AS time"

FIGURES = [
    rate("及时率", "On-time rate", f"SELECT {RATED} AS rate {BY_DAY}"),
    stat("已判定", "Decided", f"SELECT coalesce(sum(decided), 0) AS decided {BY_DAY}"),
    stat("超时或违规", "Late or violated", f"SELECT coalesce(sum(decided) - sum(on_time), 0) AS late {BY_DAY}"),
    stat(
        "触碰红线",
        "Red lines crossed",
        f"SELECT coalesce(sum(decided) - sum(on_time), 0) AS late {BY_DAY} AND severity = 'red_line'",
        steps=NONE_STEPS,
    ),
    stat(
        "超时未办结（现在）",
        "Overdue, open (now)",
        "SELECT count(*) AS overdue FROM gridclock.cases "
        f"WHERE outcome = 'breached' AND stopped_at IS NULL AND {CITIES}",
        steps=NONE_STEPS,
    ),
    stat(
        "在办（现在）",
        "Running (now)",
        f"SELECT count(*) AS running FROM gridclock.cases WHERE outcome = 'running' AND {CITIES}",
    ),
]

BY_TIME = [
    series(
        "及时率（按日）",
        "On-time rate by day",
        (f"SELECT {TIME}, {RATED} AS rate {BY_DAY} GROUP BY day ORDER BY day", ""),
        unit="percentunit",
        maximum=1,
    ),
    series(
        "已判定与超时（按日）",
        "Decided and late by day",
        (f"SELECT {TIME}, {COUNTS} {BY_DAY} GROUP BY day ORDER BY day", ""),
    ),
    table(
        "及时率（按月）",
        "On-time rate by month",
        [
            (
                f"SELECT to_char(month, 'YYYY-MM') AS month, {COUNTS}, {RATED} AS rate "
                f"FROM gridclock.on_time_by_month WHERE {MONTHS} GROUP BY month ORDER BY month DESC",
                "",
            )
        ],
        [
            ("month", ("月份", "Month"), "string"),
            ("decided", ("已判定", "Decided"), "short"),
            ("late", ("超时或违规", "Late or violated"), "short"),
            ("rate", ("及时率", "On-time rate"), "percentunit"),
        ],
    ),
]

BY_PLACE_AND_RULE = [
    table(
        "及时率（按单位）",
        "On-time rate by organisation",
        [
            (
                f"SELECT city, county, unit, {COUNTS}, {RATED} AS rate {BY_DAY} "
                "GROUP BY province, city, county, unit ORDER BY rate, decided DESC, city, county, unit",
                "",
            )
        ],
        [
            ("city", ("地市", "City"), "string"),
            ("county", ("区县", "County"), "string"),
            ("unit", ("供电所", "Unit"), "string"),
            ("decided", ("已判定", "Decided"), "short"),
            ("late", ("超时或违规", "Late or violated"), "short"),
            ("rate", ("及时率", "On-time rate"), "percentunit"),
        ],
    ),
    table(
        "及时率（按规则）",
        "On-time rate by rule",
        [
            (
                f"SELECT found.rule, {TITLE}, found.severity, found.decided, found.late, found.rate FROM "
                f"(SELECT rule, severity, {COUNTS}, {RATED} AS rate {BY_DAY} GROUP BY rule, severity) AS found "
                "ORDER BY found.rate, found.decided DESC, found.rule",
                "",
            )
        ],
        [
            ("rule", ("规则", "Rule"), "string"),
            ("title", ("名称", "Title"), "string"),
            ("severity", ("级别", "Severity"), "string"),
            ("decided", ("已判定", "Decided"), "short"),
            ("late", ("超时或违规", "Late or violated"), "short"),
            ("rate", ("及时率", "On-time rate"), "percentunit"),
        ],
    ),
]

STANDING = Panel(
    "table",
    ("超时与违规（有效，最近 200 条）", "Breaches and violations that stand, the newest 200"),
    [
        (
            "SELECT due_at, title_LANG AS title, severity, subject_id, city, county, unit, "
            "explanation_LANG AS sentence, incomplete FROM gridclock.standing_alerts "
            f"WHERE kind IN ('breach', 'violation') AND $__timeFilter(due_at) AND {CITIES} "
            "ORDER BY due_at DESC, alert_id LIMIT 200",
            "",
        )
    ],
    (24, 10),
    columns=[
        ("due_at", ("时间", "Due"), "dateTimeAsIso"),
        ("title", ("规则", "Rule"), "string"),
        ("severity", ("级别", "Severity"), "string"),
        ("subject_id", ("对象", "Subject"), "string"),
        ("city", ("地市", "City"), "string"),
        ("county", ("区县", "County"), "string"),
        ("unit", ("供电所", "Unit"), "string"),
        ("sentence", ("说明", "Explanation"), "string"),
        ("incomplete", ("可能不全", "May be incomplete"), "bool"),
    ],
)

RESULTS = Dashboard(
    "results",
    ("供电服务时限 · 结果", "Service time limits · results"),
    (
        "PostgreSQL 中的案件与告警：按日、月、单位、规则的及时率（需 gridclock sink）",
        "Cases and alerts in PostgreSQL: on-time rates by day, month, unit and rule (needs gridclock sink)",
    ),
    [*FIGURES, *BY_TIME, *BY_PLACE_AND_RULE, STANDING],
    since="now-30d",
    refresh="5m",
    variables=[
        {
            "name": "city",
            "type": "query",
            "label": ("地市", "City"),
            "query": "SELECT DISTINCT coalesce(city, '-') FROM gridclock.cases ORDER BY 1",
        },
    ],
    source="postgresql",
)
