"""The topics that this program creates if they are missing, and their settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError

from streams.errors import BrokerError, ConfigError
from streams.kafka.admin import TopicSpec, connected, copies_of, counted, partition_counts
from streams.settings import TOPIC_PATTERN, Settings

DAY_S: Final = 86_400
MAX_REQUEST: Final = 16 * 1024 * 1024
"""Most bytes of one produced message: the state of a subject with a very long history."""

DEFAULT_LIMIT: Final = 1024 * 1024
OVERHEAD: Final = 1024
"""Bytes of a batch beside the key and value of its only record: headers and lengths."""

Configs = Mapping[str, Mapping[str, str]]
"""Topic to its settings, by Kafka's names; a topic whose settings may not be read is left out."""


def topics_of(settings: Settings) -> list[TopicSpec]:
    """The topics of this worker, with the settings for creating them."""
    kept = int(settings.retention_days * DAY_S * 1000)
    small, large = 2 * 1024 * 1024, MAX_REQUEST
    return [
        *(TopicSpec(topic, settings.partitions, kept, False, None) for topic in settings.source_topics),
        TopicSpec(
            settings.log_topic, settings.partitions, kept, False, small, stamped=True, like=settings.changelog_topic
        ),
        TopicSpec(settings.changelog_topic, settings.partitions, None, True, large, like=settings.log_topic),
        TopicSpec(settings.alerts_topic, settings.partitions, kept, False, small),
        *([TopicSpec(settings.cases_topic, settings.partitions, None, True, small)] if settings.cases else []),
        TopicSpec(settings.dead_letters_topic, 1, kept, False, small),
        *notify_topics_of(settings),
    ]


def check_target(settings: Settings, topic: str) -> None:
    """Refuse a topic to which no events are sent: its name is none, or the installation has it for something else.

    Raises:
        ConfigError: naming it.
    """
    if not re.match(TOPIC_PATTERN, topic):
        raise ConfigError(f"{topic!r} is not a topic's name: letters, digits, . _ - and at most 249", key="topic")
    own = {spec.name for spec in topics_of(settings)} | {settings.cases_topic}
    if topic in own - set(settings.source_topics):
        raise ConfigError(
            f"{topic} is a topic of this installation (--name {settings.name}), and none that events come from: "
            f"name {settings.source_topics[0]}, or another source",
            key="topic",
        )


def check_unmapped(settings: Settings, topic: str, remedy: str = "") -> None:
    """Refuse a topic that workers read through a mapping: there an event would be taken for a row.

    Raises:
        ConfigError: naming it.
    """
    if topic in settings.source_mappings:
        raise ConfigError(
            f"{topic} is read through a mapping, and these are events: name another source{remedy}", key="topic"
        )


def check_present(settings: Settings, topics: Sequence[str]) -> None:
    """Refuse topics that do not exist: brokers may make one for a misspelled name, and nobody reads it.

    Raises:
        BrokerError: naming the topic.
    """
    with connected(KafkaAdminClient, settings.bootstrap, settings.security()) as admin:
        counts = partition_counts(admin, topics)
    for topic in topics:
        if topic not in counts:
            raise BrokerError(f"{settings.bootstrap}: no topic {topic}: nothing is sent (gridclock topics create)")


def notify_topics_of(settings: Settings) -> list[TopicSpec]:
    """The notifier's topics: acknowledgements (the audit trail, which names staff), state, undelivered messages."""
    kept = int(settings.retention_days * DAY_S * 1000)
    trail = int(settings.acks_days * DAY_S * 1000)
    return [
        TopicSpec(settings.acks_topic, 1, trail, False, None, no_longer=True),
        TopicSpec(settings.deliveries_topic, 1, None, True, MAX_REQUEST),
        TopicSpec(settings.undelivered_topic, 1, kept, False, MAX_REQUEST),
    ]


