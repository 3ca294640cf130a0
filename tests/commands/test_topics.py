"""``gridclock topics`` on a broker: what is made, and what is found to be otherwise."""

from __future__ import annotations

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from streams.cli import run
from streams.kafka.admin import TopicSpec, connected, ensure_topics
from streams.kafka.brokers import Broker


def test_missing_topics_are_named_and_made(kafka: Broker, prefix: str, capfd: pytest.CaptureFixture[str]) -> None:
    if not kafka.can_create_topics:
        pytest.skip(f"{kafka.description} makes topics on its own terms")
    where = ["--bootstrap", kafka.bootstrap, "--name", prefix, "--partitions", "3", "--source", f"{prefix}.in"]
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
    kafka: Broker, prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if not kafka.can_create_topics:
        pytest.skip(f"{kafka.description} makes topics on its own terms")
    where = ["--bootstrap", kafka.bootstrap, "--name", prefix, "--partitions", "3"]
    ensure_topics(kafka.bootstrap, [TopicSpec(f"{prefix}-state-changelog", 2, 3_600_000)])
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
