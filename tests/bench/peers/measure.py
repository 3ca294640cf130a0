"""Five clocks, topic to topic: this project's worker beside Kafka Streams and Flink, per second of processor time.

The events are those of ``events.write_events`` that start or stop one of the clocks, in four partitions, each record
with the time of its event as its timestamp. Each contender reads the whole backlog in one process and writes its
breaches to a topic; they must be the same. Of the worker's rulebook the five rules alone are on; it also does what the
peers do not: corrections, pauses, repetitions, evidence, exact restarts. The peers are what somebody would write for
these five clocks: ``KafkaStreamsPeer.java`` (two stores with changelogs) and ``FlinkPeer.java`` (state on the
heap, checkpoints).

*Cold* is from the first event to the last; *warm* is the second half of the events, when the JVM has compiled. The
worker has nothing to warm up; it takes events in ahead of its clocks, so all of its run counts in both.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

import yaml

from streams.core.instants import instant_us
from streams.errors import BrokerError
from streams.kafka.admin import TopicSpec, ensure_topics
from streams.kafka.child_process import ChildProcess
from streams.kafka.java_broker import cached_class_path, java_version
from streams.rulebooks.loader import CALENDAR_FILE, shipped_directory
from tests.bench.contenders import RULES, STOPS, Breach, FiveDays
from tests.bench.events import STARTS, write_events
from tests.bench.measuring import MINUTE, Feed, Look, Sent, looks_at, sent_at
from tests.integration.live import AS_SHIPPED, Live, Topic, until

HERE: Final = Path(__file__).parent
PARTITIONS: Final = 4
PEERS: Final = {
    "Kafka Streams, RocksDB": ("KafkaStreamsPeer", "rocksdb"),
    "Kafka Streams, stores in memory": ("KafkaStreamsPeer", "memory"),
    "Flink": ("FlinkPeer", "heap"),
}
"""By name: program, and where it keeps its state."""
_OPENED: Final = ("--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED")
"""What Flink's serialisation looks into."""

WATCHED: Final = {*STARTS, *STOPS}
SECONDS: Final = 900.0
BEFORE_THE_END: Final = 120 * MINUTE
"""Breaches of the last two hours are not compared: not every partition's events go on to the very end."""


@dataclass(frozen=True)
class Run:
    """What a contender did: looks at the first event, where its warm part begins, and at the last."""

    name: str
    looks: tuple[Look, Look, Look]
    breaches: frozenset[Breach]

    @property
    def rates(self) -> tuple[float, float, float]:
        """Events a second of processor time, cold and warm, and a second by the clock."""
        first, warmed, last = self.looks
        cold = (last.taken - first.taken) / (last.work - first.work)
        warm = (last.taken - warmed.taken) / (last.work - warmed.work)
        return cold, warm, (last.taken - first.taken) / (last.at - first.at)


class PeersUnavailable(Exception):
    """The peers cannot run here, with the reason."""


class Backlog:
    """The events in a topic, and what the contenders need besides."""

    def __init__(self, live: Live, directory: Path, *, orders: int, days: int) -> None:
        self.live, self.directory = live, directory
        path = directory / "peers.jsonl"
        write_events(path, orders=orders, seed=1, start=date(2025, 3, 3), days=days)
        self.topic = f"{live.name}.events"
        live.make_source(PARTITIONS)
        sent = _sent(path)
        self.count = len(sent)
        self.until = sent[-1][0] - BEFORE_THE_END
        with Feed(live.bootstrap, self.topic, sent, stamped=True) as feed:
            until(lambda: feed.is_done, SECONDS, lambda: f"{feed.count} sent", progress=lambda: feed.count)
        self.fifth_days = directory / "fifth-days.csv"
        self._write_fifth_days(days)

    def _write_fifth_days(self, days: int) -> None:
        table, first = FiveDays(), date(2025, 3, 3).toordinal()
        dates = [date.fromordinal(first + number).isoformat() for number in range(days + 60)]
        self.fifth_days.write_text("".join(f"{day},{round(table.after(day) * 1000)}\n" for day in dates), "ascii")

    def compared(self, breaches: list[Breach]) -> frozenset[Breach]:
        """Those of them that every contender must have found."""
        return frozenset(breach for breach in breaches if breach[2] <= self.until)


def _sent(path: Path) -> list[Sent]:
    """The events of a file that matter to the five clocks, as records."""
    sent = []
    for line in path.read_bytes().splitlines():
        event = json.loads(line)
        if event["event_type"] not in WATCHED:
            continue
        # The peers take every event as known when it occurred: so nothing is entered later here.
        event["recorded_at"] = event["occurred_at"]
        at = instant_us(datetime.fromisoformat(event["occurred_at"]))
        sent.append(sent_at(at, event))
    return sent


# -- the peers -----------------------------------------------------------------------------------------


