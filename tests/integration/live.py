"""A live installation for tests: topics of its own on the session's broker, workers as real processes.

What came out is judged by reading topics, never by asking the worker. The measure is the internal log, replayed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from streams.cli import run
from streams.core.instants import instant_us
from streams.kafka.admin import READING, TopicSpec, connected, ensure_topics
from streams.kafka.child_process import ChildProcess
from streams.kafka.topics import topics_of
from streams.live.clock_partition import ClockPartition
from streams.replay.log_replay import LogReplay
from streams.settings import load_settings
from streams.wire.cloudevents import CloudEvents, encode
from streams.wire.state_rows import CONTROL_KEY
from tests.stories import moment, shipped

ROOT = Path(__file__).resolve().parent.parent.parent
DAY = 86_400_000_000
LONG = 3650.0
"""Days that closed subjects are kept: stories tell of long ago, and a worker that has read all there is lives today."""
AS_SHIPPED = 90.0
"""The same as the default is. What comes later begins no case, so all must be there before the worker."""
Key = tuple[str, str, str, str]
"""Rule, subject type, subject id, kind."""


def until(
    check: Callable[[], bool],
    seconds: float,
    failed: Callable[[], str],
    *,
    progress: Callable[[], object] = lambda: None,
) -> None:
    """Poll until ``check`` holds; the seconds begin anew whenever there is ``progress``."""
    seen, deadline = progress(), time.monotonic() + seconds
    while not check():
        if (now := progress()) != seen:
            seen, deadline = now, time.monotonic() + seconds
        assert time.monotonic() < deadline, f"not so after {seconds:g} s: {failed()}"
        time.sleep(0.1)


def said(*words: object) -> tuple[int, str]:
    """Exit code and output of a command run in this process, which spares its start."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = run([str(word) for word in words])
    return code, out.getvalue()


def command(*arguments: object, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``gridclock`` as a process to its end."""
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


class Topic:
    """Every record of a topic; ``update`` reads on to the present end."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self.records: list[tuple[int, int, bytes | None, bytes]] = []
        self._name = name
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap.split(","),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=8 * 1024 * 1024,
            **READING,
        )
        self._parts: list[TopicPartition] = []

    def update(self) -> list[tuple[int, int, bytes | None, bytes]]:
        """The records that came since; they are also put behind ``records``."""
        if not self._parts:
            numbers = self._consumer.partitions_for_topic(self._name) or ()
            self._parts = [TopicPartition(self._name, number) for number in sorted(numbers)]
            if not self._parts:
                return []
            self._consumer.assign(self._parts)
            self._consumer.seek_to_beginning(*self._parts)
        ends = self._consumer.end_offsets(self._parts)
        fresh = []
        while any(self._consumer.position(part) < ends[part] for part in self._parts):
            for part, records in self._consumer.poll(timeout_ms=200, max_records=5000).items():
                fresh += [(part.partition, record.offset, record.key, record.value) for record in records]
        self.records += fresh
        return fresh

    def close(self) -> None:
        self._consumer.close()


class Children(list[ChildProcess]):
    """Commands that are running; they are killed at the end. Use as a context manager."""

    def start(
        self, arguments: Iterable[object], output: Path, environment: Mapping[str, str], word: str | None
    ) -> ChildProcess:
        """Start a command, and wait until it says a word (``None``: do not wait)."""
        child = ChildProcess(
            [sys.executable, "-m", "streams.cli", *map(str, arguments)],
            output,
            environment={"PYTHONPATH": str(ROOT), **environment},
        )
        self.append(child)
        if word is not None:
            until(lambda: word in child.output() or child.exit_code is not None, 60, child.output)
            assert child.exit_code is None, child.output()
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for child in self:
            child.kill()


