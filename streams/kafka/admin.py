"""Topics created, counted and measured with kafka-python; every connection is closed again.

A broker without CreateTopics (librdkafka's embedded one) creates a topic when its metadata are requested, with a
partition count of its own choice. This module does that where it must, and the report says so.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.client_async import KafkaClient
from kafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    NoBrokersAvailable,
    NodeNotReadyError,
    TopicAlreadyExistsError,
    for_code,
)
from kafka.protocol.metadata import MetadataRequest

from streams.errors import BrokerError

READING: Final = {"fetch_max_bytes": 32 * 1024 * 1024, "receive_message_max_bytes": 64 * 1024 * 1024}
"""For every consumer of kafka-python: by default it refuses answers of more than a megabyte but requests fifty, and
reads a large topic in part, over and over."""

# The newest metadata request without authorized operations: 2.3.3 cannot parse those of the embedded broker.
_METADATA_VERSION = 5
_UNKNOWN_TOPIC = 3
_LEADER_NOT_AVAILABLE = 5
_TOPIC_DEADLINE_SECONDS = 30.0
_LISTED_SECONDS = 15.0
"""How long a cluster may list a broker that has just died (default 9 s); a new client would connect to it."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be. ``None`` means the broker's default; ``retention_ms`` -1 keeps for ever.

    ``stamped``: records carry the broker's timestamp, not the sender's. ``no_longer``: to keep them for longer than
    ``retention_ms`` is wrong, too. ``like``: a topic with as many partitions; where it is there, it says how many.
    """

    name: str
    partitions: int
    retention_ms: int | None = None
    compact: bool = False
    max_message_bytes: int | None = None
    stamped: bool = False
    no_longer: bool = False
    like: str | None = None

    def config(self) -> dict[str, str]:
        """The topic's settings by Kafka's names. Compaction with a retention time does both."""
        found: dict[str, str] = {}
        if self.compact:
            found["cleanup.policy"] = "compact" if self.retention_ms in (None, -1) else "compact,delete"
        elif self.retention_ms is not None:
            found["cleanup.policy"] = "delete"  # whatever the broker's default is: compaction would remove events
        if self.retention_ms is not None:
            found["retention.ms"] = str(self.retention_ms)
            found["retention.bytes"] = "-1"  # whatever the broker's default is: a size would end the time early
        if self.max_message_bytes is not None:
            found["max.message.bytes"] = str(self.max_message_bytes)
        if self.stamped:
            found["message.timestamp.type"] = "LogAppendTime"
        return found


def counted(specs: Iterable[TopicSpec], counts: Mapping[str, int]) -> list[TopicSpec]:
    """The specs with as many partitions as the topics have, of those that are there, that they are to be ``like``."""
    return [replace(spec, partitions=counts.get(spec.like or "", spec.partitions)) for spec in specs]


@dataclass(frozen=True, slots=True)
class TopicReport:
    """The topics found. ``touched`` topics were created by the broker itself, without regard to their spec.

    ``partitions`` holds the actual count of every topic; the caller decides whether another count than that of the
    spec is acceptable.
    """

    created: tuple[str, ...]
    present: tuple[str, ...]
    touched: tuple[str, ...]
    partitions: Mapping[str, int]

    def differing(self, specs: Sequence[TopicSpec]) -> dict[str, tuple[int, int]]:
        """Topics whose partition count differs from the spec: name to (wanted, found)."""
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
            parts.append(f"created by the broker with its own settings, as it has no CreateTopics: {named}")
        return "; ".join(parts) or "no topics asked for"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The metadata of a cluster. ``topics`` maps a name to its partition count."""

    brokers: int
    can_create_topics: bool
    topics: Mapping[str, int] = field(default_factory=dict)
    cluster_id: str | None = None


class _Undecodable(logging.Filter):
    """Drops kafka-python's ERROR lines while it negotiates a version that the embedded broker supports."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return "Unable to decode" not in text and "during check_version" not in text


_UNDECODABLE = _Undecodable()
_NOISY = ("kafka.protocol.parser", "kafka.conn", "kafka.client")


@contextmanager
def connected(make: Callable[..., Any], bootstrap: str, security: Mapping[str, Any]) -> Iterator[Any]:
    """A client of kafka-python, closed at the end, also where its constructor fails.

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
        raise BrokerError(f"{bootstrap}: {meaning_of(error)}") from error
    except ssl.SSLError as error:  # kafka-python does not wrap this error where a broker refuses our certificate
        raise BrokerError(f"{bootstrap}: no TLS connection: {error.reason or error}") from error
    finally:
        for closable in [client] if client is not None else inner:
            closable.close()
        for name in _NOISY:
            logging.getLogger(name).removeFilter(_UNDECODABLE)


