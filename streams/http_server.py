"""An HTTP server that slow or silent clients can neither fill nor stay in.

aiohttp bounds how long a client may be about its next request (its keep-alive time, which runs from the connection's
begin and is not prolonged by a byte now and then). It does not bound how many there are, nor how long one may take to
read an answer. So each connection is watched here: one from which nothing came for a while is cut off, whatever is
still to be written to it; and when all places are taken, the one that has been silent longest gives way to the new
one. A connection that streams to its client is *kept*: whoever streams sees to clients that do not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, cast

from aiohttp import web

REQUEST_SECONDS: Final = 10.0
"""For a request to be there as a whole, headers at least, from the connection's begin or the last answer."""

SILENT_SECONDS: Final = 60.0
"""Without a byte from the client; it is then cut off, also while it reads an answer."""


class ConnectionLimits:
    """At most ``most`` connections that are not kept."""

    def __init__(self, most: int, *, request: float = REQUEST_SECONDS, silent: float = SILENT_SECONDS) -> None:
        self.request = request
        self._most = most
        self._silent = silent
        self._open: dict[asyncio.Transport, _Connection] = {}  # the longest silent first
        self._kept: set[asyncio.Transport] = set()

    def __len__(self) -> int:
        """Connections that are open and not kept."""
        return len(self._open)

    def keep(self, transport: asyncio.BaseTransport | None) -> None:
        """This connection is a stream from now on: it has no bound here."""
        connection = self._open.pop(cast(asyncio.Transport, transport), None)
        if connection is not None:
            connection.rest()
            self._kept.add(connection.transport)

    def admit(self, connection: _Connection) -> None:
        """Let a connection in; the one that was silent longest goes where there is no place."""
        while len(self._open) >= self._most:
            next(iter(self._open.values())).cut()
        self._open[connection.transport] = connection
        connection.watch(self._silent)

    def heard(self, connection: _Connection) -> None:
        """Something came from it."""
        if self._open.pop(connection.transport, None) is not None:
            self._open[connection.transport] = connection
            connection.watch(self._silent)

    def leave(self, connection: _Connection) -> None:
        """It is gone."""
        connection.rest()
        self._open.pop(connection.transport, None)
        self._kept.discard(connection.transport)

    @asynccontextmanager
    async def serve(self, application: web.Application, host: str, port: int, *, shutdown: float) -> AsyncIterator[int]:
        """Serve while the block runs; gives the port, which matters where 0 was asked for.

        Raises:
            OSError: where the address is taken.
        """
        runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=shutdown, keepalive_timeout=self.request
        )  # fmt: skip
        await runner.setup()
        make = cast(Callable[[], asyncio.Protocol], runner.server)
        server = None
        try:
            server = await asyncio.get_running_loop().create_server(lambda: _Connection(self, make()), host, port)
            yield int(server.sockets[0].getsockname()[1])
        finally:
            if server is not None:
                server.close()
            await runner.cleanup()


class _Connection(asyncio.Protocol):
    """Stands before the server's own protocol, which hears all that it would."""

    transport: asyncio.Transport

    def __init__(self, limits: ConnectionLimits, inner: asyncio.Protocol) -> None:
        self._doors = limits
        self._inner = inner
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, seconds: float) -> None:
        """Cut it off in so many seconds."""
        self.rest()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.cut)

    def rest(self) -> None:
        """Do not."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def cut(self) -> None:
        """End it now, whatever is still to be written."""
        self._doors.leave(self)
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._doors.admit(self)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._doors.heard(self)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._doors.leave(self)
        self._inner.connection_lost(exc)
