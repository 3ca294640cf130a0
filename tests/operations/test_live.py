"""A real Prometheus scrapes a real worker: every query of every panel and every rule, on what it measured."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

import pytest

from streams.commands.send import send_files
from streams.kafka.brokers import Broker
from streams.kafka.child_process import ChildProcess
from streams.kafka.java_broker import free_ports
from streams.operations.monitoring import DEPLOY, Alertmanager, MonitoringError, Prometheus, why_not
from streams.replay.input_counts import InputCounts
from streams.settings import load_settings
from streams.simulation import simulate
from streams.wall_clock import WallClock
from tests.notify.receiver import receiver
from tests.operations.grafana import queries
from tests.operations.test_deployment import ALERTS, RECORDED

pytestmark = pytest.mark.slow
SECONDS = 120.0
T = TypeVar("T")
SHANGHAI = timezone(timedelta(hours=8))

# The rules' windows, shortened: a test cannot wait for an hour. That they are right as they stand is said by
# their own tests; here they run on what a worker really exposes.
SHORTER = {
    "[30d:1h]": "[80s:4s]",
    "[7d:1h]": "[80s:4s]",
    "[1d:5m]": "[80s:4s]",
    "[1h:5m]": "[8s:4s]",
    "[5m]": "[8s]",
    "interval: 5m": "interval: 2s",
    "interval: 1m": "interval: 2s",
}


def shorter(text: str) -> str:
    for window, other in SHORTER.items():
        text = text.replace(window, other)
    return text


def eventually(found: Callable[[], T], what: str) -> T:
    """Ask until the answer is not empty."""
    deadline = time.monotonic() + SECONDS
    while True:
        answer = found()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {SECONDS:g} s: {what}"
        time.sleep(0.2)


@dataclass
class Setup:
    prometheus: Prometheus
    alertmanager: Alertmanager
    worker: ChildProcess
    send: Callable[[list[dict[str, Any]]], None]
    now: datetime

    def value(self, expression: str) -> float:
        return sum(float(one["value"][1]) for one in self.prometheus.query(expression))


@pytest.fixture(scope="module")
def setup(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    with ExitStack() as stack:
        yield from _setup(kafka, tmp_path_factory, stack)


def _setup(kafka: Broker, tmp_path_factory: pytest.TempPathFactory, stack: ExitStack) -> Iterator[Setup]:
    for name in ("Prometheus", "Alertmanager"):
        if (reason := why_not(name)) is not None:
            pytest.skip(reason)
    directory = tmp_path_factory.mktemp("ops")
    port, notify_port, sink_port = free_ports(3)
    name = f"ops-{port}"
    command = [sys.executable, "-m", "streams.cli", "run", "--name", name, "--bootstrap", kafka.bootstrap]
    command += ["--partitions", "2", "--data-dir", str(directory / "state"), "--metrics-port", str(port)]
    worker = ChildProcess(command, directory / "worker.log")
    alertmanager = prometheus = notifier = sink = None
    hook = stack.enter_context(receiver())
    try:
        eventually(lambda: "at work" in worker.output() or worker.exit_code is not None, "a worker at work")
        assert worker.exit_code is None, worker.output()
        alertmanager = Alertmanager(directory / "alertmanager")
        told = {
            "GRIDCLOCK_ALERTMANAGER_URL": alertmanager.url,
            "GRIDCLOCK_WEBHOOK_URL": hook.url,
            "GRIDCLOCK_WEBHOOK_SECRET": "for this test",
        }
        command = [sys.executable, "-m", "streams.cli", "notify", "--name", name, "--bootstrap", kafka.bootstrap]
        command += ["--subscriptions", str(DEPLOY / "subscriptions.centre.yaml"), "--metrics-port", str(notify_port)]
        notifier = ChildProcess(command, directory / "notify.log", environment=told)
        command = [sys.executable, "-m", "streams.cli", "sink", "--name", name, "--bootstrap", kafka.bootstrap]
        command += ["--to", "parquet", str(directory / "results"), "--metrics-port", str(sink_port)]
        command += [
            "--table",
            "alerts",
        ]  # with cases a worker would judge by Python, and show nothing of the native engine
        sink = ChildProcess(command, directory / "sink.log")
        prometheus = Prometheus(
            directory / "prometheus",
            [f"127.0.0.1:{port}"],
            others={"gridclock-notify": [f"127.0.0.1:{notify_port}"], "gridclock-sink": [f"127.0.0.1:{sink_port}"]},
            alertmanager=f"127.0.0.1:{alertmanager.port}",
            seconds=2,
            rules_changed=shorter,
        )
        settings = load_settings(bootstrap=kafka.bootstrap, name=name)

        def send(events: list[dict[str, Any]]) -> None:
            file = directory / "events.jsonl"
            file.write_text("".join(json.dumps(event) + "\n" for event in events), "utf-8")
            send_files(settings, (str(file),), settings.source_topics[0], InputCounts(), recorded=False, quiet=True)

        now = datetime.fromtimestamp(WallClock().now() / 1e6, SHANGHAI)
        found = Setup(prometheus, alertmanager, worker, send, now)
        simulated(found)
        yield found
    finally:
        for server in (prometheus, alertmanager):
            if server is not None:
                server.stop()
        for child in (notifier, sink):
            if child is not None:
                child.kill()
        worker.kill()


def simulated(setup: Setup) -> None:
    """Three simulated days that ended yesterday, in parts so that counters rise between two looks; and some rubbish."""
    start = setup.now.date() - timedelta(days=4)
    events = simulate(orders=600, seed=11, start=start, days=3).events
    size = len(events) // 4
    for part in range(4):
        setup.send(events[part * size : (part + 1) * size])
        setup.send([{"event_id": f"rubbish-{part}", "event_type": "no.such.thing"}])
        taken = len(events[: (part + 1) * size])
        eventually(lambda: setup.value("sum(gridclock_events_total)") >= taken, f"{taken} events in Prometheus")  # noqa: B023


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_panel_shows_data(setup: Setup, language: str) -> None:
    asked: dict[str, str] = {}
    for chapter in "WBMRIF":
        for query in queries(chapter):
            if query.where.startswith(language):
                if chapter == "W" or "chapter.json" not in query.where:
                    asked[query.where] = query.expression
                setup.prometheus.query(query.expression)  # valid for every chapter
    empty = dict(asked)

    def all_shown() -> bool:
        for where, expression in list(empty.items()):
            if setup.prometheus.query(expression):
                del empty[where]
        return not empty

    try:
        eventually(all_shown, "data in every panel")
    except AssertionError:
        pytest.fail("no data: " + "; ".join(f"{where}: {expression}" for where, expression in empty.items()))
    assert len(asked) > 40


def test_every_rule_is_evaluated_without_error_and_every_kpi_has_a_value(setup: Setup) -> None:
    def groups() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = setup.prometheus.get("/api/v1/rules")["data"]["groups"]
        return found

    eventually(lambda: all(rule["health"] != "unknown" for group in groups() for rule in group["rules"]), "evaluated")
    rules = [rule for group in groups() for rule in group["rules"]]
    assert [rule for rule in rules if rule["health"] != "ok"] == []
    assert {rule["name"] for rule in rules} == {rule["alert"] for rule in ALERTS} | RECORDED
    for name in sorted(RECORDED):
        eventually(lambda name=name: setup.prometheus.query(name), name)  # type: ignore[misc]


def test_on_time_rate_is_that_of_the_cases(setup: Setup) -> None:
    """What Prometheus says of the counters is what the simulator knows of its orders."""
    net = "sum by (rule, outcome) (gridclock_cases_ended_total) - " + (
        "(sum by (rule, outcome) (gridclock_cases_reopened_total)"
        " or 0 * sum by (rule, outcome) (gridclock_cases_ended_total))"
    )
    counts = {
        (one["metric"]["rule"], one["metric"]["outcome"]): int(float(one["value"][1]))
        for one in setup.prometheus.query(net)
    }
    start = setup.now.date() - timedelta(days=4)
    expected = simulate(orders=600, seed=11, start=start, days=3)
    met = sum(1 for row in expected.expected if row["rule"] == "fee-5-minutes" and row["outcome"] == "met")
    late = sum(
        1 for row in expected.expected if row["rule"] == "fee-5-minutes" and row["outcome"] in ("met_late", "breached")
    )
    found = counts["fee-5-minutes", "met"]
    found_late = counts["fee-5-minutes", "met_late"] + counts["fee-5-minutes", "breached"]
    assert met > 50
    assert (found, found_late) == (met, late)


def test_a_breach_is_counted_soon_after_its_deadline_and_its_completion_moves_it(setup: Setup) -> None:
    org = {"province": "32", "city": "3299", "county": "329901"}
    started = datetime.fromtimestamp(WallClock().now() / 1e6, SHANGHAI) - timedelta(minutes=5) + timedelta(seconds=6)
    event = {"order_id": "WO-LIVE", "org": org, "event_type": "counter.service_started", "business": "fee"}
    setup.send([{**event, "event_id": "live-1", "occurred_at": started.isoformat()}])
    here = '{rule="fee-5-minutes", city="3299"}'
    eventually(lambda: setup.value(f"gridclock_open_cases{here}") == 1, "one clock running")
    eventually(lambda: setup.value(f"gridclock_breaches_total{here}") == 1, "its breach")
    stopped = {"order_id": "WO-LIVE", "org": org, "event_type": "counter.service_completed", "event_id": "live-2"}
    setup.send([{**stopped, "occurred_at": (started + timedelta(minutes=5, seconds=1)).isoformat()}])
    late = '{rule="fee-5-minutes", city="3299", outcome="met_late"}'
    eventually(lambda: setup.value(f"gridclock_cases_ended_total{late}") == 1, "completed late")
    breached = '{rule="fee-5-minutes", city="3299", outcome="breached"}'
    assert setup.value(f"gridclock_cases_ended_total{breached} - gridclock_cases_reopened_total{breached}") == 0
    setup.send(
        [
            {
                **stopped,
                "event_id": "live-3",
                "corrects": "live-2",
                "occurred_at": (started + timedelta(minutes=4)).isoformat(),
            }
        ]
    )
    eventually(lambda: setup.value(f"gridclock_retractions_total{here}") == 2, "both taken back")
    met = '{rule="fee-5-minutes", city="3299", outcome="met"}'
    eventually(lambda: setup.value(f"gridclock_cases_ended_total{met}") == 1, "met after all")


def test_no_identifier_reaches_prometheus(setup: Setup) -> None:
    for label in setup.prometheus.get("/api/v1/labels")["data"]:
        values = setup.prometheus.get(f"/api/v1/label/{label}/values")["data"]
        assert not [value for value in values if re.search(r"WO\d{5}|WO-LIVE|A\d{8}|M\d{8}", value)], label


def test_an_alert_of_prometheus_reaches_alertmanager(setup: Setup) -> None:
    """Red lines were crossed in the simulated days, while Prometheus looked."""

    def alerts() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = setup.alertmanager.get("/api/v2/alerts")
        names = {"alertname": "GridclockRedLine", "rule": "repair-arrival"}
        return [alert for alert in found if names.items() <= alert["labels"].items()]

    alert = eventually(alerts, "GridclockRedLine in Alertmanager")[0]
    assert [receiver["name"] for receiver in alert["receivers"]] == ["supervision"]


def test_a_wrong_query_is_told(setup: Setup) -> None:
    with pytest.raises(MonitoringError, match="parse error"):
        setup.prometheus.query("sum(")
