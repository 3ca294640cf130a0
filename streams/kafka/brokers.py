"""Finds or starts a Kafka broker, and reports which.

In this order: the one that ``KAFKA_BOOTSTRAP_SERVERS`` names; Apache Kafka in Docker; Apache Kafka under Java;
librdkafka's embedded one. ``GRIDCLOCK_BROKER`` or an argument forces a kind. A forced kind and a named broker must
work; other kinds that fail to start are skipped, and the broker that is found lists them with the reasons.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from streams.errors import BrokerError
from streams.kafka import embedded_broker
from streams.kafka.admin import Cluster, cluster
from streams.kafka.child_process import ChildProcess
from streams.kafka.java_broker import READY_SECONDS, JavaCluster, free_ports, kafka_version
from streams.kafka.java_broker import why_not as why_no_java

BrokerKind = Literal["external", "docker", "java", "embedded"]
KINDS: tuple[BrokerKind, ...] = get_args(BrokerKind)
FORCE = "GRIDCLOCK_BROKER"
NAMED = "KAFKA_BOOTSTRAP_SERVERS"
_EXTERNAL_SECONDS = 20.0
_PORT_ATTEMPTS = 3

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that answers. ``java`` is the cluster's handle for fault tests where its kind is java.

    Without ``can_create_topics`` a topic is created when its metadata are requested, with four partitions.
    ``passed_over`` lists better kinds that are not available, with the reasons.
    """

    bootstrap: str
    kind: BrokerKind
    description: str
    can_create_topics: bool
    passed_over: tuple[str, ...] = ()
    java: JavaCluster | None = None


def available_kinds() -> list[tuple[BrokerKind, str | None]]:
    """All kinds, best first, each with the reason why it is not available; ``None`` where nothing speaks against it."""
    return [(kind, _why_not(kind)) for kind in KINDS]


def _why_not(kind: BrokerKind) -> str | None:
    match kind:
        case "external":
            return None if os.environ.get(NAMED) else f"{NAMED} is not set"
        case "docker":
            return _why_no_docker()
        case "java":
            return why_no_java()
        case "embedded":
            return None if importlib.util.find_spec("confluent_kafka") else "confluent-kafka is not installed"


def _why_no_docker() -> str | None:
    """Ask the engine itself: an installed client does not prove that one runs."""
    if not all(map(importlib.util.find_spec, ("testcontainers", "docker"))):
        return "testcontainers is not installed"
    if not os.environ.get("DOCKER_HOST") and not Path("/var/run/docker.sock").exists():
        return "no Docker engine here"
    docker = importlib.import_module("docker")
    try:
        client = docker.from_env(timeout=5)
        try:
            client.ping()
        finally:
            client.close()
    except Exception as error:  # errors of docker, requests and urllib3: each means that no engine answers
        return f"the Docker engine does not answer: {error}"
    return None


def forced_kind() -> BrokerKind | None:
    """The kind that the environment forces.

    Raises: BrokerError for an unknown kind.
    """
    value = os.environ.get(FORCE)
    if value and value not in KINDS:
        raise BrokerError(f"{FORCE}={value}: expected one of {', '.join(KINDS)}")
    return value or None


@contextmanager
def broker(
    kind: BrokerKind | None = None, *, nodes: int = 1, on_progress: Progress = lambda _: None
) -> Iterator[Broker]:
    """The best available broker, ready to serve; one that was started here is stopped when the block ends.

    Docker starts one node only; ``nodes`` has no effect on a named broker.

    Raises: BrokerError where none is available, or not the forced one.
    """
    wanted = kind or forced_kind()
    passed_over: list[str] = []
    with ExitStack() as stack:
        found: Broker | None = None
        for candidate in (wanted,) if wanted else KINDS:
            reason = _why_not(candidate)
            try:
                if reason is None:
                    found = stack.enter_context(_start(candidate, nodes, on_progress))
                    break
            except BrokerError as error:
                if candidate in (wanted, "external"):
                    raise
                reason = str(error)
            passed_over.append(f"{candidate}: {reason}")
            if candidate != "external":  # not worth mentioning: no broker was named
                on_progress(f"no broker of kind {candidate}: {reason}")
        if found is None:
            raise BrokerError(f"no broker is available; {'; '.join(passed_over)}")
        yield replace(found, passed_over=tuple(text for text in passed_over if not text.startswith("external")))


