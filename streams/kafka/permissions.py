"""What we may do at the brokers, asked before anything is done: a refusal in the middle does not say what is missing.

A consumer without its right on a group waits for ever, one without its right on a topic tries again and again, and a
producer learns of it with its first record, which may be a dead letter in the third week. The brokers tell what we
may do with a topic or group that we may at least describe; one that we may not describe we may not use either.

A right can be taken away later. Most is noticed at once then, by a refusal; but not what is seldom made use of: reading
the state back after a rebalance, an alert in a quiet night. So a process at work asks again and again, and ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka.errors import KafkaError
from kafka.admin import KafkaAdminClient
from kafka.errors import (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
)
from kafka.protocol.admin import DescribeGroupsRequest
from kafka.protocol.find_coordinator import FindCoordinatorRequest
from kafka.protocol.metadata import MetadataRequest

from streams.errors import BrokerError
from streams.kafka.admin import connected
from streams.kafka.authentication import check_login
from streams.settings import Settings

logger = logging.getLogger(__name__)

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

SECONDS: Final = 10.0
"""How long brokers may take to say what we may do."""


class Rights:
    """The rights that a process is to have, and whether it has them. Where none is wanted nobody is asked."""

    def __init__(self, settings: Settings, wanted: Sequence[Wanted], options: Mapping[str, Any]) -> None:
        """``options`` are those of aiokafka's clients."""
        self._options = options
        self._bootstrap = settings.bootstrap
        self._security = {**settings.security(), "request_timeout_ms": int(SECONDS * 1000)}
        self._user = f"user {settings.sasl_username!r}" if settings.sasl_username else "this certificate's user"
        self._wanted = tuple(wanted)
        self._session = settings.session_s

    def lacking(self) -> BrokerError | None:
        """An error that names every right that is missing, if any is.

        Raises:
            BrokerError: where the brokers cannot be asked, or do not let us in.
        """
        if not self._wanted:
            return None
        try:
            found = missing(self._bootstrap, self._wanted, security=self._security)
        except BrokerError:
            check_login(self._options)  # a refusal says more than what kafka-python makes of it
            raise
        if not found:
            return None
        named = "; ".join(f"{operation} on {kind} {name}" for kind, name, operation in found)
        return BrokerError(
            f"{self._bootstrap}: {self._user} lacks: {named} (gridclock acls prints what each process needs)"
        )

    async def watch(self) -> None:
        """Ask twice a session, until cancelled.

        A process that would not be let in any more works on for as long as its connections last; the log says so.

        Raises:
            BrokerError: that of ``lacking``, once it has been the answer twice in a row: rights are changed by taking
                the old one away and giving the new one.
        """
        before, is_known = None, True
        while True:
            await asyncio.sleep(self._session / 2)
            try:
                lacking = await self._asked()
            except BrokerError as error:
                if is_known:
                    logger.warning("the brokers do not say any more what we may do: %s", error)
                is_known = False
                continue
            is_known = True
            if before is not None and lacking is not None:
                raise lacking
            before = lacking

    async def reason(self, error: Exception) -> Exception:
        """Why a process failed: what clients say when they are refused does not name the right."""
        if not isinstance(error, KafkaError | BrokerError):
            return error
        told = error if isinstance(error, BrokerError) else BrokerError(f"{self._bootstrap}: {error}")
        try:
            return await self._asked() or told
        except BrokerError:
            return told

    async def _asked(self) -> BrokerError | None:
        """As ``lacking``, within a session."""
        try:
            async with asyncio.timeout(self._session):
                return await asyncio.to_thread(self.lacking)
        except BrokerError:
            raise
        except Exception as error:  # whatever goes wrong in asking is no reason to end
            raise BrokerError(f"{self._bootstrap}: {error!r}") from error


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
