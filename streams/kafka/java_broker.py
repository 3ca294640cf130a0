"""Apache Kafka as child processes on loopback: KRaft, each node both broker and controller.

Maven resolves the class path from a small pom, once; the jars stay in Maven's repository. For tests and trying out
only: data lie in a temporary directory and are deleted with the cluster.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from streams.errors import BrokerError
from streams.kafka.admin import cluster
from streams.kafka.child_process import ChildProcess
from streams.kafka.shared_classes import archive_of, keep, making, using

READY_SECONDS = 60.0
_OLDEST_JAVA = 17
_PORT_ATTEMPTS = 5
_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"
_JVM = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Djava.awt.headless=true",
    "-Dlog4j2.disableJmx=true",
)
_KEYSTORE_PASSWORD = "only for tests"
_LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss,SSS} %p %c{1}: %m%n
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
"""

_AUDIT = """\
logger.authorizer.name = kafka.authorizer.logger
logger.authorizer.level = DEBUG
"""


_GIVEN: Final = re.compile(
    r"Principal = User:(\S+) is Allowed operation = (\w+) from .*? on resource = (\w+):LITERAL:(\S+) "
)
_KINDS: Final = {"Topic": "topic", "Group": "group", "TransactionalId": "transactional-id"}


def _pom() -> str:
    return (files("streams.kafka") / "kafka-pom.xml").read_text("utf-8")


def kafka_version() -> str:
    """The version in the pom."""
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", _pom())
    assert found is not None
    return found[1]


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    inside = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    return inside or shutil.which("java") or "java"


