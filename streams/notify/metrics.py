"""The metrics of a notifier: one table, from which the Prometheus registry is made.

Labels are closed sets: ``channel`` is a name in the subscriptions file, ``kind`` and ``outcome`` are listed here,
``reason``, ``level`` and ``action`` come from the schemas. Delays are real seconds also where alerts use a scaled
clock, except for ``detected``, which is measured on the alerts' own clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

from schemas.acknowledgements import Action
from schemas.deliveries import UNDELIVERED_REASONS, UndeliveredReason
from schemas.organisations import Organisation
from schemas.subscriptions import OrgLevel
from streams.live.metric_table import DELAYS, Metric
from streams.live.served_metrics import ServedMetrics

KINDS: Final = ("warning", "breach", "late_completion", "violation", "retraction", "duplicate", "not_an_alert")
MAX_UNNAMED: Final = 10_000
"""Codes without a name that are counted; more are invented by a sender."""

OUTCOMES: Final = ("delivered", "undelivered", "moot")

NOTIFY_TABLE: Final = (
    Metric(
        "gridclock_notify_alerts_total",
        "counter",
        ("kind",),
        "Alerts read, by kind; duplicate and not_an_alert beside them",
    ),
    Metric(
        "gridclock_notify_deliveries_total",
        "counter",
        ("channel", "outcome"),
        "Messages by what became of them: delivered, undelivered, moot (nothing left to send)",
    ),
    Metric(
        "gridclock_notify_attempts_failed_total", "counter", ("channel", "reason"), "Attempts to deliver that failed"
    ),
    Metric(
        "gridclock_notify_delay_seconds",
        "histogram",
        ("channel",),
        "From planning a message until its receiver has it",
        DELAYS,
    ),
    Metric(
        "gridclock_notify_detected_delay_seconds",
        "histogram",
        ("channel",),
        "From the detection of an alert, digests excepted, until its receiver has it",
        DELAYS,
    ),
    Metric("gridclock_notify_escalations_total", "counter", ("level",), "Breaches escalated to a level"),
    Metric("gridclock_notify_acknowledgements_total", "counter", ("action",), "Acknowledgements and notes read"),
    Metric("gridclock_notify_outbox", "gauge", ("channel",), "Messages planned and not yet sent"),
    Metric("gridclock_notify_waiting", "gauge", (), "Alerts waiting for a digest or for the end of quiet hours"),
    Metric("gridclock_notify_cases", "gauge", (), "Cases remembered"),
    Metric(
        "gridclock_notify_organisations_unnamed",
        "gauge",
        (),
        "Codes in the alerts read that organisations.yaml does not name; 0 without that file",
    ),
    Metric("gridclock_notify_active", "gauge", (), "1 where this process delivers, 0 where it stands by"),
)
NOTIFY_METRICS: Final = {metric.name: metric for metric in NOTIFY_TABLE}


class NotifyMetrics(ServedMetrics):
    """The metrics of one notifier."""

    def __init__(self, channels: tuple[str, ...], names: Mapping[str, Organisation] | None = None) -> None:
        super().__init__(NOTIFY_METRICS, "gridclock_notify_")
        self._names = names or {}
        self._unnamed: set[str] = set()
        self._alerts = self.registered("alerts_total")
        self._deliveries = self.registered("deliveries_total")
        self._failed = self.registered("attempts_failed_total")
        self._delay = self.registered("delay_seconds")
        self._detected = self.registered("detected_delay_seconds")
        self._escalations = self.registered("escalations_total")
        self._acknowledgements = self.registered("acknowledgements_total")
        self._outbox = self.registered("outbox")
        self._waiting = self.registered("waiting")
        self._cases = self.registered("cases")
        self._active = self.registered("active")
        self.registered("organisations_unnamed").set_function(lambda: len(self._unnamed))
        # Create every series at the start: Prometheus sees no increase in a series that begins at 1.
        for metric, values in (
            (self._alerts, KINDS),
            (self._escalations, get_args(OrgLevel)),
            (self._acknowledgements, get_args(Action)),
        ):
            for value in values:
                metric.labels(value)
        for channel in channels:
            self._outbox.labels(channel)
            self._delay.labels(channel)
            self._detected.labels(channel)
            for outcome in OUTCOMES:
                self._deliveries.labels(channel, outcome)
            for reason in UNDELIVERED_REASONS:
                self._failed.labels(channel, reason)

    def alerts_read(self, kind: str, count: int = 1) -> None:
        """Alerts read; ``kind`` is one of ``KINDS``."""
        self._alerts.labels(kind).inc(count)

    def places_read(self, org: Mapping[str, object] | None) -> None:
        """The organisation of an alert read; codes without a name are counted, each once."""
        if self._names and len(self._unnamed) < MAX_UNNAMED:
            self._unnamed |= {code for code in (org or {}).values() if isinstance(code, str)} - self._names.keys()

    def done(self, channel: str, outcome: str) -> None:
        """A message has left the outbox; ``outcome`` is one of ``OUTCOMES``."""
        self._deliveries.labels(channel, outcome).inc()

    def took(self, channel: str, *, planned: float, detected: float | None) -> None:
        """The delays of a delivered message, in seconds."""
        self._delay.labels(channel).observe(max(0.0, planned))
        if detected is not None:
            self._detected.labels(channel).observe(max(0.0, detected))

    def attempt_failed(self, channel: str, reason: UndeliveredReason) -> None:
        """One attempt failed."""
        self._failed.labels(channel, reason).inc()

    def escalated(self, level: str) -> None:
        """A breach was escalated."""
        self._escalations.labels(level).inc()

    def acknowledged(self, action: Action) -> None:
        """An acknowledgement or a note was read."""
        self._acknowledgements.labels(action).inc()

    def state(self, *, outbox: dict[str, int], waiting: int, cases: int) -> None:
        """The current sizes."""
        for channel, count in outbox.items():
            self._outbox.labels(channel).set(count)
        self._waiting.set(waiting)
        self._cases.set(cases)

    def active(self, is_active: bool) -> None:
        """Whether this process delivers."""
        self._active.set(1 if is_active else 0)
