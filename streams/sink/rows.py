"""Records of the topics of cases and alerts as rows of the database."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, Final, Literal

from psycopg.types.json import Jsonb
from pydantic import ValidationError

from schemas.alerts import AlertEvent, CaseEvent
from streams.core.counted_day import counted_at
from streams.core.instants import UTC, instant_us, moment_of

Table = Literal["cases", "alerts"]

_COMMON: Final = (
    "case_id", "rule", "rule_version", "clause", "severity", "title_zh", "title_en", "subject_type", "subject_id",
    "order_id", "account_id", "province", "city", "county", "unit", "started_at", "deadline", "stopped_at",
    "time_limit", "elapsed_s", "paused_s", "evidence", "arithmetic", "calendar_provisional",
)  # fmt: skip
COLUMNS: Final[Mapping[Table, tuple[str, ...]]] = {
    "cases": (*_COMMON, "outcome", "as_of", "decided_on"),
    "alerts": (
        *_COMMON, "alert_id", "kind", "due_at", "detected_at", "retracts", "explanation_zh", "explanation_en",
        "incomplete",
    ),
}  # fmt: skip
_INDEXED: Final = (
    ("case_id",), ("alert_id",), ("retracts",), ("rule",), ("subject_id",), ("order_id",),
    ("province", "city", "county", "unit"),
)  # fmt: skip
_INSTANTS: Final = ("started_at", "deadline", "stopped_at", "as_of", "due_at", "detected_at")
_FURTHEST: Final = timedelta(hours=15, minutes=59)
_LONGEST: Final = 2_500
"""Bytes in the key of an index; PostgreSQL takes some 2,700, and refuses the row beyond."""

KEYS: Final[Mapping[Table, str]] = {"cases": "case_id", "alerts": "alert_id"}
_NULL: Final = re.compile(rb"(?<!\\)(\\\\)*\\u0000")
"""A null character in JSON: a backslash that no other one escapes begins it."""


class NoRow(ValueError):
    """The record cannot be written; the text says why."""


def row_of(table: Table, value: bytes) -> dict[str, Any]:
    """The row of a record, by column.

    Raises:
        NoRow: where it is not such a record.
    """
    try:
        (CaseEvent if table == "cases" else AlertEvent).model_validate_json(value)
        data = json.loads(value, parse_float=_finite, parse_constant=_finite)["data"]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise NoRow(f"not a record of {table}: {where}: {first['msg']}" if where else first["msg"]) from None
    if _NULL.search(value):
        raise NoRow("holds a null character, which PostgreSQL takes in no text")
    row = _row(table, data)
    for names in _INDEXED:
        if sum(len((row.get(name) or "").encode()) for name in names) > _LONGEST:
            raise NoRow(f"{', '.join(names)}: longer than the {_LONGEST} bytes that an index takes")
    return row


def _row(table: Table, data: Mapping[str, Any]) -> dict[str, Any]:
    org = data["org"] or {}
    row = {
        **{name: data[name] for name in _COMMON if name in data},
        **{name: _instant(data[name]) for name in _INSTANTS if name in data},
        "title_zh": data["title"]["zh"],
        "title_en": data["title"]["en"],
        "subject_type": data["subject"]["type"],
        "subject_id": data["subject"]["id"],
        # As on the board: what is no text is no code.
        **{
            level: code if isinstance(code := org.get(level), str) else None
            for level in ("province", "city", "county", "unit")
        },
        "time_limit": data["limit"],
        "elapsed_s": _seconds(data["elapsed"]),
        "paused_s": _seconds(data["paused"]),
        "evidence": Jsonb(data["evidence"]),
        "arithmetic": Jsonb(data["arithmetic"]),
    }
    if table == "cases":
        row |= {"outcome": data["outcome"], "decided_on": _decided_on(data)}
    else:
        row |= {name: data[name] for name in ("alert_id", "kind", "retracts")}
        row["incomplete"] = data.get("incomplete", False)
        row |= {"explanation_zh": data["explanation"]["zh"], "explanation_en": data["explanation"]["en"]}
    return row


def _seconds(duration: str) -> float:
    return _finite(duration.removeprefix("PT").removesuffix("S"))


def _instant(text: str | None) -> str | None:
    """The one form of ISO 8601 that PostgreSQL and polars both read, with its offset, to the microsecond."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if abs(moment.utcoffset() or timedelta()) > _FURTHEST:
        raise NoRow(f"{text[:40]}: an offset of 16 hours or more, which PostgreSQL does not take")
    return moment.isoformat(timespec="microseconds")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise NoRow(f"holds the number {text[:20]}, which neither JSON nor a column takes")
    return number


def _decided_on(data: Mapping[str, Any]) -> str | None:
    """The day on which it counts (``streams.core.counted_day``), in the zone in which the instants are written."""
    known = {
        name: datetime.fromisoformat(data[name])
        for name in ("started_at", "deadline", "stopped_at")
        if data[name] is not None
    }
    instants = {name: instant_us(moment) for name, moment in known.items()}
    at = counted_at(data["outcome"], instants["started_at"], instants.get("deadline"), instants.get("stopped_at"))
    if at is None:
        return None
    # The offset of the instant that decided: the zone's own may change in the course of a case.
    decisive = min((name for name in known if instants[name] >= at), key=instants.__getitem__)
    return moment_of(at, known[decisive].tzinfo or UTC).date().isoformat()
