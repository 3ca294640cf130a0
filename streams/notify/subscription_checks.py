"""What a file of subscriptions asks for in a form that is right and does harm or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from schemas.subscriptions import AlertmanagerChannel, KafkaChannel, SubscriptionFile
from streams.errors import ConfigError
from streams.kafka.topics import topics_of
from streams.rulebooks.yaml_files import Keys, read_yaml
from streams.settings import Settings

_ESCALATED: Final = {"breach", "violation"}


def own_topics(path: Path, file: SubscriptionFile, settings: Settings) -> list[ConfigError]:
    """Channels whose topic the installation itself reads or writes: its messages would stand among alerts or state."""
    own = {spec.name for spec in topics_of(settings)} | {settings.cases_topic}
    return _placed(
        path,
        [
            (
                ("channels", name, "topic"),
                f"{channel.topic} is a topic of this installation (--name {settings.name}): name another one",
            )
            for name, channel in file.channels.items()
            if isinstance(channel, KafkaChannel) and channel.topic in own
        ],
    )


def without_effect(path: Path, file: SubscriptionFile) -> list[ConfigError]:
    """What can never do what it says: an Alertmanager's address, how long it holds, an escalation."""
    return _placed(path, [*_alertmanagers(file), *_escalations(file)])


def _alertmanagers(file: SubscriptionFile) -> Iterator[tuple[Keys, str]]:
    for name, channel in file.channels.items():
        if not isinstance(channel, AlertmanagerChannel):
            continue
        if isinstance(channel.url, str):
            parts = urlsplit(channel.url)
            if parts.fragment or "/api/" in f"{parts.path}/":
                yield (
                    ("channels", name, "url"),
                    "is an address within Alertmanager: write its beginning, such as http://HOST:9093; "
                    "/api/v2/alerts is added",
                )
        for key, held in (("hold", channel.hold), ("violation_hold", channel.violation_hold)):
            if held < channel.refresh:
                # Alertmanager keeps what it got for three refreshes, whatever the shorter time says.
                yield ("channels", name, key), "is shorter than refresh: alerts would stand for longer"


def _escalations(file: SubscriptionFile) -> Iterator[tuple[Keys, str]]:
    for index, item in enumerate(file.subscriptions):
        kinds = item.match.kind
        if item.escalate and kinds is not None and not _ESCALATED & set(kinds):
            yield (
                ("subscriptions", index, "escalate"),
                f"never happens: only a breach or violation goes up, and match.kind is {' or '.join(kinds)}",
            )


def _placed(path: Path, problems: Sequence[tuple[Keys, str]]) -> list[ConfigError]:
    if not problems:
        return []
    lines = read_yaml(path)
    return [
        ConfigError(message, path=str(path), line=lines.line(keys), key=".".join(map(str, keys)))
        for keys, message in problems
    ]
