"""The HTTP port of a worker or a notifier: ``/metrics`` for Prometheus, ``/healthz`` and ``/readyz`` for restarts.

Alive: the event loop has run in the last half minute. A worker that restores its state or reads a backlog is alive; a
restart would only repeat that work. Ready: it has joined its consumer groups, has its state, the brokers accept its
writes, and its watermark advances; no requests are routed by it, a rollout waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from streams.errors import ConfigError
from streams.loopback import in_url
from streams.wall_clock import monotonic

SILENT_AT_MOST: Final = 30.0
"""Seconds without a beat after which the event loop counts as stuck."""

CONNECTIONS: Final = 16
"""Connections served at the same time; a further one replaces the oldest without a request. So idle connections can
neither fill the process with threads nor keep Prometheus out.
"""

TIMEOUT: Final = 10.0
"""Seconds that a connection may be idle."""

LONGEST: Final = 30.0
"""Seconds for a whole request and its answer, also when bytes keep arriving."""

HEADERS: Final = (("Server", "gridclock"), ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))

PATHS: Final = ("/metrics", "/healthz", "/readyz")


class Health:
    """The worker's last reported state. ``beat`` is for its event loop, the rest for any thread."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._beat_at = now()
        self.is_ready = False
        self.on_beat: list[Callable[[], None]] = []
        self.troubles: list[Callable[[], str | None]] = []
        """Each returns the reason why the worker is not ready, if any; called from any thread."""

    def beat(self) -> None:
        """Record that the event loop runs."""
        self._beat_at = self._now()
        for look in self.on_beat:
            look()

    async def keep_beating(self) -> None:
        """Beat from the event loop until cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(1)

    def alive(self) -> tuple[bool, str]:
        """Whether the worker is alive, and a line that explains it."""
        silent = self._now() - self._beat_at
        if silent > SILENT_AT_MOST:
            return False, f"stuck: the event loop has not turned for {silent:.0f} s"
        return True, "alive"

    def ready(self) -> tuple[bool, str]:
        """Whether it is ready, and a line that explains it."""
        alive, text = self.alive()
        if not alive:
            return False, text
        if not self.is_ready:
            return False, "starting"
        trouble = next((found for ask in self.troubles if (found := ask()) is not None), None)
        return trouble is None, trouble or "at work"


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64  # with five, a client among many waits a second to be accepted
    longest = LONGEST

    def __init__(self, *args: Any, **options: Any) -> None:
        self._served: dict[Any, float] = {}  # since when, the oldest first
        self._asked: set[Any] = set()
        self._changes = threading.Lock()
        super().__init__(*args, **options)

    def service_actions(self) -> None:
        """Close connections past their time limit; called twice a second."""
        with self._changes:
            for request, since in list(self._served.items()):
                if monotonic() - since > self.longest:
                    self._cut(request)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the connection; if none is free, close another connection."""
        with self._changes:
            while len(self._served) >= CONNECTIONS:
                silent = (one for one in self._served if one not in self._asked)
                self._cut(next(silent, next(iter(self._served))))
            self._served[request] = monotonic()
        super().process_request(request, client_address)

    def asked(self, request: Any) -> None:
        """The connection has sent its request."""
        with self._changes:
            if request in self._served:
                self._asked.add(request)

    def _cut(self, request: Any) -> None:
        """Its thread then fails to read or write, and ends."""
        del self._served[request]
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and free the thread for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changes:
                self._served.pop(request, None)
                self._asked.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """No traceback for clients that disconnect or are too slow."""


class _ServerV6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = TIMEOUT
    server: _Server

    def parse_request(self) -> bool:
        """Read the request's line and headers as in the base class."""
        is_whole = super().parse_request()
        if is_whole:
            self.server.asked(self.request)
        return is_whole

    def log_message(self, *_args: Any) -> None:
        """No log line per scrape."""


class MetricsServer:
    """Serves until ``close``; without ``health`` the metrics alone.

    ``port`` is the bound port, also where 0 was requested.

    Raises:
        ConfigError: where the address is taken, or is none of this machine's.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: Health | None) -> None:
        self._metrics = make_wsgi_app(registry)
        self._health = health
        kind = _ServerV6 if ":" in host else _Server
        try:
            self._server = make_server(host, port, self._answer, kind, _Handler)
        except OSError as error:
            raise ConfigError(
                f"{in_url(host)}:{port} cannot be listened on: {error.strerror}; give another port, or 0 for any, and "
                "an address of this machine",
                key="metrics_port",
            ) from error
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, *HEADERS], *rest)

        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            start("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Type", "text/plain; charset=utf-8")])
            return [b"there is nothing to be changed here\n"]
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environ, start)
            return answer
        health = self._health
        found = None if health is None else {"/healthz": health.alive, "/readyz": health.ready}.get(path)
        if found is None:
            status, text = "404 Not Found", f"here are {', '.join(PATHS if health else PATHS[:1])}"
        else:
            good, text = found()
            status = "200 OK" if good else "503 Service Unavailable"
        start(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