def _start(kind: BrokerKind, nodes: int, on_progress: Progress) -> AbstractContextManager[Broker]:
    match kind:
        case "external":
            return _external()
        case "docker":
            return _docker(nodes, on_progress)
        case "java":
            return _java(nodes, on_progress)
        case "embedded":
            return _embedded(nodes, on_progress)


def _answering(bootstrap: str, seconds: float, last_words: Callable[[], str]) -> Cluster:
    """Wait until the broker answers in its protocol; an open port is not enough."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return cluster(bootstrap)
        except BrokerError as error:
            if time.monotonic() > deadline:
                raise BrokerError(f"no broker at {bootstrap} after {seconds:g} s: {error}{last_words()}") from error
        time.sleep(0.1)


@contextmanager
def _external() -> Iterator[Broker]:
    bootstrap = os.environ[NAMED]
    found = _answering(bootstrap, _EXTERNAL_SECONDS, str)
    count = "one node" if found.brokers == 1 else f"{found.brokers} nodes"
    yield Broker(bootstrap, "external", f"{bootstrap}, from {NAMED} ({count})", found.can_create_topics)


@contextmanager
def _java(nodes: int, on_progress: Progress) -> Iterator[Broker]:
    with JavaCluster(nodes, on_progress=on_progress) as running:
        yield Broker(running.bootstrap, "java", running.description, True, java=running)


@contextmanager
def _embedded(nodes: int, on_progress: Progress) -> Iterator[Broker]:
    on_progress("starting librdkafka's embedded broker")
    with tempfile.TemporaryDirectory(prefix="gridclock-embedded-") as directory:
        command = [sys.executable, "-P", embedded_broker.__file__, str(nodes)]
        process = ChildProcess(command, Path(directory, "output.log"))
        try:
            bootstrap = _announced(process)
            found = _answering(bootstrap, READY_SECONDS, lambda: f"\n{process.last_lines()}")
            version = importlib.import_module("confluent_kafka").libversion()[0]
            description = f"librdkafka {version} embedded broker (no CreateTopics, keeps nothing)"
            yield Broker(bootstrap, "embedded", description, found.can_create_topics)
        finally:
            process.kill()


def _announced(process: ChildProcess) -> str:
    """The address, once the child has written its line."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.exit_code is None:
        for line in process.output().splitlines(keepends=True):
            word, _, rest = line.partition(" ")
            if word == embedded_broker.ADDRESS_WORD and line.endswith("\n"):
                return rest.strip()
        time.sleep(0.02)
    raise BrokerError(f"the embedded broker did not start:\n{process.last_lines()}")


@contextmanager
def _docker(nodes: int, on_progress: Progress) -> Iterator[Broker]:
    if nodes > 1:
        raise BrokerError("Docker starts one node here, not more")
    image = f"apache/kafka:{kafka_version()}"
    on_progress(f"starting {image} in Docker")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings on import; tests turn warnings into errors
        generic: Any = importlib.import_module("testcontainers.core.container")
    container, bootstrap = _container(generic.DockerContainer, image)
    try:
        found = _answering(bootstrap, READY_SECONDS, lambda: _container_log(container))
        yield Broker(bootstrap, "docker", f"Apache Kafka {kafka_version()} (Docker, {image})", found.can_create_topics)
    finally:
        container.stop()


def _container_log(container: Any) -> str:
    lines = [line for part in container.get_logs() for line in part.decode("utf-8", "replace").splitlines()]
    return "\n" + "\n".join(lines[-20:])


def _container(make: Callable[[str], Any], image: str) -> tuple[Any, str]:
    """Start the image. The port is chosen here, because the broker must advertise the outer port."""
    for attempt in range(1, _PORT_ATTEMPTS + 1):
        (port,) = free_ports(1)
        container = make(image).with_bind_ports(9092, port)
        host = container.get_container_host_ip() if os.environ.get("DOCKER_HOST") else "127.0.0.1"
        for key, value in _container_environment(f"{host}:{port}").items():
            container.with_env(key, value)
        try:
            container.start()
        except Exception as error:  # any error of docker
            container.stop()
            if attempt == _PORT_ATTEMPTS or "already allocated" not in str(error):
                raise BrokerError(f"{image} did not start: {error}") from error
        else:
            return container, f"{host}:{port}"
    raise AssertionError("unreachable")


def _container_environment(address: str) -> dict[str, str]:
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{address}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        "KAFKA_NUM_PARTITIONS": "4",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "true",
        "KAFKA_HEAP_OPTS": "-Xms256m -Xmx512m",
    }
