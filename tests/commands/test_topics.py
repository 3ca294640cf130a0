"""``gridclock topics`` on a broker: what is made, and what is found to be otherwise."""

from __future__ import annotations

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from streams.cli import run
from streams.kafka.admin import TopicSpec, connected, ensure_topics, partitions_of
from streams.kafka.brokers import Broker
from tests.integration.live import until


@pytest.fixture
def where(kafka: Broker, prefix: str) -> list[str]:
    """The options that name an installation of its own, on a broker that makes topics as it is told."""
    if not kafka.can_create_topics:
        pytest.skip(f"{kafka.description} makes topics on its own terms")
    return ["--bootstrap", kafka.bootstrap, "--name", prefix]


def test_missing_topics_are_named_and_made(where: list[str], prefix: str, capfd: pytest.CaptureFixture[str]) -> None:
    where += ["--partitions", "3", "--source", f"{prefix}.in"]
    assert run(["topics", "check", *where]) == 1
    missing = capfd.readouterr().out.splitlines()
    assert f"topic {prefix}.log: missing; gridclock topics create makes it with 3 partitions" in missing
    assert run(["topics", "create", *where]) == 0
    assert f"{prefix}.log (3)" in capfd.readouterr().out
    assert run(["topics", "check", *where]) == 0
    assert capfd.readouterr().out == ""
    assert run(["topics", "check", *where, "--cases"]) == 1
    assert f"topic {prefix}.cases: missing" in capfd.readouterr().out
    assert run(["topics", "create", *where, "--cases"]) == 0


def test_other_settings_are_named_with_their_remedy(
    kafka: Broker, where: list[str], prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    where += ["--partitions", "3"]
    ensure_topics(
        kafka.bootstrap, [TopicSpec(f"{prefix}.log", 3), TopicSpec(f"{prefix}-state-changelog", 2, 3_600_000)]
    )
    assert run(["topics", "create", *where]) == 1
    with connected(KafkaAdminClient, kafka.bootstrap, {}) as admin:
        for name, configs in {
            f"{prefix}.log": {"message.timestamp.type": "CreateTime"},
            f"{prefix}.alerts": {"retention.ms": "1000", "max.message.bytes": "99000000"},
            f"{prefix}.dead-letters": {"retention.ms": "-1"},
            f"{prefix}.acks": {"retention.ms": "-1"},
        }.items():
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs)])
    capfd.readouterr()
    assert run(["topics", "check", *where]) == 1
    lines = capfd.readouterr().out.splitlines()
    wrong = {(line.split(":")[0].removeprefix("topic "), line.split(":")[1].split(" is ")[0].strip()) for line in lines}
    assert wrong >= {
        (f"{prefix}.log", "message.timestamp.type"),
        (f"{prefix}.alerts", "retention.ms"),
        (f"{prefix}-state-changelog", "cleanup.policy"),
        (f"{prefix}.acks", "retention.ms"),  # staff data: no longer than stated
    }
    assert not any(line.startswith(f"topic {prefix}.dead-letters: retention.ms") for line in lines)
    assert not any("alerts: max.message.bytes" in line for line in lines)
    assert any(
        "--entity-name " + prefix + ".log --add-config message.timestamp.type=LogAppendTime" in line for line in lines
    )
    assert any("2 partitions, and 3 of" in line for line in lines)


def test_a_lost_topic_is_made_with_as_many_partitions_as_its_other(
    kafka: Broker, where: list[str], prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A worker made the state topic with its own default, and then did not start for the difference."""
    assert run(["topics", "create", *where, "--partitions", "3"]) == 0
    for lost in (f"{prefix}-state-changelog", f"{prefix}.log"):
        with connected(KafkaAdminClient, kafka.bootstrap, {}) as admin:
            admin.delete_topics([lost])
        until(lambda: not partitions_of(kafka.bootstrap, lost), 20, lambda: lost)  # noqa: B023
        capfd.readouterr()
        assert run(["topics", "check", *where]) == 1
        missing = f"topic {lost}: missing; gridclock topics create makes it with 3 partitions"
        assert capfd.readouterr().out.splitlines() == [missing]
        assert run(["topics", "create", *where]) == 0
        assert partitions_of(kafka.bootstrap, lost) == 3


def test_another_count_than_the_one_that_is_asked_for_is_named(
    where: list[str], prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["topics", "create", *where]) == 0
    assert run(["topics", "check", *where, "--partitions", "8"]) == 0
    capfd.readouterr()
    assert run(["topics", "check", *where, "--partitions", "3"]) == 1
    assert f"topic {prefix}.log: 8 partitions, and 3 are wanted" in capfd.readouterr().out
    assert run(["topics", "create", *where, "--partitions", "3"]) == 1