class Worker:
    """One ``gridclock run``."""

    def __init__(
        self, arguments: Sequence[object], log: Path, environment: Mapping[str, str], *, module: str = "streams.cli"
    ) -> None:
        self._process = ChildProcess(
            [sys.executable, "-m", module, "run", *map(str, arguments)],
            log,
            environment={"PYTHONPATH": str(ROOT), "GRIDCLOCK_SESSION_S": "8", **environment},
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return self._process.output()

    @property
    def exit_code(self) -> int | None:
        return self._process.exit_code

    def wait_ready(self, seconds: float = 60) -> None:
        until(lambda: "at work on" in self.output or self.exit_code is not None, seconds, lambda: self.output)
        assert self.exit_code is None, self.output

    def metrics(self, *names: str) -> str:
        """What ``/metrics`` shows: all, or the metrics of these names."""
        return self._get("/metrics" + "".join(f"{'&' if at else '?'}name[]={name}" for at, name in enumerate(names)))[1]

    def readiness(self) -> tuple[int, str]:
        """What ``/readyz`` answers."""
        return self._get("/readyz")

    def _get(self, path: str) -> tuple[int, str]:
        found = re.search(r"metrics (http://[^\s\"]+)/metrics", self.output)
        assert found is not None
        try:
            with urllib.request.urlopen(found[1] + path, timeout=10) as answer:
                return answer.status, answer.read().decode().strip()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode().strip()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry the labels."""
        return total_of(self.metrics(), name, **labels)

    def processor_seconds(self) -> float:
        """What it has used so far; where the system tells it (Linux)."""
        return processor_seconds(self.pid)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def stop(self, seconds: float = 40) -> int | None:
        """SIGTERM; the exit code, or ``None`` where it does not end."""
        self.signal(signal.SIGTERM)
        return self._process.wait(seconds)


def processor_seconds(pid: int) -> float:
    """What a process has used so far, all its threads together (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def total_of(text: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples that carry the labels, in what ``/metrics`` showed."""
    total = 0.0
    for line in text.splitlines():
        found = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line)
        if found and found[1] == name and all(f'{key}="{value}"' in (found[2] or "") for key, value in labels.items()):
            total += float(found[3])
    return total


class Live:
    """Topics, workers, and what is to be found in the one after the other. Use as a context manager."""

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        directory: Path,
        *,
        partitions: int = 4,
        clock: Sequence[object] = (),
        keep_days: float = LONG,
    ) -> None:
        self.bootstrap = bootstrap
        self.name = f"{prefix}live"
        self.directory = directory
        self.partitions = partitions
        self.workers: list[Worker] = []
        self._clock = clock
        self._keep_days = keep_days
        self._topics: dict[str, Topic] = {}
        self._intake: KafkaConsumer | None = None
        self._sent: dict[str, dict[str, Any]] = {}
        self._seen = 0
        self._replay = self._new_replay()
        self._writer = CloudEvents(shipped().rulebook.calendar)
        self.replayed: dict[str, dict[str, Any]] = {}
        """What the log gives: alert id to the data of its CloudEvent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for worker in self.workers:
            worker.kill()
        for topic in self._topics.values():
            topic.close()
        if self._intake is not None:
            self._intake.close()

    def _new_replay(self) -> LogReplay:
        return LogReplay(shipped().rulebook, keep_for=int(self._keep_days * DAY))

    def configure(self, topic: str, config: Mapping[str, str]) -> None:
        """Settings of a topic beside those that it was made with; the ones set here before are forgotten."""
        settings = load_settings(bootstrap=self.bootstrap, name=self.name)
        specs = [*topics_of(settings), TopicSpec(f"{self.name}.events", 1, -1)]
        (own,) = [spec.config() for spec in specs if spec.name == topic][-1:]
        # A client of its own each time: one that was there before would ask a broker that has gone.
        with connected(KafkaAdminClient, self.bootstrap, {}) as admin:
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={**own, **config})])

    def make_source(self, partitions: int = 4) -> None:
        """The source topic, as one that keeps events of any age."""
        ensure_topics(self.bootstrap, [TopicSpec(f"{self.name}.events", partitions, -1)])

    def worker(
        self, *, store: str | None = None, ready: bool = True, module: str = "streams.cli", **environment: str
    ) -> Worker:
        """Start a worker; one with the same ``store`` has the same local state."""
        number = len(self.workers) + 1
        arguments = [
            "--bootstrap", self.bootstrap, "--name", self.name, "--partitions", self.partitions,
            "--data-dir", self.directory / (store or f"store-{number}"), "--log-level", "info", *self._clock,
        ]  # fmt: skip
        defaults = {"GRIDCLOCK_KEEP_DAYS": f"{self._keep_days:.9f}", "GRIDCLOCK_METRICS_PORT": "0"}
        environment = {**defaults, **environment}
        found = Worker(arguments, self.directory / f"{self.name}-worker-{number}.log", environment, module=module)
        self.workers.append(found)
        if ready:
            found.wait_ready()
        return found

    def add_rules(self, text: str) -> None:
        """For workers started from now on; the log's replay goes on under the shipped ones."""
        directory = self.directory / "rules"
        directory.mkdir()
        (directory / "more.yaml").write_text(text, "utf-8")
        self._clock = (*self._clock, "--rules", directory)

    def send(self, events: Iterable[Mapping[str, Any]] | Path, *options: object) -> None:
        path = events if isinstance(events, Path) else write_events(self.directory / "sent.jsonl", events)
        code, text = said("send", path, "--bootstrap", self.bootstrap, "--name", self.name, "--quiet", *options)
        assert code == 0, text

    def topic(self, word: str) -> Topic:
        """A topic by the end of its name, read up to now."""
        if word not in self._topics:
            self._topics[word] = Topic(self.bootstrap, f"{self.name}.{word}")
        self._topics[word].update()
        return self._topics[word]

    def replay(self) -> int | None:
        """Replay the log as far as it goes; the time that all partitions have reached."""
        topic = self._topics.setdefault("log", Topic(self.bootstrap, f"{self.name}.log"))
        fresh = topic.update()
        if any(
            key == CONTROL_KEY for _, _, key, _ in fresh
        ):  # it says what was set aside since an earlier record: all over again
            fresh = topic.records
            self._replay, self.replayed = self._new_replay(), {}
            for partition, _, key, value in fresh:
                if key == CONTROL_KEY:
                    self._replay.expect(partition, value)
        for partition, offset, _, value in fresh:
            for alert in self._replay.apply(partition, offset, value):
                data = json.loads(encode(self._writer.alert(alert)))["data"]
                assert data["alert_id"] not in self.replayed, "an id was given twice"
                self.replayed[data["alert_id"]] = data
        return self._replay.watermark(self.partitions)

    def log_partitions(self) -> list[ClockPartition]:
        """The engines of the log as far as it was replayed."""
        return list(self._replay.partitions.values())

    def has_heard_of(self, sources: int) -> bool:
        """Whether every partition of the log waits for so many partitions of the source, as far as it was replayed."""
        counts = [found.sources.get(f"{self.name}.events") for found in self._replay.partitions.values()]
        return counts == [sources] * self.partitions

    def sent(self) -> dict[str, dict[str, Any]]:
        """What is on the alerts topic by id; what is there twice must be the same."""
        records = self.topic("alerts").records
        for *_, value in records[self._seen :]:  # asked again and again: only what is new is read
            data = json.loads(value)["data"]
            assert self._sent.setdefault(data["alert_id"], data) == data, "two alerts of one id differ"
        self._seen = len(records)
        return dict(self._sent)

    def unread(self) -> int:
        """Records of the source topic that are not in the log yet: the intake commits its positions after that."""
        name = f"{self.name}.events"
        if self._intake is None:
            self._intake = KafkaConsumer(
                bootstrap_servers=self.bootstrap.split(","),
                group_id=f"{self.name}-intake",
                enable_auto_commit=False,
                isolation_level="read_committed",
            )
        parts = [TopicPartition(name, number) for number in self._intake.partitions_for_topic(name) or ()]
        ends = self._intake.end_offsets(parts)
        return sum(max(0, ends[part] - (self._intake.committed(part) or 0)) for part in parts if ends[part])

    def settle(self, at: str, seconds: float = 120) -> dict[str, dict[str, Any]]:
        """Wait until what was sent is read, time has passed ``at``, and what the log gives is out; the alerts by id.

        At most so many seconds without any progress. Whatever the workers sent must be what the log gives.
        """
        instant = instant_us(moment(at))

        def state() -> str:
            alive = [worker.exit_code for worker in self.workers]
            missing = [self.replayed[alert_id] for alert_id in sorted(self.replayed.keys() - self.sent().keys())]
            time_now = self._replay.watermark(self.partitions)
            return (
                f"{self.unread()} records unread, time {time_now}, workers {alive}, {len(missing)} alerts missing, "
                f"as {missing[:3]}"
            )

        def progress() -> object:
            return self._replay.watermark(self.partitions), len(self.sent())

        # Time alone says nothing of events from long ago that a worker reads today: it has passed before they come.
        until(lambda: self.unread() == 0, seconds, state, progress=self.unread)
        until(lambda: (self.replay() or 0) >= instant, seconds, state, progress=progress)
        until(lambda: self.replayed.keys() <= self.sent().keys(), seconds, state, progress=lambda: len(self.sent()))
        self.replay()
        found = self.sent()
        self.replay()  # the log is ahead of the alerts
        extra = found.keys() - self.replayed.keys()
        assert not extra, [found[alert_id] for alert_id in sorted(extra)[:3]]
        for alert_id, data in found.items():
            assert data == self.replayed[alert_id]
        return found


