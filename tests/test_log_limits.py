"""Log lines a minute of one cause are bounded, and what is left out is counted."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.kafka.java_broker import free_ports
from streams.kafka.outage import TRIES, Outage, is_reachable, outage_lines
from streams.log_limits import CAUSES, LIBRARY_LINES, MINUTE, OWN_LINES, LineLimit

ROOT = Path(__file__).resolve().parent.parent
BEGAN = 1_790_000_000.0


class Lines(logging.Handler):
    def __init__(self, *filters: logging.Filter) -> None:
        super().__init__()
        self.lines: list[str] = []
        for one in filters:
            self.addFilter(one)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def say(self, name: str, text: str, *args: object, at: float = BEGAN, level: int = logging.WARNING) -> None:
        record = logging.LogRecord(name, level, "f.py", 1, text, args, None)
        record.created = at
        self.handle(record)


@pytest.mark.parametrize(("name", "most"), [("streams.board.feed", OWN_LINES), ("aiokafka.conn", LIBRARY_LINES)])
def test_a_flood_of_one_cause_is_a_few_lines_a_minute(name: str, most: int) -> None:
    log = Lines(LineLimit(("streams",)))
    for number in range(6_000):  # a hundred a second for a minute, and the next one
        log.say(name, "no connection to %s, attempt %d", "HOST", number, at=BEGAN + number / 100)
    assert len(log.lines) == most
    log.say(name, "no connection to %s, attempt %d", "HOST", 7, at=BEGAN + MINUTE)
    assert log.lines[-1] == f"no connection to HOST, attempt 7 ({6_000 - most:,} more like this were left out before)"


def test_wordings_that_differ_in_numbers_only_are_one_cause() -> None:
    log = Lines(LineLimit(("streams",)))
    for number in range(1_000):
        log.say("kafka.conn", f"node {number} at 127.0.0.1:{number}: refused")
    assert len(log.lines) == LIBRARY_LINES


def test_other_causes_and_critical_lines_come_out() -> None:
    log = Lines(LineLimit(("streams",)))
    for _ in range(100):
        log.say("streams.a", "one")
        log.say("streams.b", "one")
        log.say("streams.a", "another")
        log.say("streams.a", "one", level=logging.CRITICAL)
    assert log.lines.count("one") == 2 * OWN_LINES + 100
    assert log.lines.count("another") == OWN_LINES


def test_announcements_always_come_out_and_a_bare_template_is_no_wording() -> None:
    log = Lines(LineLimit(("streams", "gridclock"), always=("gridclock",)))
    for letter in "abcdefghijklmnopqrstuvwxyz":
        log.say("gridclock", "%s", "the same")
        log.say("streams.x", "%s", letter)
    assert log.lines.count("the same") == 26
    assert len(log.lines) == 52


def test_what_is_counted_is_bounded() -> None:
    limit = LineLimit(("streams",))
    log = Lines(limit)
    for number in range(20 * CAUSES):
        log.say("streams.a", "".join(chr(97 + int(digit)) for digit in str(number)))
    assert len(limit._windows) == CAUSES


# --- brokers that are away ------------------------------------------------------------------------------


class Brokers:
    """Away or not, and what is said of it second by second."""

    def __init__(self) -> None:
        self.away = False
        self.now = 0.0
        self.outage = Outage("HOST:9092", lambda _bootstrap: not self.away, lambda: self.now)
        self.log = Lines(self.outage)

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            for name in ("aiokafka", "aiokafka.consumer.fetcher", "kafka.conn", "mode.timers"):
                if self.away:
                    self.log.say(name, "no connection", level=logging.ERROR)
            if self.outage.suspected.is_set():
                self.outage.look()
            self.now += 1


@pytest.fixture
def brokers() -> Iterator[Brokers]:
    found = Brokers()
    logger = logging.getLogger("streams.kafka.outage")
    logger.addHandler(found.log)
    yield found
    logger.removeHandler(found.log)


def test_one_line_when_it_begins_one_a_minute_and_one_when_it_ends(brokers: Brokers) -> None:
    brokers.pass_seconds(100)
    assert brokers.log.lines == []
    brokers.away = True
    brokers.pass_seconds(150)
    ours = [line for line in brokers.log.lines if line.startswith("brokers HOST:9092: no connection for")]
    assert len(ours) == 1 + 150 // MINUTE
    assert len(brokers.log.lines) - len(ours) <= TRIES * 4, "lines of the clients"
    brokers.away = False
    brokers.pass_seconds(100)
    assert brokers.log.lines[-1].startswith("brokers HOST:9092: a connection again after 15")
    assert not brokers.outage.is_on
    assert not brokers.outage.suspected.is_set(), "tried again though all is well"


@pytest.mark.parametrize(("waits", "said"), [(True, "waits until they are back"), (False, "is only starting and ends")])
def test_only_a_process_that_has_begun_its_work_promises_to_wait(brokers: Brokers, waits: bool, said: str) -> None:
    brokers.outage.waits = waits
    brokers.away = True
    brokers.pass_seconds(10)
    (line,) = [line for line in brokers.log.lines if line.startswith("brokers")]
    assert f"; this process {said}" in line


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--metrics-port", "0"),
        ("board", "--port", "0"),
        ("notify", "--metrics-port", "0", "--subscriptions", "SUBSCRIPTIONS"),
        ("sink", "--metrics-port", "0", "--to", "parquet", "DIRECTORY"),
        ("feed", "--orders-per-day", "1"),
        ("alerts", "--follow"),
    ],
    ids=lambda words: words[0],
)
def test_a_process_that_finds_no_brokers_ends_and_does_not_say_that_it_waits(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    file = tmp_path / "subscriptions.yaml"
    file.write_text("channels: {a: {kind: kafka, topic: t}}\nsubscriptions: [{name: a, channels: a}]\n", "utf-8")
    (nobody,) = free_ports(1)
    places = {"SUBSCRIPTIONS": str(file), "DIRECTORY": str(tmp_path / "results")}
    command = ["-m", "streams.cli", *(places.get(word, word) for word in words), "--bootstrap", f"127.0.0.1:{nobody}"]
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "waits" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"gridclock: 127.0.0.1:{nobody}: NoBrokersAvailable: no broker answers there: start them")


def test_a_broker_that_is_started_again_at_once_is_no_outage(brokers: Brokers) -> None:
    brokers.away = True
    brokers.pass_seconds(TRIES - 1)
    brokers.away = False
    brokers.pass_seconds(100)
    assert [line for line in brokers.log.lines if line.startswith("brokers")] == []


def test_each_outage_is_said(brokers: Brokers) -> None:
    for _ in range(3):
        brokers.away = True
        brokers.pass_seconds(30)
        brokers.away = False
        brokers.pass_seconds(30)
    assert len([line for line in brokers.log.lines if line.startswith("brokers")]) == 6


def test_the_watch_ends_with_its_command() -> None:
    (nobody,) = free_ports(1)
    log, root = Lines(), logging.getLogger()
    root.addHandler(log)
    try:
        with outage_lines(f"127.0.0.1:{nobody}"):
            (watch,) = [thread for thread in threading.enumerate() if thread.name == "outage"]
            log.say("kafka.conn", "no connection")  # from now on it looks
        watch.join(10)
        assert not watch.is_alive()
        assert log.filters == []
    finally:
        root.removeHandler(log)


def test_addresses_are_tried_one_after_the_other() -> None:
    import socket

    (nobody,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = server.getsockname()[1]
        assert is_reachable(f"127.0.0.1:{nobody},127.0.0.1:{here}")
    assert not is_reachable(f"127.0.0.1:{nobody},no.such.host.invalid:1,nonsense")
