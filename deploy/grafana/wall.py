"""The wall: what runs out next, red lines today, by city."""

from __future__ import annotations

from panels import (
    CLOCK_BEHIND,
    LAG_STEPS,
    NONE_STEPS,
    RATE_STEPS,
    SOON_STEPS,
    TITLED,
    UNATTENDED,
    Dashboard,
    bars,
    left,
    overdue,
    rate,
    red_lines,
    series,
    stat,
    table,
    with_names,
)

SMALL = (3, 4)
BY_RULE_AND_CITY = "by (rule, title_LANG, city)"
FRACTIONS = (("0.0", "0.2", "0–20 %"), ("0.2", "0.5", "20–50 %"), ("0.5", "1.0", "50–100 %"))


def fraction(bound: str) -> str:
    """Clocks with at most this fraction of their time left."""
    return f'sum(gridclock_time_left_ratio_bucket{{le="{bound}"}})'


WALL = Dashboard(
    "wall",
    ("供电服务时限 · 大屏", "Service time limits · wall"),
    ("即将超时、今日报出的红线、各市情况", "What runs out next, red lines reported today, by city"),
    [
        stat("运行中", "Running", f"sum(gridclock_open_cases) - (sum({overdue()}) or vector(0))", size=SMALL),
        stat("15 分钟内到期", "Due in 15 min", f"sum({left('900.0')})", size=SMALL, steps=SOON_STEPS),
        stat("超时未办结", "Overdue, open", f"sum({overdue()})", size=SMALL, steps=NONE_STEPS),
        stat(
            "今日报出红线",
            "Red lines reported today",
            f"round({red_lines('$__range', '')})",
            size=SMALL,
            steps=NONE_STEPS,
        ),
        rate("日及时率", "On-time rate, a day", "gridclock:on_time:ratio1d", size=SMALL),
        stat("无人处理的分区", "Partitions unattended", UNATTENDED, size=SMALL, steps=NONE_STEPS),
        stat("抓取失败", "Scrapes failed", 'sum(1 - up{job=~"gridclock.*"})', size=SMALL, steps=NONE_STEPS),
        stat(
            "时钟滞后",
            "Clock behind",
            CLOCK_BEHIND,
            size=SMALL,
            unit="s",
            text=("大于 60 秒时，超时尚未全部报出", "Over 60 s, not every breach has been reported yet"),
            steps=LAG_STEPS,
        ),
        table(
            "即将超时（按规则和地市）",
            "What runs out next, by rule and city",
            [
                (f"1000 * min {BY_RULE_AND_CITY} (gridclock_next_deadline_timestamp_seconds {TITLED})", "next"),
                (f"sum {BY_RULE_AND_CITY} (({left('900.0')}) {TITLED})", "soon"),
                (f"sum {BY_RULE_AND_CITY} (({left('3600.0')}) {TITLED})", "hour"),
                (f"sum {BY_RULE_AND_CITY} ({overdue()} {TITLED})", "overdue"),
            ],
            [
                ("title_LANG", ("规则", "Rule"), "string"),
                ("city", ("地市", "City"), "string"),
                ("Value #A", ("最近到期", "Next deadline"), "dateTimeAsIsoNoDateIfToday"),
                ("Value #B", ("15 分钟内", "Within 15 min"), "short"),
                ("Value #C", ("1 小时内", "Within 1 h"), "short"),
                ("Value #D", ("已超时", "Overdue"), "short"),
            ],
            (16, 12),
        ),
        bars(
            "今日报出红线（按地市）",
            "Red lines reported today, by city",
            with_names(f"round({red_lines('$__range', 'by (city)')})"),
            "{{city}}",
            steps=NONE_STEPS,
        ),
        bars(
            "日及时率（按地市）",
            "On-time rate of a day, by city",
            with_names("city:gridclock_on_time:ratio1d"),
            "{{city}}",
            unit="percentunit",
            steps=RATE_STEPS,
            maximum=1,
        ),
        series(
            "超时与违规（每 15 分钟）",
            "Breaches and violations, a quarter of an hour",
            ("sum by (city) (increase(gridclock_breaches_total[15m]))", ("超时 {{city}}", "breaches {{city}}")),
            ("sum by (city) (increase(gridclock_violations_total[15m]))", ("违规 {{city}}", "violations {{city}}")),
        ),
        series(
            "在办计时（按剩余比例）",
            "Clocks running, by the fraction left",
            (fraction("0.0"), ("已超时", "overdue")),
            *((f"{fraction(high)} - {fraction(low)}", text) for low, high, text in FRACTIONS),
            stacked=True,
        ),
    ],
    since="now/d",
    refresh="10s",
)
