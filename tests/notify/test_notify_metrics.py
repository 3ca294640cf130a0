"""The table of metrics holds what is really shown, and nothing else."""

from __future__ import annotations

from typing import cast

from schemas.deliveries import UNDELIVERED_REASONS, UndeliveredReason
from streams.notify.metrics import NOTIFY_TABLE, NotifyMetrics


def test_the_table_is_what_is_shown() -> None:
    metrics = NotifyMetrics(("hook",))
    shown = {}
    for family in metrics.registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels if label != "le"}
        shown[name] = (family.type, labels, family.documentation)
    assert shown == {row.name: (row.type, set(row.labels), row.meaning) for row in NOTIFY_TABLE}


def test_every_series_is_there_from_the_start() -> None:
    """Else Prometheus takes the first failure for the beginning of the series, and not for an increase."""
    metrics = NotifyMetrics(("hook", "wall"))
    series = {(s.name, *sorted(s.labels.items())) for family in metrics.registry.collect() for s in family.samples}
    metrics.alerts_read("breach")
    for reason in UNDELIVERED_REASONS:
        metrics.attempt_failed("wall", cast(UndeliveredReason, reason))
    metrics.done("hook", "undelivered")
    metrics.took("hook", planned=1, detected=2)
    metrics.escalated("county")
    metrics.acknowledged("annotate")
    metrics.state(outbox={"wall": 3}, waiting=1, cases=2)
    after = {(s.name, *sorted(s.labels.items())) for family in metrics.registry.collect() for s in family.samples}
    assert after == series
