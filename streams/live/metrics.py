"""A worker's metrics for Prometheus; names and meanings are in ``metric_table``.

One registry per worker, so that several workers in one process do not share counts. Counters are updated at each event;
running clocks are counted at a scrape, at most once every few seconds.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeHistogramMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from schemas.dead_letters import REASONS
from schemas.organisations import Organisation
from schemas.rules import ActRule, SequenceRule
from streams.core.alerts import Alert
from streams.core.outcome_counts import Ending, Place
from streams.core.rulebook import Rulebook
from streams.core.verdicts import AlertKind, Bounded
from streams.engine.clocks import FAILED
from streams.engine.written_alerts import WrittenAlert
from streams.live.applied import Applied
from streams.live.clock_partition import ClockPartition
from streams.live.metric_table import METRICS
from streams.live.place_labels import OTHER, UNKNOWN, PlaceLabels, chapter_of
from streams.live.process_metrics import ProcessMetrics
from streams.live.running_clocks import count_running
from streams.live.tallies import Count, HistogramTally, Tally
from streams.wall_clock import WallClock, monotonic

LOOK_AGAIN: Final = 5.0
"""Seconds for which a count of the running clocks is reused."""

CLOCK: Final = (("met", "met_late", "breached"), ("warning", "breach", "late_completion", "retraction"))
ACT: Final = (("met", "violated"), ("violation", "retraction"))
"""Outcomes and alert kinds of a place: of a rule with a deadline, of a rule about an act."""

_KINDS: Final = {
    "warning": "gridclock_warnings_total",
    "breach": "gridclock_breaches_total",
    "late_completion": "gridclock_late_completions_total",
    "violation": "gridclock_violations_total",
    "retraction": "gridclock_retractions_total",
}


class Metrics:
    """The counters of one worker, and the gauges computed at a scrape."""

    def __init__(
        self,
        clock: WallClock,
        partitions: Mapping[int, ClockPartition],
        rulebook: Rulebook,
        *,
        is_ready: Callable[[], bool] = lambda: False,
        log_partitions: int = 0,
        max_counties: int = 200,
        data_dir: Path | None = None,
    ) -> None:
        self.registry = registry = CollectorRegistry()
        self._clock = clock
        self._seen: set[tuple[str, ...]] = set()
        self._children: dict[tuple[Any, ...], Any] = {}
        self._endings: dict[Ending, tuple[Count, Count]] = {}  # ended so, and not so after all
        self._sent: dict[tuple[str, Place], Count] = {}  # alerts by kind
        rules = [rule for rule in rulebook.rules if rule.enabled]
        self._acts = {rule.id for rule in rules if isinstance(rule, ActRule | SequenceRule)}
        self.labels = PlaceLabels(rules, max_counties, self._forget)
        self._placing = threading.RLock()
        made = self._registered
        self._ended = Tally(METRICS["gridclock_cases_ended_total"], registry)
        self._reopened = Tally(METRICS["gridclock_cases_reopened_total"], registry)
        self._alerts = {kind: Tally(METRICS[name], registry) for kind, name in _KINDS.items()}
        self._delay = HistogramTally(METRICS["gridclock_detection_delay_seconds"], registry)
        self._events = made("gridclock_events_total")
        self._unwatched = made("gridclock_events_unwatched_total")
        self._passed_over = made("gridclock_records_passed_over_total")
        self._dead = made("gridclock_dead_letters_total")
        self._bounds = made("gridclock_bounds_reached_total")
        for bound in {fold.bound for fold in rulebook.folds if isinstance(fold, Bounded) and fold.bound}:
            self._bounds.labels(bound)  # from zero on, so that the first increase is one
        self._lost = made("gridclock_source_records_lost_total")
        self._transaction_open = made("gridclock_source_transaction_open_seconds")
        self._notices = made("gridclock_entries_total")
        self._work = made("gridclock_processing_seconds")
        self._recovery = made("gridclock_recovery_seconds")
        self.clock_ahead = made("gridclock_clock_ahead_seconds")
        self.rulebooks = made("gridclock_rulebooks")
        made("gridclock_ready").set_function(is_ready)
        made("gridclock_log_partitions").set(log_partitions)
        self._native = made("gridclock_native_engine")
        made("gridclock_build_info").labels(version("gridclock"), platform.python_version()).set(1)
        self._organisations: Mapping[str, Organisation] = {}
        info = made("gridclock_rule_info")
        for rule in {rule.id: rule for rule in rules}.values():
            titles = rule.title.zh, rule.title.en
            info.labels(rule.id, chapter_of(rule), rule.severity, rule.clause, *titles).set(1)
        for reason in REASONS:
            self._dead.labels(reason)
        if data_dir is not None:
            made("gridclock_state_bytes").set_function(partial(_size_of, data_dir))
        ProcessMetrics(registry=registry)
        registry.register(_Lags(clock, partitions))
        registry.register(_Running(clock, partitions, self))
        self._fallbacks = _Fallbacks()
        registry.register(self._fallbacks)

    def show_native(self, fallbacks: Mapping[str, int]) -> None:
        """Show that the native engine is at work, and the decisions that it leaves to Python, by reason."""
        self._native.set(1)
        self._fallbacks.counts = fallbacks

    def _registered(self, name: str) -> Any:
        """A metric of the table."""
        return METRICS[name].registered(self.registry)

    def name_organisations(self, organisations: Mapping[str, Organisation]) -> None:
        """Show the names of places that become labels, by their codes; at the start, before any count."""
        self._organisations = organisations
        if organisations:
            self._named = self._registered("gridclock_organisation_info")
            unnamed = self._registered("gridclock_organisations_unnamed")
            unnamed.set_function(self._unnamed)

    def _of(self, family: Any, *labels: str) -> Any:
        """One metric of a family, cached: looking it up costs more than counting."""
        key = family, *labels
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = family.labels(*labels)
        return child

    # -- intake ------------------------------------------------------------------------------------------

    def event_in(self, event_type: str, count: int) -> None:
        """Events decoded."""
        self._of(self._events, event_type.split(".", 1)[0]).inc(count)

    def unwatched(self, count: int) -> None:
        """Events that no rule watches."""
        self._unwatched.inc(count)

    def passed_over(self, topic: str) -> None:
        """A record, or a part of one, that gives no event by the topic's mapping."""
        self._passed_over.labels(topic).inc()

    def dead_letter(self, reason: str) -> None:
        """A record refused."""
        self._of(self._dead, reason).inc()

    def records_lost(self, source: str, count: int) -> None:
        """Records removed by retention before they were read; a count of 0 creates the counter."""
        self._lost.labels(source).inc(count)

    def transaction_open(self, source: str, seconds: float | None) -> None:
        """How long a source has been blocked by an open transaction; ``None`` where another worker reads it."""
        if seconds is None:
            with suppress(KeyError):
                self._transaction_open.remove(source)
        else:
            self._transaction_open.labels(source).set(seconds)

    # -- clocks ------------------------------------------------------------------------------------------

    def place(self, place: Place, *, is_use: bool = True) -> tuple[str, ...]:
        """Labels of a place. Its counters are created as 0 first, so that the first count is an increase.

        Without ``is_use`` (a count of the running clocks) it replaces no other place. Thread-safe.
        """
        with self._placing:
            labels = self.labels.of(place, is_use=is_use)
            if labels not in self._seen:
                self._seen.add(labels)
                self._name_places(labels[3:5])
                outcomes, kinds = ACT if place.rule in self._acts else CLOCK
                for outcome in outcomes:
                    self._ended.of((*labels, outcome))
                for kind in kinds:
                    self._alerts[kind].of(labels[:-1])
            return labels

    def _count_endings(self, endings: Mapping[Ending, int], which: int) -> None:
        """Count those that ended so (0), or did not after all (1)."""
        known, used, new = self._endings, list[Place](), list[Ending]()
        for ending, count in endings.items():
            if (counts := known.get(ending)) is None:
                new.append(ending)
            else:
                counts[which].value += count
                used.append(ending[0])
        self.labels.use_known(used)
        for ending in new:  # which may take another's place
            self._of_ending(ending)[which].value += endings[ending]

    def _of_ending(self, ending: Ending) -> tuple[Count, Count]:
        """The counts of what ended so, and of what did not after all: both begin at 0 together."""
        labels = *self.place(ending[0]), ending[1]
        counts = self._ended.of(labels), self._reopened.of(labels)
        if self.labels.knows(ending[0]):
            self._endings[ending] = counts
        return counts

    def _name_places(self, codes: Sequence[str]) -> None:
        """Show the names of a city and a county that have become labels."""
        for code in codes:
            if (one := self._organisations.get(code)) is not None:
                self._of(self._named, code, one.parent or "", one.name.zh, one.name.en).set(1)

    def _unname(self, code: str) -> None:
        if (one := self._organisations.get(code)) is not None:
            labels = code, one.parent or "", one.name.zh, one.name.en
            if self._children.pop((self._named, *labels), None) is not None:
                self._named.remove(*labels)

    def _unnamed(self) -> float:
        with self._placing:
            codes = {code for labels in self._seen for code in labels[3:5]} - {OTHER, UNKNOWN}
        return len(codes - self._organisations.keys())

    def _forget(self, city: str, county: str | None) -> None:
        """Move the counts of a city, or of one county of it, to ``other``."""
        self._unname(city if county is None else county)
        self._endings.clear()
        self._sent.clear()

        def by_county(labels: tuple[str, ...]) -> tuple[str, ...] | None:
            if labels[3] != city or county not in (None, labels[4]):
                return None
            return *labels[:3], OTHER if county is None else city, OTHER, *labels[5:]

        self._ended.move(by_county)
        self._reopened.move(by_county)
        if county is None:
            for tally in self._alerts.values():
                tally.move(lambda labels: (*labels[:3], OTHER) if labels[3] == city else None)
        self._seen = {seen for seen in self._seen if seen[3] != city or county not in (None, seen[4])}

    def alerts_sent(self, alerts: Sequence[Alert | WrittenAlert]) -> None:
        """Alerts that the broker has acknowledged."""
        now, in_seconds = self._clock.now() if alerts else 0, 1e6 * float(self._clock.speed)
        known, used, new = self._sent, list[Place](), list[tuple[AlertKind, Place]]()
        for alert in alerts:
            kind = alert.kind
            if isinstance(alert, WrittenAlert):
                place = alert.place
            else:
                org = alert.org or {}
                place = Place(alert.rule, org.get("city"), org.get("county"))
            if (count := known.get((kind, place))) is None:
                new.append((kind, place))
            else:
                count.value += 1
                used.append(place)
            since = alert.detected_at if kind == "retraction" else alert.due_at
            self._delay.of((kind,)).observe(max(0, now - since) / in_seconds)
        self.labels.use_known(used)
        for kind, place in new:  # which may take another's place
            self._of_sent(kind, place).value += 1

    def _of_sent(self, kind: str, place: Place) -> Count:
        count = self._alerts[kind].of(self.place(place)[:-1])
        if self.labels.knows(place):
            self._sent[kind, place] = count
        return count

    def applied(self, applied: Applied, seconds: float) -> None:
        """A record of the log was applied."""
        for (notice, _), count in applied.step.notices.items():
            self._of(self._notices, notice).inc(count)
        self._count_endings(applied.ended, 0)
        self._count_endings(applied.reopened, 1)
        for one in applied.left_out:
            self._of(self._bounds, one.bound).inc()
        self._work.observe(seconds)

    def recovered(self, seconds: float) -> None:
        """A partition's state was restored."""
        self._recovery.observe(seconds)


