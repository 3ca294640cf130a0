"""A broker that demands TLS and a password and allows nothing but what an ACL allows: all processes, and strangers.

Each process logs in as a user of its own, named like its command, with exactly the rights that ``streams.kafka.acls``
lists for it. Topics are made, and read by the test, through the broker's other, open listener.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)

from streams.board.acts import MARK
from streams.cli import run
from streams.errors import InputError
from streams.kafka.acls import NEEDS, permissions_of
from streams.kafka.admin import TopicSpec, ensure_topics
from streams.kafka.child_process import ChildProcess
from streams.kafka.java_broker import JavaCluster, Security, why_not
from streams.kafka.threaded_producer import ThreadedProducer
from streams.kafka.topics import topics_of
from streams.settings import load_settings
from streams.wire.cloudevents import encode
from streams.wire.decoder import dead_letter_of
from tests.integration.live import LONG, ROOT, Children, Live, Worker, command, until, write_events
from tests.sink.postgres import PASSWORD, Postgres, programs
from tests.stories import wire

pytestmark = pytest.mark.broker

NAME = "city7"
COPY = f"{NAME}.copy"
PERSON = "X-Forwarded-User"
STORY = """
e1 2025-03-03T09:00 counter.service_started WO1 business=fee
x1 2025-03-03T09:01 counter.service_startd WO2 business=fee
e2 2025-03-03T09:30 counter.ticket_taken WO3
"""


def password(user: str) -> str:
    return f"password-of-{user}-{len(user)}"


Named = tuple[str, str, str]
"""An operation, the kind of resource, its name."""


def rights(process: str) -> list[Named]:
    """What the process is granted, one operation on one resource each."""
    settings = load_settings(name=NAME, bootstrap="unused:1", cases=True, board_trust_header=PERSON)
    return [
        (operation, right.resource, right.name)
        for right in permissions_of(process, settings, [COPY])
        for operation in right.operations
    ]


@dataclass(frozen=True)
class Trial:
    """A user who has the rights of a process but for one."""

    process: str
    lacking: Named

    @property
    def user(self) -> str:
        return "-".join((self.process, "without", *self.lacking))


TRIALS = tuple(Trial(process, right) for process in NEEDS for right in rights(process))


@pytest.fixture(scope="module")
def cluster() -> Iterator[JavaCluster]:
    reason = why_not()
    if reason is not None:
        pytest.skip(f"a broker that asks who one is needs Apache Kafka here: {reason}")
    users = (*NEEDS, "stranger", *(trial.user for trial in TRIALS))
    with JavaCluster(security=Security({user: password(user) for user in users})) as running:
        # The story is of long ago, and brokers begin to delete what is too old half a minute after their start.
        settings = load_settings(bootstrap=running.bootstrap, name=NAME, partitions=2, retention_days=LONG, cases=True)
        ensure_topics(running.bootstrap, [*topics_of(settings), TopicSpec(COPY, 1)])
        admin = KafkaAdminClient(bootstrap_servers=running.bootstrap)
        given = [(process, right) for process in NEEDS for right in rights(process)]
        given += [(one.user, right) for one in TRIALS for right in rights(one.process) if right != one.lacking]
        admin.create_acls(
            [
                ACL(
                    principal=f"User:{user}",
                    host="*",
                    operation=ACLOperation[operation.upper()],
                    permission_type=ACLPermissionType.ALLOW,
                    resource_pattern=ResourcePattern(ResourceType[kind.upper().replace("-", "_")], name),
                )
                for user, (operation, kind, name) in given
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
            "HOOK_SECRET": "of nobody",
            "GRIDCLOCK_CASES": "true",
            "GRIDCLOCK_BOARD_TRUST_HEADER": PERSON,
            "GRIDCLOCK_DATABASE_PASSWORD": PASSWORD,
        }

    @property
    def where(self) -> tuple[str, ...]:
        return ("--bootstrap", self.cluster.secure_bootstrap, "--name", NAME)


@pytest.fixture
def door(cluster: JavaCluster, tmp_path: Path) -> Door:
    return Door(cluster, tmp_path)


@pytest.fixture
def start(door: Door, tmp_path: Path) -> Iterator[Callable[..., ChildProcess]]:
    with Children() as running:

        def started(user: str, word: str, *arguments: object) -> ChildProcess:
            words = (user, *arguments, *door.where)
            return running.start(words, tmp_path / f"{user}.log", door.environment(user), word)

        yield started


def subscriptions(folder: Path) -> Path:
    path = folder / "subscriptions.json"
    once = {"attempts": 1, "first": "1 s", "longest": "1 s", "timeout": "1 s"}
    gone = {"kind": "webhook", "url": "http://127.0.0.1:1/", "secret": {"env": "HOOK_SECRET"}, "retries": once}
    one = {"name": "all", "channels": ["copy", "gone"], "match": {"kind": ["breach"]}}
    text = json.dumps({"channels": {"copy": {"kind": "kafka", "topic": COPY}, "gone": gone}, "subscriptions": [one]})
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
        worker = Worker(arguments, log, {**door.environment("run"), "GRIDCLOCK_KEEP_DAYS": str(LONG)})
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

        until(lambda: command("status", *door.where, environment=door.environment("status")).returncode == 0, 60, str)
        assert "WO1" in done("alerts")
        alert_id = next(key for key, alert in told.items() if alert["kind"] == "breach")
        assert alert_id in done("ack", alert_id, "--by", "D1", "--note", "seen")
        acknowledge_on_the_board(page, alert_id, "D2")
        until(lambda: acts_and_channels(page, alert_id) == (["D1", "D2"], ["copy"]), 60, board.output)
        assert [line.split("  ")[1:] for line in done("acks").splitlines()] == [
            [alert_id, "acknowledged 确认", "D1", "seen"],
            [alert_id, "acknowledged 确认", "D2"],
        ]
        letters = [json.loads(line) for line in done("dead-letters", "list", "--json").splitlines()]
        assert [letter["reason"] for letter in letters] == ["unknown_type"]
        mend = tmp_path / "mend.jsonl"
        done("dead-letters", "retry", "--all", "--out", mend)
        mend.write_text(mend.read_text("utf-8").replace("startd", "started"), "utf-8")
        assert f"{letters[0]['id']} -> {NAME}.events/" in done("dead-letters", "retry", "--from", mend)
        until(lambda: any(alert["subject"]["id"] == "WO2" for alert in live.sent().values()), 60, lambda: worker.output)
        put_letter(door.cluster.bootstrap, f"{NAME}.log", subject=("order", "WO9"), payload="", size=0, position=9)
        assert "order WO9 -> " in done("dead-letters", "retry", "--all", "--reason", "quarantined")
        replayed = [json.loads(line)["id"] for line in done("replay", "--log").splitlines()]
        assert set(told) <= set(replayed)
        found = command("replay", "--topic", f"{NAME}.events", *door.where, environment=door.environment("replay"))
        assert (found.returncode, "3 events" in found.stderr) == (3, True), found.stderr  # and one refused
        until(lambda: live.topic("undelivered").records != [], 60, notifier.output)
        if programs() is not None:
            with Postgres() as database:
                sink = start("sink", "writing", "--database", database.address(), "--metrics-port", "0")
                until(lambda: database.count("alerts") >= len(told) and database.count("cases") > 1, 60, sink.output)
                sink.kill()
        assert worker.stop() == 0, worker.output
        said = worker.output + notifier.output() + board.output()
        assert [user for user in NEEDS if password(user) in said] == []
        # What they were let do, by the brokers' own account: they made use of every right that they have.
        used = door.cluster.allowed()
        here = [user for user in NEEDS if user != "sink" or programs() is not None]
        assert [(user, right) for user in here for right in rights(user) if (user, *right) not in used] == []


def acts_and_channels(site: str, alert_id: str) -> tuple[list[str], list[str]]:
    """Who acted on an alert, and where it was sent, by the page of its order on the board."""
    with urllib.request.urlopen(f"{site}/api/order/WO1", timeout=30) as answer:
        clocks = json.load(answer)["clocks"]
    (found,) = [alert for clock in clocks for alert in clock["alerts"] if alert["alert_id"] == alert_id]
    return [ack["by"] for ack in found["acks"]], [one["channel"] for one in found["sent"]]


def acknowledge_on_the_board(site: str, alert_id: str, person: str) -> None:
    """As the page does it for whom a proxy has logged in."""
    headers = {"Content-Type": "application/json", MARK: "1", "Origin": site, PERSON: person}
    body = json.dumps({"alert_id": alert_id, "action": "acknowledge"}).encode()
    asked = urllib.request.Request(f"{site}/api/acks", body, headers)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert answer.status == 201


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("run", "--metrics-port", "0"),
    ("board", "--port", "0"),
    ("notify", "--metrics-port", "0", "--subscriptions", "subscriptions.json"),
    ("sink", "--database", "postgresql://nobody@127.0.0.1:1/none", "--metrics-port", "0"),
    ("send", "events.jsonl"),
    ("status",),
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


def words_of(trial: Trial) -> tuple[str, ...]:
    """A command that is in need of the right."""
    operation, _, name = trial.lacking
    if trial.process == "replay":
        return ("replay", "--log") if name.endswith((".log", "-changelog")) else ("replay", "--topic", name)
    if trial.process == "dead-letters" and (operation == "write" or name.endswith("-changelog")):
        return ("dead-letters", "retry", "--all", "--again")
    return next(words for words in COMMANDS if words[0] == trial.process)


def put_letter(bootstrap: str, name: str, **change: Any) -> None:
    """A dead letter that can be sent again as it is; of the log, where that or the state is what it is about."""
    is_held = name in (f"{NAME}.log", f"{NAME}-state-changelog")
    letter = dead_letter_of(
        encode(wire(STORY)[0]),
        InputError("quarantined" if is_held else "unknown_type", "x", "y"),
        source=f"{NAME}.log/0" if is_held else f"{NAME}.events/0",
        position=1,
    ).model_copy(update=change)
    producer = ThreadedProducer(bootstrap_servers=bootstrap)
    producer.send(f"{NAME}.dead-letters", letter.model_dump_json().encode(), key=b"put").get(30)
    producer.close()


@pytest.mark.parametrize("trial", TRIALS, ids=[trial.user for trial in TRIALS])
def test_without_any_one_of_its_rights_a_process_ends_and_says_which(
    called: Callable[..., tuple[int, str]], trial: Trial, door: Door
) -> None:
    if trial.process == "dead-letters":
        put_letter(door.cluster.bootstrap, trial.lacking[2])  # without one nothing is sent
    code, said = called(words_of(trial), trial.user)
    operation, kind, name = trial.lacking
    assert code == 2
    assert said.splitlines()[-1].endswith(
        f": user '{trial.user}' lacks: {operation} on {kind} {name} (gridclock acls prints what each process needs)"
    )
    assert "Traceback" not in said


@pytest.mark.parametrize("words", COMMANDS, ids=[words[0] for words in COMMANDS])
def test_a_stranger_gets_nowhere(called: Callable[..., tuple[int, str]], words: tuple[str, ...]) -> None:
    code, said = called(words, "stranger")
    assert code == 2
    assert "Traceback" not in said
    assert password("stranger") not in said
