"""``gridclock ops``: one command brings everything up, and takes everything down."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import ExitStack
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer

from streams.commands.feed import _simulated
from streams.core.instants import instant_us
from streams.kafka.admin import TopicSpec, end_offsets, ensure_topics
from streams.kafka.brokers import Broker
from streams.kafka.child_process import ChildProcess
from streams.operations.feeder import feed
from streams.operations.monitoring import DEPLOY, Alertmanager, Prometheus, why_not
from streams.settings import load_settings
from streams.simulation import simulate
from streams.wall_clock import WallClock
from tests.operations.test_live import eventually
from tests.sink.postgres import PASSWORD, Postgres, programs
from tests.stories import moment


def values(url: str, expression: str) -> float:
    prometheus = Prometheus.__new__(Prometheus)  # only its way of asking
    prometheus.url = url
    return sum(float(one["value"][1]) for one in prometheus.query(expression))


def text_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def _says(child: ChildProcess, text: str) -> bool:
    return text in child.output()


def answers(url: str) -> bool:
    try:
        return bool(text_of(url))
    except OSError:
        return False


def _kill_the_one_at(running: ChildProcess, url: str) -> None:
    """SIGKILL the child of ``gridclock ops`` that has the address in its command line."""
    port = url.removeprefix("http://").partition("/")[0].rpartition(":")[2]
    (pid,) = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/stat")
        if _parent_of(path) == running.pid and port in _words_of(path.parent)
    ]
    os.kill(pid, signal.SIGKILL)


def _parent_of(stat: Path) -> int | None:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended
        return None


def _words_of(process: Path) -> str:
    return process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()


@pytest.mark.slow
def test_one_command_brings_all_up_and_ctrl_c_takes_all_down(kafka: Broker, prefix: str, tmp_path: Path) -> None:
    for name in ("Prometheus", "Alertmanager"):
        if (reason := why_not(name)) is not None:
            pytest.skip(reason)
    if kafka.kind == "embedded":
        pytest.skip(f"{kafka.description}: two workers and a notifier need Apache Kafka")
    with ExitStack() as stack:
        database = None if programs() is None else stack.enter_context(Postgres())
        _up_and_down(kafka, prefix + "ops", tmp_path, database)


def _up_and_down(kafka: Broker, name: str, tmp_path: Path, database: Postgres | None) -> None:
    command = [sys.executable, "-m", "streams.cli", "ops", "--bootstrap", kafka.bootstrap, "--name", name]
    command += ["--workers", "2", "--seconds", "1", "--orders-per-day", "150", "--speed", "600"]
    given = (
        {} if database is None else {"GRIDCLOCK_DATABASE": database.address(), "GRIDCLOCK_DATABASE_PASSWORD": PASSWORD}
    )
    running = ChildProcess(command, tmp_path / "ops.log", environment=given)
    try:
        eventually(lambda: "Ctrl-C stops" in running.output() or running.exit_code is not None, "everything up")
        assert running.exit_code is None, running.output()
        urls = dict(re.findall(r"^(worker \d|\w+).*? +(http://\S+)$", running.output(), re.MULTILINE))
        expected = ["Alertmanager", "Prometheus", "board", "notifier", "webhook", "worker 1", "worker 2"]
        assert sorted(urls) == sorted([*expected, *([] if database is None else ["sink"])])
        prometheus = urls["Prometheus"]
        eventually(lambda: values(prometheus, 'sum(up{job="gridclock"})') == 2, "both workers in Prometheus")
        eventually(lambda: values(prometheus, "sum(gridclock_events_total)") > 100, "simulated events")
        eventually(lambda: values(prometheus, "sum(gridclock_breaches_total)") > 0, "breaches")
        partitions = "count(count by (partition) (gridclock_watermark_lag_seconds)) - max(gridclock_log_partitions)"
        eventually(lambda: values(prometheus, partitions + " == bool 0") == 1, "all partitions worked on")
        if database is not None:
            eventually(lambda: values(prometheus, "sum(gridclock_sink_active)") == 1, "a sink that writes")
            eventually(lambda: database.count("cases") > 0 and database.count("alerts") > 0, "cases in the database")
        with urllib.request.urlopen(f"{urls['Alertmanager']}/api/v2/status", timeout=10) as answer:
            assert answer.status == 200
        eventually(lambda: " breach " in text_of(urls["webhook"]), "breaches at the webhook")
        board = urls["board"].removesuffix("/board")
        eventually(lambda: json.loads(text_of(f"{board}/api/alerts"))["alerts"], "breaches on the board")
        lag = json.loads(text_of(f"{board}/healthz"))["delay_seconds"]
        assert abs(lag) < 86_400, "the board goes by another clock than the workers"
        for name in ("worker 2", "Alertmanager"):
            _kill_the_one_at(running, urls[name])
            line = f"{name} ended with -9; it is started again"
            eventually(partial(_says, running, line), line)
            eventually(partial(answers, urls[name]), f"{name} again")
        assert running.exit_code is None, running.output()
        os.kill(running.pid, signal.SIGINT)
        assert running.wait(60) == 0, running.output()
        for url in urls.values():
            host, port = re.findall(r"http://([\d.]+):(\d+)", url)[0]
            with socket.socket() as probe:
                assert probe.connect_ex((host, int(port))) != 0, f"{url} still answers"
    finally:
        running.kill()


def test_the_feeder_sends_what_is_due_and_waits_for_the_rest(kafka: Broker, prefix: str) -> None:
    events = simulate(orders=40, seed=3, start=date(2026, 3, 2), days=2).events
    settings = load_settings(bootstrap=kafka.bootstrap, name=prefix + "fed")
    (topic,) = settings.source_topics
    ensure_topics(kafka.bootstrap, [TopicSpec(topic, 1)])
    now = instant_us(moment("2026-03-02T18:00"))
    due = [event for event in events if instant_us(moment(event["recorded_at"])) <= now]
    stop = threading.Event()
    real = WallClock().now()
    clock = WallClock.scaled(now, 1, anchor=real)
    sent: list[int] = []
    thread = threading.Thread(target=lambda: sent.append(feed(settings, events, clock, stop)))
    thread.start()
    consumer = KafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap.split(","), auto_offset_reset="earliest", consumer_timeout_ms=20_000
    )
    try:
        got = [next(consumer).key for _ in due]
    finally:
        stop.set()
        thread.join()
        consumer.close()
    assert len(got) == len(due) < len(events)
    assert sent == [len(due)]


def test_feed_sends_until_it_is_told_to_stop(kafka: Broker, prefix: str, tmp_path: Path) -> None:
    name = prefix + "feed"
    ensure_topics(kafka.bootstrap, [TopicSpec(f"{name}.events", 1)])
    command = [sys.executable, "-m", "streams.cli", "feed", "--bootstrap", kafka.bootstrap, "--name", name]
    running = ChildProcess([*command, "--orders-per-day", "30", "--days", "2"], tmp_path / "feed.log")
    try:
        eventually(lambda: sum(end_offsets(kafka.bootstrap, f"{name}.events").values()) > 20, "yesterday's events")
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait(60) == 0, running.output()
        sent = int(re.findall(r"(\d+) events sent", running.output())[0])
        assert sent == sum(end_offsets(kafka.bootstrap, f"{name}.events").values())
    finally:
        running.kill()


def test_feeds_of_different_days_or_options_share_no_id_and_the_same_feed_is_the_same() -> None:
    """A feed that was given again on the next day was refused as a whole: *conflicting_duplicate*."""

    def fed(day: int, days: int = 2, orders: int = 40, seed: int = 1) -> list[dict[str, Any]]:
        return _simulated(date(2026, 3, day), days, orders, seed)

    ids = [
        {value for event in events for name, value in event.items() if name.endswith("_id") and name != "staff_id"}
        for events in (fed(1), fed(2), fed(1, days=3), fed(1, orders=41), fed(1, seed=2))
    ]
    assert sum(map(len, ids)) == len(set().union(*ids)) > 500
    assert fed(1) == fed(1)


@pytest.mark.parametrize("program", ["sh", "dash"])
def test_the_script_is_posix_and_refuses_nonsense(program: str) -> None:
    shell = shutil.which(program)
    if shell is None:
        pytest.skip(f"no {program} here")
    subprocess.run([shell, "-n", str(DEPLOY / "ops")], check=True, timeout=10)
    environment = {**os.environ, "GRIDCLOCK_OPS": "nonsense"}
    done = subprocess.run(
        [shell, str(DEPLOY / "ops")], env=environment, capture_output=True, text=True, check=False, timeout=10
    )
    assert (done.returncode, done.stderr) == (2, "GRIDCLOCK_OPS=nonsense: expected debian or compose\n")


def test_alertmanager_starts_on_the_deployed_file(tmp_path: Path) -> None:
    if (reason := why_not("Alertmanager")) is not None:
        pytest.skip(reason)
    server = Alertmanager(tmp_path)
    try:
        status = server.get("/api/v2/status")
        assert "supervision" in status["config"]["original"]
    finally:
        server.stop()
