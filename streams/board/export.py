"""The board's lists as files for a spreadsheet: CSV and .xlsx, one row an item, no cell that becomes a formula."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from streams.core.open_cases import LEVELS
from streams.workbook import Kind, csv_header, csv_row, neutral, value_at, write_workbook

MOST_EXPORTED: Final = 20_000
"""Rows of a file; narrower filters give the others."""

SUFFIXES: Final = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
"""Forms, with the media type of each."""

_COMMON: Final[tuple[tuple[str, Kind], ...]] = (
    ("rule", "text"),
    ("clause", "text"),
    ("chapter", "text"),
    ("severity", "text"),
    ("title.zh", "text"),
    ("title.en", "text"),
    ("subject.type", "text"),
    ("subject.id", "text"),
    *((f"org.{level}", "text") for level in LEVELS),
)
COLUMNS: Final[Mapping[str, tuple[tuple[str, Kind], ...]]] = {
    "cases": (
        ("case_id", "text"),
        *_COMMON,
        ("outcome", "text"),
        ("started_at", "instant"),
        ("deadline", "instant"),
        ("limit.zh", "text"),
        ("limit.en", "text"),
        ("paused", "flag"),
        ("calendar_provisional", "flag"),
    ),
    "alerts": (
        ("alert_id", "text"),
        ("case_id", "text"),
        ("kind", "text"),
        *_COMMON,
        ("state", "text"),
        ("due_at", "instant"),
        ("detected_at", "instant"),
        ("explanation.zh", "text"),
        ("explanation.en", "text"),
        ("ending.zh", "text"),
        ("ending.en", "text"),
        ("acknowledged.by", "text"),
        ("acknowledged.at", "instant"),
        ("incomplete", "flag"),
    ),
    "trends": (
        ("by", "text"),
        ("code", "text"),
        ("name.zh", "text"),
        ("name.en", "text"),
        ("decided", "number"),
        ("on_time", "number"),
        ("breaches", "number"),
        ("violations", "number"),
        ("red_lines", "number"),
        ("rate", "number"),
    ),
}
"""The columns of each list, as paths into its items (``streams.board.messages``); ``acknowledged`` is the last one."""


def exported(name: str, suffix: str, items: Iterable[Mapping[str, Any]]) -> bytes:
    """The items of a list (``cases``, ``alerts``, ``trends``) as a file; CSV is UTF-8 with a byte order mark."""
    columns = COLUMNS[name]
    rows = ([_cell(_with_last_acknowledgement(item), path) for path, _ in columns] for item in items)
    target = io.BytesIO()
    if suffix == "xlsx":
        path, is_red = ("red_lines", "0".__ne__) if name == "trends" else ("severity", "red_line".__eq__)
        place = [column for column, _ in columns].index(path)
        write_workbook(target, columns, rows, is_marked=lambda row: is_red(row[place]))
    else:
        target.write(csv_header(path for path, _ in columns))
        target.writelines(csv_row(map(neutral, row)) for row in rows)
    return target.getvalue()


def _with_last_acknowledgement(item: Mapping[str, Any]) -> Mapping[str, Any]:
    acks: Sequence[Mapping[str, Any]] = item.get("acks", ())
    last = next((ack for ack in reversed(acks) if ack["action"] == "acknowledge"), None)
    return {**item, "acknowledged": last}


def _cell(item: Mapping[str, Any], path: str) -> str:
    value = value_at(item, path.split("."))
    return "" if value is None else str(value)
