"""Checks the permissions at the brokers before work begins, because a later refusal does not name what is missing.

A consumer without permission on its group waits for ever, one without permission on a topic retries for ever, and a
producer fails with its first record, which may be a dead letter weeks later. Brokers list the operations allowed on a
topic or group that we may at least describe; one that we may not describe we may not use either.

A permission can be withdrawn later. Most withdrawals cause a refusal at once, but not those of rare operations: reading
the state back after a rebalance, an alert in a quiet night. So a running process checks again, and ends.
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
"""Resource type (topic, group, transactional-id), name, operation."""

Allowed = frozenset[int] | None
"""Kafka's numbers of the allowed operations; ``None`` where the broker does not list them."""

_NUMBERS: Final = {"read": 3, "write": 4, "describe": 8}
_REFUSED: Final = frozenset(
    error.errno
    for error in (
        GroupAuthorizationFailedError,
        TopicAuthorizationFailedError,
        TransactionalIdAuthorizationFailedError,
    )
)
_NOT_LISTED: Final = 31
_METADATA_VERSION: Final = 8
_GROUPS_VERSION: Final = 3
_COORDINATORS: Final = {"group": 0, "transactional-id": 1}

SECONDS: Final = 10.0
"""How long the brokers' answer may take."""


class Permissions:
    """Checks the permissions that a process needs. Without any the brokers are not asked."""

    def __init__(self, settings: Settings, wanted: Sequence[Wanted], options: Mapping[str, Any]) -> None:
        """``options`` are those of aiokafka's clients."""
        self._options = options
        self._bootstrap = settings.bootstrap
        self._security = {**settings.security(), "request_timeout_ms": int(SECONDS * 1000)}
        self._user = f"user {settings.sasl_username!r}" if settings.sasl_username else "this certificate's user"
        self._wanted = tuple(wanted)
        self._session = settings.session_s

    def lacking(self) -> BrokerError | None:
        """An error that names every missing permission; ``None`` where none is missing.

        Raises:
            BrokerError: where the brokers cannot be reached, or refuse the login.
        """
        if not self._wanted:
            return None
        try:
            found = missing(self._bootstrap, self._wanted, security=self._security)
        except BrokerError:
            check_login(self._options)  # this check names the reason better than kafka-python's error
            raise
        if not found:
            return None
        named = "; ".join(f"{operation} on {kind} {name}" for kind, name, operation in found)
        return BrokerError(
            f"{self._bootstrap}: {self._user} lacks: {named} (gridclock acls prints what each process needs)"
        )

    async def watch(self) -> None:
        """Check twice a session, until cancelled.

        A process whose login is refused now works on while its connections last; that is logged.

        Raises:
            BrokerError: that of ``lacking``, when two checks in a row give it: an administrator who changes permissions
                removes the old one before adding the new one.
        """
        before, is_known = None, True
        while True:
            await asyncio.sleep(self._session / 2)
            try:
                lacking = await self._checked()
            except BrokerError as error:
                if is_known:
                    logger.warning("the permissions cannot be checked at the brokers: %s", error)
                is_known = False
                continue
            is_known = True
            if before is not None and lacking is not None:
                raise lacking
            before = lacking

    async def reason(self, error: Exception) -> Exception:
        """The error to report for a failure: the clients' own errors do not name the missing permission."""
        if not isinstance(error, KafkaError | BrokerError):
            return error
        failure = error if isinstance(error, BrokerError) else BrokerError(f"{self._bootstrap}: {error}")
        try:
            return await self._checked() or failure
        except BrokerError:
            return failure

    async def _checked(self) -> BrokerError | None:
        """As ``lacking``, within a session."""
        try:
            async with asyncio.timeout(self._session):
                return await asyncio.to_thread(self.lacking)
        except BrokerError:
            raise
        except Exception as error:  # a failed check must not end the process
            raise BrokerError(f"{self._bootstrap}: {error!r}") from error


def missing(bootstrap: str, wanted: Iterable[Wanted], *, security: Mapping[str, Any]) -> list[Wanted]:
    """The missing permissions, in their order.

    Permissions on resources that do not exist are not reported: whether a topic can be created is another matter. Of a
    transactional id the brokers report only whether we have any permission on it.

    Raises:
        BrokerError: where the brokers cannot be reached.
    """
    permissions = list(wanted)
    allowed: dict[tuple[str, str], Allowed] = {}
    with connected(KafkaAdminClient, bootstrap, security) as admin:
        if topics := sorted({name for kind, name, _ in permissions if kind == "topic"}):
            allowed |= _topics(admin, topics)
        for kind, name in dict.fromkeys((kind, name) for kind, name, _ in permissions if kind in _COORDINATORS):
            allowed[kind, name] = _coordinated(admin, kind, name)
    return [
        (kind, name, operation)
        for kind, name, operation in permissions
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
    listed = frozenset(found["authorized_operations"])
    return None if found["error_code"] or _NOT_LISTED in listed else listed
