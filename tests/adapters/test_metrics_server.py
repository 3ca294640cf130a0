"""The metrics port towards strangers: read-only, bounded, on loopback unless told otherwise."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Gauge

from streams.adapters.metrics_server import CONNECTIONS, PATHS, Health, MetricsServer
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


def test_connections_are_bounded_and_come_free_again(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(CONNECTIONS)]
    late = socket.create_connection(("127.0.0.1", port), timeout=10)
    assert late.recv(1) == b""  # closed at once
    late.close()
    for one in silent:
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""
        one.close()
    for _ in range(1000):
        try:
            status, _, body = ask(port, "GET", "/metrics")
            break
        except (http.client.HTTPException, ConnectionError):
            continue
    assert (status, b"found 1.0" in body) == (200, True)


def test_ports_are_on_loopback_unless_told_otherwise() -> None:
    fields = Settings.model_fields
    assert {name: fields[name].default for name in fields if name.endswith("_host")} == {
        "metrics_host": "127.0.0.1", "board_host": "127.0.0.1",
    }  # fmt: skip
