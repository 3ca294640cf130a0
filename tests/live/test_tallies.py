"""A tally's page is that of prometheus_client's counter or histogram, and nothing is lost when counts are moved."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from streams.live.metric_table import DELAYS, METRICS
from streams.live.tallies import HistogramTally, Tally

NAME = "gridclock_breaches_total"
SECONDS = st.floats(0, 100_000)
CITIES = st.sampled_from(["3201", "3202", "other", 'a "city"\n'])


def page(registry: CollectorRegistry) -> list[str]:
    """Its lines, without the moment at which each count began."""
    lines = generate_latest(registry).decode().splitlines()
    return sorted(line.rpartition(" ")[0] if "_created{" in line else line for line in lines)


def shown(registry: CollectorRegistry, city: str) -> float | None:
    return registry.get_sample_value(NAME, dict(zip(METRICS[NAME].labels, labels_of(city), strict=True)))


def labels_of(city: str) -> tuple[str, ...]:
    return "fee-5-minutes", "C", "normal", city


@given(st.lists(st.tuples(CITIES, st.integers(0, 3)), max_size=20))
def test_its_page_is_that_of_a_counter(counts: list[tuple[str, int]]) -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    counter, tally = METRICS[NAME].registered(theirs), Tally(METRICS[NAME], ours)
    for city, count in counts:
        counter.labels(*labels_of(city)).inc(count)
        tally.of(labels_of(city)).value += count
    assert page(ours) == page(theirs)


@given(st.lists(st.tuples(CITIES, st.integers(0, 3)), max_size=20), CITIES, CITIES)
def test_moved_counts_are_added(counts: list[tuple[str, int]], left: str, to: str) -> None:
    registry = CollectorRegistry()
    tally = Tally(METRICS[NAME], registry)
    for city, count in counts:
        tally.of(labels_of(city)).value += count
    tally.move(lambda labels: labels_of(to) if labels[3] == left != to else None)
    of = {city: sum(count for where, count in counts if where == city) for city in {where for where, _ in counts}}
    if left in of and left != to:
        of[to] = of.get(to, 0) + of.pop(left)
    assert {city: shown(registry, city) for city in of} == of
    assert left == to or shown(registry, left) is None


@given(st.lists(st.tuples(st.sampled_from(["breach", "warning"]), st.one_of(st.sampled_from(DELAYS), SECONDS))))
def test_its_page_is_that_of_a_histogram(delays: list[tuple[str, float]]) -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    metric = METRICS["gridclock_detection_delay_seconds"]
    histogram, tally = metric.registered(theirs), HistogramTally(metric, ours)
    for kind, seconds in delays:
        histogram.labels(kind).observe(seconds)
        tally.of((kind,)).observe(seconds)
    assert page(ours) == page(theirs)