def meaning_of(error: KafkaError) -> str:
    """The error's name and meaning, without the request and response in its text."""
    text = getattr(error, "description", None) or str(error)
    if isinstance(error, NoBrokersAvailable):
        text = "no broker answers there: start them, or correct --bootstrap (KAFKA_BOOTSTRAP_SERVERS)"
    name = type(error).__name__
    return name if not text or text == name else f"{name}: {text}"


def _metadata(admin: Any, topics: Sequence[str] | None, *, create: bool = False) -> dict[str, Any]:
    request = MetadataRequest[_METADATA_VERSION](
        topics=None if topics is None else list(topics), allow_auto_topic_creation=create
    )
    answer: dict[str, Any] = admin.send_request(request).to_object()
    return answer


def _counts(metadata: Mapping[str, Any], *, led: bool = False) -> dict[str, int]:
    """Partition counts of existing topics; with ``led`` only of those whose partitions all have a leader."""
    found = {}
    for topic in metadata["topics"]:
        if topic["error_code"] in (_UNKNOWN_TOPIC, _LEADER_NOT_AVAILABLE):
            continue
        if topic["error_code"]:
            raise BrokerError(f"topic {topic['topic']}: {meaning_of(for_code(topic['error_code'])())}")
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
    """The current metadata of the cluster.

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
    """Create missing topics; an existing one stays as it is, whatever its spec says. Idempotent.

    ``replication`` is the number of copies; by default three, or as many as there are brokers. Returns once every
    partition has a leader.

    Raises: BrokerError where the broker cannot be reached or refuses.
    """
    names = [spec.name for spec in specs]
    created: list[str] = []
    touched: list[str] = []
    with connected(KafkaAdminClient, bootstrap, security or {}) as admin:
        metadata = _metadata(admin, names) if names else {"brokers": (), "topics": ()}
        missing = counted([spec for spec in specs if spec.name not in _existing(metadata)], _counts(metadata))
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
    """Create one topic; false where it exists by now. One request a topic, so that a refusal names it."""
    topic = NewTopic(spec.name, spec.partitions, copies, topic_configs=spec.config())
    try:
        admin.create_topics([topic])
    except TopicAlreadyExistsError:
        return False
    except KafkaError as error:
        wanted = f"{spec.partitions} partitions, {copies} copies, {spec.config()}"
        raise BrokerError(f"topic {spec.name} with {wanted}: {meaning_of(error)}") from error
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
    """Partition counts of those of the topics that exist; the request creates none."""
    return _counts(_metadata(admin, names)) if names else {}


def copies_of(admin: Any, names: Sequence[str]) -> tuple[dict[str, int], int]:
    """The fewest copies of a partition of each of the topics, which exist; and the number of brokers."""
    metadata = _metadata(admin, names)
    found = {
        topic["topic"]: min(len(partition["replicas"]) for partition in topic["partitions"])
        for topic in metadata["topics"]
        if topic["partitions"]
    }
    return found, len(metadata["brokers"])


def partitions_of(bootstrap: str, topic: str, *, security: Mapping[str, Any] | None = None) -> int:
    """The topic's partition count; 0 where it does not exist. The request does not create it."""
    with connected(KafkaAdminClient, bootstrap, security or {}) as admin:
        return partition_counts(admin, [topic]).get(topic, 0)


def end_offsets(bootstrap: str, topic: str, *, security: Mapping[str, Any] | None = None) -> dict[int, int]:
    """The end offset of each partition; empty where the topic does not exist."""
    count = partitions_of(bootstrap, topic, security=security)
    if not count:
        return {}
    with connected(KafkaConsumer, bootstrap, security or {}) as consumer:
        ends = consumer.end_offsets([TopicPartition(topic, number) for number in range(count)])
    return {partition.partition: offset for partition, offset in sorted(ends.items())}


def delete_topics(bootstrap: str, names: Sequence[str], *, security: Mapping[str, Any] | None = None) -> None:
    """Delete those of the topics that exist.

    Raises: BrokerError where the broker cannot be reached or refuses.
    """
    with connected(KafkaAdminClient, bootstrap, security or {}) as admin:
        present = sorted(_existing(_metadata(admin, names)))
        if present:
            admin.delete_topics(present)
