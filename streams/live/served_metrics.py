"""The metrics of one process, by the rows of its table, served on its port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from streams.live.metric_table import Metric
from streams.live.metrics_server import Health, MetricsServer
from streams.live.process_metrics import ProcessMetrics


class ServedMetrics:
    """A registry of the rows of ``table`` and of the process.

    ``serve`` exposes it on ``/metrics``, with ``/healthz`` and ``/readyz``. ``prefix`` is what the
    names of the rows have in common.
    """

    def __init__(self, table: Mapping[str, Metric], prefix: str, health: Health | None = None) -> None:
        self.registry = CollectorRegistry()
        ProcessMetrics(registry=self.registry)
        self.health = health or Health()
        self._table = table
        self._prefix = prefix
        self._server: MetricsServer | None = None

    def registered(self, name: str) -> Any:
        """A metric of the table, by the rest of its name."""
        return self._table[f"{self._prefix}{name}"].registered(self.registry)

    def serve(self, host: str, port: int) -> int:
        """Serve the metrics; returns the port.

        Raises:
            OSError: where the address is taken.
        """
        self._server = MetricsServer(host, port, self.registry, self.health)
        return self._server.port

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.close()
            self._server = None
