"""What a notifier measures, for Prometheus. Labels are closed sets: channels are those of the subscriptions file.

| metric | type | labels | meaning |
| --- | --- | --- | --- |
| `gridclock_notify_alerts_total` | counter | `kind` | alerts read, by kind; `duplicate` and `not_an_alert` beside |
| `gridclock_notify_deliveries_total` | counter | `channel`, `outcome` | messages: delivered, undelivered, moot |
| `gridclock_notify_attempts_failed_total` | counter | `channel`, `reason` | attempts that failed |
| `gridclock_notify_delay_seconds` | histogram | `channel` | from planning a message to its receiver having it |
| `gridclock_notify_detected_delay_seconds` | histogram | `channel` | the same from an alert's detection, if alone |
| `gridclock_notify_escalations_total` | counter | `level` | breaches gone up a step |
| `gridclock_notify_acknowledgements_total` | counter | `action` | acknowledgements and annotations read |
| `gridclock_notify_outbox` | gauge | `channel` | messages planned and not yet sent |
| `gridclock_notify_waiting` | gauge | | alerts waiting for a digest or for the end of quiet hours |
| `gridclock_notify_cases` | gauge | | cases remembered |
| `gridclock_notify_active` | gauge | | 1 where this process delivers, 0 where it stands by |
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.acknowledgements import Action
from schemas.deliveries import UndeliveredReason
from streams.adapters.metric_table import DELAYS
from streams.adapters.metrics_server import MetricsServer

KINDS = ("warning", "breach", "late_completion", "violation", "retraction", "duplicate", "not_an_alert")
OUTCOMES = ("delivered", "undelivered", "moot")


class NotifyMetrics:
    """The counters of one notifier; ``serve`` shows them on ``/metrics``."""

    def __init__(self, channels: tuple[str, ...]) -> None:
        self.registry = registry = CollectorRegistry()
        self._server: MetricsServer | None = None
        self._alerts = Counter("gridclock_notify_alerts", "Alerts read", ["kind"], registry=registry)
        self._deliveries = Counter(
            "gridclock_notify_deliveries", "Messages by what became of them", ["channel", "outcome"], registry=registry
        )
        self._failed = Counter(
            "gridclock_notify_attempts_failed", "Attempts that failed", ["channel", "reason"], registry=registry
        )
        self._delay = Histogram(
            "gridclock_notify_delay_seconds", "From planning a message until its receiver has it", ["channel"],
            buckets=DELAYS, registry=registry,
        )  # fmt: skip
        self._detected = Histogram(
            "gridclock_notify_detected_delay_seconds",
            "From the detection of an alert, digests excepted, until its receiver has it",
            ["channel"],
            buckets=DELAYS,
            registry=registry,
        )
        self._escalations = Counter(
            "gridclock_notify_escalations", "Breaches gone up a step", ["level"], registry=registry
        )
        self._acknowledgements = Counter(
            "gridclock_notify_acknowledgements", "Acknowledgements and notes read", ["action"], registry=registry
        )
        self._outbox = Gauge("gridclock_notify_outbox", "Messages not yet sent", ["channel"], registry=registry)
        self._waiting = Gauge("gridclock_notify_waiting", "Alerts waiting to be told", registry=registry)
        self._cases = Gauge("gridclock_notify_cases", "Cases remembered", registry=registry)
        self._active = Gauge("gridclock_notify_active", "1 where this process delivers", registry=registry)
        for kind in KINDS:
            self._alerts.labels(kind)
        for channel in channels:
            self._outbox.labels(channel)
            for outcome in OUTCOMES:
                self._deliveries.labels(channel, outcome)

    def alerts_read(self, kind: str, count: int = 1) -> None:
        """Alerts read; ``kind`` is one of ``KINDS``."""
        self._alerts.labels(kind).inc(count)

    def done(self, channel: str, outcome: str) -> None:
        """A message is off the outbox; ``outcome`` is one of ``OUTCOMES``."""
        self._deliveries.labels(channel, outcome).inc()

    def took(self, channel: str, *, planned: float, detected: float | None) -> None:
        """How long it took, seconds."""
        self._delay.labels(channel).observe(max(0.0, planned))
        if detected is not None:
            self._detected.labels(channel).observe(max(0.0, detected))

    def attempt_failed(self, channel: str, reason: UndeliveredReason) -> None:
        """One attempt came to nothing."""
        self._failed.labels(channel, reason).inc()

    def escalated(self, level: str) -> None:
        """A breach went up a step."""
        self._escalations.labels(level).inc()

    def acknowledged(self, action: Action) -> None:
        """An acknowledgement or a note was read."""
        self._acknowledgements.labels(action).inc()

    def state(self, *, outbox: dict[str, int], waiting: int, cases: int) -> None:
        """How much there is."""
        for channel, count in outbox.items():
            self._outbox.labels(channel).set(count)
        self._waiting.set(waiting)
        self._cases.set(cases)

    def active(self, is_active: bool) -> None:
        """Whether this process delivers."""
        self._active.set(1 if is_active else 0)

    def serve(self, host: str, port: int) -> int:
        """Show the metrics; returns the port.

        Raises:
            OSError: where the address is taken.
        """
        self._server = MetricsServer(host, port, self.registry, None)
        return self._server.port

    def close(self) -> None:
        """Stop showing them."""
        if self._server is not None:
            self._server.close()
            self._server = None