def _family(name: str) -> Any:
    metric = METRICS[name]
    kind = GaugeHistogramMetricFamily if metric.type == "gaugehistogram" else GaugeMetricFamily
    return kind(name, metric.meaning, labels=metric.labels)


def _size_of(directory: Path) -> float:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.lstat().st_size
        except OSError:  # compacted away meanwhile
            continue
    return float(total)


class _Fallbacks(Collector):
    """Decisions that the native engine left to Python, by reason."""

    def __init__(self) -> None:
        self.counts: Mapping[str, int] = {}

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counts so far."""
        metric = METRICS["gridclock_native_fallbacks_total"]
        family = CounterMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for reason, count in {FAILED: 0, **self.counts}.items():  # the first count of that is an increase
            family.add_metric([reason], count)
        yield family


class _Lags(Collector):
    """The lag of each partition, and the size of its state."""

    def __init__(self, clock: WallClock, partitions: Mapping[int, ClockPartition]) -> None:
        self._clock = clock
        self._partitions = partitions

    def describe(self) -> Iterator[Any]:
        """Names only."""
        names = "watermark_lag_seconds", "source_lag_seconds", "subjects", "quarantined_subjects"
        return (_family(f"gridclock_{name}") for name in names)

    def collect(self) -> Iterator[Any]:
        """As of now; a partition without a watermark has no lag."""
        lag, source_lag, subjects, quarantined = self.describe()
        now, speed = self._clock.now(), float(self._clock.speed)
        sources: dict[str, int] = {}
        for number, partition in sorted(dict(self._partitions).items()):
            subjects.add_metric([str(number)], len(partition.engine))
            quarantined.add_metric([str(number)], len(partition.aside))
            if partition.watermark is not None:
                lag.add_metric([str(number)], max(0, now - partition.watermark) / 1e6 / speed)
            for source, watermark in partition.source_watermarks().items():
                sources[source] = min(watermark, sources.get(source, watermark))
        for source, watermark in sorted(sources.items()):
            source_lag.add_metric([source], max(0, now - watermark) / 1e6 / speed)
        yield from (lag, source_lag, subjects, quarantined)


class _Running(Collector):
    """The clocks running, by time left."""

    def __init__(self, clock: WallClock, partitions: Mapping[int, ClockPartition], metrics: Metrics) -> None:
        self._clock = clock
        self._partitions = partitions
        self._metrics = metrics
        self._looked_at = float("-inf")
        self._found: tuple[Any, ...] = ()

    def describe(self) -> Iterator[Any]:
        """Names only."""
        names = "open_cases", "time_left_ratio", "time_left_seconds", "next_deadline_timestamp_seconds", "scan_seconds"
        return (_family(f"gridclock_{name}") for name in names)

    def collect(self) -> Iterator[Any]:
        """As of now, or of a few seconds ago."""
        began = monotonic()
        if began - self._looked_at > LOOK_AGAIN:
            self._found = tuple(self._look(began))
            self._looked_at = began
        yield from self._found

    def _look(self, began: float) -> Iterator[Any]:
        open_cases, fractions, lefts, nexts, scan = self.describe()
        found = count_running(
            (partition.clocks_at() for partition in dict(self._partitions).values()),
            self._clock.now(),
            partial(self._metrics.place, is_use=False),
        )
        for place, count in sorted(found.open_cases.items()):
            open_cases.add_metric(place, count)
        for labels, one in sorted(found.by_city.items()):
            fractions.add_metric(labels, one.by_fraction, one.fraction_sum)
            lefts.add_metric(labels, one.by_seconds, one.seconds_sum)
            if one.next_deadline is not None:
                nexts.add_metric(labels, one.next_deadline / 1e6)
        scan.add_metric((), monotonic() - began)
        yield from (open_cases, fractions, lefts, nexts, scan)
