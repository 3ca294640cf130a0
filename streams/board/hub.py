"""The pages that are connected, and what each is sent: a whole view first, then changes.

Pages with the same filter share a channel: its view is computed once, its change encoded once. A page has a short
queue; a page that does not read in time is dropped, connects again and gets a whole view. So neither a slow page nor
many filters can make the board's memory grow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from streams.board.feed import StateReader
from streams.board.messages import BoardWire
from streams.core.board import Board, View, difference
from streams.core.filters import Filter
from streams.live.incomplete import since_of
from streams.wall_clock import WallClock, monotonic
from streams.wire.cloudevents import encode

QUEUE: Final = 16
"""Messages that may wait for one page: about eight seconds of a busy board."""

NAMED: Final = 5
"""Causes for which verdicts may be incomplete, and subjects set aside, that the head of the page names."""

CURRENT_SECONDS: Final = 60.0
"""A partition further behind is not current: no worker has it, or its source stands still."""

_TICK_SECONDS: Final = 0.5
_STILL_SECONDS: Final = 1.0
_SHARE: Final = 4
"""The pause between two rounds is at least this many times the last round's length: at most a fifth of a core."""


class Client:
    """One page. ``drop`` breaks its connection."""

    def __init__(self, drop: Callable[[], None]) -> None:
        self.drop = drop
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE)

    def send(self, message: bytes) -> bool:
        """Put a message into the queue; false where it is full."""
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            return False
        return True


class _Channel:
    __slots__ = ("clients", "view")

    def __init__(self, view: View) -> None:
        self.view = view
        self.clients: set[Client] = set()


def message(event: str, data: Any) -> bytes:
    """One server-sent event; JSON has no line breaks, so one line of data is enough."""
    return b"event: %s\ndata: %s\n\n" % (event.encode(), encode(data))


class Hub:
    """All pages of one board; ``most`` of them at a time."""

    def __init__(self, board: Board, state: StateReader, wire: BoardWire, clock: WallClock, *, most: int) -> None:
        self.board = board
        self.state = state
        self.wire = wire
        self.clock = clock
        self.dropped = 0
        self._most = most
        self._channels: dict[Filter, _Channel] = {}
        self._homes: dict[Client, Filter] = {}

    @property
    def clients(self) -> int:
        """Pages connected."""
        return len(self._homes)

    @property
    def is_full(self) -> bool:
        """Whether one more page would be too many."""
        return len(self._homes) >= self._most

    def time(self) -> dict[str, Any]:
        """The current time, and how far the data are behind.

        ``delay_seconds`` is in real seconds, also under a scaled clock; ``null`` while nothing is known.
        ``unknown_rules`` are those that the workers judge by and this board does not have. ``quarantined`` is how many
        subjects are set aside, of which nothing is judged, with the names of some; ``incomplete`` since when verdicts
        may be incomplete, and the first causes (``streams.live.incomplete``). ``partitions`` are those of the
        workers' state, and how many of them are current: at most ``CURRENT_SECONDS`` behind (real seconds).
        """
        now, at = self.clock.now(), self.state.watermark
        aside = [one.subject for partition in self.state.aside.values() for one in partition]
        speed = float(self.clock.speed)
        delay = None if at is None else max(0, now - at) / 1e6 / speed
        behind = CURRENT_SECONDS * 1e6 * speed
        current = sum(now - known <= behind for known in self.state.cases.watermarks.values())
        return {
            "now": self.wire.time(now),
            "as_of": self.wire.time(at),
            "delay_seconds": None if delay is None else round(delay, 1),
            "speed": speed,
            "partitions": {"current": current, "count": max(self.state.partitions, len(self.state.cases.watermarks))},
            "loading": self.state.is_loading or self.board.is_reading,
            "unknown_rules": self.board.unknown_rules(now),
            "quarantined": {
                "count": len(aside),
                "subjects": [self.wire.subject(one) for one in sorted(aside)[:NAMED]],
            },
            "incomplete": self.incomplete(NAMED),
        }

    def incomplete(self, most: int | None = None) -> dict[str, Any]:
        """Since when verdicts may be incomplete, how many causes there are, and the oldest of them."""
        found = self.state.incompleteness(self.clock.now())
        return {
            "since": self.wire.time(since_of(found)),
            "count": len(found),
            "causes": [self.wire.incompleteness(one) for one in found[:most]],
        }

    def join(self, wanted: Filter, drop: Callable[[], None]) -> Client:
        """A new page; its first message is the whole view."""
        channel = self._channels.get(wanted)
        if channel is None:
            channel = self._channels[wanted] = _Channel(self.board.view(wanted, self.clock.now()))
        client = Client(drop)
        channel.clients.add(client)
        self._homes[client] = wanted
        client.send(message("snapshot", {**self.time(), **self.wire.view(channel.view)}))
        return client

    def leave(self, client: Client) -> None:
        """A page has disconnected; no effect where it was dropped before."""
        wanted = self._homes.pop(client, None)
        if wanted is None:
            return
        channel = self._channels[wanted]
        channel.clients.discard(client)
        if not channel.clients:
            del self._channels[wanted]

    def close(self) -> None:
        """End every page's stream."""
        for client in list(self._homes):
            self.leave(client)
            if not client.queue.full():
                client.queue.put_nowait(None)
            else:
                client.drop()

    def round(self) -> None:
        """Compute every channel's view and send its changes."""
        now = self.clock.now()
        for wanted, channel in list(self._channels.items()):
            view = self.board.view(wanted, now)
            change = difference(channel.view, view)
            channel.view = view
            if change is not None:
                self._send(channel.clients, message("change", self.wire.change(change)))

    def send_time(self) -> None:
        """Send the time to every page."""
        if self._homes:
            self._send(set(self._homes), message("time", self.time()))

    def _send(self, clients: set[Client], data: bytes) -> None:
        for client in [client for client in clients if not client.send(data)]:
            self.dropped += 1
            self.leave(client)
            client.drop()

    async def run(self) -> None:
        """Send until cancelled: changes as they come, and once a second what only time changes."""
        seen: object = None
        looked_at = told_at = 0.0
        while True:
            began = monotonic()
            version = self.board.version
            if version != seen or began - looked_at >= _STILL_SECONDS:
                seen, looked_at = version, began
                self.round()
            if began - told_at >= _STILL_SECONDS:
                told_at = began
                self.send_time()
            await asyncio.sleep(max(_TICK_SECONDS, _SHARE * (monotonic() - began)))
