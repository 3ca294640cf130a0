"""Topics: made, counted, measured; over kafka-python, every connection closed again.

A broker without CreateTopics (librdkafka's embedded one) makes a topic when metadata of it are asked for, with a
partition count of its own choice. That is done here where it has to be, and the report says so.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.client_async import KafkaClient
from kafka.errors import IncompatibleBrokerVersion, KafkaError, NodeNotReadyError, TopicAlreadyExistsError, for_code
from kafka.protocol.metadata import MetadataRequest

from streams.errors import BrokerError

READING: Final = {"fetch_max_bytes": 32 * 1024 * 1024, "receive_message_max_bytes": 64 * 1024 * 1024}
"""For every consumer of kafka-python: unless told otherwise it refuses answers of more than a megabyte, and asks for
fifty; a topic with much to read is then read in part, over and over."""

# The newest metadata request without authorized operations: 2.3.3 cannot read those of the embedded broker.
_METADATA_VERSION = 5
_UNKNOWN_TOPIC = 3
_LEADER_NOT_AVAILABLE = 5
_TOPIC_DEADLINE_SECONDS = 30.0
_LISTED_SECONDS = 15.0
"""How long a cluster may name a broker that has just gone, by default 9; a new client would speak to that one."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as wanted. ``None`` leaves a matter to the broker's defaults; ``retention_ms`` -1 keeps for ever.

    ``stamped``: its records bear the broker's time and not their sender's.
    """

    name: str
    partitions: int
    retention_ms: int | None = None
    compact: bool = False
    max_message_bytes: int | None = None
    stamped: bool = False

    def config(self) -> dict[str, str]:
        """The topic's settings in Kafka's names. Compaction beside a retention time does both."""
        found: dict[str, str] = {}
        if self.compact:
            found["cleanup.policy"] = "compact" if self.retention_ms in (None, -1) else "compact,delete"
        if self.retention_ms is not None:
            found["retention.ms"] = str(self.retention_ms)
        if self.max_message_bytes is not None:
            found["max.message.bytes"] = str(self.max_message_bytes)
        if self.stamped:
            found["message.timestamp.type"] = "LogAppendTime"
        return found


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What was found. ``touched`` topics were made by the broker itself, which heeds no spec.

    ``partitions`` holds the count of every topic asked for, whatever its spec says: whether another count will do
    is for the caller to decide.
    """

    created: tuple[str, ...]
    present: tuple[str, ...]
    touched: tuple[str, ...]
    partitions: Mapping[str, int]

    def differing(self, specs: Sequence[TopicSpec]) -> dict[str, tuple[int, int]]:
        """Topics whose partition count is not the one asked for: name to (asked, found)."""
        return {
            spec.name: (spec.partitions, self.partitions[spec.name])
            for spec in specs
            if self.partitions[spec.name] != spec.partitions
        }

    def __str__(self) -> str:
        parts = [
            f"{word} {', '.join(f'{name} ({self.partitions[name]})' for name in names)}"
            for word, names in (("created", self.created), ("already there", self.present))
            if names
        ]
        if self.touched:
            named = ", ".join(f"{name} ({self.partitions[name]})" for name in self.touched)
            parts.append(f"made by the broker on its own terms, as it has no CreateTopics: {named}")
        return "; ".join(parts) or "no topics asked for"


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a cluster says of itself. ``topics`` maps a name to its partition count."""

    brokers: int
    can_create_topics: bool
    topics: Mapping[str, int] = field(default_factory=dict)
    cluster_id: str | None = None


class _Undecodable(logging.Filter):
    """Drops what kafka-python says at ERROR while it steps down to a version the embedded broker knows."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return "Unable to decode" not in text and "during check_version" not in text


_UNDECODABLE = _Undecodable()
_NOISY = ("kafka.protocol.parser", "kafka.conn", "kafka.client")


@contextmanager
def connected(make: Callable[..., Any], bootstrap: str, security: Mapping[str, Any]) -> Iterator[Any]:
    """A client of kafka-python, closed at the end, also where its constructor fails half-way.

    Raises: BrokerError in place of Kafka's own errors.
    """
    inner: list[Any] = []

    def network_client(**config: Any) -> Any:
        inner.append(KafkaClient(**config))
        return inner[-1]

    for name in _NOISY:
        logging.getLogger(name).addFilter(_UNDECODABLE)
    client = None
    try:
        deadline = time.monotonic() + _LISTED_SECONDS
        while client is None:
            try:
                client = make(bootstrap_servers=bootstrap.split(","), kafka_client=network_client, **security)
            except NodeNotReadyError:
                if time.monotonic() > deadline:
                    raise
                while inner:
                    inner.pop().close()
        yield client
    except KafkaError as error:
        raise BrokerError(f"{bootstrap}: {_named(error)}") from error
    except ssl.SSLError as error:  # kafka-python lets it through where a broker hangs up on our certificate
        raise BrokerError(f"{bootstrap}: no TLS connection: {error.reason or error}") from error
    finally:
        for closable in [client] if client is not None else inner:
            closable.close()
        for name in _NOISY:
            logging.getLogger(name).removeFilter(_UNDECODABLE)


def _named(error: KafkaError) -> str:
    """The error's name and meaning, without the dump of request and response that its text carries."""
    text = getattr(error, "description", None) or str(error)
    name = type(error).__name__
    return name if not text or text == name else f"{name}: {text}"


