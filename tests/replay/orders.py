"""A few thousand made-up lines for the tests of a replay's mechanics: unsorted, with repetitions and refused lines."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

START = datetime(2026, 3, 2, 8, tzinfo=ZoneInfo("Asia/Shanghai"))


def lines(orders: int, *, seed: int = 1) -> list[str]:
    """Counter services, repairs (also about an account) and applications, in the order of their numbers."""
    chance = random.Random(seed)
    found: list[str] = []

    def event(order: str, step: int, event_type: str, at: datetime, late: float = 0, **fields: Any) -> None:
        made = {
            "event_id": f"{order}-{step}",
            "event_type": event_type,
            "occurred_at": at.isoformat(timespec="milliseconds"),
            "recorded_at": (at + timedelta(hours=late)).isoformat(timespec="milliseconds"),
            "order_id": order,
            "org": {"province": "32", "city": f"320{chance.randrange(1, 4)}"},
            **fields,
        }
        found.append(json.dumps(made, ensure_ascii=False))

    for number in range(orders):
        order, at = f"WO{number}", START + timedelta(seconds=chance.randrange(20 * 86_400))
        match number % 3:
            case 0:
                event(order, 1, "counter.service_started", at, business="fee")
                event(order, 2, "counter.service_completed", at + timedelta(seconds=chance.randrange(400)))
            case 1:
                event(order, 1, "repair.reported", at, area=chance.choice(["urban", "rural"]))
                if chance.random() < 0.9:
                    event(order, 2, "repair.arrived", at + timedelta(minutes=chance.randrange(100)))
            case _:
                account = f"A{number % 40}"
                event(order, 1, "disconnection.performed", at, account_id=account, cause="arrears")
                paid = at + timedelta(hours=chance.randrange(1, 30))
                event(order, 2, "bill.paid", paid, account_id=account, late=chance.randrange(30))
                event(
                    order, 3, "disconnection.restored", paid + timedelta(hours=chance.randrange(40)), account_id=account
                )
        if chance.random() < 0.03:
            found.append(found[-1])
        if chance.random() < 0.02:
            found.append(found[-2].replace('"320', '"321'))  # one id, other content
        if chance.random() < 0.01:
            found.append('{"event_id": ')
    return found


def text(orders: int, *, seed: int = 1) -> str:
    return "".join(line + "\n" for line in lines(orders, seed=seed))
