"""A broker that demands TLS and a password and allows nothing but what an ACL allows: all processes, and strangers.

Each process logs in as a user of its own, named like its command, with exactly the rights that ``streams.access``
lists for it. Topics are made, and read by the test, through the broker's other, open listener.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)

from streams.access import NEEDS, rights_of
from streams.adapters.child_process import ChildProcess
from streams.adapters.java_broker import JavaCluster, Security, why_not
from streams.adapters.kafka_admin import TopicSpec, ensure_topics
from streams.bootstrap import topics_of
from streams.cli import run
from streams.settings import load_settings
from tests.integration.live import ROOT, Live, Worker, command, until, write_events
from tests.stories import wire

pytestmark = pytest.mark.broker

NAME = "city7"
COPY = f"{NAME}.copy"
STORY = """
e1 2025-03-03T09:00 counter.service_started WO1 business=fee
x1 2025-03-03T09:01 counter.service_startd WO2 business=fee
e2 2025-03-03T09:30 counter.ticket_taken WO3
"""


def password(user: str) -> str:
    return f"password-of-{user}-{len(user)}"


@pytest.fixture(scope="module")
def cluster() -> Iterator[JavaCluster]:
    reason = why_not()
    if reason is not None:
        pytest.skip(f"a broker that asks who one is needs Apache Kafka here: {reason}")
    with JavaCluster(security=Security({user: password(user) for user in (*NEEDS, "stranger")})) as running:
        settings = load_settings(bootstrap=running.bootstrap, name=NAME, partitions=2)
        ensure_topics(running.bootstrap, [*topics_of(settings), TopicSpec(COPY, 1)])
        admin = KafkaAdminClient(bootstrap_servers=running.bootstrap)
        admin.create_acls(
            [
                ACL(
                    principal=f"User:{process}",
                    host="*",
                    operation=ACLOperation[operation.upper()],
                    permission_type=ACLPermissionType.ALLOW,
                    resource_pattern=ResourcePattern(
                        ResourceType[right.resource.upper().replace("-", "_")], right.name
                    ),
                )
                for process in NEEDS
                for right in rights_of(process, settings, [COPY])
                for operation in right.operations
            ]
        )
        admin.close()
        yield running


@dataclass(frozen=True)
class Door:
    """How processes come in: by the listener that asks who they are."""

    cluster: JavaCluster
    folder: Path

    def environment(self, user: str, secret: str | None = None) -> dict[str, str]:
        file = self.folder / f"password-{user}"
        file.write_text(f"{secret or password(user)}\n", "utf-8")
        return {
            "GRIDCLOCK_SECURITY_PROTOCOL": "SASL_SSL",
            "GRIDCLOCK_SASL_USERNAME": user,
            "GRIDCLOCK_SASL_PASSWORD_FILE": str(file),
            "GRIDCLOCK_SSL_CAFILE": str(self.cluster.certificate),
            "PYTHONPATH": str(ROOT),
        }

    @property
    def where(self) -> tuple[str, ...]:
        return ("--bootstrap", self.cluster.secure_bootstrap, "--name", NAME)


@pytest.fixture
def door(cluster: JavaCluster, tmp_path: Path) -> Door:
    return Door(cluster, tmp_path)


@pytest.fixture
def start(door: Door, tmp_path: Path) -> Iterator[Callable[..., ChildProcess]]:
    running: list[ChildProcess] = []

    def started(user: str, word: str, *arguments: object) -> ChildProcess:
        child = ChildProcess(
            [sys.executable, "-m", "streams.cli", user, *map(str, arguments), *door.where],
            tmp_path / f"{user}.log",
            environment=door.environment(user),
        )
        running.append(child)
        until(lambda: word in child.output() or child.exit_code is not None, 60, child.output)
        assert child.exit_code is None, child.output()
        return child

    yield started
    for child in running:
        child.kill()


def subscriptions(folder: Path) -> Path:
    path = folder / "subscriptions.json"
    one = {"name": "all", "channels": "copy", "match": {"kind": ["breach"]}}
    text = json.dumps({"channels": {"copy": {"kind": "kafka", "topic": COPY}}, "subscriptions": [one]})
    path.write_text(text, "utf-8")
    return path


def test_each_process_works_with_its_rights_and_no_others(
    door: Door, start: Callable[..., ChildProcess], tmp_path: Path
) -> None:
    events = write_events(tmp_path / "events.jsonl", wire(STORY))
    sent = command("send", events, "--timestamps", "recorded", *door.where, environment=door.environment("send"))
    assert sent.returncode == 0, sent.stderr
    with Live(door.cluster.bootstrap, "", tmp_path, partitions=2) as live:
        live.name = NAME
        store, log = tmp_path / "store", tmp_path / "worker.log"
        arguments = (*door.where, "--metrics-port", 0, "--data-dir", store, "--log-level", "debug")
        worker = Worker(arguments, log, door.environment("run"))
        live.workers.append(worker)
        worker.wait_ready()
        board = start("board", "board http", "--port", 0)
        notifier = start(
            "notify",
            "delivering",
            "--subscriptions",
            subscriptions(tmp_path),
            "--metrics-port",
            0,
            "--log-level",
            "debug",
        )
        told = live.settle("2025-03-03T09:29")
        assert [alert["kind"] for alert in told.values() if alert["rule"] == "fee-5-minutes"].count("breach") == 1
        until(lambda: live.topic("copy").records != [], 60, notifier.output)
        page = "http" + board.output().partition("board http")[2].split("/board")[0]

        def overdue() -> str:
            with urllib.request.urlopen(f"{page}/api/cases?state=overdue", timeout=10) as answer:
                return str(answer.read().decode())

        until(lambda: '"WO1"' in overdue(), 60, board.output)

        def done(user: str, *words: object) -> str:
            found = command(user, *words, *door.where, environment=door.environment(user))
            assert found.returncode == 0, f"{user}: {found.stderr}"
            return found.stdout

        assert "WO1" in done("alerts")
        alert_id = next(iter(told))
        assert alert_id in done("ack", alert_id, "--by", "D1", "--note", "seen")
        assert alert_id[:8] in done("acks")
        letters = [json.loads(line) for line in done("dead-letters", "list", "--json").splitlines()]
        assert [letter["reason"] for letter in letters] == ["unknown_type"]
        mend = tmp_path / "mend.jsonl"
        done("dead-letters", "retry", "--all", "--out", mend)
        mend.write_text(mend.read_text("utf-8").replace("startd", "started"), "utf-8")
        assert f"{letters[0]['id']} -> {NAME}.events/" in done("dead-letters", "retry", "--from", mend)
        until(lambda: any(alert["subject"]["id"] == "WO2" for alert in live.sent().values()), 60, lambda: worker.output)
        replayed = [json.loads(line)["id"] for line in done("replay", "--log").splitlines()]
        assert set(told) <= set(replayed)
        assert worker.stop() == 0, worker.output
        said = worker.output + notifier.output() + board.output()
        assert [user for user in NEEDS if password(user) in said] == []


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("run", "--metrics-port", "0"),
    ("board", "--port", "0"),
    ("notify", "--metrics-port", "0", "--subscriptions", "subscriptions.json"),
    ("send", "events.jsonl"),
    ("alerts",),
    ("acks",),
    ("ack", "0" * 32, "--by", "D1"),
    ("dead-letters", "list"),
    ("replay", "--log"),
)


@pytest.fixture
def called(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs a command in this process, as somebody: exit code, and all that was said."""
    monkeypatch.chdir(tmp_path)
    subscriptions(tmp_path)
    write_events(tmp_path / "events.jsonl", wire(STORY))

    def call(
        words: tuple[str, ...], user: str, secret: str | None = None, bootstrap: str | None = None, **changes: str
    ) -> tuple[int, str]:
        for name, value in {**door.environment(user, secret), **changes}.items():
            monkeypatch.setenv(name, value)
        code = run([*words, *door.where, *(("--bootstrap", bootstrap) if bootstrap else ())])
        out, error = capfd.readouterr()
        return code, out + error

    return call


