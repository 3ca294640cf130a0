"""Partitions that a topic gets while a sink reads it."""

from __future__ import annotations

import pytest
from kafka.admin import KafkaAdminClient, NewPartitions

from streams.kafka.admin import TopicSpec, connected, ensure_topics
from streams.kafka.brokers import Broker
from streams.settings import load_settings
from streams.sink.process import Sources, _Reader
from tests.integration.live import until

pytestmark = pytest.mark.broker


def test_they_are_read_within_the_time_in_which_they_are_looked_for(
    kafka: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's own knowledge of a topic was five minutes old, whatever the sink looked for."""
    if not kafka.can_create_topics:
        pytest.skip(f"{kafka.description} makes topics on its own terms")
    monkeypatch.setattr("streams.sink.process._PARTITIONS_SECONDS", 0.5)
    settings = load_settings(bootstrap=kafka.bootstrap, name=prefix)
    ensure_topics(kafka.bootstrap, [TopicSpec(settings.alerts_topic, 1)])
    with _Reader(settings, Sources({settings.alerts_topic: "alerts"}), {}, "again") as reader:
        assert set(reader.position) == {(settings.alerts_topic, 0)}
        for _ in range(4):  # until the client has asked for what it is to read, and keeps the answer
            reader.read()
        with connected(KafkaAdminClient, kafka.bootstrap, {}) as admin:
            admin.create_partitions({settings.alerts_topic: NewPartitions(3)})

        def are_read() -> bool:
            reader.read()
            return len(reader.position) == 3

        until(are_read, 20, lambda: str(reader.position))
