"""``gridclock health`` against a real port."""

from __future__ import annotations

import time

import pytest
from prometheus_client import CollectorRegistry

from streams.cli import run
from streams.live.metrics_server import Health, MetricsServer
from tests.operations.answering import answering


def test_health_says_what_the_worker_says(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    health = Health(lambda: now[0])
    server = MetricsServer("127.0.0.1", 0, CollectorRegistry(), health)
    port = ["--metrics-host", "0.0.0.0", "--metrics-port", str(server.port)]
    try:
        assert run(["health", *port]) == 0
        assert capsys.readouterr().out == "alive\n"
        assert run(["health", "--ready", *port]) == 1
        assert capsys.readouterr().err == "gridclock: starting\n"
        health.is_ready = True
        assert run(["health", "--ready", *port]) == 0
        now[0] = 3600.0
        assert run(["health", *port]) == 1
    finally:
        server.close()
    assert run(["health", *port]) == 1
    assert f"gridclock: no answer from http://127.0.0.1:{server.port}/healthz: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([b"SSH-2.0-OpenSSH_9\r\n"], "BadStatusLine"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 99_999 + b"\r\n\r\n"], "LineTooLong"),
        ([b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\n\xff\xfe"], "\ufffd\ufffd"),
        ([b"HTTP/1.1 302 F\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"], "HTTP 302"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n", *[b"x"] * 60], "none in 1 s"),
    ],
    ids=["no HTTP", "an endless header", "no text", "a redirect to itself", "byte by byte"],
)
def test_another_program_on_the_port_is_one_line(
    capsys: pytest.CaptureFixture[str], pieces: list[bytes], said: str
) -> None:
    with answering(pieces, 0.1) as port:
        began = time.monotonic()
        assert run(["health", "--metrics-port", str(port), "--timeout", "1"]) == 1
        assert time.monotonic() - began < 3
    err = capsys.readouterr().err
    assert said in err
    assert err.startswith("gridclock: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n", "no answer from"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\npart", "no answer from"),
        (b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\n\xff\xfe", "is not the metrics port of a worker"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "is not the metrics port of a worker"),
    ],
    ids=["no HTTP", "cut off", "no text", "a page"],
)
def test_status_of_another_program_is_one_line(capsys: pytest.CaptureFixture[str], answer: bytes, said: str) -> None:
    with answering([answer]) as port:
        assert run(["status", "--worker", f"127.0.0.1:{port}"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_host_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["health", "--metrics-host", "http://x"]) == 1
    assert capsys.readouterr().err.startswith("gridclock: no answer from ")
