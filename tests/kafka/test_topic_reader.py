"""Records that a topic's retention removes while the topic is read."""

from __future__ import annotations

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from streams.errors import BrokerError
from streams.kafka.admin import TopicSpec, ensure_topics
from streams.kafka.brokers import Broker
from streams.kafka.threaded_producer import ThreadedProducer
from streams.kafka.topic_reader import from_beginning
from streams.replay.sources.topics import topic_slices
from streams.settings import load_settings

pytestmark = pytest.mark.broker


@pytest.fixture
def topic(kafka: Broker, prefix: str) -> str:
    """One partition with three records."""
    if kafka.kind == "embedded":
        pytest.skip(f"{kafka.description} removes no records")
    name = f"{prefix}a"
    ensure_topics(kafka.bootstrap, [TopicSpec(name, 1, -1)])
    producer = ThreadedProducer(bootstrap_servers=kafka.bootstrap)
    for value in (b"0", b"1", b"2"):
        producer.send(name, value)
    producer.flush()
    producer.close()
    return name


def remove(kafka: Broker, topic: str, before: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.delete_records({TopicPartition(topic, 0): before})
    admin.close()


@pytest.mark.parametrize("gapless", [True, False])
def test_a_reader_passes_over_what_was_removed_or_refuses_it(kafka: Broker, topic: str, gapless: bool) -> None:
    def values() -> list[bytes]:
        with from_beginning(topic, "", missing="", gapless=gapless, bootstrap_servers=kafka.bootstrap) as (
            reader,
            parts,
        ):
            assert [reader.position(part) for part in parts] == [0]
            remove(kafka, topic, 2)
            return [record.value for record in reader.poll(timeout_ms=20_000)[parts[0]]]

    if gapless:
        with pytest.raises(BrokerError, match=f"^{topic}/0 from offset 0 on: removed .*retention.ms"):
            values()
    else:
        assert values() == [b"2"]


def test_a_replay_refuses_a_topic_of_which_a_part_was_removed_since_it_began(kafka: Broker, topic: str) -> None:
    (part,) = topic_slices(load_settings(bootstrap=kafka.bootstrap), [topic])
    assert [raw for _, raw, _ in part.records()] == [b"0", b"1", b"2"]
    remove(kafka, topic, 1)
    with pytest.raises(BrokerError, match=f"^{topic}/0 from offset 0 on: removed"):
        list(part.records())
    (part,) = topic_slices(load_settings(bootstrap=kafka.bootstrap), [topic])
    assert [raw for _, raw, _ in part.records()] == [b"1", b"2"]
