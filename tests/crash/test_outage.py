"""All brokers away for 90 seconds: every process waits, says so in a few lines, and goes on."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from streams.kafka.admin import ensure_topics
from streams.kafka.child_process import ChildProcess
from streams.kafka.java_broker import JavaCluster, why_not
from streams.kafka.topics import topics_of
from streams.settings import load_settings
from tests.integration.live import LONG, ROOT, Topic, until, write_events
from tests.stories import wire

AWAY_SECONDS = 90
MOST_LINES = 40
"""Of one process, from the loss to the recovery: today without a bound there are a hundred a second."""

NAME = "out"
BEFORE = "e1 2025-03-03T09:00 counter.service_started WO1 business=fee\ne2 2025-03-03T09:30 counter.ticket_taken WO9"
AFTER = "e3 2025-03-04T09:00 counter.service_started WO2 business=fee\ne4 2025-03-04T09:30 counter.ticket_taken WO8"


@contextmanager
def processes(bootstrap: str, folder: Path) -> Iterator[dict[str, ChildProcess]]:
    subscriptions = folder / "subscriptions.json"
    channels = {"copy": {"kind": "kafka", "topic": f"{NAME}.copy"}}
    one = {"name": "all", "channels": "copy"}
    subscriptions.write_text(json.dumps({"channels": channels, "subscriptions": [one]}), "utf-8")
    words = {
        "run": ("--metrics-port", "0", "--data-dir", str(folder / "state")),
        "board": ("--port", "0"),
        "notify": ("--metrics-port", "0", "--subscriptions", str(subscriptions)),
        "alerts": ("--follow", "--json"),
        "acks": ("--follow",),
        "feed": ("--orders-per-day", "2000", "--days", "1"),
    }
    with ExitStack() as stack:
        found = {}
        for name, more in words.items():
            where = ("--bootstrap", bootstrap, "--name", NAME if name != "feed" else f"{NAME}-fed")
            command = [sys.executable, "-m", "streams.cli", name, *where, *more]
            environment = {
                "PYTHONPATH": str(ROOT), "GRIDCLOCK_KEEP_DAYS": str(LONG), "GRIDCLOCK_RETENTION_DAYS": str(LONG),
            }  # fmt: skip
            found[name] = ChildProcess(command, folder / f"{name}.log", environment=environment)
            stack.callback(found[name].kill)
        yield found


def send(bootstrap: str, folder: Path, story: str) -> None:
    file = write_events(folder / "events.jsonl", wire(story))
    child = ChildProcess(
        [sys.executable, "-m", "streams.cli", "send", str(file), "--bootstrap", bootstrap, "--name", NAME, "--quiet"],
        folder / "send.log",
    )
    assert child.wait(60) == 0, child.output()


def breached(topic: Topic) -> set[str]:
    topic.update()
    return {json.loads(value)["data"]["order_id"] for *_, value in topic.records}


@pytest.mark.broker  # of its own, since it goes away
@pytest.mark.slow
def test_all_processes_wait_and_go_on(tmp_path: Path) -> None:
    if (reason := why_not()) is not None:
        pytest.skip(f"a broker that goes away needs Apache Kafka here: {reason}")
    with JavaCluster() as cluster:
        bootstrap = cluster.bootstrap
        for name in (NAME, f"{NAME}-fed"):
            settings = load_settings(bootstrap=bootstrap, name=name, partitions=2, retention_days=LONG)
            ensure_topics(bootstrap, topics_of(settings))
        with processes(bootstrap, tmp_path) as running:
            ready = {"run": "at work on", "board": "board http", "notify": "delivering", "feed": "events for"}
            for name, word in ready.items():
                child = running[name]
                until(lambda child=child, word=word: word in child.output(), 120, child.output)  # type: ignore[misc]
            send(bootstrap, tmp_path, BEFORE)
            copies = Topic(bootstrap, f"{NAME}.copy")
            until(lambda: "WO1" in breached(copies), 120, running["notify"].output)
            copies.close()
            until(lambda: "WO1" in running["alerts"].output(), 60, running["alerts"].output)
            before = {name: len(child.output()) for name, child in running.items()}
            cluster.kill(1)
            time.sleep(AWAY_SECONDS)  # that long is what is tested
            cluster.start(1)
            send(bootstrap, tmp_path, AFTER)
            copies = Topic(bootstrap, f"{NAME}.copy")
            until(lambda: "WO2" in breached(copies), 120, lambda: running["run"].output() + running["notify"].output())
            copies.close()
            until(lambda: "WO2" in running["alerts"].output(), 60, running["alerts"].output)
            said = {name: child.output()[before[name] :] for name, child in running.items()}
            assert {name: child.exit_code for name, child in running.items()} == dict.fromkeys(running), said
        for name, text in said.items():
            lines = [line for line in text.splitlines() if not line.startswith("{")]
            assert len(lines) <= MOST_LINES, f"{name}:\n{text[:5000]}"
            begun = re.findall(r"brokers \S+: no connection for \d+ s; this process waits", text)
            assert len(begun) == 2, f"{name}: when it begins, and after a minute:\n{text[:5000]}"
            assert len(re.findall(r"brokers \S+: a connection again after \d+ s", text)) == 1, f"{name}:\n{text[:5000]}"
