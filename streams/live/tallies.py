"""Counters that one thread adds to many times for each record, without prometheus_client's lock and checks each time.

Their page is the same as of its ``Counter``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

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
