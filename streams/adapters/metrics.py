"""What a worker measures, for Prometheus. Labels are closed sets: a city past the cap is ``other``.

Names follow the usual conventions: base units, ``_total`` for counters. One registry a worker, so that tests
and several workers in one process do not share counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streams.adapters.clocks import Applied, ClockPartition
from streams.adapters.wall_clock import WallClock
from streams.core.alerts import Alert

MAX_CITIES: Final = 400
"""China has some 340 cities; whoever sends more sends garbage."""

DELAYS: Final = (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 5, 10, 30, 60, 300, 1800, 7200, 86400)
WORK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

_KINDS: Final = {
    "warning": ("gridclock_warnings", "Limits about to run out"),
    "breach": ("gridclock_breaches", "Limits that ran out"),
    "late_completion": ("gridclock_late_completions", "Completions after the limit had run out"),
    "violation": ("gridclock_violations", "Acts against a rule"),
    "retraction": ("gridclock_retractions", "Alerts taken back"),
}


class Metrics:
    """The counters of one worker; ``serve`` shows them on ``/metrics``."""

    def __init__(self, clock: WallClock, partitions: Mapping[int, ClockPartition]) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self._cities: set[str] = set()
        self._server: WSGIServer | None = None
        registry = self.registry
        self._events = Counter("gridclock_events", "Events taken in", ["family"], registry=registry)
        self._unwatched = Counter("gridclock_events_unwatched", "Events no rule watches", registry=registry)
        self._dead = Counter("gridclock_dead_letters", "Records refused", ["reason"], registry=registry)
        self._notices = Counter(
            "gridclock_entries", "Events put into a subject's history, by what became of them", ["notice"],
            registry=registry,
        )  # fmt: skip
        self._alerts = {
            kind: Counter(name, text, ["rule", "city"], registry=registry) for kind, (name, text) in _KINDS.items()
        }
        self._delay = Histogram(
            "gridclock_detection_delay_seconds",
            "From the instant an alert is about until the broker has it (retractions: from the watermark)",
            ["kind"],
            buckets=DELAYS,
            registry=registry,
        )
        self._work = Histogram(
            "gridclock_processing_seconds",
            "Work on one record of the log, up to its state being kept",
            buckets=WORK,
            registry=registry,
        )
        registry.register(_Partitions(clock, partitions, self.city))

    def city(self, org: object) -> str:
        """The city of an event's org, as a label."""
        found = org.get("city") if isinstance(org, dict) else None
        if not isinstance(found, str):
            return "unknown"
        if found not in self._cities:
            if len(self._cities) >= MAX_CITIES:
                return "other"
            self._cities.add(found)
        return found

    def event_in(self, event_type: str, count: int) -> None:
        """Events decoded."""
        self._events.labels(event_type.split(".", 1)[0]).inc(count)

    def unwatched(self, count: int) -> None:
        """Events that no rule watches."""
        self._unwatched.inc(count)

    def dead_letter(self, reason: str) -> None:
        """A record refused."""
        self._dead.labels(reason).inc()

    def alert_sent(self, alert: Alert) -> None:
        """An alert that the broker has acknowledged."""
        self._alerts[alert.kind].labels(alert.rule, self.city(alert.org)).inc()
        since = alert.detected_at if alert.kind == "retraction" else alert.due_at
        self._delay.labels(alert.kind).observe(max(0, self._clock.now() - since) / 1e6 / float(self._clock.speed))

    def applied(self, applied: Applied, seconds: float) -> None:
        """A record of the log done with."""
        for (notice, _), count in applied.step.notices.items():
            self._notices.labels(notice).inc(count)
        self._work.observe(seconds)

    def serve(self, host: str, port: int) -> int:
        """Show the metrics; returns the port, which matters where 0 was asked for.

        Raises:
            OSError: where the address is taken.
        """
        self._server, _ = start_http_server(port, host, registry=self.registry)
        found: int = self._server.server_port
        return found

    def close(self) -> None:
        """Stop showing them."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Partitions(Collector):
    """Gauges read off the engines when asked for."""

    def __init__(self, clock: WallClock, partitions: Mapping[int, ClockPartition], city: Any) -> None:
        self._clock = clock
        self._partitions = partitions
        self._city = city

    def collect(self) -> Any:
        lag = GaugeMetricFamily(
            "gridclock_watermark_lag_seconds", "How far a partition's time is behind", labels=["partition"]
        )
        subjects = GaugeMetricFamily("gridclock_subjects", "Subjects kept", labels=["partition"])
        open_cases = GaugeMetricFamily("gridclock_open_cases", "Clocks running", labels=["rule", "city"])
        counts: dict[tuple[str, str], int] = {}
        now = self._clock.now()
        for number, partition in sorted(dict(self._partitions).items()):
            subjects.add_metric([str(number)], len(partition.engine))
            if partition.watermark is not None:
                lag.add_metric([str(number)], max(0, now - partition.watermark) / 1e6 / float(self._clock.speed))
            for (rule, city), count in dict(partition.engine.open_cases).items():
                key = rule, self._city({"city": city})
                counts[key] = counts.get(key, 0) + count
        for (rule, city), count in sorted(counts.items()):
            open_cases.add_metric([rule, city], count)
        return [lag, subjects, open_cases]
