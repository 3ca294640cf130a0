"""An answer over HTTP that is not to be waited for, or held, without end."""

from __future__ import annotations

import itertools

import pytest

from streams.errors import BrokerError
from streams.operations import asking
from streams.operations.asking import ask
from tests.operations.answering import answering


def test_all_of_an_answer_has_the_time() -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    with answering([head, b"al", b"ive"]) as port:
        assert ask(f"http://127.0.0.1:{port}/metrics", 10) == (200, "alive")
    with answering(itertools.chain([head], itertools.repeat(b"x"))) as port, pytest.raises(BrokerError) as raised:
        ask(f"http://127.0.0.1:{port}/metrics", 0.5)
    assert str(raised.value) == f"no answer from http://127.0.0.1:{port}/metrics: none in 0.5 s"


def test_an_answer_without_end_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_BYTES", 100)
    endless = itertools.chain([b"HTTP/1.1 200 OK\r\n\r\n"], itertools.repeat(b"x" * 50))
    with answering(endless) as port, pytest.raises(BrokerError, match="one of more than 100 bytes"):
        ask(f"http://127.0.0.1:{port}/metrics", 10)
