"""``gridclock health`` against a real port."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from streams.cli import run
from streams.live.metrics_server import Health, MetricsServer


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
