"""The table of metrics holds what is really shown, and nothing else."""

from __future__ import annotations

from typing import cast

from prometheus_client import CollectorRegistry

from schemas.base import Text
from schemas.deliveries import UNDELIVERED_REASONS, UndeliveredReason
from schemas.organisations import Organisation
from streams.notify.metrics import NOTIFY_TABLE, NotifyMetrics


def shown_by(registry: CollectorRegistry) -> dict[str, tuple[str, set[str], str]]:
    """Type, labels and meaning of every metric of a registry, as a table has them; those of the process left out."""
    shown = {}
    for family in registry.collect():
        if family.name.startswith("process_"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels if label != "le"}
        shown[name] = (family.type, labels, family.documentation)
    return shown


def test_the_table_is_what_is_shown() -> None:
    metrics = NotifyMetrics(("hook",))
    assert shown_by(metrics.registry) == {row.name: (row.type, set(row.labels), row.meaning) for row in NOTIFY_TABLE}


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


def test_the_start_of_the_process_is_shown() -> None:
    """Alerts tell by it what a process counted before it was first looked at."""
    assert NotifyMetrics(("hook",)).registry.get_sample_value("process_start_time_seconds") is not None


def test_codes_without_a_name_are_counted_once_and_only_where_there_are_names() -> None:
    def unnamed(names: dict[str, Organisation]) -> float | None:
        metrics = NotifyMetrics((), names)
        for _ in range(2):
            for org in ({"city": "3201", "unit": "U1"}, {"city": "3202", "unit": None}, None):
                metrics.places_read(org)
        return metrics.registry.get_sample_value("gridclock_notify_organisations_unnamed")

    assert unnamed({}) == 0
    assert unnamed({"3201": Organisation(code="3201", name=Text(zh="南京", en="Nanjing"))}) == 2
