"""The least permissions (ACLs) that each process needs at the brokers, as data.

An administrator creates the topics beforehand, so no process needs the permission to create any. Read and write
include describe. ``gridclock acls`` prints the table as commands; a test runs
every process with exactly these permissions, on a broker that allows nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from streams.settings import Settings

Resource = Literal["topic", "group", "transactional-id"]
Operation = Literal["read", "write", "describe"]


@dataclass(frozen=True, slots=True)
class Permission:
    """The operations on one resource; names are literal."""

    resource: Resource
    name: str
    operations: tuple[Operation, ...]


def _topics(operation: Operation, *names: str) -> list[Permission]:
    return [Permission("topic", name, (operation,)) for name in names]


def reading(*topics: str) -> list[Permission]:
    """The permissions to read topics without a group."""
    return _topics("read", *topics)


def writing(*topics: str) -> list[Permission]:
    """The permissions to write to topics."""
    return _topics("write", *topics)


def releasing(settings: Settings) -> list[Permission]:
    """The permissions to release subjects that are set aside."""
    return [*_topics("write", settings.log_topic), *_topics("read", settings.changelog_topic)]


def replaying_log(settings: Settings) -> list[Permission]:
    """The permissions to judge the log again: the state says by which rulebook the workers judge."""
    return _topics("read", settings.log_topic, settings.changelog_topic)


def _worker(settings: Settings) -> list[Permission]:
    return [
        *_topics("read", *settings.source_topics),
        Permission("topic", settings.log_topic, ("read", "write")),
        Permission("topic", settings.changelog_topic, ("read", "write")),
        *_topics("write", settings.alerts_topic, settings.dead_letters_topic),
        *(_topics("write", settings.cases_topic) if settings.cases else []),
        # The worker creates these at its start, so that a notifier finds them.
        *_topics("describe", settings.acks_topic, settings.deliveries_topic, settings.undelivered_topic),
        Permission("group", f"{settings.name}-intake", ("read",)),
        Permission("group", settings.name, ("read",)),
    ]


def _status(settings: Settings) -> list[Permission]:
    return [
        *_topics("describe", *settings.source_topics, settings.log_topic),
        *(_topics("describe", settings.cases_topic, settings.alerts_topic) if settings.database else []),
        *_topics("read", settings.changelog_topic, settings.dead_letters_topic),
        Permission("group", f"{settings.name}-intake", ("describe",)),
        Permission("group", settings.name, ("describe",)),
    ]


def _notify(settings: Settings) -> list[Permission]:
    return [
        *_topics("read", settings.alerts_topic, settings.acks_topic),
        Permission("topic", settings.deliveries_topic, ("read", "write")),
        *_topics("write", settings.undelivered_topic),
        Permission("group", f"{settings.name}-notify", ("read",)),
        Permission("transactional-id", f"{settings.name}-notify", ("write",)),
    ]


def _board(settings: Settings) -> list[Permission]:
    acts: tuple[Operation, ...] = ("read", "write") if settings.board_trust_header else ("read",)
    return [
        *_topics("read", settings.changelog_topic, settings.alerts_topic, settings.deliveries_topic),
        *_topics("read", settings.undelivered_topic, settings.dead_letters_topic),
        Permission("topic", settings.acks_topic, acts),
        *_topics("describe", *settings.source_topics),
        Permission("group", f"{settings.name}-intake", ("describe",)),
    ]


NEEDS: Final[dict[str, Callable[[Settings], list[Permission]]]] = {
    "run": _worker,
    "notify": _notify,
    "board": _board,
    "status": _status,
    "send": lambda settings: _topics("write", *settings.source_topics),
    "sink": lambda settings: _topics("read", settings.cases_topic, settings.alerts_topic),
    "alerts": lambda settings: _topics("read", settings.alerts_topic),
    "ack": lambda settings: [*_topics("read", settings.alerts_topic), *_topics("write", settings.acks_topic)],
    "acks": lambda settings: _topics("read", settings.acks_topic),
    "dead-letters": lambda settings: [
        Permission("topic", settings.dead_letters_topic, ("read", "write")),
        *_topics("write", *settings.source_topics),
        *releasing(settings),
    ],
    "replay": lambda settings: [*_topics("read", *settings.source_topics), *replaying_log(settings)],
}
"""The permissions of each process, by its command. ``notify`` also writes the topics that its channels name."""


def permissions_of(process: str, settings: Settings, channels: Sequence[str] = ()) -> list[Permission]:
    """The permissions of one process; ``channels`` are the topics of a notifier's channels."""
    return [*NEEDS[process](settings), *(_topics("write", *channels) if process == "notify" else [])]