def differences(settings: Settings, specs: Sequence[TopicSpec]) -> list[str]:
    """A line for each topic that is missing or differs from its spec, with the command that corrects it.

    A topic that keeps its records longer, or takes larger ones, than required is right, unless its spec forbids it.

    Raises: BrokerError where the brokers cannot be reached or refuse.
    """
    with connected(KafkaAdminClient, settings.bootstrap, settings.security()) as admin:
        counts = partition_counts(admin, [spec.name for spec in specs])
        present = [spec for spec in specs if spec.name in counts]
        configs = _configs(admin, [spec.name for spec in present])
        copies, brokers = copies_of(admin, [spec.name for spec in present])
    found = [
        f"topic {spec.name}: missing; gridclock topics create makes it with {spec.partitions} partitions"
        for spec in counted(specs, counts)
        if spec.name not in counts
    ]
    found += [
        f"topic {spec.name}: its settings may not be read: check it as an administrator, or with the right "
        "DescribeConfigs on it"
        for spec in present
        if spec.name not in configs
    ]
    found += wrong_settings(settings, present, configs)
    wanted = settings.replication or min(3, brokers)
    found += [
        f"topic {name}: {count} {'copy' if count == 1 else 'copies'}, and {wanted} are wanted: what it holds is lost "
        "with its brokers; kafka-reassign-partitions.sh makes more, or delete it while nothing is in it and create it "
        "again"
        for name, count in copies.items()
        if count < wanted
    ]
    log, state = settings.log_topic, settings.changelog_topic
    if log in counts and state in counts and counts[log] != counts[state]:
        found.append(
            f"topic {state}: {counts[state]} partitions, and {counts[log]} of {log}: both must have the same number; "
            "delete the one that holds nothing, and create it again"
        )
    if "partitions" in settings.model_fields_set and counts.get(log, settings.partitions) != settings.partitions:
        found.append(
            f"topic {log}: {counts[log]} partitions, and {settings.partitions} are wanted: that cannot be changed; "
            f"delete it and {state} while nothing is in them, or use another --name"
        )
    return found


def _configs(admin: Any, names: Sequence[str]) -> Configs:
    """Those that may be read."""
    if not names:
        return {}
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in admin.describe_configs(wanted)
        for resource in answer.resources
        if not resource[0]
    }


def configs_of(settings: Settings, specs: Sequence[TopicSpec]) -> Configs:
    """The settings of those topics that the brokers give."""
    try:
        with connected(KafkaAdminClient, settings.bootstrap, settings.security()) as admin:
            return _configs(admin, [spec.name for spec in specs])
    except (KafkaError, BrokerError):
        return {}


def message_limits(specs: Sequence[TopicSpec], configs: Configs) -> dict[str, int]:
    """The most bytes of one record of each topic; by its spec if its settings are not known."""
    found = {spec.name: (spec.max_message_bytes or DEFAULT_LIMIT) - OVERHEAD for spec in specs}
    for name, config in configs.items():
        if name in found and (limit := config.get("max.message.bytes")) is not None:
            found[name] = max(0, int(limit) - OVERHEAD)
    return found


def wrong_settings(settings: Settings, specs: Sequence[TopicSpec], configs: Configs) -> list[str]:
    """A line for each setting that differs from the spec, with the command that corrects it."""
    found: list[str] = []
    for spec in specs:
        config = dict(configs.get(spec.name, {}))
        if spec.name in settings.source_mappings:
            config.pop("cleanup.policy", None)  # a compacted topic of rows, such as one of Debezium, is right
        found += _wrong_settings(settings, spec, config)
    return found


def _wrong_settings(settings: Settings, spec: TopicSpec, actual: Mapping[str, str]) -> list[str]:
    is_open = settings.security_protocol == "PLAINTEXT"
    login = "" if is_open else '--command-config "${ADMIN_CONFIG:-admin.properties}" '
    found = []
    for key, wanted in spec.config().items():
        have = actual.get(key)
        if have is None or have == wanted:
            continue
        may_be_more = key == "max.message.bytes" or (key == "retention.ms" and not spec.no_longer)
        if may_be_more and _is_enough(int(have), int(wanted)):
            continue
        found.append(
            f"topic {spec.name}: {key} is {have}, should be {wanted}: kafka-configs.sh --alter --bootstrap-server "
            f"{settings.bootstrap} {login}--entity-type topics --entity-name {spec.name} "
            f"--add-config {key}={'[' + wanted + ']' if ',' in wanted else wanted}"
        )
    return found


def _is_enough(have: int, wanted: int) -> bool:
    """-1 means no limit."""
    return have == -1 or (wanted != -1 and have >= wanted)
