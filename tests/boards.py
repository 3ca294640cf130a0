"""Boards for tests, without Kafka: cases and alerts made up, served on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from schemas.base import Text
from streams.board.acts import Acts
from streams.board.feed import StateReader
from streams.board.hub import Hub
from streams.board.messages import BoardWire
from streams.board.web import BoardServer
from streams.core.alerts import case_id_of
from streams.core.board import Board, BoardAlert
from streams.core.event import Event
from streams.core.open_cases import Place, place_of
from streams.core.records import BEGINNING, Snapshot
from streams.wall_clock import WallClock
from tests.stories import shipped

COUNTER = shipped("fee-5-minutes", "power-20-minutes")
"""A rulebook of two plain clocks, so that a board made up shows what it was given."""

MINUTE = 60_000_000


def board() -> tuple[StateReader, Board]:
    """A board with nothing on it, its state read."""
    state = StateReader(COUNTER.rulebook)
    asyncio.run(state.loaded())
    return state, Board(state.cases, COUNTER.rulebook.calendar)


def started(number: str, at: int, org: dict[str, Any] | None = None, **fields: Any) -> Snapshot:
    """An order whose fee service started: due five minutes later (``business="power"``: twenty)."""
    data = {"business": "fee", "org": org or {}, **fields}
    event = Event(f"{number}-1", "counter.service_started", at, at, data, order_id=number)
    return Snapshot(("order", number), (event,), (), (), BEGINNING)


def case_id(number: str, rule: str = "fee-5-minutes") -> str:
    return case_id_of(rule, ("order", number), f"{number}-1")


def alert(
    alert_id: str,
    at: int,
    *,
    kind: str = "breach",
    number: str = "WO1",
    rule: str = "fee-5-minutes",
    clause: str = "W-S5",
    severity: str = "norm",
    org: dict[str, Any] | None = None,
    sentence: str = "",
    retracts: str | None = None,
    incomplete: bool = False,
) -> BoardAlert:
    place: Place = place_of(org or {})
    said = Text(zh=sentence or f"工单 {number} 超时。", en=sentence or f"Order {number} breached.")
    return BoardAlert(
        alert_id, case_id(number, rule), kind, rule, clause, severity, Text(zh="收费业务5分钟办结", en="Fee in 5 min"),
        ("order", number), place, at, at, said, retracts, incomplete,
    )  # fmt: skip


@dataclass
class Served:
    board: Board
    state: StateReader
    hub: Hub
    url: str


@asynccontextmanager
async def served(
    state: StateReader,
    board: Board,
    clock: WallClock,
    *,
    host: str = "127.0.0.1",
    most: int = 8,
    acts: Callable[[Hub], Acts] = Acts,
) -> AsyncIterator[Served]:
    """Serve a board on a free port."""
    hub = Hub(board, state, BoardWire(COUNTER.rulebook.calendar), clock, most=most)
    sending = asyncio.create_task(hub.run())
    try:
        async with BoardServer(hub, COUNTER, host=host, acts=acts(hub)).serve(0) as port:
            yield Served(board, state, hub, f"http://127.0.0.1:{port}")
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
