"""The operations centre as a new user tries it: one command, and a breach is seen in every place it must reach.

Real time, a limit of three seconds, events sent by hand. How long each place took is printed (``pytest -s``), not
asserted: that depends on the machine.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from streams.core.instants import format_us, instant_us
from streams.kafka.brokers import Broker
from streams.kafka.child_process import ChildProcess
from streams.kafka.threaded_producer import ThreadedProducer
from streams.notify.channels.webhook import signature_of
from streams.operations.monitoring import Prometheus, why_not
from streams.wall_clock import WallClock
from tests.notify.receiver import Receiver, receiver
from tests.stories import SHANGHAI, moment

SECONDS = 60.0
SECRET = "for this test only"
LIMIT = 3_000_000
RULES = """
chapter: T
title: {zh: 测试章, en: Test chapter}
rules:
  - id: three-seconds
    effective_from: 2023-01-01
    clauses: [T-R1]
    source: a test
    severity: red_line
    kind: deadline
    subject: order
    title: {zh: 三秒办结, en: Done in three seconds}
    start: {type: counter.service_started, where: {business: fee}}
    stop: counter.service_completed
    limit: 3 s
"""

Place = Callable[[], object]


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


@dataclass
class Centre:
    """The running centre, and what each of its places says of an order."""

    process: ChildProcess
    urls: dict[str, str]
    hook: Receiver
    producer: ThreadedProducer
    topic: str
    delays: list[str] = field(default_factory=list)

    def send(self, order: str, word: str, at: int, **more: str) -> None:
        event = {
            "event_id": f"{order}-{word}",
            "event_type": f"counter.service_{word}",
            "occurred_at": format_us(at, SHANGHAI),
            "order_id": order,
            "business": "fee",
            "org": {"province": "32", "city": "3201", "county": "320102", "unit": "U1"},
        }
        self.producer.send(self.topic, json.dumps(event | more).encode(), key=order.encode())
        self.producer.flush()

    def board(self, order: str) -> dict[str, Any] | None:
        """The order's breach, as the board shows it."""
        found = get(self.urls["board"].removesuffix("/board") + "/api/alerts")["alerts"]
        return next((one for one in found if one["subject"]["id"] == order), None)

    def firing(self, order: str) -> bool:
        """Whether it fires in Alertmanager."""
        found = get(self.urls["Alertmanager"] + "/api/v2/alerts?active=true")
        return any(one["annotations"].get("subject") == f"order {order}" for one in found)

    def told(self, order: str) -> list[dict[str, Any]]:
        """What the webhook was told of it; every message is signed."""
        found = []
        for one in self.hook.taken():
            sign = signature_of(SECRET.encode(), one.headers["webhook-id"], one.headers["webhook-timestamp"], one.body)
            assert one.headers["webhook-signature"] == sign
            body = json.loads(one.body)
            found += [event["data"] for event in (body if isinstance(body, list) else [body])]
        return [alert for alert in found if alert["subject"]["id"] == order]

    def kinds(self, order: str) -> list[str]:
        return sorted(alert["kind"] for alert in self.told(order))

    def counted(self, metric: str, **labels: str) -> float:
        prometheus = Prometheus.__new__(Prometheus)  # only its way of asking
        prometheus.url = self.urls["Prometheus"]
        where = ",".join(f'{name}="{value}"' for name, value in labels.items())
        return sum(float(one["value"][1]) for one in prometheus.query(f"{metric}{{{where}}}"))

    def seen(self, what: str, since: int, places: Mapping[str, Place]) -> None:
        """Wait until every place shows it, and note how long after ``since`` each did."""
        clock, left, took = WallClock(), dict(places), {}
        deadline = time.monotonic() + SECONDS
        while left:
            for name, shows in list(left.items()):
                if shows():
                    del left[name]
                    took[name] = (clock.now() - since) / 1e6
            assert self.process.exit_code is None, self.process.last_lines()
            assert time.monotonic() < deadline, f"{what}: not within {SECONDS:g} s: {sorted(left)}"
            time.sleep(0.02)
        self.delays.append(f"{what}: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in took.items()))


@contextmanager
def centre_of(kafka: Broker, name: str, directory: Path) -> Iterator[Centre]:
    for program in ("Prometheus", "Alertmanager"):
        if (reason := why_not(program)) is not None:
            pytest.skip(reason)
    if kafka.kind == "embedded":
        pytest.skip(f"{kafka.description}: two workers and a notifier need Apache Kafka")
    rules = directory / "rules"
    rules.mkdir()
    (rules / "test.yaml").write_text(RULES, "utf-8")
    with receiver() as hook:
        command = [sys.executable, "-m", "streams.cli", "ops", "--bootstrap", kafka.bootstrap, "--name", name]
        command += ["--no-simulator", "--speed", "1", "--workers", "2", "--seconds", "1", "--webhook", hook.url]
        command += ["--only", str(rules)]
        process = ChildProcess(command, directory / "ops.log", environment={"GRIDCLOCK_WEBHOOK_SECRET": SECRET})
        producer = None
        try:
            deadline = time.monotonic() + 2 * SECONDS
            while "Ctrl-C stops" not in process.output():
                assert process.exit_code is None, process.last_lines()
                assert time.monotonic() < deadline, process.last_lines()
                time.sleep(0.1)
            producer = ThreadedProducer(bootstrap_servers=kafka.bootstrap)
            urls = dict(re.findall(r"^(\w+).*? +(http://\S+)$", process.output(), re.MULTILINE))
            yield Centre(process, urls, hook, producer, f"{name}.events")
        finally:
            if producer is not None:
                producer.close()
            process.kill()


@pytest.mark.slow
def test_a_breach_reaches_every_place_and_is_resolved_and_withdrawn(kafka: Broker, prefix: str, tmp_path: Path) -> None:
    with centre_of(kafka, f"{prefix}centre", tmp_path) as centre:
        rule = {"rule": "three-seconds"}
        centre.seen("ready", WallClock().now(), {
            "Prometheus": lambda: centre.counted("up", job="gridclock") == 2,
            "notifier": lambda: centre.counted("gridclock_notify_active", job="gridclock-notify") == 1,
            "board": lambda: get(centre.urls["board"].removesuffix("/board") + "/api/cases")["loading"] is False,
        })  # fmt: skip

        started = WallClock().now()
        due = started + LIMIT
        for order in ("A", "B"):
            centre.send(order, "started", started)
        centre.seen("breach, from its deadline", due, {
            "board": lambda: centre.board("A") is not None and centre.board("B") is not None,
            "webhook": lambda: centre.kinds("A") == centre.kinds("B") == ["breach"],
            "Alertmanager": lambda: centre.firing("A") and centre.firing("B"),
            "Prometheus": lambda: centre.counted("gridclock_breaches_total", **rule) == 2,
        })  # fmt: skip
        told = centre.told("A")[0]
        shown = centre.board("A")
        assert shown is not None
        assert (instant_us(moment(told["deadline"])), told["severity"], shown["state"]) == (due, "red_line", "open")

        # A is done, late: resolved. B had been done in time, which becomes known only now: withdrawn.
        late = WallClock().now()
        centre.send("A", "completed", late)
        centre.seen("late completion, from its event", late, {
            "board": lambda: (centre.board("A") or {})["state"] == "completed_late",
            "webhook": lambda: centre.kinds("A") == ["breach", "late_completion"],
            "Alertmanager": lambda: not centre.firing("A"),
            "Prometheus": lambda: centre.counted("gridclock_late_completions_total", **rule) == 1,
        })  # fmt: skip
        assert centre.firing("B")
        sent = WallClock().now()
        centre.send("B", "completed", due)
        centre.seen("retraction, from its event", sent, {
            "board": lambda: (centre.board("B") or {})["state"] == "retracted",
            "webhook": lambda: centre.kinds("B") == ["breach", "retraction"],
            "Alertmanager": lambda: not centre.firing("B"),
            "Prometheus": lambda: centre.counted("gridclock_retractions_total", **rule) == 1,
        })  # fmt: skip
        breach, retraction = sorted(centre.told("B"), key=lambda alert: str(alert["kind"]))
        assert retraction["retracts"] == breach["alert_id"]

        # A correction: A was in time as well, so both of what was told of it is taken back.
        sent = WallClock().now()
        centre.send("A", "completed", due, event_id="A-corrected", corrects="A-completed")
        centre.seen("correction, from its event", sent, {
            "board": lambda: (centre.board("A") or {})["state"] == "retracted",
            "webhook": lambda: centre.kinds("A") == ["breach", "late_completion", "retraction", "retraction"],
            "Prometheus": lambda: centre.counted("gridclock_retractions_total", **rule) == 3,
        })  # fmt: skip
        by_id = {alert["alert_id"]: alert["kind"] for alert in centre.told("A") if alert["kind"] != "retraction"}
        withdrawn = [by_id[alert["retracts"]] for alert in centre.told("A") if alert["kind"] == "retraction"]
        assert sorted(withdrawn) == ["breach", "late_completion"]
        assert not centre.firing("A")
        assert len({one.headers["idempotency-key"] for one in centre.hook.taken()}) == len(centre.hook.taken())

        os.kill(centre.process.pid, signal.SIGINT)
        assert centre.process.wait(60) == 0, centre.process.last_lines()
        print("\n".join(("", *centre.delays)))  # noqa: T201
