"""A real HTTP server on loopback that remembers what it was sent and answers as told."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HANG = -1
"""Answer not at all, until the server closes."""
CUT = -2
"""Close the connection without an answer."""


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes
    answer: int


@dataclass
class Receiver:
    """``answers`` are used up one a request; after the last it answers 200."""

    answers: list[int] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    url: str = ""
    slow: float = 0
    retry_after: dict[int, str] = field(default_factory=lambda: {429: "1"})
    """By status: the header Retry-After."""
    date: str | None = None
    """The header Date, where it is not to be this machine's time."""
    said: bytes = b""
    """The body of every answer."""
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def taken(self) -> list[Received]:
        """What was answered well."""
        with self.lock:
            return [one for one in self.received if 200 <= one.answer < 300]


@contextmanager
def receiver(answers: Sequence[int] = (), *, certificate: Path | None = None, slow: float = 0) -> Iterator[Receiver]:
    """On a port of its own; over TLS with a certificate (a file of key and certificate)."""
    state = Receiver(list(answers), slow=slow)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with state.lock:
                answer = state.answers.pop(0) if state.answers else 200
                headers = {name.lower(): value for name, value in self.headers.items()}
                state.received.append(Received(self.path, headers, body, answer))
            if answer == HANG or state.slow:
                state.closing.wait(None if answer == HANG else state.slow)
            if answer in (HANG, CUT):
                self.close_connection = True
                return
            self.send_response_only(answer)
            self.send_header("Date", state.date or self.date_time_string())
            if 300 <= answer < 400:
                self.send_header("Location", f"{state.url}/elsewhere")
            if answer in state.retry_after:
                self.send_header("Retry-After", state.retry_after[answer])
            self.send_header("Content-Length", str(len(state.said)))
            self.end_headers()
            self.wfile.write(state.said)

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up, or does not trust us, is what is tested."""

    server = Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    state.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def eventually(claim: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether the claim comes true before the deadline."""
    deadline = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
