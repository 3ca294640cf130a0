"""An HTTP server with limits: the number of connections, and timeouts for slow or idle clients.

aiohttp limits the time for a client's next request (keep-alive), but neither the number of connections nor the time
that a client takes to read an answer. So each connection is watched here: one that sends nothing for a while is
closed, even while it is written to; and when the limit is reached, the connection that was idle longest is closed for a
new one. A streaming connection is *kept*: its handler deals with clients that do not read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

REQUEST_SECONDS: Final = 10.0
"""Time for a complete request, at least its headers, from the start of the connection or the last answer."""

SILENT_SECONDS: Final = 60.0
"""Time without a byte from the client; then the connection is closed, also while the client reads an answer."""


def _without_traceback(record: logging.LogRecord) -> bool:
    """A request that is not HTTP is its client's fault: one line, with nothing of it, because it may hold a secret."""
    error = None if record.exc_info is None else record.exc_info[1]
    if isinstance(error, HttpProcessingError):
        record.msg = f"{record.msg}: answered with {error.code}, because it is not HTTP ({type(error).__name__})"
        record.exc_info, record.exc_text = None, None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


class ConnectionLimits:
    """Allows at most ``most`` connections that are not kept."""

    def __init__(self, most: int, *, request: float = REQUEST_SECONDS, silent: float = SILENT_SECONDS) -> None:
        self.request = request
        self._most = most
        self._silent = silent
        self._open: dict[asyncio.Transport, _Connection] = {}  # the longest idle first
        self._kept: set[asyncio.Transport] = set()

    def __len__(self) -> int:
        """Open connections that are not kept."""
        return len(self._open)

    def keep(self, transport: asyncio.BaseTransport | None) -> None:
        """This connection is a stream from now on, without limits."""
        connection = self._open.pop(cast(asyncio.Transport, transport), None)
        if connection is not None:
            connection.rest()
            self._kept.add(connection.transport)

    def admit(self, connection: _Connection) -> None:
        """Add a connection; where the limit is reached the longest idle one is closed."""
        while len(self._open) >= self._most:
            next(iter(self._open.values())).cut()
        self._open[connection.transport] = connection
        connection.watch(self._silent)

    def received(self, connection: _Connection) -> None:
        """The client sent something."""
        if self._open.pop(connection.transport, None) is not None:
            self._open[connection.transport] = connection
            connection.watch(self._silent)

    def leave(self, connection: _Connection) -> None:
        """The connection was closed."""
        connection.rest()
        self._open.pop(connection.transport, None)
        self._kept.discard(connection.transport)

    @asynccontextmanager
    async def serve(self, application: web.Application, host: str, port: int, *, shutdown: float) -> AsyncIterator[int]:
        """Serve while the block runs; gives the port, which the system chooses where ``port`` is 0.

        Raises:
            OSError: where the address is taken.
        """
        logging.getLogger("aiohttp.server").addFilter(_without_traceback)  # a second time changes nothing
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
    """Wraps the server's own protocol and passes everything on."""

    transport: asyncio.Transport

    def __init__(self, limits: ConnectionLimits, inner: asyncio.Protocol) -> None:
        self._limits = limits
        self._inner = inner
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, seconds: float) -> None:
        """Close it in so many seconds."""
        self.rest()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.cut)

    def rest(self) -> None:
        """Cancel that."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def cut(self) -> None:
        """Close it now, even with unwritten data."""
        self._limits.leave(self)
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._limits.admit(self)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._limits.received(self)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._limits.leave(self)
        self._inner.connection_lost(exc)
