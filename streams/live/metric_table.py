"""Every metric of a worker: name, type, labels, meaning. The one place; the registry is made from it.

Names follow Prometheus' conventions: base units, ``_total`` for counters, ``_info`` for facts. Labels are closed
sets and never name a subject: ``rule``, ``chapter`` and ``severity`` come from the rulebook, ``outcome``, ``kind``,
``notice`` and ``reason`` from the schemas, ``family`` from the event catalogue, ``partition`` and ``source`` from the
topics, ``city`` and ``county`` are codes up to a cap, then ``other``; ``unknown`` where the event names none.

Counties stand where on-time rates are made of, and nowhere else: they multiply everything by a hundred.

Times that belong to a limit (time left, next deadline) are of the clock that the worker runs by; delays and work are
real seconds also where that clock is a scaled one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

MetricType = Literal["counter", "gauge", "histogram", "gaugehistogram"]

RULE: Final = ("rule", "chapter", "severity")
BY_CITY: Final = (*RULE, "city")
BY_COUNTY: Final = (*RULE, "city", "county")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric by the name that its samples carry; those of a histogram add ``_bucket``, ``_sum``, ``_count``.

    A gauge histogram's buckets go up and down; its other samples are ``_gsum`` and ``_gcount``.
    """

    name: str
    type: MetricType
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()

    def registered(self, registry: CollectorRegistry) -> Any:
        """A counter, gauge or histogram of this row, in a registry."""
        kind = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}[self.type]
        more = {"buckets": self.buckets} if self.buckets else {}
        return kind(self.name, self.meaning, self.labels, registry=registry, **more)


DELAYS: Final = (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 5, 10, 30, 60, 300, 1800, 7200, 86400)
WORK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
RECOVERY: Final = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
FRACTIONS: Final = (0, 0.1, 0.2, 0.3, 0.5, 0.7, 1)
LEFT: Final = (0, 60, 300, 900, 3600, 14400, 86400, 259200, 604800)

