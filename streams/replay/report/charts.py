"""Charts as inline SVG, drawn by pygal: no script, no external resource, the same bytes for the same figures.

A chart contains numbers and dates only; names are in the page beside it, in both languages, escaped by the template.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

import pygal
from markupsafe import Markup
from pygal.style import Style

from streams.replay.summary import LAST_STEP, STEP, Share

GOOD, BAD, INK = "#1f7a4d", "#c0392b", "#4a5560"
_DAYS_BY_DAY = 31
_DAYS_BY_WEEK = 200


@dataclass(frozen=True, slots=True)
class Periods:
    """Days, weeks or months: each by its first day and a label."""

    length: Literal["day", "week", "month"]
    starts: Sequence[tuple[date, str]]


def periods(first: date, last: date) -> Periods:
    """The periods of a range: days, weeks from Monday, or months."""
    length = (last - first).days + 1
    if length <= _DAYS_BY_DAY:
        return Periods("day", [(day, day.strftime("%m-%d")) for day in _days(first, last, 1)])
    if length <= _DAYS_BY_WEEK:
        monday = first - timedelta(days=first.weekday())
        return Periods("week", [(day, day.strftime("%m-%d")) for day in _days(monday, last, 7)])
    found: list[tuple[date, str]] = []
    day = first.replace(day=1)
    while day <= last:
        found.append((day, day.strftime("%Y-%m")))
        day = (day + timedelta(days=32)).replace(day=1)
    return Periods("month", found)


def _days(first: date, last: date, step: int) -> Iterator[date]:
    day = first
    while day <= last:
        yield day
        day += timedelta(days=step)


def in_periods(by_day: dict[date, Share], spans: Sequence[tuple[date, str]]) -> list[float | None]:
    """The percentage kept in each period; ``None`` where nothing was judged."""
    starts = [day for day, _ in spans]
    found = [Share() for _ in spans]
    position = 0
    for day, share in sorted(by_day.items()):
        while position + 1 < len(starts) and starts[position + 1] <= day:
            position += 1
        found[position].judged += share.judged
        found[position].broken += share.broken
    return [None if share.on_time is None else round(share.on_time * 100, 1) for share in found]


def on_time(values: Sequence[float | None], labels: Sequence[str], number: str) -> Markup:
    """The on-time percentage over time."""
    chart = pygal.Line(
        **_style(number, colors=(GOOD,)),
        range=(0, 100),
        dots_size=2.5,
        allow_interruptions=True,
        value_formatter=lambda value: f"{value:g}%",
    )
    chart.x_labels = list(labels)
    chart.x_labels_major = _some(labels)
    chart.show_minor_x_labels = False
    chart.y_labels = [0, 50, 100]
    chart.add(None, list(values))
    return _svg(chart)


def used(classes: dict[int, int], number: str) -> Markup:
    """The number of cases by the share of their limit used; those beyond it in the other colour."""
    full = round(1 / STEP)
    chart = pygal.StackedBar(**_style(number, colors=(GOOD, BAD)), value_formatter=lambda value: f"{value:g}")
    labels = [f"{n * STEP:.0%}" for n in range(LAST_STEP)] + [f"{LAST_STEP * STEP:.0%}+"]
    chart.x_labels = labels
    chart.x_labels_major = ["0%", "50%", "100%", "150%", labels[-1]]
    chart.show_minor_x_labels = False
    chart.add(None, [classes.get(n, 0) if n < full else 0 for n in range(LAST_STEP + 1)])
    chart.add(None, [classes.get(n, 0) if n >= full else 0 for n in range(LAST_STEP + 1)])
    return _svg(chart)


def _some(labels: Sequence[str]) -> list[str]:
    """About four of the labels, including the first and the last."""
    if len(labels) <= 4:
        return list(labels)
    return [labels[round(n * (len(labels) - 1) / 3)] for n in range(4)]


def _style(number: str, *, colors: tuple[str, ...]) -> dict[str, Any]:
    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground=INK,
        foreground_strong=INK,
        foreground_subtle="#c9d1d6",
        guide_stroke_color="#c9d1d6",
        major_guide_stroke_color="#c9d1d6",
        colors=colors,
        font_family="system-ui, sans-serif",
        label_font_size=13,
        major_label_font_size=13,
        value_font_size=11,
    )
    return {
        "style": style,
        "js": [],
        "width": 420,
        "height": 180,
        "show_legend": False,
        "margin": 6,
        "margin_right": 26,
        "truncate_label": -1,
        "max_scale": 4,
        "spacing": 4,
        "explicit_size": False,
        "disable_xml_declaration": True,
        "no_prefix": False,
        "print_values": False,
        "classes": (f"chart-{number}",),
    }


def _svg(chart: Any) -> Markup:
    (name,) = chart.config.classes if hasattr(chart, "config") else chart.classes
    chart.uuid = name.removeprefix("chart-")  # random by default, so the page's bytes would differ
    root = chart.render_tree()
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("script", ET.Comment):  # pygal's comment contains the time of drawing
                parent.remove(child)
    return Markup(ET.tostring(root, encoding="unicode"))
