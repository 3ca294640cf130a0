"""An answer over HTTP that is not to be waited for, or held, without end."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterable, Iterator

import pytest

from streams.errors import BrokerError
from streams.operations import asking
from streams.operations.asking import ask


@contextlib.contextmanager
def answering(pieces: Iterable[bytes]) -> Iterator[str]:
    """The address of a server that answers one request, a piece every hundredth of a second."""

    def serve() -> None:
        with contextlib.suppress(OSError), server.accept()[0] as connection:
            connection.recv(65_536)
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.01)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/metrics"


def test_all_of_an_answer_has_the_time() -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    with answering([head, b"al", b"ive"]) as url:
        assert ask(url, 10) == (200, "alive")
    with answering(itertools.chain([head], itertools.repeat(b"x"))) as url, pytest.raises(BrokerError) as raised:
        ask(url, 0.5)
    assert str(raised.value) == f"no answer from {url}: none in 0.5 s"


def test_an_answer_without_end_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_BYTES", 100)
    endless = itertools.chain([b"HTTP/1.1 200 OK\r\n\r\n"], itertools.repeat(b"x" * 50))
    with answering(endless) as url, pytest.raises(BrokerError, match="one of more than 100 bytes"):
        ask(url, 10)