def _metadata(admin: Any, topics: Sequence[str] | None, *, create: bool = False) -> dict[str, Any]:
    request = MetadataRequest[_METADATA_VERSION](
        topics=None if topics is None else list(topics), allow_auto_topic_creation=create
    )
    answer: dict[str, Any] = admin.send_request(request).to_object()
    return answer


def _counts(metadata: Mapping[str, Any], *, led: bool = False) -> dict[str, int]:
    """Partition counts of the topics that exist; with ``led`` only where each partition has a leader."""
    found = {}
    for topic in metadata["topics"]:
        if topic["error_code"] in (_UNKNOWN_TOPIC, _LEADER_NOT_AVAILABLE):
            continue
        if topic["error_code"]:
            raise BrokerError(f"topic {topic['topic']}: {_named(for_code(topic['error_code'])())}")
        if not led or all(partition["leader"] >= 0 for partition in topic["partitions"]):
            found[topic["topic"]] = len(topic["partitions"])
    return found


def _existing(metadata: Mapping[str, Any]) -> set[str]:
    return {topic["topic"] for topic in metadata["topics"] if topic["error_code"] != _UNKNOWN_TOPIC}


def _can_create(admin: Any) -> bool:
    try:
        admin.create_topics([], validate_only=True)
    except IncompatibleBrokerVersion:
        return False
    return True


def cluster(bootstrap: str, *, security: Mapping[str, Any] | None = None) -> Cluster:
    """What the cluster says of itself now.

    Raises: BrokerError where none of the addresses answers.
    """
    with connected(KafkaAdminClient, bootstrap, security or {}) as admin:
        metadata = _metadata(admin, None)
        return Cluster(len(metadata["brokers"]), _can_create(admin), _counts(metadata), metadata["cluster_id"])


def ensure_topics(
    bootstrap: str,
    specs: Sequence[TopicSpec],
    *,
    replication: int | None = None,
    security: Mapping[str, Any] | None = None,
) -> TopicReport:
    """Makes the topics that are missing; an existing one stays as it is, whatever its spec says. Idempotent.

    ``replication`` is the number of copies; by default three, or as many as there are brokers. Returns once every
    partition has a leader.

    Raises: BrokerError where the broker cannot be reached or refuses.
    """
    names = [spec.name for spec in specs]
    created: list[str] = []
    touched: list[str] = []
    with connected(KafkaAdminClient, bootstrap, security or {}) as admin:
        metadata = _metadata(admin, names) if names else {"brokers": (), "topics": ()}
        missing = [spec for spec in specs if spec.name not in _existing(metadata)]
        copies = replication or min(3, len(metadata["brokers"]))
        if missing and not _can_create(admin):
            touched = [spec.name for spec in missing]
            _metadata(admin, touched, create=True)
        else:
            created = [spec.name for spec in missing if _create(admin, spec, copies)]
        partitions = _wait_for(admin, names)
    made = {*created, *touched}
    present = tuple(name for name in names if name not in made)
    return TopicReport(tuple(created), present, tuple(touched), partitions)


def _create(admin: Any, spec: TopicSpec, copies: int) -> bool:
    """False where somebody else was faster. One request a topic: a refusal then names its topic."""
    topic = NewTopic(spec.name, spec.partitions, copies, topic_configs=spec.config())
    try:
        admin.create_topics([topic])
    except TopicAlreadyExistsError:
        return False
    except KafkaError as error:
        raise BrokerError(
            f"topic {spec.name} with {spec.partitions} partitions, {copies} copies, {spec.config()}: {_named(error)}"
        ) from error
    return True


def _wait_for(admin: Any, names: Sequence[str]) -> dict[str, int]:
    deadline = time.monotonic() + _TOPIC_DEADLINE_SECONDS
    while names:
        found = _counts(_metadata(admin, names), led=True)
        waiting = [name for name in names if name not in found]
        if not waiting:
            return {name: found[name] for name in names}
        if time.monotonic() > deadline:
            raise BrokerError(f"no leader after {_TOPIC_DEADLINE_SECONDS:g} s for topics {', '.join(waiting)}")
        time.sleep(0.05)
    return {}


def partition_counts(admin: Any, names: Sequence[str]) -> dict[str, int]:
    """Partition counts of those of the topics that exist; none is made by asking."""
    return _counts(_metadata(admin, names)) if names else {}


def partitions_of(bootstrap: str, topic: str, *, security: Mapping[str, Any] | None = None) -> int:
    """How many partitions the topic has; 0 where there is no such topic, which is not made by asking."""
    with connected(KafkaAdminClient, bootstrap, security or {}) as admin:
        return partition_counts(admin, [topic]).get(topic, 0)


def end_offsets(bootstrap: str, topic: str, *, security: Mapping[str, Any] | None = None) -> dict[int, int]:
    """Partition to the offset its next record will get; empty where there is no such topic."""
    count = partitions_of(bootstrap, topic, security=security)
    if not count:
        return {}
    with connected(KafkaConsumer, bootstrap, security or {}) as consumer:
        ends = consumer.end_offsets([TopicPartition(topic, number) for number in range(count)])
    return {partition.partition: offset for partition, offset in sorted(ends.items())}


def delete_topics(bootstrap: str, names: Sequence[str], *, security: Mapping[str, Any] | None = None) -> None:
    """Deletes those of the topics that are there.

    Raises: BrokerError where the broker cannot be reached or refuses.
    """
    with connected(KafkaAdminClient, bootstrap, security or {}) as admin:
        present = sorted(_existing(_metadata(admin, names)))
        if present:
            admin.delete_topics(present)
