"""A program on a port that gives whatever it is told, such as no HTTP, half an answer, or one without end."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def answering(pieces: Iterable[bytes], pause: float = 0.01) -> Iterator[int]:
    """Its port. Each request gets the pieces, so many seconds between two."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                with server.accept()[0] as connection, contextlib.suppress(OSError):
                    connection.recv(65_536)
                    for piece in pieces:
                        connection.sendall(piece)
                        time.sleep(pause)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
