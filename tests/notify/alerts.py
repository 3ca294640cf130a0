"""Alerts for tests of who is told of them: CloudEvents as the worker writes them, in a few words."""

from __future__ import annotations

from hashlib import md5
from typing import Any

from streams.core.instants import format_us
from tests.stories import SHANGHAI, us

START = us("2026-03-02T14:00")
MINUTE = 60_000_000


def alert(
    name: str,
    kind: str = "breach",
    *,
    case: str = "c1",
    at: int = START,
    retracts: str | None = None,
    severity: str = "norm",
    rule: str = "fee-5-minutes",
    clause: str = "W-S5",
    org: dict[str, str] | None = None,
    subject: tuple[str, str] = ("order", "WO1"),
) -> dict[str, Any]:
    """One alert; ids are made of names, as 32 hexadecimal digits."""
    number = id_of(name)
    when = format_us(at, SHANGHAI)
    late = kind == "late_completion"
    data: dict[str, Any] = {
        "alert_id": number,
        "case_id": id_of(case),
        "kind": kind,
        "rule": rule,
        "rule_version": "1",
        "clause": clause,
        "severity": severity,
        "title": {"zh": "收费业务5分钟办结", "en": "Fee collected within 5 minutes"},
        "subject": {"type": subject[0], "id": subject[1]},
        "order_id": subject[1],
        "account_id": None,
        "org": {"province": "32", "city": "3201", "county": "320102", "unit": "U001"} if org is None else org,
        "started_at": format_us(at - 5 * MINUTE, SHANGHAI),
        "deadline": None if kind == "violation" else when,
        "due_at": when,
        "detected_at": when,
        "stopped_at": when if late else None,
        "limit": None if kind == "violation" else "5 min",
        "elapsed": "PT300S",
        "paused": "PT0S",
        "retracts": id_of(retracts) if retracts else None,
        "evidence": ["e1"],
        "explanation": {"zh": f"{subject[1]} 超时。", "en": f"{subject[1]} ran out."},
        "arithmetic": {},
        "calendar_provisional": False,
    }
    return {
        "specversion": "1.0",
        "id": number,
        "source": "gridclock",
        "type": f"gridclock.alert.{kind}",
        "time": when,
        "subject": data["case_id"],
        "datacontenttype": "application/json",
        "data": data,
    }


def id_of(name: str) -> str:
    return md5(name.encode(), usedforsecurity=False).hexdigest()