TABLE: Final = (
    # the business
    Metric(
        "gridclock_cases_ended_total",
        "counter",
        (*BY_COUNTY, "outcome"),
        "Cases decided: met, met_late, breached, violated, cancelled",
    ),
    Metric(
        "gridclock_cases_reopened_total",
        "counter",
        (*BY_COUNTY, "outcome"),
        "Endings that no longer hold, by the outcome they had; ended less reopened is what stands",
    ),
    Metric("gridclock_open_cases", "gauge", BY_COUNTY, "Clocks running, overdue ones included"),
    Metric(
        "gridclock_time_left_ratio",
        "gaugehistogram",
        BY_CITY,
        "Clocks running by the fraction of their limit that is left; 0: overdue",
        FRACTIONS,
    ),
    Metric(
        "gridclock_time_left_seconds",
        "gaugehistogram",
        BY_CITY,
        "Clocks running by the time left to their deadline; 0: overdue",
        LEFT,
    ),
    Metric(
        "gridclock_next_deadline_timestamp_seconds",
        "gauge",
        BY_CITY,
        "The next deadline ahead, in seconds since the epoch; absent where no clock is running towards one",
    ),
    Metric("gridclock_warnings_total", "counter", BY_CITY, "Alerts: limits about to run out"),
    Metric("gridclock_breaches_total", "counter", BY_CITY, "Alerts: limits that ran out"),
    Metric("gridclock_late_completions_total", "counter", BY_CITY, "Alerts: completions after the limit had run out"),
    Metric("gridclock_violations_total", "counter", BY_CITY, "Alerts: acts against a rule"),
    Metric("gridclock_retractions_total", "counter", BY_CITY, "Alerts: earlier ones taken back"),
    Metric(
        "gridclock_rulebooks",
        "gauge",
        (),
        "Different rulebooks by which the partitions are judged, this worker's included; 1 where all workers agree",
    ),
    Metric(
        "gridclock_rule_info",
        "gauge",
        (*RULE, "clause", "title_zh", "title_en"),
        "1 for each rule in the rulebook of this worker that is enabled",
    ),
    Metric(
        "gridclock_organisation_info",
        "gauge",
        ("code", "parent", "name_zh", "name_en"),
        "1 for each city and county among the labels that organisations.yaml names",
    ),
    Metric(
        "gridclock_organisations_unnamed",
        "gauge",
        (),
        "Cities and counties among the labels that organisations.yaml does not name; absent without that file",
    ),
    # the program
    Metric(
        "gridclock_detection_delay_seconds",
        "histogram",
        ("kind",),
        "From the instant an alert is about until the broker has it (retractions: from the watermark)",
        DELAYS,
    ),
    Metric("gridclock_events_total", "counter", ("family",), "Events taken in"),
    Metric("gridclock_events_unwatched_total", "counter", (), "Events no rule watches"),
    Metric(
        "gridclock_records_passed_over_total",
        "counter",
        ("topic",),
        "Records, or parts of them, that give no event, as the mapping of their topic says; tombstones among them",
    ),
    Metric("gridclock_dead_letters_total", "counter", ("reason",), "Records refused"),
    Metric(
        "gridclock_bounds_reached_total",
        "counter",
        ("bound",),
        "Decisions in which a subject had more than a bound allows, so that an event of it was not judged by a rule: "
        "acts waiting for one close, violations that count together, things for which a condition holds",
    ),
    Metric(
        "gridclock_source_records_lost_total",
        "counter",
        ("source",),
        "Records that the topic's retention removed before they were read",
    ),
    Metric(
        "gridclock_source_transaction_open_seconds",
        "gauge",
        ("source",),
        "For how long the last stable offset has stood still with records behind it: an open transaction stops time",
    ),
    Metric(
        "gridclock_entries_total",
        "counter",
        ("notice",),
        "Events put into a subject's history, by what became of them: applied, late, duplicate, conflict, too_old",
    ),
    Metric("gridclock_watermark_lag_seconds", "gauge", ("partition",), "How far a log partition's time is behind"),
    Metric(
        "gridclock_source_lag_seconds",
        "gauge",
        ("source",),
        "How far the time vouched for by a source partition is behind, seen by its slowest reader here",
    ),
    Metric("gridclock_subjects", "gauge", ("partition",), "Subjects kept in memory and in the state"),
    Metric(
        "gridclock_quarantined_subjects",
        "gauge",
        ("partition",),
        "Subjects set aside because the program failed at them: nothing is judged of them",
    ),
    Metric("gridclock_state_bytes", "gauge", (), "Size of the local copy of the state on disk"),
    Metric("gridclock_log_partitions", "gauge", (), "Partitions of the log: all workers together must work on these"),
    Metric(
        "gridclock_processing_seconds",
        "histogram",
        (),
        "Work on one record of the log, up to its state being kept",
        WORK,
    ),
    Metric(
        "gridclock_recovery_seconds",
        "histogram",
        (),
        "From a partition's assignment until its first record is worked on: state read back, timers made again",
        RECOVERY,
    ),
    Metric("gridclock_scan_seconds", "gauge", (), "What the last look at all running clocks for these metrics took"),
    Metric(
        "gridclock_clock_ahead_seconds",
        "gauge",
        (),
        "How far this machine's clock is ahead of the brokers', negative where it is behind; the earlier counts",
    ),
    Metric(
        "gridclock_ready",
        "gauge",
        (),
        "1 while the worker is at work, 0 while something keeps it from that: what `/readyz` says at the same moment",
    ),
    Metric(
        "gridclock_native_engine",
        "gauge",
        (),
        "1 where the native engine decides what it can, 0 where Python decides all; the results are the same",
    ),
    Metric(
        "gridclock_native_fallbacks_total",
        "counter",
        ("reason",),
        "Decisions on a subject that the native engine left to Python; acts to report and reports to withdraw are not "
        "counted",
    ),
    Metric("gridclock_build_info", "gauge", ("version", "python"), "1, with the versions of the program and of Python"),
)
"""All but ``process_*`` and ``python_gc_*``, which prometheus-client adds with its usual names."""

METRICS: Final = {metric.name: metric for metric in TABLE}
