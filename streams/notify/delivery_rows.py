"""Rows of the deliveries topic: messages sent per case, messages in flight, offsets of the alerts.

The contract is ``schemas.deliveries``. A row of a newer format is refused with its name: a wrong guess would send
messages twice, or not at all.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from schemas.deliveries import ROW_VERSION
from streams.core.delivery_case import CaseState, Escalation, Waiting
from streams.core.delivery_message import Delivery
from streams.notify.sending import Trouble
from streams.wire.decoder import decode_json, encode_json
from streams.wire.state_rows import StateError

CASE, ACKNOWLEDGED, SILENCED = "case/", "acknowledged/", "silenced/"
DELIVERY, CHANNEL = "delivery/", "channel/"
POSITION, LEADER = "position/", "leader"


def _write(fields: dict[str, Any]) -> bytes:
    return encode_json({"v": ROW_VERSION, **fields})


def _read(key: str, raw: bytes) -> dict[str, Any]:
    row = decode_json(raw)
    if not isinstance(row, dict) or not isinstance(row.get("v"), int):
        raise StateError(f"row {key} of the deliveries topic is damaged")
    if row["v"] > ROW_VERSION:
        raise StateError(
            f"row {key} of the deliveries topic was written in format {row['v']}; this program knows formats up to "
            f"{ROW_VERSION}: start the newer program again"
        )
    return row


def _renamed(row: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """The row with one key replaced, in its place: rows have the names of version 0.1."""
    return {new if key == old else key: value for key, value in row.items()}


def case_to_bytes(case: CaseState) -> bytes:
    """The row of one case."""
    return _write(
        {
            "events": case.events,
            "retracted": sorted(case.retracted),
            "told": case.sent,
            "told_by": case.sent_by,
            "waiting": [asdict(item) for item in case.waiting],
            "escalations": [_renamed(asdict(item), "sent_at", "told_at") for item in case.escalations],
            "touched": case.touched,
        }
    )


def case_from_bytes(key: str, raw: bytes) -> CaseState:
    """The case that ``case_to_bytes`` wrote.

    Raises:
        StateError: where a newer version wrote it.
    """
    row = _read(key, raw)
    return CaseState(
        row["events"],
        set(row["retracted"]),
        row["told"],
        row["told_by"],
        [Waiting(**{**item, "follows": tuple(item["follows"])}) for item in row["waiting"]],
        [Escalation(**_renamed(item, "told_at", "sent_at")) for item in row["escalations"]],
        row["touched"],
    )


def delivery_to_bytes(delivery: Delivery) -> bytes:
    """The row of one delivery in flight."""
    return _write(
        {
            "channel": delivery.channel,
            "subscription": delivery.subscription,
            "key": delivery.key,
            "events": delivery.events,
            "planned_at": delivery.planned_at,
            "closes": delivery.closes,
            "opens": delivery.opens,
            "level": delivery.level,
            "follows": delivery.follows,
        }
    )


def delivery_from_bytes(key: str, raw: bytes) -> Delivery:
    """The delivery that ``delivery_to_bytes`` wrote.

    Raises:
        StateError: where a newer version wrote it.
    """
    row = _read(key, raw)
    return Delivery(
        row["channel"],
        row["subscription"],
        row["key"],
        tuple(row["events"]),
        row["planned_at"],
        tuple(row["closes"]),
        tuple(row["opens"]),
        row["level"],
        tuple(row["follows"]),
    )


def trouble_to_bytes(trouble: Trouble, next_at: int) -> bytes:
    """The row of a channel whose last attempt failed; the next comes at an instant (microseconds)."""
    problem = trouble.problem
    return _write(
        {
            "delivery": trouble.delivery.id,
            "reason": problem.reason,
            "detail": problem.detail,
            "attempts": trouble.attempts,
            "next_at": next_at,
        }
    )


def number_to_bytes(number: int) -> bytes:
    """The row of an offset to continue from, or of an instant."""
    return _write({"at": number})


def number_from_bytes(key: str, raw: bytes) -> int:
    """The number that ``number_to_bytes`` wrote.

    Raises:
        StateError: where a newer version wrote it.
    """
    return int(_read(key, raw)["at"])
