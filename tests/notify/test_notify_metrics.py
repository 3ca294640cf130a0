"""The table of metrics holds what is really shown, and nothing else."""

from __future__ import annotations

from schemas.deliveries import UNDELIVERED_REASONS
from streams.adapters.notify_metrics import NOTIFY_TABLE, NotifyMetrics


def test_the_table_is_what_is_shown() -> None:
    metrics = NotifyMetrics(("hook",))
    metrics.alerts_read("breach")
    metrics.done("hook", "delivered")
    metrics.attempt_failed("hook", UNDELIVERED_REASONS[0])  # type: ignore[arg-type]
    metrics.took("hook", planned=1, detected=2)
    metrics.escalated("county")
    metrics.acknowledged("annotate")
    shown = {}
    for family in metrics.registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels if label != "le"}
        shown[name] = (family.type, labels, family.documentation)
    assert shown == {row.name: (row.type, set(row.labels), row.meaning) for row in NOTIFY_TABLE}
