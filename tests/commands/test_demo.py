"""The demo as a user runs it: a process, its output, and nothing left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from streams.cli import run
from streams.kafka.admin import cluster
from streams.kafka.brokers import Broker, BrokerKind, available_kinds
from streams.simulation import simulate

MARK = "GRIDCLOCK_DEMO_TEST"
ORDERS, DAYS = 90, 6


def processes_with(mark: str) -> list[str]:
    """Command lines of living processes that have the mark in their environment; of Linux only."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}\0".encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # ended while we looked, or not ours
            continue
    return [line for line in found if line]


def environment_of(kind: BrokerKind, directory: Path) -> dict[str, str]:
    """The demo is to leave nothing in ``directory`` either, which is where it puts temporary files."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GRIDCLOCK_", "KAFKA_"))}
    return {
        **kept, "GRIDCLOCK_BROKER": kind, "TMPDIR": str(directory), MARK: str(directory), "PYTHONUNBUFFERED": "1",
    }  # fmt: skip


def need(kind: BrokerKind) -> None:
    reason = dict(available_kinds())[kind]
    if reason is not None:
        pytest.skip(f"no broker of kind {kind}: {reason}")


@contextmanager
def running_demo(
    kind: BrokerKind, directory: Path, *arguments: str, bootstrap: str = ""
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "demo", "--orders", str(ORDERS), "--days", str(DAYS), *arguments],
        env={**environment_of(kind, directory), "KAFKA_BOOTSTRAP_SERVERS": bootstrap},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def nothing_is_left(directory: Path, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while processes_with(str(directory)) or any(directory.iterdir()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("kind", "lang", "words"),
    [
        ("java", "en", ("broker: Apache Kafka", "BREACH", "AGREED. The simulator", "What came out, by rule")),
        ("embedded", "zh", ("librdkafka", "超时", "一致。模拟器", "告警汇总")),
    ],
)
def test_demo_tells_what_the_simulator_expects(
    tmp_path: Path, kind: BrokerKind, lang: str, words: tuple[str, ...]
) -> None:
    need(kind)
    with running_demo(kind, tmp_path, "--lang", lang) as process:
        said, _ = process.communicate(timeout=170)
    assert process.returncode == 0, said
    for word in (*words, "http://127.0.0.1:"):
        assert word in said, said
    assert "\x1b" not in said  # plain lines in a pipe
    expected = simulate(orders=ORDERS, seed=1, start=date(2026, 3, 2), days=DAYS).expected
    late = {row["subject"]["id"] for row in expected if row["outcome"] in ("breached", "met_late", "violated")}
    assert len(late) >= 3
    assert all(number in said for number in late), said
    assert nothing_is_left(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_on_a_broker_of_the_users_own_nothing_is_left_either(kafka: Broker, tmp_path: Path) -> None:
    if not kafka.can_create_topics:
        pytest.skip(f"{kafka.description} cannot delete topics")
    with running_demo("external", tmp_path, "--days", "3", bootstrap=kafka.bootstrap) as process:
        said, _ = process.communicate(timeout=170)
    assert process.returncode == 0, said
    assert nothing_is_left(tmp_path)
    deadline = time.monotonic() + 20
    while any(name.startswith("gridclock-demo") for name in cluster(kafka.bootstrap).topics):
        assert time.monotonic() < deadline, cluster(kafka.bootstrap).topics
        time.sleep(0.2)


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_demo_that_is_ended_leaves_nothing_behind(tmp_path: Path, number: signal.Signals, code: int) -> None:
    need("embedded")
    with running_demo("embedded", tmp_path) as process:
        assert process.stdout is not None
        before = ""
        for line in process.stdout:
            before += line
            if line.startswith("worker: at work"):
                break
        assert len(processes_with(str(tmp_path))) >= 3, before  # the demo, its broker, its worker
        process.send_signal(number)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == code, before + rest
    assert nothing_is_left(tmp_path)
    assert "Traceback" not in rest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--orders", "0"), "Invalid value for '--orders'"),
        (("--speed", "0"), "Invalid value for '--speed'"),
        (("--days", "367"), "Invalid value for '--days'"),
        (("--lang", "fr"), "Invalid value for '--lang'"),
    ],
)
def test_wrong_use_says_what_is_wrong(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["demo", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_broker_asked_for_in_vain_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRIDCLOCK_BROKER", "rabbit")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run(["demo"]) == 2
    expected = "GRIDCLOCK_BROKER=rabbit: expected one of external, docker, java, embedded"
    assert expected in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
