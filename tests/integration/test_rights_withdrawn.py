"""A right is taken away from a process at work: it ends and says which, and nothing is lost or told twice."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from streams.kafka.acls import permissions_of
from streams.kafka.admin import ensure_topics
from streams.kafka.child_process import ChildProcess
from streams.kafka.java_broker import JavaCluster, Security, why_not
from streams.kafka.threaded_producer import ThreadedProducer
from streams.kafka.topics import topics_of
from streams.settings import load_settings
from streams.simulation import simulate
from streams.wall_clock import WallClock
from streams.wire.cloudevents import encode
from tests.integration.live import LONG, ROOT, Live, Worker, expected_keys, keys, standing, until

pytestmark = [pytest.mark.broker, pytest.mark.slow]

Named = tuple[str, str, str]
"""An operation, the kind of resource, its name."""


@dataclass(frozen=True)
class Case:
    """A right; ``is_denied``: it is not taken back but forbidden, which outdoes what is allowed."""

    user: str
    operation: str
    resource: str
    name: str
    is_denied: bool = False


WORKERS = (
    Case("sources", "read", "topic", "{}.events"),
    Case("log-written", "write", "topic", "{}.log"),
    Case("log-read", "read", "topic", "{}.log", is_denied=True),
    Case("state-written", "write", "topic", "{}-state-changelog"),
    Case("state-read", "read", "topic", "{}-state-changelog"),  # nobody does until the next rebalance
    Case("alerts", "write", "topic", "{}.alerts"),
    Case("intake", "read", "group", "{}-intake"),
    Case("clocks", "read", "group", "{}"),
)
NOTIFIERS = (
    Case("deliveries-written", "write", "topic", "{}.deliveries"),
    Case("alerts-read", "read", "topic", "{}.alerts"),
    Case("notify", "read", "group", "{}-notify"),
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[JavaCluster]:
    reason = why_not()
    if reason is not None:
        pytest.skip(f"a broker that asks who one is needs Apache Kafka here: {reason}")
    users = {case.user: f"password-of-{case.user}" for case in (*WORKERS, *NOTIFIERS)}
    with JavaCluster(security=Security(users)) as running:
        yield running


@pytest.fixture
def admin(cluster: JavaCluster) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    yield client
    client.close()


class User:
    """Somebody with exactly the rights of one process of an installation."""

    def __init__(
        self, case: Case, process: str, name: str, cluster: JavaCluster, admin: KafkaAdminClient, directory: Path
    ) -> None:
        self.right: Named = (case.operation, case.resource, case.name.format(name))
        self._case = case
        self._where = cluster.secure_bootstrap
        self._admin = admin
        secret = directory / case.user
        secret.write_text(f"password-of-{case.user}", "utf-8")
        self.environment = {
            "GRIDCLOCK_SECURITY_PROTOCOL": "SASL_SSL",
            "GRIDCLOCK_SASL_USERNAME": case.user,
            "GRIDCLOCK_SASL_PASSWORD_FILE": str(secret),
            "GRIDCLOCK_SSL_CAFILE": str(cluster.certificate),
            "GRIDCLOCK_SESSION_S": "6",
            "GRIDCLOCK_KEEP_DAYS": str(LONG),
            "PYTHONPATH": str(ROOT),
        }
        self.options = ("--bootstrap", self._where, "--name", name, "--metrics-port", "0", "--log-level", "info")
        settings = load_settings(bootstrap=cluster.bootstrap, name=name)
        rights = [
            (one, right.resource, right.name) for right in permissions_of(process, settings) for one in right.operations
        ]
        admin.create_acls([self._acl(*right) for right in rights])

    def _acl(
        self, operation: str, kind: str, name: str, permission: ACLPermissionType = ACLPermissionType.ALLOW
    ) -> ACL:
        pattern = ResourcePattern(_resource(kind), name)
        return ACL(f"User:{self._case.user}", "*", ACLOperation[operation.upper()], permission, pattern)

    def withdraw(self) -> None:
        if self._case.is_denied:
            self._admin.create_acls([self._acl(*self.right, ACLPermissionType.DENY)])
        else:
            self._forget(ACLPermissionType.ALLOW)

    def give_back(self) -> None:
        if self._case.is_denied:
            self._forget(ACLPermissionType.DENY)
        else:
            self._admin.create_acls([self._acl(*self.right)])

    def _forget(self, permission: ACLPermissionType) -> None:
        operation, kind, name = self.right
        pattern = ResourcePatternFilter(_resource(kind), name, ACLResourcePatternType.LITERAL)
        found = ACLFilter(f"User:{self._case.user}", "*", ACLOperation[operation.upper()], permission, pattern)
        ((_, gone, _),) = self._admin.delete_acls([found])
        assert len(gone) == 1

    def ended_for_it(self, process: Worker | ChildProcess) -> None:
        """It ends, and says which right is missing."""

        def said() -> str:
            return process.output if isinstance(process, Worker) else process.output()

        until(lambda: process.exit_code is not None, 60, said)
        assert process.exit_code == 2, said()
        operation, kind, name = self.right
        assert said().splitlines()[-1] == (
            f"gridclock: {self._where}: user {self._case.user!r} lacks: {operation} on {kind} {name} "
            "(gridclock acls prints what each process needs)"
        )


def _resource(kind: str) -> ResourceType:
    return ResourceType[kind.upper().replace("-", "_")]


class Installation(Live):
    """One with a user of its own."""

    def __init__(self, case: Case, cluster: JavaCluster, admin: KafkaAdminClient, directory: Path) -> None:
        super().__init__(cluster.bootstrap, f"{case.user}-", directory, partitions=1)
        self.make_source(1)
        ensure_topics(cluster.bootstrap, topics_of(load_settings(name=self.name, partitions=1)))
        self.user = User(case, "run", self.name, cluster, admin, directory)

    def start(self) -> Worker:
        log = self.directory / f"{self.name}-worker-{len(self.workers) + 1}.log"
        worker = Worker((*self.user.options, "--data-dir", self.directory / self.name), log, self.user.environment)
        self.workers.append(worker)
        return worker


def test_a_right_taken_away_ends_the_worker_and_loses_nothing(
    cluster: JavaCluster, admin: KafkaAdminClient, tmp_path: Path
) -> None:
    """All cases side by side, each in an installation of its own; else they would wait one after the other."""
    simulation = simulate(orders=40, seed=7, start=date(2026, 3, 2), days=3)
    half, whole = len(simulation.events) // 2, len(simulation.events)
    with ExitStack() as stack:
        producer = ThreadedProducer(bootstrap_servers=cluster.bootstrap)
        stack.callback(producer.close)
        found = [stack.enter_context(Installation(case, cluster, admin, tmp_path)) for case in WORKERS]

        def send(to: Iterable[Installation], first: int, end: int) -> None:
            for one in to:
                for event in simulation.events[first:end]:
                    producer.send(f"{one.name}.events", encode(event))
            producer.flush(60)

        workers = [one.start() for one in found]
        send(found, 0, half)
        for worker in workers:
            worker.wait_ready()
            until(lambda: worker.metric("gridclock_events_total") == half, 60, lambda: worker.output)  # noqa: B023
        for one in found:
            one.user.withdraw()
        in_the_quiet = next(one for one in found if one.user.right[2] == f"{one.name}.alerts")
        send((one for one in found if one is not in_the_quiet), half, whole)
        for one, worker in zip(found, workers, strict=True):
            one.user.ended_for_it(worker)
        found[2].user.ended_for_it(found[2].start())  # started again, it says the same
        for one in found:
            one.user.give_back()
        send([in_the_quiet], half, whole)
        workers = [one.start() for one in found]
        sent_by = datetime.fromtimestamp(WallClock().now() / 1e6, UTC).isoformat()
        for one, worker in zip(found, workers, strict=True):
            alerts = standing(one.settle(sent_by).values(), simulation.as_of)
            assert keys(alerts, simulation.expected) == expected_keys(simulation.expected)
            assert worker.exit_code is None, worker.output


def test_a_right_taken_away_ends_a_notifier_also_one_that_stands_by(
    cluster: JavaCluster, admin: KafkaAdminClient, tmp_path: Path
) -> None:
    name = "told"
    ensure_topics(cluster.bootstrap, topics_of(load_settings(name=name, partitions=1)))
    file = tmp_path / "subscriptions.json"
    channel = {"kind": "webhook", "url": "http://127.0.0.1:1/", "secret": {"env": "HOOK_SECRET"}}
    told = {"name": "all", "channels": ["hook"], "match": {"kind": ["breach"]}}  # there is none
    file.write_text(json.dumps({"channels": {"hook": channel}, "subscriptions": [told]}), "utf-8")
    users = [User(case, "notify", name, cluster, admin, tmp_path) for case in NOTIFIERS]
    with ExitStack() as stack:

        def start(user: User) -> ChildProcess:
            command = [sys.executable, "-m", "streams.cli", "notify", "--subscriptions", str(file), *user.options]
            log = tmp_path / f"{user.environment['GRIDCLOCK_SASL_USERNAME']}.log"
            child = ChildProcess(command, log, environment={**user.environment, "HOOK_SECRET": "of nobody"})
            stack.callback(child.kill)
            return child

        children = [start(user) for user in users]
        for child in children:
            until(lambda: "standing by on" in child.output(), 60, child.output)  # noqa: B023
        until(lambda: any("delivering on" in child.output() for child in children), 60, children[0].output)
        for user in users:
            user.withdraw()
        for user, child in zip(users, children, strict=True):
            user.ended_for_it(child)
        users[0].give_back()
        again = start(users[0])
        until(lambda: "delivering on" in again.output(), 60, again.output)
        # Another password: whoever is in works on, and says that nobody would be let in any more.
        change_password(cluster, users[0])
        until(lambda: "wrong name or password" in again.output(), 60, again.output)
        assert again.exit_code is None


def change_password(cluster: JavaCluster, user: User) -> None:
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    name = user.environment["GRIDCLOCK_SASL_USERNAME"]
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    changed = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(name, how, b"another one")])
    changed[name].result(30)
