"""Builds and runs a board from its settings."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack

from streams.board.acts import AckWriter, Acts
from streams.board.case_pages import CasePages
from streams.board.deliveries import Deliveries
from streams.board.feed import BoardFeed, StateReader
from streams.board.hub import Hub
from streams.board.login import login_of
from streams.board.lookup import Lookup
from streams.board.messages import BoardWire
from streams.board.rows import KafkaRows, Rows
from streams.board.trends import BoardDays, TrendPages, TrendSource
from streams.board.web import BoardServer, Pages, positions_of
from streams.core.board import Board
from streams.errors import ConfigError, InvariantError
from streams.kafka.admin import partitions_of
from streams.kafka.connection import clock_of
from streams.rulebooks.loader import LoadedRulebook
from streams.settings import Settings
from streams.wire.pseudonyms import Hidden, Pseudonyms


async def run_board(
    settings: Settings,
    loaded: LoadedRulebook,
    *,
    on_ready: Callable[[int], None] = lambda _port: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve the board until SIGTERM, SIGINT or ``stop``; ``on_ready`` gets the port.

    Raises:
        BrokerError: where the broker does not answer, or refuses a topic, at the start; later failures are retried.
        ConfigError: where the address is taken, the log-in would let anybody in, or no such database can be asked.
        StateError: where the state was written by a newer version.
    """
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    login = login_of(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    topics = (
        settings.changelog_topic, settings.alerts_topic, settings.acks_topic, settings.deliveries_topic,
        settings.undelivered_topic,
    )  # fmt: skip
    for topic in topics:
        # A topic that does not exist yet is waited for; a missing permission is reported now.
        await asyncio.to_thread(partitions_of, settings.bootstrap, topic, security=settings.security())
    rulebook, clock = loaded.rulebook, clock_of(settings)
    # The days of the board's own are counted only where they are shown.
    state = StateReader(rulebook, keep_for=None if settings.database else settings.keep_for)
    pseudonyms = None if settings.pseudonyms is None else Pseudonyms(settings.pseudonyms)
    wire = BoardWire(rulebook.calendar, pseudonyms)
    board = Board(state.cases, rulebook.calendar, ids_of=wire.ids_of, placed=positions_of(loaded).keys())
    rows = Rows(KafkaRows(settings, settings.changelog_topic))
    deliveries = Deliveries(KafkaRows(settings, settings.deliveries_topic))
    feed = BoardFeed(settings, board, state, rows=rows, deliveries=deliveries)
    hub = Hub(board, state, wire, clock, most=settings.board_clients)
    lookup = Lookup(board, state, wire, rows=rows, deliveries=deliveries)
    cases = CasePages(board, wire, loaded, lookup=lookup, deliveries=deliveries)
    pages = Pages(cases, TrendPages(trend_source(settings, state), rulebook.calendar))
    async with AsyncExitStack() as stack:
        acts = Acts(hub)
        if login is not None:
            writer = await stack.enter_async_context(AckWriter(settings))
            acts = Acts(hub, login, writer, Hidden(settings.pseudonyms).staff)
        server = BoardServer(hub, loaded, pages, host=settings.board_host, names=settings.board_names, acts=acts)
        await _serve(settings, server, hub, feed, on_ready, stop)


def trend_source(settings: Settings, state: StateReader) -> TrendSource:
    """The sink's database where the settings name one, else the board's own days.

    Raises:
        ConfigError: where the settings name no database that can be asked.
    """
    if not settings.database:
        return BoardDays(state)
    from streams.board.trend_database import DatabaseDays  # late: psycopg takes time to load

    return DatabaseDays(settings)


async def _serve(
    settings: Settings,
    server: BoardServer,
    hub: Hub,
    feed: BoardFeed,
    on_ready: Callable[[int], None],
    stop: asyncio.Event,
) -> None:
    waiting = asyncio.create_task(stop.wait())
    working = [asyncio.create_task(feed.run()), asyncio.create_task(hub.run())]
    try:
        async with server.serve(settings.board_port) as port:
            on_ready(port)
            done, _ = await asyncio.wait({waiting, *working}, return_when=asyncio.FIRST_COMPLETED)
    except OSError as error:
        raise ConfigError(f"{settings.board_host}:{settings.board_port}: {error.strerror}", key="board_port") from error
    finally:
        for task in (waiting, *working):
            task.cancel()
        await asyncio.gather(waiting, *working, return_exceptions=True)
    for task in done - {waiting}:
        failed = task.exception()
        # The feed's tasks end together with the first that failed.
        raise (
            failed.exceptions[0] if isinstance(failed, ExceptionGroup) else failed or InvariantError("the board ended")
        )
