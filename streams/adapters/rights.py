"""What we may do at the brokers, asked before anything is done: a refusal in the middle does not say what is missing.

A consumer without its right on a group waits for ever, one without its right on a topic tries again and again, and a
producer learns of it with its first record, which may be a dead letter in the third week. The brokers tell what we
may do with a topic or group that we may at least describe; one that we may not describe we may not use either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from kafka.admin import KafkaAdminClient
from kafka.errors import (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
)
from kafka.protocol.admin import DescribeGroupsRequest
from kafka.protocol.find_coordinator import FindCoordinatorRequest
from kafka.protocol.metadata import MetadataRequest

from streams.adapters.kafka_admin import connected

Wanted = tuple[str, str, str]
"""Kind of resource (topic, group, transactional-id), its name, an operation."""

Allowed = frozenset[int] | None
"""Kafka's numbers of the operations allowed; ``None`` where the brokers do not tell."""

_NUMBERS: Final = {"read": 3, "write": 4, "describe": 8}
_REFUSED: Final = frozenset(
    error.errno
    for error in (
        GroupAuthorizationFailedError,
        TopicAuthorizationFailedError,
        TransactionalIdAuthorizationFailedError,
    )
)
_NOT_TOLD: Final = 31
_METADATA_VERSION: Final = 8
_GROUPS_VERSION: Final = 3
_COORDINATORS: Final = {"group": 0, "transactional-id": 1}


def missing(bootstrap: str, wanted: Iterable[Wanted], *, security: Mapping[str, Any]) -> list[Wanted]:
    """Those of the rights that we do not have, in their order.

    What is not there is not missed: whether a topic can be made, or is to be waited for, is another matter. Of a
    transactional id the brokers tell only whether we have any right on it.

    Raises:
        BrokerError: where the brokers cannot be asked.
    """
    rights = list(wanted)
    allowed: dict[tuple[str, str], Allowed] = {}
    with connected(KafkaAdminClient, bootstrap, security) as admin:
        if topics := sorted({name for kind, name, _ in rights if kind == "topic"}):
            allowed |= _topics(admin, topics)
        for kind, name in dict.fromkeys((kind, name) for kind, name, _ in rights if kind in _COORDINATORS):
            allowed[kind, name] = _coordinated(admin, kind, name)
    return [
        (kind, name, operation)
        for kind, name, operation in rights
        if (found := allowed[kind, name]) is not None and _NUMBERS[operation] not in found
    ]


def _topics(admin: Any, names: list[str]) -> dict[tuple[str, str], Allowed]:
    request = MetadataRequest[_METADATA_VERSION](
        topics=names,
        allow_auto_topic_creation=False,
        include_cluster_authorized_operations=False,
        include_topic_authorized_operations=True,
    )
    answer: dict[str, Any] = admin.send_request(request).to_object()
    return {("topic", topic["topic"]): _allowed(topic) for topic in answer["topics"]}


def _coordinated(admin: Any, kind: str, name: str) -> Allowed:
    coordinator = admin.send_request(FindCoordinatorRequest[1](name, _COORDINATORS[kind]))
    if coordinator.error_code:
        return frozenset() if coordinator.error_code in _REFUSED else None
    if kind != "group":
        return None
    request = DescribeGroupsRequest[_GROUPS_VERSION](groups=(name,), include_authorized_operations=True)
    answer: dict[str, Any] = admin.send_request(request, node_id=coordinator.coordinator_id).to_object()
    return _allowed(answer["groups"][0])


def _allowed(found: Mapping[str, Any]) -> Allowed:
    if found["error_code"] in _REFUSED:
        return frozenset()
    told = frozenset(found["authorized_operations"])
    return None if found["error_code"] or _NOT_TOLD in told else told
