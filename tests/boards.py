"""Boards for tests, without Kafka: cases and alerts made up, served on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from schemas.acknowledgements import Acknowledgement
from schemas.base import Text
from schemas.deliveries import CaseRow, ChannelRow, DeliveryRow
from streams.board.acts import Acts
from streams.board.case_pages import CasePages
from streams.board.deliveries import Deliveries
from streams.board.feed import StateReader
from streams.board.hub import Hub
from streams.board.lookup import Lookup
from streams.board.messages import BoardWire
from streams.board.rows import Row, Rows
from streams.board.trends import BoardDays, TrendPages, TrendSource
from streams.board.web import BoardServer, Pages, positions_of
from streams.core.alerts import Subject, case_id_of
from streams.core.board import Board, BoardAlert
from streams.core.event import Event
from streams.core.open_cases import Place, place_of
from streams.core.records import BEGINNING, Snapshot
from streams.errors import BrokerError
from streams.live.clock_partition import subject_key
from streams.rulebooks.loader import LoadedRulebook
from streams.wall_clock import WallClock
from streams.wire.state_rows import snapshot_to_bytes
from tests.stories import shipped

COUNTER = shipped("fee-5-minutes", "power-20-minutes")
"""A rulebook of two plain clocks, so that a board made up shows what it was given."""

MINUTE = 60_000_000
KEEP_FOR = 90 * 24 * 60 * MINUTE


def board(loaded: LoadedRulebook = COUNTER) -> tuple[StateReader, Board]:
    """A board with nothing on it, its state read."""
    state = StateReader(loaded.rulebook, keep_for=KEEP_FOR)
    asyncio.run(state.loaded())
    return state, Board(state.cases, loaded.rulebook.calendar, placed=positions_of(loaded).keys())


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
        ("order", number), place, at, at, at, said, retracts, incomplete,
    )  # fmt: skip


class ListedRows:
    """A compacted topic in memory, as ``RowReader``; an offset is a place in the list."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes, bytes | None]] = []
        self.scans = 0

    def append(self, partition: int, key: bytes, value: bytes | None) -> int:
        """Add a record; its offset."""
        self.records.append((partition, key, value))
        return len(self.records) - 1

    async def at(self, places: Sequence[tuple[int, int]]) -> list[Row]:
        return [(key, value) for _, offset in places for _, key, value in [self.records[offset]]]

    async def newest(self, partitions: Iterable[int], wanted: Callable[[bytes], bool]) -> dict[bytes, bytes]:
        self.scans += 1
        asked = set(partitions)
        found = {key: value for partition, key, value in self.records if partition in asked and wanted(key)}
        return {key: value for key, value in found.items() if value is not None}


class Topics:
    """The topics of state and deliveries, of one partition each, and what the board has of them."""

    def __init__(self, most: int = 20_000) -> None:
        self.states, self.sent = ListedRows(), ListedRows()
        self.rows, self.deliveries = Rows(self.states, most=most), Deliveries(self.sent)
        self.rows.restart(1)
        self.deliveries.restart(1)
        self.rows.is_loading = self.deliveries.rows.is_loading = False

    def keep(self, board: Board, snapshot: Snapshot) -> None:
        """Write a subject's row; the board follows it."""
        key, value = subject_key(0, snapshot.subject), snapshot_to_bytes(snapshot)
        offset = self.states.append(0, key, value)
        self.rows.note(key, 0, offset, is_deleted=False)
        board.running.put(0, snapshot, offset)

    def forget(self, board: Board, subject: Subject) -> None:
        """Delete a subject's row."""
        key = subject_key(0, subject)
        self.rows.note(key, 0, self.states.append(0, key, None), is_deleted=True)
        board.running.drop(subject)

    def send(self, key: str, row: CaseRow | ChannelRow | DeliveryRow) -> None:
        """Write a row of the notifier."""
        value = row.model_dump_json().encode()
        self.deliveries.take(key.encode(), value, 0, self.sent.append(0, key.encode(), value))


@dataclass
class Served:
    board: Board
    state: StateReader
    hub: Hub
    topics: Topics
    url: str


@dataclass
class Writes:
    """A topic of acknowledgements: what is written to it, or the error of its brokers."""

    written: list[Acknowledgement] = field(default_factory=list)
    failing: list[BrokerError] = field(default_factory=list)

    async def __call__(self, made: Acknowledgement) -> None:
        if self.failing:
            raise self.failing[0]
        self.written.append(made)


@asynccontextmanager
async def served(
    state: StateReader,
    board: Board,
    clock: WallClock,
    *,
    host: str = "127.0.0.1",
    most: int = 64,
    acts: Callable[[Hub], Acts] = Acts,
    topics: Topics | None = None,
    loaded: LoadedRulebook = COUNTER,
    wire: BoardWire | None = None,
    source: TrendSource | None = None,
) -> AsyncIterator[Served]:
    """Serve a board on a free port."""
    wire, topics = wire or BoardWire(loaded.rulebook.calendar), topics or Topics()
    hub = Hub(board, state, wire, clock, most=most)
    lookup = Lookup(board, state, wire, rows=topics.rows, deliveries=topics.deliveries)
    cases = CasePages(board, wire, loaded, lookup=lookup, deliveries=topics.deliveries)
    pages = Pages(cases, TrendPages(source or BoardDays(state), loaded.rulebook.calendar))
    sending = asyncio.create_task(hub.run())
    try:
        async with BoardServer(hub, loaded, pages, host=host, acts=acts(hub)).serve(0) as port:
            yield Served(board, state, hub, topics, f"http://127.0.0.1:{port}")
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
