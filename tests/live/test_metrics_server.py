"""The metrics port towards strangers: read-only, bounded, on loopback unless told otherwise."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Gauge

from streams.errors import ConfigError
from streams.live.metrics_server import CONNECTIONS, PATHS, Health, MetricsServer, _Server
from streams.loopback import in_url
from streams.settings import Settings


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    registry = CollectorRegistry()
    Gauge("found", "there", registry=registry).set(1)
    server = MetricsServer("127.0.0.1", 0, registry, Health())
    yield server.port
    server.close()


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", [*PATHS, "/other"])
def test_every_answer_has_the_headers_and_no_version_of_ours(port: int, path: str) -> None:
    _, headers, _ = ask(port, "GET", path)
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
    assert headers["Server"].strip() == "gridclock"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_can_be_changed(port: int, method: str) -> None:
    status, headers, _ = ask(port, method, "/metrics", b"x")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def connected(port: int, said: bytes = b"") -> socket.socket:
    found = socket.create_connection(("127.0.0.1", port), timeout=20)
    found.sendall(said)
    return found


def is_cut(one: socket.socket) -> bool:
    """Waits until it is, or fails by the socket's own time."""
    try:
        return one.recv(1) == b""
    except ConnectionResetError:
        return True
    finally:
        one.close()


def test_who_says_nothing_gives_way_to_who_asks(port: int) -> None:
    silent = [connected(port, b"GET /metrics HTTP/1.0\r\nX-Slow: ") for _ in range(CONNECTIONS)]
    for _ in range(3):
        status, _, body = ask(port, "GET", "/metrics")
        assert (status, b"found 1.0" in body) == (200, True)
    assert is_cut(silent[0])
    more = [connected(port) for _ in range(2 * CONNECTIONS)]
    assert all(map(is_cut, silent[1:] + more[:CONNECTIONS]))
    assert ask(port, "GET", "/healthz")[0] == 200
    for one in more[CONNECTIONS:]:
        one.close()


def test_a_byte_now_and_then_does_not_prolong_a_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Server, "longest", 1.0)
    server = MetricsServer("127.0.0.1", 0, CollectorRegistry(), None)
    slow = connected(server.port, b"GET /metrics HTTP/1.0\r\nX-Slow: ")
    slow.settimeout(0.1)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            slow.sendall(b"x")
            if slow.recv(1) == b"":
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    assert time.monotonic() < deadline
    slow.close()
    server.close()


def test_ports_are_on_loopback_unless_told_otherwise() -> None:
    fields = Settings.model_fields
    assert {name: fields[name].default for name in fields if name.endswith("_host")} == {
        "metrics_host": "127.0.0.1", "board_host": "127.0.0.1",
    }  # fmt: skip


@pytest.mark.parametrize("host", ["127.0.0.1", "nohost.invalid", "203.0.113.7"])
def test_an_address_that_cannot_be_listened_on_is_named(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"^metrics_port: {host}:{port} cannot be listened on: [A-Z].*; give"):
            MetricsServer(host, port, CollectorRegistry(), Health())


def test_an_address_before_a_port() -> None:
    assert (in_url("::1"), in_url("127.0.0.1"), in_url("localhost")) == ("[::1]", "127.0.0.1", "localhost")