def java_version() -> int | None:
    """The major version of the Java that would be used; ``None`` where there is none."""
    try:
        done = subprocess.run([_java(), "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(\d+)', done.stderr + done.stdout)
    return int(found[1]) if found else None


def why_not() -> str | None:
    """The reason why Kafka cannot be started here; ``None`` where nothing speaks against it."""
    version = java_version()
    if version is None:
        return "no Java here"
    if version < _OLDEST_JAVA:
        return f"Java {version} found, {_OLDEST_JAVA} or newer wanted"
    if _cached(_cache_file(*_kafka())) is None and shutil.which("mvn") is None:
        return "no Maven (mvn) on the PATH"
    return None


def _kafka() -> tuple[str, str]:
    """The pom, and the directory of the cache."""
    return _pom(), f"kafka-{kafka_version()}"


def _cache_file(pom: str, directory: str) -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(pom.encode()).hexdigest()[:12]
    return root / "gridclock" / directory / f"classpath-{digest}.txt"


def _cached(file: Path) -> str | None:
    try:
        text = file.read_text("utf-8").strip()
    except OSError:
        return None
    return text if text and all(Path(jar).is_file() for jar in text.split(os.pathsep)) else None


def class_path(on_progress: Callable[[str], None] = lambda _: None) -> str:
    """Kafka's class path: see ``cached_class_path``."""
    return cached_class_path(*_kafka(), f"Apache Kafka {kafka_version()}", on_progress)


def cached_class_path(pom: str, directory: str, what: str, on_progress: Callable[[str], None] = lambda _: None) -> str:
    """The class path of a pom, from the cache as long as all its jars are there, otherwise by Maven.

    Raises: BrokerError where Maven cannot resolve it (for example offline), with the end of its output.
    """
    target = _cache_file(pom, directory)
    if (cached := _cached(target)) is not None:
        return cached
    on_progress(f"fetching {what} through Maven (once)")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="resolve-") as temporary:
        written, found = Path(temporary, "pom.xml"), Path(temporary, "classpath.txt")
        written.write_text(pom, "utf-8")
        command = [
            "mvn",
            "-B",
            "-ntp",
            "-q",
            "-Dstyle.color=never",
            "-f",
            str(written),
            _GOAL,
            f"-Dmdep.outputFile={found}",
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BrokerError(f"Maven did not resolve {what}: {error}") from error
        if done.returncode or not found.exists():
            said = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
            raise BrokerError(f"Maven did not resolve {what}:\n{said}")
        found.replace(target)
    resolved = _cached(target)
    if resolved is None:
        raise BrokerError(f"Maven named jars of {what} that are not there")
    return resolved


def free_ports(count: int) -> list[int]:
    """Ports that are free at this moment; another program may still take one before it is used."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@dataclass(frozen=True, slots=True)
class Security:
    """A second listener with authentication: TLS, SCRAM-SHA-512, and ACLs that allow nothing by default.

    ``users`` maps names to passwords. The plain listener stays for setting the cluster up; it allows everything. With
    ``trusted`` (PEM) a client must also present a certificate signed by it.
    """

    users: Mapping[str, str]
    trusted: Path | None = None


class _AddressInUseError(Exception):
    """Another program took one of the ports between choosing and using it."""


class JavaCluster:
    """``nodes`` Kafka nodes, numbered from 1. A context manager: started on entering, removed on leaving.

    ``kill`` is SIGKILL; ``start`` restarts a killed node with its data and its address.
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        security: Security | None = None,
        on_progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.nodes = nodes
        self._security = security
        self._secure_ports: dict[int, int] = {}
        self._on_progress = on_progress
        self._directory: Path | None = None
        self._ports: dict[int, tuple[int, int]] = {}
        self._processes: dict[int, ChildProcess] = {}
        self._class_path = ""
        self._archive = Path()
        # Identifies our cluster: another broker may answer at a port that seemed free.
        self._cluster_id = base64.urlsafe_b64encode(b"gridclock" + os.urandom(7)).decode().rstrip("=")

    def __enter__(self) -> Self:
        reason = why_not()
        if reason is not None:
            raise BrokerError(f"Apache Kafka cannot be started: {reason}")
        self._class_path = class_path(self._on_progress)
        self._archive = archive_of(_java(), self._class_path, _cache_file(*_kafka()).parent)
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                self._start_all()
            except _AddressInUseError as error:
                self.stop()
                if attempt == _PORT_ATTEMPTS:
                    raise BrokerError(f"no port was free in {attempt} attempts: {error}") from error
            except BaseException:
                self.stop()
                raise
            else:
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """Addresses of all nodes, dead ones included."""
        return ",".join(f"127.0.0.1:{client}" for client, _ in self._ports.values())

    @property
    def secure_bootstrap(self) -> str:
        """Addresses of the listeners with authentication."""
        return ",".join(f"127.0.0.1:{port}" for port in self._secure_ports.values())

    @property
    def certificate(self) -> Path:
        """The nodes' certificate in PEM, which clients must trust."""
        if self._directory is None:
            raise BrokerError("this cluster has been stopped")
        return self._directory / "certificate.pem"

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes of the nodes that were started and not killed."""
        return tuple(process.pid for process in self._processes.values())

    @property
    def description(self) -> str:
        """A description for people."""
        count = "one node" if self.nodes == 1 else f"{self.nodes} nodes"
        return f"Apache Kafka {kafka_version()} (KRaft, {count}, Java {java_version()})"

    def allowed(self) -> set[tuple[str, str, str, str]]:
        """The accesses allowed so far on the listener with authentication: user, operation, resource type, name."""
        text = "".join(process.output() for process in self._processes.values())
        return {
            (user, operation.lower(), _KINDS.get(kind, kind), name)
            for user, operation, kind, name in _GIVEN.findall(text)
        }

    def is_running(self, node: int) -> bool:
        """Whether the node's process runs; it may not serve yet."""
        process = self._processes.get(node)
        return process is not None and process.exit_code is None

    def kill(self, node: int) -> None:
        """End a node by SIGKILL: no shutdown, no flush. Its data stay."""
        self._processes.pop(node).kill()

    def start(self, node: int, *, wait: bool = True) -> None:
        """Start a stopped node; by default waits until all running nodes serve."""
        if self.is_running(node):
            raise BrokerError(f"node {node} runs already")
        properties = str(self._home(node) / "server.properties")
        self._processes[node] = self._java(node, *using(self._archive), "kafka.Kafka", properties)
        if wait:
            self.wait_ready()

    def stop(self) -> None:
        """End all nodes and remove their data. Idempotent."""
        while self._processes:
            self._processes.popitem()[1].kill()
        self._ports.clear()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until the metadata list all running nodes.

        Raises: BrokerError with the end of a log where a node ends or time runs out.
        """
        deadline = time.monotonic() + seconds
        last = "no answer"
        while time.monotonic() < deadline:
            for node, process in self._processes.items():
                if process.exit_code is not None:
                    raise self._failed(node, process)
            try:
                if self._listening():
                    found = cluster(self.bootstrap)
                    if found.cluster_id != self._cluster_id:  # our node will end by itself: its port is taken
                        last = f"another cluster, {found.cluster_id}, answers at our address"
                    elif found.brokers >= len(self._processes):
                        return
                    else:
                        last = f"{found.brokers} of {len(self._processes)} nodes serve"
            except BrokerError as error:
                last = str(error)
            time.sleep(0.05)
        logs = "\n".join(process.last_lines() for process in self._processes.values())
        raise BrokerError(f"Apache Kafka is not ready after {seconds:g} s ({last}); its log ends:\n{logs}")

    def _start_all(self) -> None:
        self._on_progress(f"starting {self.description}")
        self._directory = Path(tempfile.mkdtemp(prefix="gridclock-kafka-"))
        logging = _LOGGING + (_AUDIT if self._security else "")
        (self._directory / "log4j2.properties").write_text(logging, "utf-8")
        ports = free_ports(3 * self.nodes)
        numbers = range(1, self.nodes + 1)
        self._ports = {node: (ports[2 * node - 2], ports[2 * node - 1]) for node in numbers}
        if self._security is not None:
            self._secure_ports = dict(zip(numbers, ports[2 * self.nodes :], strict=True))
            self._make_certificate()
        for node in numbers:
            self._home(node).mkdir()
            (self._home(node) / "server.properties").write_text(self._properties(node), "utf-8")
        self._format()
        for node in numbers:
            self.start(node, wait=False)
        self.wait_ready()

    def _format(self) -> None:
        formatting: list[ChildProcess] = []
        made = self._home(1) / "classes.jsa"
        try:
            for node in self._ports:
                config = str(self._home(node) / "server.properties")
                users = self._security.users if self._security else {}
                scram = [
                    word
                    for name, password in users.items()
                    for word in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
                ]
                options = using(self._archive) or (making(self._archive, made) if node == 1 else [])
                words = ("format", "-t", self._cluster_id, "-c", config, *scram)
                formatting.append(self._java(node, *options, "kafka.tools.StorageTool", *words))
            for process in formatting:
                if process.wait(READY_SECONDS) != 0:
                    raise BrokerError(f"Kafka's storage was not formatted:\n{process.last_lines()}")
            keep(made, self._archive)
        finally:
            for process in formatting:
                process.kill()

    def _home(self, node: int) -> Path:
        if self._directory is None:
            raise BrokerError("this cluster has been stopped")
        return self._directory / f"node-{node}"

    def _java(self, node: int, *arguments: str) -> ChildProcess:
        home = self._home(node)
        logging = f"-Dlog4j2.configurationFile={home.parent / 'log4j2.properties'}"
        return ChildProcess(
            [_java(), *_JVM, logging, *arguments], home / "output.log", environment={"CLASSPATH": self._class_path}
        )

    def _listening(self) -> bool:
        """Wait for an open socket first, which saves the clients' retries."""
        for node in self._processes:
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", self._ports[node][0])):
                    return False
        return True

    @staticmethod
    def _failed(node: int, process: ChildProcess) -> Exception:
        text = process.output()
        if "Address already in use" in text:
            return _AddressInUseError(f"node {node}: address already in use")
        return BrokerError(f"Kafka node {node} ended with code {process.exit_code}:\n{process.last_lines()}")

    def _properties(self, node: int) -> str:
        client, controller = self._ports[node]
        copies = min(3, self.nodes)
        settings: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": ",".join(f"{one}@127.0.0.1:{pair[1]}" for one, pair in self._ports.items()),
            "listeners": f"CLIENT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"CLIENT://127.0.0.1:{client}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self._home(node) / "data",
            "auto.create.topics.enable": "true",
            "num.partitions": 4,
            "default.replication.factor": copies,
            "min.insync.replicas": max(1, copies - 1),
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": max(1, copies - 1),
            "transaction.state.log.num.partitions": 8,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": max(1, copies - 1),
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,  # by default a quarter of this heap
        }
        if self.nodes > 1:
            # A killed node is detected after 4 s instead of 9, which shortens fault tests.
            settings |= {"broker.session.timeout.ms": 4000, "broker.heartbeat.interval.ms": 500}
        if self._security is not None:
            settings |= self._secure(node, str(settings["listeners"]), str(settings["advertised.listeners"]))
        return "".join(f"{key}={value}\n" for key, value in settings.items())

    def _secure(self, node: int, listeners: str, advertised: str) -> dict[str, object]:
        """The settings of the listener with authentication."""
        assert self._security is not None
        address = f"SECURE://127.0.0.1:{self._secure_ports[node]}"
        tls = "listener.name.secure.ssl"
        settings: dict[str, object] = {
            "listeners": f"{listeners},{address}",
            "advertised.listeners": f"{advertised},{address}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.secure.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            f"{tls}.keystore.location": self.certificate.with_name("keystore.p12"),
            f"{tls}.keystore.type": "PKCS12",
            f"{tls}.keystore.password": _KEYSTORE_PASSWORD,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",  # the plain listeners, also between the nodes
        }
        if self._security.trusted is not None:
            settings |= {
                f"{tls}.client.auth": "required",
                f"{tls}.truststore.location": self._security.trusted,
                f"{tls}.truststore.type": "PEM",
            }
        return settings

    def _make_certificate(self) -> None:
        """A key with a certificate of its own, for one cluster."""
        store = self.certificate.with_name("keystore.p12")
        common = ("-keystore", str(store), "-storepass", _KEYSTORE_PASSWORD, "-alias", "node")
        _keytool(
            "-genkeypair", *common, "-storetype", "PKCS12", "-keyalg", "EC", "-groupname", "secp256r1",
            "-validity", "2", "-dname", "CN=gridclock test", "-ext", "san=ip:127.0.0.1",
        )  # fmt: skip
        _keytool("-exportcert", *common, "-rfc", "-file", str(self.certificate))


def _keytool(*arguments: str) -> None:
    beside = Path(_java()).with_name("keytool")
    command = str(beside) if beside.is_file() else "keytool"
    try:
        subprocess.run([command, *arguments], capture_output=True, text=True, timeout=60, check=True)
    except subprocess.CalledProcessError as error:
        raise BrokerError(f"no certificate could be made:\n{error.stdout}{error.stderr}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrokerError(f"no certificate could be made: {error}") from error
