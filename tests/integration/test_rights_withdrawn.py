"""A right is taken away from a worker at work: it ends and says which, and nothing is lost or told twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from kafka import KafkaProducer
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

from streams.access import rights_of
from streams.adapters.java_broker import JavaCluster, Security, why_not
from streams.adapters.kafka_admin import ensure_topics
from streams.adapters.outputs import encode
from streams.adapters.wall_clock import WallClock
from streams.bootstrap import topics_of
from streams.settings import load_settings
from streams.simulation import simulate
from tests.integration.live import Live, Worker, expected_keys, keys, standing, until

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

    def right(self, installation: str) -> Named:
        return self.operation, self.resource, self.name.format(installation)


CASES = (
    Case("sources", "read", "topic", "{}.events"),
    Case("log-written", "write", "topic", "{}.log"),
    Case("log-read", "read", "topic", "{}.log", is_denied=True),
    Case("state-written", "write", "topic", "{}-state-changelog"),
    Case("state-read", "read", "topic", "{}-state-changelog"),  # nobody does until the next rebalance
    Case("alerts", "write", "topic", "{}.alerts"),
    Case("intake", "read", "group", "{}-intake"),
    Case("clocks", "read", "group", "{}"),
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[JavaCluster]:
    reason = why_not()
    if reason is not None:
        pytest.skip(f"a broker that asks who one is needs Apache Kafka here: {reason}")
    with JavaCluster(security=Security({case.user: f"password-of-{case.user}" for case in CASES})) as running:
        yield running


class Installation(Live):
    """One with a user of its own, who has exactly a worker's rights."""

    def __init__(self, case: Case, cluster: JavaCluster, admin: KafkaAdminClient, directory: Path) -> None:
        super().__init__(cluster.bootstrap, f"{case.user}-", directory, partitions=1)
        self.right = case.right(self.name)
        self._case = case
        self._cluster = cluster
        self._admin = admin
        self._password = directory / case.user
        self._password.write_text(f"password-of-{case.user}", "utf-8")
        self.make_source(1)
        settings = load_settings(bootstrap=cluster.bootstrap, name=self.name, partitions=1)
        ensure_topics(cluster.bootstrap, topics_of(settings))
        rights = [(one, right.resource, right.name) for right in rights_of("run", settings) for one in right.operations]
        admin.create_acls([self._acl(*right) for right in rights])

    def _acl(
        self, operation: str, kind: str, name: str, permission: ACLPermissionType = ACLPermissionType.ALLOW
    ) -> ACL:
        pattern = ResourcePattern(ResourceType[kind.upper()], name)
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
        pattern = ResourcePatternFilter(ResourceType[kind.upper()], name, ACLResourcePatternType.LITERAL)
        found = ACLFilter(f"User:{self._case.user}", "*", ACLOperation[operation.upper()], permission, pattern)
        ((_, gone, _),) = self._admin.delete_acls([found])
        assert len(gone) == 1

    def start(self) -> Worker:
        words = ("--bootstrap", self._cluster.secure_bootstrap, "--name", self.name, "--metrics-port", 0)
        number = len(self.workers) + 1
        worker = Worker(
            (*words, "--data-dir", self.directory / self.name, "--log-level", "info"),
            self.directory / f"{self.name}-worker-{number}.log",
            {
                "GRIDCLOCK_SECURITY_PROTOCOL": "SASL_SSL",
                "GRIDCLOCK_SASL_USERNAME": self._case.user,
                "GRIDCLOCK_SASL_PASSWORD_FILE": str(self._password),
                "GRIDCLOCK_SSL_CAFILE": str(self._cluster.certificate),
                "GRIDCLOCK_SESSION_S": "6",
            },
        )
        self.workers.append(worker)
        return worker

    def ended_for_it(self, worker: Worker) -> None:
        """It ends, and says which right is missing."""
        until(lambda: worker.exit_code is not None, 60, lambda: worker.output)
        assert worker.exit_code == 2, worker.output
        where, who = self._cluster.secure_bootstrap, f"user {self._case.user!r}"
        operation, kind, name = self.right
        assert worker.output.splitlines()[-1] == (
            f"gridclock: {where}: {who} lacks: {operation} on {kind} {name} "
            "(gridclock acls prints what each process needs)"
        )


def test_a_right_taken_away_ends_the_worker_and_loses_nothing(cluster: JavaCluster, tmp_path: Path) -> None:
    """All cases side by side, each in an installation of its own; else they would wait one after the other."""
    simulation = simulate(orders=40, seed=7, start=date(2026, 3, 2), days=3)
    half = len(simulation.events) // 2
    with ExitStack() as stack:
        admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        stack.callback(admin.close)
        producer = KafkaProducer(bootstrap_servers=cluster.bootstrap, acks="all")
        stack.callback(producer.close)
        found = [stack.enter_context(Installation(case, cluster, admin, tmp_path)) for case in CASES]

        def send(to: list[Installation], first: int, end: int) -> None:
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
            one.withdraw()
        busy = [one for one in found if one.right[1:] != ("topic", f"{one.name}.alerts")]  # a quiet night in the other
        send(busy, half, len(simulation.events))
        for one, worker in zip(found, workers, strict=True):
            one.ended_for_it(worker)
        again = found[2]
        again.ended_for_it(again.start())
        for one in found:
            one.give_back()
        send([one for one in found if one not in busy], half, len(simulation.events))
        workers = [one.start() for one in found]
        sent_by = datetime.fromtimestamp(WallClock().now() / 1e6, UTC).isoformat()
        for one, worker in zip(found, workers, strict=True):
            alerts = standing(one.settle(sent_by).values(), simulation.as_of)
            assert keys(alerts, simulation.expected) == expected_keys(simulation.expected)
            assert worker.exit_code is None, worker.output