def compiled(directory: Path) -> str:
    """Compile the peers into ``directory``; the class path to run them with.

    Raises:
        PeersUnavailable: no JDK, or Maven does not find what they need.
    """
    version = java_version()
    if version is None or version < 17 or shutil.which("javac") is None:
        raise PeersUnavailable(f"Kafka Streams and Flink need a JDK 17 (javac); found is Java {version}")
    pom = (HERE / "pom.xml").read_text("utf-8")
    try:
        jars = cached_class_path(pom, "peers", "Kafka Streams and Flink")
    except BrokerError as error:
        raise PeersUnavailable(str(error)) from error
    sources = map(str, sorted(HERE.glob("*.java")))
    subprocess.run(["javac", "--release", "17", "-cp", jars, "-d", str(directory), *sources], check=True)
    return os.pathsep.join([str(directory), jars])


def run_peer(name: str, class_path: str, backlog: Backlog, *, threads: int) -> Run:
    """Run a peer over the whole backlog."""
    program, state = PEERS[name]
    word = f"{program.lower()}-{state}"
    breaches = f"{backlog.live.name}.{word}"
    changelogs = [TopicSpec(f"{word}-{store}-changelog", PARTITIONS, compact=True) for store in ("open", "due")]
    ensure_topics(backlog.live.bootstrap, [TopicSpec(breaches, PARTITIONS, -1), *changelogs])
    arguments = [backlog.live.bootstrap, word, backlog.topic, breaches, backlog.count, threads]
    places = [backlog.directory / word, backlog.fifth_days, state]
    command = [
        "java", "-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", *_OPENED,
        "-cp", class_path, program, *map(str, [*arguments, *places]),
    ]  # fmt: skip
    process = ChildProcess(command, backlog.directory / f"{word}.log")
    try:
        until(lambda: process.exit_code is not None, SECONDS, process.last_lines, progress=process.output)
        assert process.exit_code == 0, process.last_lines()
    finally:
        process.kill()
    looks = [
        Look(int(taken), int(at) / 1e9, int(work) / 1e9)
        for taken, at, work in re.findall(r"^taken (\d+) (\d+) (\d+)$", process.output(), re.MULTILINE)
    ]
    assert [look.taken for look in looks] == [1, backlog.count // 2, backlog.count], process.last_lines()
    found = []
    topic = Topic(backlog.live.bootstrap, breaches)
    for *_, value in topic.update():
        rule, order, deadline = value.decode().split(",")
        found.append((rule, order, int(deadline) * 1000))
    topic.close()
    return Run(name, (looks[0], looks[1], looks[2]), backlog.compared(found))


# -- this project --------------------------------------------------------------------------------------


def five_rules(directory: Path) -> Path:
    """A rulebook directory with the shipped calendar and the five rules alone."""
    directory.mkdir()
    for path in shipped_directory().glob("*.yaml"):
        content = yaml.safe_load(path.read_text("utf-8"))
        if path.name == CALENDAR_FILE:
            shutil.copy(path, directory)
        elif isinstance(content, dict) and "rules" in content:
            content["rules"] = [rule for rule in content["rules"] if rule["id"] in RULES]
            if content["rules"]:
                (directory / path.name).write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    return directory


def run_worker(backlog: Backlog) -> Run:
    """Run one worker over the whole backlog."""
    rules = five_rules(backlog.directory / "five-rules")
    worker = backlog.live.worker(GRIDCLOCK_ONLY=str(rules))
    looks = looks_at(worker, backlog.count, PARTITIONS, SECONDS)
    assert looks[-1].taken == backlog.count, looks[-1]
    assert worker.stop() == 0, worker.output
    found = []
    for data in backlog.live.sent().values():
        if data["kind"] == "breach":
            deadline = instant_us(datetime.fromisoformat(data["deadline"]))
            found.append((data["rule"], data["subject"]["id"], deadline))
    return Run("gridclock", (looks[0], looks[0], looks[-1]), backlog.compared(found))


# -- the comparison ------------------------------------------------------------------------------------


def measure(
    bootstrap: str,
    prefix: str,
    directory: Path,
    *,
    orders: int,
    days: int = 30,
    threads: int = 2,
    say: Callable[[str], None] = lambda _text: None,
) -> list[Run]:
    """Run all contenders, one after the other.

    Raises:
        PeersUnavailable: the peers cannot run here.
        AssertionError: two of them disagree on a breach.
    """
    classes = directory / "classes"
    class_path = compiled(classes)
    with Live(bootstrap, prefix, directory, partitions=PARTITIONS, keep_days=AS_SHIPPED) as live:
        backlog = Backlog(live, directory, orders=orders, days=days)
        say(f"{backlog.count:,} events, {PARTITIONS} partitions; peers with {threads} threads")
        runs = []
        for name in PEERS:
            runs.append(run_peer(name, class_path, backlog, threads=threads))
            say(f"{name}: done")
        runs.append(run_worker(backlog))
    for one, other in pairwise(runs):
        alone, missing = sorted(one.breaches - other.breaches), sorted(other.breaches - one.breaches)
        words = (
            f"{one.name} alone has {len(alone)}, as {alone[:3]}, {other.name} alone {len(missing)}, as {missing[:3]}"
        )
        assert not alone, words
        assert not missing, words
    return runs
