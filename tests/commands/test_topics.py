"""``gridclock topics`` on a broker: what is made, and what is found to be otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from streams.cli import run
from streams.kafka.admin import TopicSpec, connected, ensure_topics, partitions_of
from streams.kafka.brokers import Broker
from streams.kafka.topics import topics_of
from streams.settings import load_settings
from tests.integration.live import Live, until


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
            f"{prefix}.log": {"message.timestamp.type": "CreateTime", "retention.bytes": "1000000"},
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
        (f"{prefix}.log", "retention.bytes"),  # removes what no worker has read yet
        (f"{prefix}.alerts", "retention.ms"),
        (f"{prefix}-state-changelog", "cleanup.policy"),
        (f"{prefix}.acks", "retention.ms"),  # staff data: no longer than stated
    }
    assert not any(line.startswith(f"topic {prefix}.dead-letters: retention.ms") for line in lines)
    assert not any("alerts: max.message.bytes" in line for line in lines)
    assert any(
        "--entity-name " + prefix + ".log --add-config message.timestamp.type=LogAppendTime" in line for line in lines
    )
    assert any(f"kafka-configs.sh --alter --bootstrap-server {kafka.bootstrap} --entity" in line for line in lines)
    assert any("2 partitions, and 3 of" in line for line in lines)


def test_no_default_of_the_brokers_ends_the_retention_by_size() -> None:
    specs = topics_of(load_settings(bootstrap="127.0.0.1:1", sources="in", cases=True))
    assert {spec.config().get("retention.bytes") for spec in specs if not spec.compact} == {"-1"}
    assert {spec.config().get("retention.bytes") for spec in specs if spec.compact} == {None}


def test_settings_that_may_not_be_read_are_not_passed_as_right(
    where: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without the right DescribeConfigs the brokers answer with an error for each topic, and no settings."""
    assert run(["topics", "create", *where]) == 0
    real = KafkaAdminClient.describe_configs

    def refused(admin: KafkaAdminClient, resources: list[ConfigResource]) -> object:
        answers = real(admin, resources)
        for answer in answers:
            answer.resources = [(29, "denied", kind, name, []) for _, _, kind, name, _ in answer.resources]
        return answers

    monkeypatch.setattr(KafkaAdminClient, "describe_configs", refused)
    capfd.readouterr()
    assert run(["topics", "check", *where]) == 1
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 8
    assert all("its settings may not be read" in line for line in lines)


def test_a_worker_names_settings_by_which_its_topics_lose_records(
    kafka: Broker, where: list[str], prefix: str, tmp_path: Path
) -> None:
    """Some of them end it with an error of the brokers that names neither topic nor setting."""
    assert len(where) == 4
    with Live(kafka.bootstrap, prefix, tmp_path, partitions=1) as live:
        assert run(["topics", "create", "--bootstrap", kafka.bootstrap, "--name", live.name, "--partitions", "1"]) == 0
        live.configure(f"{live.name}.log", {"cleanup.policy": "compact"})
        worker = live.worker(ready=False)
        until(lambda: worker.exit_code is not None, 60, lambda: worker.output)
    assert worker.exit_code == 2
    named = f"WARNING streams.live.worker topic {live.name}.log: cleanup.policy is compact, should be delete"
    assert named in worker.output
    assert worker.output.count("WARNING streams.live.worker topic ") == 1


def test_compaction_of_what_is_read_as_events_is_named(
    kafka: Broker, where: list[str], prefix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It removes all but the last event of an order, of a log too, also where it is the default of the brokers."""
    (tmp_path / "map.yaml").write_text("unread here", "utf-8")
    rows = f"{prefix}.rows"
    where += ["--source", f"{prefix}.in", "--source", f"{rows}={tmp_path}/map.yaml"]
    assert run(["topics", "create", *where]) == 0
    assert run(["topics", "check", *where]) == 0
    compacted = [f"{prefix}.in", f"{prefix}.log", f"{prefix}.alerts", f"{prefix}.dead-letters", f"{prefix}.acks"]
    with connected(KafkaAdminClient, kafka.bootstrap, {}) as admin:
        for name in (*compacted, rows):
            configs = {"cleanup.policy": "compact", "retention.ms": str(1095 * 86_400_000)}
            if name.endswith(".log"):
                configs["message.timestamp.type"] = "LogAppendTime"
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs)])
    capfd.readouterr()
    assert run(["topics", "check", *where]) == 1
    lines = [line for line in capfd.readouterr().out.splitlines() if "cleanup.policy" in line]
    assert sorted(line.split(":")[0] for line in lines) == sorted(f"topic {name}" for name in compacted)
    assert all("cleanup.policy is compact, should be delete: kafka-configs.sh --alter" in line for line in lines)


def test_no_default_of_the_brokers_compacts_a_log() -> None:
    specs = topics_of(load_settings(bootstrap="127.0.0.1:1", sources="in", cases=True))
    policies = {spec.name: spec.config()["cleanup.policy"] for spec in specs}
    state = {"gridclock-state-changelog", "gridclock.cases", "gridclock.deliveries"}
    assert policies == {spec.name: "compact" if spec.name in state else "delete" for spec in specs}


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


def test_fewer_copies_than_are_asked_for_are_named(
    kafka: Broker, where: list[str], prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Topics that a broker made by its own default have one: one broker less, and the state is gone."""
    assert run(["topics", "create", *where, "--replication", "1"]) == 0
    assert run(["topics", "check", *where, "--replication", "1"]) == 0
    capfd.readouterr()
    assert run(["topics", "check", *where, "--replication", "3"]) == 1
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 8
    assert f"topic {prefix}.log: 1 copy, and 3 are wanted: what it holds is lost with its brokers" in "".join(lines)
