"""The metrics: what the table says is what is exposed, and the values are those of the cases."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics import exposition, parser

from schemas.base import Text
from schemas.organisations import Organisation
from streams.core.outcome_counts import OutcomeCounts, Place, Running
from streams.engine.clocks import FAILED
from streams.live.applied import Applied
from streams.live.clock_partition import ClockPartition
from streams.live.metric_table import METRICS, TABLE, Metric
from streams.live.metrics import Metrics
from streams.live.metrics_server import SILENT_AT_MOST, Health, MetricsServer
from streams.live.place_labels import PlaceLabels
from streams.live.running_clocks import count_running
from streams.simulation import simulate
from streams.wall_clock import WallClock
from streams.wire.state_rows import LogRecord
from tests.stories import decoded, moment, shipped, us

generate_latest: Any = exposition.generate_latest  # both untyped
text_string_to_metric_families: Any = parser.text_string_to_metric_families

ORG = {"province": "32", "city": "3201", "county": "320101"}


class Worker:
    """Metrics of one clock partition, without Kafka; its clock stands still."""

    def __init__(self, now: str, data_dir: Path | None = None, rules: tuple[str, ...] = ()) -> None:
        self.rules = rules
        self.seconds = 0.0
        self.health = Health(lambda: self.seconds)
        self.partitions: dict[int, ClockPartition] = {}
        self.now = us(now)
        self.metrics = Metrics(
            _Still(us(now)),
            self.partitions,
            shipped(*rules).rulebook,
            is_ready=lambda: self.health.ready()[0],
            log_partitions=1,
            data_dir=data_dir,
        )
        self.metrics.name_organisations({"3201": Organisation(code="3201", name=Text(zh="南京", en="Nanjing"))})
        self.partition = self.partitions[0] = ClockPartition(0, shipped(*rules).rulebook, keep_for=None)

    def take(self, events: list[dict[str, Any]], offset: int = 0) -> Applied:
        entries = [
            (subject, copy, f"t/0/{number}")
            for number, event in enumerate(decoded(events))
            for subject, copy in shipped(*self.rules).rulebook.copies_of(event)
        ]
        applied = self.partition.apply(LogRecord(entries, {"t/0": self.now}, {"t": 1}), offset)
        assert applied is not None
        self.metrics.alerts_sent(applied.alerts)
        self.metrics.applied(applied, 0.01)
        return applied

    def samples(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        text = generate_latest(self.metrics.registry).decode()
        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = tuple(sorted(sample.labels.items()))
                found.setdefault(sample.name, {})[labels] = sample.value
        return found


class _Still(WallClock):
    """A clock that stands still, so that what is read off it can be said in advance."""

    def __init__(self, instant: int) -> None:
        super().__init__(0, instant)

    def now(self) -> int:
        return self.origin


def service(number: int, start: str, stop: str | None = None, org: object = ORG) -> list[dict[str, Any]]:
    order = {"order_id": f"WO{number}", "org": org}
    events: list[dict[str, Any]] = [
        {
            "event_id": f"{number}-1",
            "event_type": "counter.service_started",
            "occurred_at": moment(start).isoformat(),
            "business": "fee",
            **order,
        }
    ]
    if stop:
        events.append(
            {
                "event_id": f"{number}-2",
                "event_type": "counter.service_completed",
                "occurred_at": moment(stop).isoformat(),
                **order,
            }
        )
    return events


def busy(tmp_path: Path) -> Worker:
    """Everything has happened once that a metric is about."""
    worker = Worker("2026-03-16T00:00", tmp_path)
    worker.take(simulate(orders=400, seed=5, start=date(2026, 3, 2), days=14).events)
    worker.take(service(9001, "2026-03-02T09:00"), offset=1)
    worker.take(service(9001, "2026-03-02T09:00", "2026-03-02T09:04"), offset=2)  # the breach is taken back
    worker.metrics.event_in("counter.service_started", 1)
    worker.metrics.unwatched(1)
    worker.metrics.passed_over("orders")
    worker.metrics.dead_letter("not_json")
    worker.metrics.records_lost("in/0", 3)
    worker.metrics.transaction_open("in/0", 1.5)
    worker.metrics.recovered(1.5)
    return worker


def test_the_native_engine_is_shown_with_what_it_leaves_to_python(tmp_path: Path) -> None:
    worker = busy(tmp_path)
    assert worker.samples()["gridclock_native_engine"] == {(): 0}
    fallbacks: Counter[str] = Counter()
    worker.metrics.show_native(fallbacks)
    fallbacks["a correction"] += 3
    found = worker.samples()
    assert found["gridclock_native_engine"] == {(): 1}
    assert found["gridclock_native_fallbacks_total"] == {(("reason", FAILED),): 0, (("reason", "a correction"),): 3}


def test_what_is_exposed_is_what_the_table_says(tmp_path: Path) -> None:
    text = generate_latest(busy(tmp_path).metrics.registry).decode()
    exposed = {}
    for family in text_string_to_metric_families(text):
        if family.name.startswith("process_"):
            continue
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {frozenset(sample.labels) - {"le"} for sample in family.samples}
        assert labels, f"{name} has no sample"
        assert len(labels) == 1, f"{name} has samples with different labels"
        exposed[name] = (family.type, labels.pop(), family.documentation)
    assert exposed == {metric.name: (metric.type, frozenset(metric.labels), metric.meaning) for metric in TABLE}


@pytest.mark.parametrize("metric", TABLE, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: Metric) -> None:
    assert metric.name.startswith("gridclock_")
    assert metric.name.endswith("_total") == (metric.type == "counter")
    if "histogram" in metric.type:
        assert metric.name.endswith(("_seconds", "_ratio"))
        assert list(metric.buckets) == sorted(set(metric.buckets))
    for word in ("milliseconds", "minutes", "hours", "percent", "kilobytes"):
        assert word not in metric.name
    forbidden = {"order_id", "account_id", "meter_id", "subject", "case_id", "alert_id", "staff_id", "event_id"}
    assert not forbidden & set(metric.labels)


def test_no_label_names_a_subject(tmp_path: Path) -> None:
    text = generate_latest(busy(tmp_path).metrics.registry).decode()
    assert "WO0" not in text
    assert "A0000" not in text


def test_endings_less_reopenings_are_the_verdicts_of_the_cases(tmp_path: Path) -> None:
    worker = busy(tmp_path)
    samples = worker.samples()
    net: Counter[tuple[str, str]] = Counter()
    for name, sign in (("gridclock_cases_ended_total", 1), ("gridclock_cases_reopened_total", -1)):
        for labels, value in samples[name].items():
            found = dict(labels)
            net[found["rule"], found["outcome"]] += sign * int(value)
    cases = list(worker.partition.engine.cases())
    expected = Counter((case.verdict.rule.id, str(case.verdict.outcome)) for case in cases)
    running = Counter(case.verdict.rule.id for case in cases if case.verdict.outcome in ("running", "breached"))
    assert {key: count for key, count in net.items() if count} == {
        key: count for key, count in expected.items() if key[1] != "running"
    }
    open_cases: Counter[str] = Counter()
    for labels, value in samples["gridclock_open_cases"].items():
        open_cases[dict(labels)["rule"]] += int(value)
    assert open_cases == running


def test_a_place_begins_at_nought_before_its_first_case_ends() -> None:
    worker = Worker("2026-03-02T09:01", rules=("fee-5-minutes",))
    worker.take(service(1, "2026-03-02T09:00"))
    worker.samples()  # the look at what runs
    samples = worker.samples()
    here = {
        "rule": "fee-5-minutes",
        "chapter": "W",
        "severity": "norm",
        "city": "3201",
        "county": "320101",
    }
    for outcome in ("met", "met_late", "breached"):
        assert samples["gridclock_cases_ended_total"][tuple(sorted({**here, "outcome": outcome}.items()))] == 0
    city = tuple(sorted((name, value) for name, value in here.items() if name != "county"))
    assert samples["gridclock_breaches_total"][city] == 0
    assert samples["gridclock_open_cases"][tuple(sorted(here.items()))] == 1


def test_time_left_is_told_by_fraction_and_by_seconds() -> None:
    worker = Worker("2026-03-02T09:04", rules=("fee-5-minutes",))
    worker.take(service(1, "2026-03-02T09:00") + service(2, "2026-03-02T09:02") + service(3, "2026-03-02T08:00"))
    samples = worker.samples()

    def bucket(name: str, le: str) -> float:
        return sum(value for labels, value in samples[f"{name}_bucket"].items() if dict(labels)["le"] == le)

    fraction, seconds = "gridclock_time_left_ratio", "gridclock_time_left_seconds"
    assert [bucket(fraction, le) for le in ("0.0", "0.1", "0.2", "0.5", "0.7", "1.0", "+Inf")] == [1, 1, 2, 2, 3, 3, 3]
    assert [bucket(seconds, le) for le in ("0.0", "60.0", "300.0", "+Inf")] == [1, 2, 3, 3]
    assert sum(samples[f"{seconds}_gsum"].values()) == 60 + 180
    assert list(samples["gridclock_next_deadline_timestamp_seconds"].values()) == [us("2026-03-02T09:05") / 1e6]


def test_a_city_or_county_past_the_cap_is_other_and_none_is_unknown() -> None:
    labels = PlaceLabels(shipped().rulebook.rules, max_counties=2)
    counties = [("3201", "320101"), ("3201", "320102"), ("3201", "320103"), ("3201", "320101"), ("3202", None)]
    found = [labels.of(Place("repair-arrival", city, county)) for city, county in counties]
    assert [one[3:] for one in found] == [
        ("3201", "320101"),
        ("3201", "320102"),
        ("3201", "other"),
        ("3201", "320101"),
        ("3202", "unknown"),
    ]
    assert {one[:3] for one in found} == {("repair-arrival", "F", "red_line")}
    assert labels.of(Place("repair-arrival", None, None))[3:] == ("unknown", "unknown")


def test_a_look_at_many_clocks_counts_every_one() -> None:
    place = Place("fee-5-minutes", "3201", None)
    counts, others = OutcomeCounts(), OutcomeCounts()
    for n in range(1, 1001):
        counts.run(("order", f"WO{n}"), (Running(place, 0, n * 1_000_000),))
    others.run(("order", "WO0"), (Running(place, 0, None),))
    found = count_running([counts.clocks_at(), others.clocks_at()], 500_000_000, lambda at: (at.rule, "c", "x"))
    assert found.open_cases == {("fee-5-minutes", "c", "x"): 1001}
    (left,) = found.by_city.values()
    assert left.by_seconds[0] == ("0.0", 500.0)
    assert left.by_seconds[-1] == ("+Inf", 1000.0)
    assert left.next_deadline == 501_000_000


def test_every_kind_of_metric_is_in_the_table_once() -> None:
    assert len(METRICS) == len(TABLE)


# -- the port --------------------------------------------------------------------------------------------


def fetch(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_port_tells_metrics_and_health() -> None:
    worker = Worker("2026-03-02T09:00")
    health = worker.health
    server = MetricsServer("127.0.0.1", 0, worker.metrics.registry, health)

    def ready() -> tuple[int, str]:
        """The answer of /readyz; the gauge says the same at the same moment."""
        answer = fetch(server.port, "/readyz")
        status, text = fetch(server.port, "/metrics")
        assert status == 200
        assert f"\ngridclock_ready {float(answer[0] == 200)}\n" in text
        return answer

    try:
        assert fetch(server.port, "/healthz") == (200, "alive\n")
        assert ready() == (503, "starting\n")
        health.is_ready = True
        assert ready() == (200, "at work\n")
        troubles: list[str] = ["restoring the state"]
        health.troubles.append(lambda: troubles[0] if troubles else None)
        assert ready() == (503, "restoring the state\n")
        troubles.clear()
        assert ready() == (200, "at work\n")
        worker.seconds += SILENT_AT_MOST + 1
        stuck = (503, "stuck: the event loop has not turned for 31 s\n")
        assert fetch(server.port, "/healthz") == stuck
        assert ready() == stuck
        health.beat()
        assert fetch(server.port, "/healthz") == (200, "alive\n")
        assert fetch(server.port, "/elsewhere") == (404, "here are /metrics, /healthz, /readyz\n")
    finally:
        server.close()
