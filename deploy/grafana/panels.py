"""What the dashboards are described with: panels by their kind, and the pieces that their queries share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Text = tuple[str, str]  # Chinese, English
Query = tuple[str, str | Text]  # PromQL expression or SQL, legend
Column = tuple[str, Text, str]  # of a table: field, heading, unit
Steps = Sequence[tuple[float | None, str]]
ZH, EN = 0, 1
LANGUAGES = ("zh", "en")

LAG_STEPS: Steps = ((None, "green"), (10, "orange"), (60, "red"))
RATE_STEPS: Steps = ((None, "red"), (0.95, "orange"), (0.98, "green"))
NONE_STEPS: Steps = ((None, "green"), (1, "red"))
SOON_STEPS: Steps = ((None, "green"), (1, "orange"), (20, "red"))
DELAY_STEPS: Steps = ((None, "green"), (2, "orange"), (5, "red"))
UP_STEPS: Steps = ((None, "red"), (1, "green"))


@dataclass(frozen=True)
class Panel:
    """One panel; ``size`` is width and height in Grafana's grid of 24 columns."""

    kind: str
    title: Text
    queries: Sequence[Query]
    size: tuple[int, int] = (12, 8)
    unit: str = "short"
    text: Text | None = None
    steps: Steps = ((None, "green"),)
    maximum: float | None = None
    minimum: float | None = 0
    columns: Sequence[Column] = ()
    stacked: bool = False


@dataclass(frozen=True)
class Dashboard:
    """One dashboard on one data source; ``variables`` are Grafana's own objects but for their labels."""

    name: str
    title: Text
    text: Text
    panels: Sequence[Panel]
    since: str
    refresh: str
    variables: Sequence[dict[str, Any]] = field(default_factory=tuple)
    source: str = "prometheus"


def stat(zh: str, en: str, query: str, *, size: tuple[int, int] = (4, 4), **more: Any) -> Panel:
    """One figure."""
    return Panel("stat", (zh, en), [(query, "")], size, **more)


def rate(zh: str, en: str, query: str, *, size: tuple[int, int] = (4, 4)) -> Panel:
    """One fraction of one, shown as a percentage."""
    return stat(zh, en, query, size=size, unit="percentunit", steps=RATE_STEPS, maximum=1)


def bars(zh: str, en: str, query: str, legend: str, *, size: tuple[int, int] = (8, 6), **more: Any) -> Panel:
    """One bar for each value of a label."""
    return Panel("bargauge", (zh, en), [(query, legend)], size, **more)


def series(zh: str, en: str, *queries: Query, **more: Any) -> Panel:
    """Lines over time."""
    return Panel("timeseries", (zh, en), queries, **more)


def table(
    zh: str, en: str, queries: Sequence[Query], columns: Sequence[Column], size: tuple[int, int] = (12, 8)
) -> Panel:
    """The rows of all queries merged by their labels; only the columns named, in their order."""
    return Panel("table", (zh, en), queries, size, columns=columns)


# The title of a rule instead of its id; the language is put in for LANG.
# One title a rule, also while workers of two versions run: two would make the whole query fail.
TITLED = "* on (rule) group_left (title_LANG) topk by (rule) (1, max by (rule, title_LANG) (gridclock_rule_info))"
RED = 'severity="red_line"'
CLOCK_BEHIND = "max(min by (partition) (gridclock_watermark_lag_seconds))"
UNATTENDED = "max(gridclock_log_partitions) - count(count by (partition) (gridclock_watermark_lag_seconds))"
OUTCOMES = 'outcome=~"breached|met_late|violated"'


# Names of cities, where organisations.yaml gives them; one a code, as with the titles of rules.
NAMES = 'label_join(topk by (code) (1, max by (code, name_LANG) (gridclock_organisation_info)), "city", "", "code")'


def with_names(by_city: str) -> str:
    """A query by city with the name before the code, or the code alone where it has no name."""
    named = f"({by_city}) * on (city) group_left (name_LANG) {NAMES}"
    return f'label_join({named}, "city", " ", "name_LANG", "city") or ({by_city}) unless on (city) {NAMES}'


def overdue(selector: str = "") -> str:
    """Open clocks past their deadline, before grouping."""
    more = f", {selector}" if selector else ""
    return f'gridclock_time_left_seconds_bucket{{le="0.0"{more}}}'


def left(bound: str, selector: str = "") -> str:
    """Clocks with at most so many seconds left that are not overdue yet, before grouping."""
    more = f", {selector}" if selector else ""
    return f'gridclock_time_left_seconds_bucket{{le="{bound}"{more}}} - ignoring (le) {overdue(selector)}'


def grown(counter: str, window: str) -> str:
    """By how much each counter grew in a window that ends now, before grouping.

    ``increase`` leaves out the value with which a counter first appears, which is the first breach of a rule in a
    place; so the whole value counts of those that were not there when the window began, or that before a restart where
    it is higher.
    """
    began = f"last_over_time({counter}[5m] offset {window})"  # one failed scrape is no absence
    return f"(increase({counter}[{window}]) and {began} or max_over_time({counter}[{window}]) unless {began})"


def red_lines(window: str, by: str) -> str:
    """Red lines crossed, by an act or by a limit that ran out; less those taken back."""
    ended = f"sum {by} {grown(f'gridclock_cases_ended_total{{{RED}, {OUTCOMES}}}', window)}"
    reopened = (
        f"(sum {by} {grown(f'gridclock_cases_reopened_total{{{RED}, {OUTCOMES}}}', window)} "
        f"or 0 * sum {by} (gridclock_open_cases))"
    )
    return f"clamp_min({ended} - {reopened}, 0) or {ended}"


def quantile(value: float, by: str, buckets: str) -> str:
    """A quantile of a histogram; ``buckets`` is a rate or increase of its buckets."""
    return f"histogram_quantile({value}, sum by ({by}) ({buckets}))"