def write_events(path: Path, events: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events), "utf-8")
    return path


def standing(alerts: Iterable[Mapping[str, Any]], at: str) -> list[Mapping[str, Any]]:
    """The reports that stand: neither warnings nor withdrawn, and about something no later than ``at``."""
    end, found = moment(at), list(alerts)
    withdrawn = {alert["retracts"] for alert in found if alert["retracts"]}
    return [
        alert
        for alert in found
        if alert["kind"] not in ("warning", "retraction")
        and alert["alert_id"] not in withdrawn
        and moment(alert["due_at"]) <= end
    ]


def keys(alerts: Iterable[Mapping[str, Any]], rows: Iterable[Mapping[str, Any]]) -> list[Key]:
    """What stands, of the rules that the simulator makes orders for."""
    rules = {row["rule"] for row in rows}
    return sorted(
        (alert["rule"], alert["subject"]["type"], alert["subject"]["id"], alert["kind"])
        for alert in alerts
        if alert["rule"] in rules
    )


def expected_keys(rows: Iterable[Mapping[str, Any]]) -> list[Key]:
    """What must stand according to the simulator."""
    kinds = {"breached": ("breach",), "met_late": ("breach", "late_completion"), "violated": ("violation",)}
    return sorted(
        (row["rule"], row["subject"]["type"], row["subject"]["id"], kind)
        for row in rows
        for kind in kinds.get(row["outcome"], ())
    )


def read_alerts(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["data"] for line in path.read_text("utf-8").splitlines()]
