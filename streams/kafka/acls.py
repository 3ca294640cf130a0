"""Who needs what at the brokers: the least rights under which each process works, as data.

Topics are to be made beforehand, by an administrator: then no process needs the right to create any. What a topic is
read or written with includes the right to describe it. ``gridclock acls`` prints the table as commands; a test runs
every process with exactly these rights, on a broker that allows nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from streams.settings import Settings

Resource = Literal["topic", "group", "transactional-id"]
Operation = Literal["read", "write", "describe"]


@dataclass(frozen=True, slots=True)
class Right:
    """What may be done with one resource; names are literal."""

    resource: Resource
    name: str
    operations: tuple[Operation, ...]


def _topics(operation: Operation, *names: str) -> list[Right]:
    return [Right("topic", name, (operation,)) for name in names]


def reading(*topics: str) -> list[Right]:
    """What it takes to read topics without a group."""
    return _topics("read", *topics)


def writing(*topics: str) -> list[Right]:
    """What it takes to write to topics."""
    return _topics("write", *topics)


def _worker(settings: Settings) -> list[Right]:
    return [
        *_topics("read", *settings.source_topics),
        Right("topic", settings.log_topic, ("read", "write")),
        Right("topic", settings.changelog_topic, ("read", "write")),
        *_topics("write", settings.alerts_topic, settings.dead_letters_topic),
        # It makes sure of these at its start, so that a notifier finds them.
        *_topics("describe", settings.acks_topic, settings.deliveries_topic, settings.undelivered_topic),
        Right("group", f"{settings.name}-intake", ("read",)),
        Right("group", settings.name, ("read",)),
    ]


def _status(settings: Settings) -> list[Right]:
    return [
        *_topics("describe", *settings.source_topics, settings.log_topic),
        *_topics("read", settings.changelog_topic),
        Right("group", f"{settings.name}-intake", ("describe",)),
        Right("group", settings.name, ("describe",)),
    ]


def _notify(settings: Settings) -> list[Right]:
    return [
        *_topics("read", settings.alerts_topic, settings.acks_topic),
        Right("topic", settings.deliveries_topic, ("read", "write")),
        *_topics("write", settings.undelivered_topic),
        Right("group", f"{settings.name}-notify", ("read",)),
        Right("transactional-id", f"{settings.name}-notify", ("write",)),
    ]


NEEDS: Final[dict[str, Callable[[Settings], list[Right]]]] = {
    "run": _worker,
    "notify": _notify,
    "board": lambda settings: _topics("read", settings.changelog_topic, settings.alerts_topic, settings.acks_topic),
    "status": _status,
    "send": lambda settings: _topics("write", *settings.source_topics),
    "alerts": lambda settings: _topics("read", settings.alerts_topic),
    "ack": lambda settings: _topics("write", settings.acks_topic),
    "acks": lambda settings: _topics("read", settings.acks_topic),
    "dead-letters": lambda settings: [
        Right("topic", settings.dead_letters_topic, ("read", "write")),
        *_topics("write", *settings.source_topics),
    ],
    "replay": lambda settings: _topics("read", *settings.source_topics, settings.log_topic),
}
"""Process, by the name of its command, to its rights. ``notify`` also writes the topics that its channels name."""


def rights_of(process: str, settings: Settings, channels: Sequence[str] = ()) -> list[Right]:
    """The rights of one process; ``channels`` are the topics of a notifier's channels."""
    return [*NEEDS[process](settings), *(_topics("write", *channels) if process == "notify" else [])]
