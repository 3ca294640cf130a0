"""The table of metrics holds what is really shown, and nothing else."""

from __future__ import annotations

import re

from schemas.deliveries import UNDELIVERED_REASONS
from streams.adapters import notify_metrics
from streams.adapters.notify_metrics import NotifyMetrics


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
        shown[name] = (family.type, labels)
    assert notify_metrics.__doc__ is not None
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", notify_metrics.__doc__, re.MULTILINE)
    assert shown == {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
