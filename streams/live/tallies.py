"""Counts and histograms of what one thread does many times a record, without prometheus_client's lock and checks.

Their page is the same as of its ``Counter`` and ``Histogram``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from streams.live.metric_table import Metric
from streams.wall_clock import WallClock

_CLOCK = WallClock()


@dataclass(slots=True)
class Count:
    """What was counted under some labels, since when (seconds since 1970): whoever counts adds to it."""

    value: float = 0
    created: float = field(default_factory=lambda: _CLOCK.now() / 1e6)


class Tally(Collector):
    """The counts of one metric by the values of its labels. One thread counts and moves; any may begin and collect."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._metric = metric
        self._counts: dict[tuple[str, ...], Count] = {}
        registry.register(self)

    def of(self, labels: tuple[str, ...]) -> Count:
        """The count under these labels, from 0 on; not to be kept once they have been moved."""
        found = self._counts.get(labels)
        return self._counts.setdefault(labels, Count()) if found is None else found

    def move(self, labels_after: Callable[[tuple[str, ...]], tuple[str, ...] | None]) -> None:
        """Add counts to those under other labels; ``None`` leaves one where it is."""
        for labels in list(self._counts):
            if (after := labels_after(labels)) is not None:
                self.of(after).value += self._counts.pop(labels).value

    def describe(self) -> Iterable[CounterMetricFamily]:
        """Its name only."""
        return [CounterMetricFamily(self._metric.name, self._metric.meaning, labels=self._metric.labels)]

    def collect(self) -> Iterator[CounterMetricFamily]:
        """As counted so far."""
        (family,) = self.describe()
        for labels, count in list(self._counts.items()):  # copied in one step of the interpreter
            family.add_metric(labels, count.value, count.created)
        yield family


class Observations:
    """What was observed under some labels, by buckets that end at these bounds (inclusive, in order)."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.created = _CLOCK.now() / 1e6

    def observe(self, value: float) -> None:
        """Add one."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


class HistogramTally(Collector):
    """The histograms of one metric by the values of its labels. One thread observes; any may begin and collect."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._metric = metric
        self._bounds = [floatToGoString(bound) for bound in (*metric.buckets, inf)]  # type: ignore[no-untyped-call]
        self._all: dict[tuple[str, ...], Observations] = {}
        registry.register(self)

    def of(self, labels: tuple[str, ...]) -> Observations:
        """Those under these labels, none at first."""
        found = self._all.get(labels)
        return self._all.setdefault(labels, Observations(self._metric.buckets)) if found is None else found

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Its name only."""
        return [HistogramMetricFamily(self._metric.name, self._metric.meaning, labels=self._metric.labels)]

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """As observed so far."""
        (family,) = self.describe()
        for labels, one in list(self._all.items()):
            buckets = list(zip(self._bounds, accumulate(one.counts), strict=True))
            family.add_metric(labels, buckets, one.sum)
            named = dict(zip(self._metric.labels, labels, strict=True))
            family.samples.append(Sample(f"{self._metric.name}_created", named, one.created))
        yield family