@pytest.mark.parametrize("words", COMMANDS, ids=[words[0] for words in COMMANDS])
def test_a_wrong_password_is_told_in_one_line(called: Callable[..., tuple[int, str]], words: tuple[str, ...]) -> None:
    code, said = called(words, "alerts", "not-the-password")
    assert code == 2
    assert said.splitlines()[-1].endswith("user 'alerts' is refused (SCRAM-SHA-512): wrong name or password")
    assert "Traceback" not in said
    assert "not-the-password" not in said


def test_a_certificate_of_somebody_else_is_told(called: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    import certifi

    code, said = called(("alerts",), "alerts", GRIDCLOCK_SSL_CAFILE=certifi.where())
    assert code == 2
    assert "its certificate is not trusted: self" in said


def test_a_name_that_the_certificate_does_not_have_is_told(called: Callable[..., tuple[int, str]], door: Door) -> None:
    port = door.cluster.secure_bootstrap.rpartition(":")[2]
    code, said = called(("alerts",), "alerts", bootstrap=f"localhost:{port}")
    assert code == 2
    assert "its certificate is not trusted: Hostname mismatch" in said


@pytest.mark.parametrize("words", COMMANDS, ids=[words[0] for words in COMMANDS])
def test_a_stranger_gets_nowhere(called: Callable[..., tuple[int, str]], words: tuple[str, ...]) -> None:
    code, said = called(words, "stranger")
    assert code == 2
    assert "Traceback" not in said
    assert password("stranger") not in said
