from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.commands.alerts import read_records
from streams.errors import BrokerError
from streams.kafka import brokers, java_broker, shared_classes
from streams.kafka.admin import TopicSpec, cluster, end_offsets, ensure_topics, partitions_of
from streams.kafka.brokers import KINDS, Broker, available_kinds, broker
from streams.kafka.child_process import ChildProcess
from streams.kafka.threaded_producer import ThreadedProducer
from streams.settings import load_settings

VALUES = [f"value {number}".encode() for number in range(20)]


async def sent_and_read_back(bootstrap: str, topic: str, partition: int) -> list[bytes]:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for value in VALUES:
            await producer.send(topic, value, partition=partition)
        await producer.flush()
    found: list[bytes] = []
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(topic, partition)])
        while len(found) < len(VALUES):
            found.append((await asyncio.wait_for(consumer.getone(), 30)).value)
    return found


def eventually(claim: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.broker
def test_topics_get_the_partitions_asked_for(kafka: Broker, prefix: str) -> None:
    if not kafka.can_create_topics:
        pytest.skip(f"{kafka.description} decides on partitions itself")
    specs = [
        TopicSpec(f"{prefix}events", 3, retention_ms=-1),
        TopicSpec(f"{prefix}state", 2, compact=True, max_message_bytes=2_000_000),
    ]
    first = ensure_topics(kafka.bootstrap, specs)
    assert first.created == (specs[0].name, specs[1].name)
    assert first.partitions == {specs[0].name: 3, specs[1].name: 2}
    assert first.differing(specs) == {}

    wider = [TopicSpec(specs[0].name, 6), specs[1]]
    second = ensure_topics(kafka.bootstrap, wider)
    assert (second.created, second.present) == ((), first.created)
    assert second.differing(wider) == {specs[0].name: (6, 3)}


@pytest.mark.broker
def test_what_is_sent_can_be_read(kafka: Broker, prefix: str) -> None:
    topic = f"{prefix}events"
    ensure_topics(kafka.bootstrap, [TopicSpec(topic, 2)])
    assert asyncio.run(sent_and_read_back(kafka.bootstrap, topic, 1)) == VALUES
    ends = end_offsets(kafka.bootstrap, topic)
    assert (ends[0], ends[1]) == (0, len(VALUES))


@pytest.mark.broker
def test_asking_makes_no_topic(kafka: Broker, prefix: str) -> None:
    topic = f"{prefix}absent"
    assert partitions_of(kafka.bootstrap, topic) == 0
    assert end_offsets(kafka.bootstrap, topic) == {}
    assert topic not in cluster(kafka.bootstrap).topics


@pytest.mark.broker
def test_a_refused_topic_is_named(kafka: Broker, prefix: str) -> None:
    if not kafka.can_create_topics:
        pytest.skip(f"{kafka.description} refuses nothing")
    with pytest.raises(BrokerError, match=f"topic {prefix}copies .*99 copies.*InvalidReplicationFactor"):
        ensure_topics(kafka.bootstrap, [TopicSpec(f"{prefix}copies", 1)], replication=99)


@pytest.mark.broker
@pytest.mark.slow
def test_a_killed_node_comes_back_with_its_data(kafka: Broker, prefix: str) -> None:
    if kafka.kind != "java":
        pytest.skip(f"{kafka.description} cannot be killed here")
    topic = f"{prefix}kept"
    with broker("java", nodes=3) as three:
        assert three.java is not None
        assert cluster(three.bootstrap).brokers == 3
        if sys.platform == "linux":  # the node of this session has made the archive, if no run before it has
            started = [Path(f"/proc/{pid}/cmdline").read_text() for pid in three.java.pids]
            assert all("-XX:SharedArchiveFile=" in words for words in started)
        ensure_topics(three.bootstrap, [TopicSpec(topic, 1)])
        three.java.kill(1)
        assert not three.java.is_running(1)
        assert asyncio.run(sent_and_read_back(three.bootstrap, topic, 0)) == VALUES
        three.java.start(1)
        assert end_offsets(three.bootstrap, topic) == {0: len(VALUES)}


@pytest.mark.broker
def test_the_embedded_broker_serves_and_leaves_nothing(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    topic = f"{prefix}events"
    with broker("embedded") as embedded:
        assert embedded.kind == "embedded"
        assert not embedded.can_create_topics
        report = ensure_topics(embedded.bootstrap, [TopicSpec(topic, 2)])
        assert report.touched == (topic,)
        assert report.partitions == {topic: 4}
        assert "no CreateTopics" in str(report)
        assert ensure_topics(embedded.bootstrap, [TopicSpec(topic, 2)]).present == (topic,)
        assert asyncio.run(sent_and_read_back(embedded.bootstrap, topic, 3)) == VALUES
        bootstrap = embedded.bootstrap
    with pytest.raises(BrokerError):
        cluster(bootstrap)
    assert list(tmp_path.iterdir()) == []


def test_a_child_ends_with_its_parent_even_after_sigkill(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from streams.kafka.child_process import ChildProcess\n"
        "child = ChildProcess([sys.executable, '-c', 'import sys; sys.stdin.read()'], Path(sys.argv[1]))\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
    assert eventually(lambda: not is_alive(child))


def test_the_last_lines_of_a_failed_child_are_told(tmp_path: Path) -> None:
    child = ChildProcess([sys.executable, "-c", "print('one'); print('two'); raise SystemExit(3)"], tmp_path / "log")
    assert child.wait(30) == 3
    assert child.last_lines(1) == "two"
    child.kill()


def test_kinds_are_listed_best_first_with_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    kinds = available_kinds()
    assert tuple(kind for kind, _ in kinds) == KINDS
    assert kinds[0] == ("external", "KAFKA_BOOTSTRAP_SERVERS is not set")
    assert kinds[-1] == ("embedded", None)


def test_an_unknown_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDCLOCK_BROKER", "pigeon")
    with pytest.raises(BrokerError, match="GRIDCLOCK_BROKER=pigeon: expected one of external, docker"), broker():
        pass


def test_a_kind_asked_for_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    with pytest.raises(BrokerError, match="KAFKA_BOOTSTRAP_SERVERS is not set"), broker("external"):
        pass


def test_loaded_classes_are_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    java, made = sys.executable, tmp_path / "made"  # any program will do
    archive = shared_classes.archive_of(java, "a.jar", tmp_path)
    assert shared_classes.archive_of(java, "b.jar", tmp_path) != archive
    shared_classes.keep(made, archive)  # Java made none
    assert shared_classes.using(archive) == []
    assert f"-XX:ArchiveClassesAtExit={made}" in shared_classes.making(archive, made)
    made.write_bytes(b"classes")
    shared_classes.keep(made, tmp_path / "no such directory" / archive.name)
    shared_classes.keep(made, archive)
    assert archive.read_bytes() == b"classes"
    assert shared_classes.using(archive) == [f"-XX:SharedArchiveFile={archive}"]
    assert shared_classes.making(archive, made) == []
    assert sorted(tmp_path.iterdir()) == sorted((made, archive))


@pytest.mark.broker
def test_a_taken_port_is_no_failure(kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    if kafka.kind != "java":
        pytest.skip(f"{kafka.description} was not started with ports of our choice")
    taken = int(kafka.bootstrap.rpartition(":")[2])
    free = java_broker.free_ports(3)
    offered = iter([[taken, free[0]], [free[1], free[2]]])
    monkeypatch.setattr(java_broker, "free_ports", lambda count: next(offered))
    with broker("java") as second:
        assert second.bootstrap == f"127.0.0.1:{free[1]}"


def fake_maven(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = directory / "mvn"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory / "cache"))


def test_the_class_path_is_asked_for_once_as_long_as_its_jars_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar, calls = tmp_path / "kafka.jar", tmp_path / "calls"
    fake_maven(
        tmp_path,
        f'echo call >> {calls}; touch {jar}\nfor each in "$@"; do case "$each" in -Dmdep.outputFile=*) '
        f'printf %s {jar} > "${{each#*=}}";; esac; done',
        monkeypatch,
    )
    assert [java_broker.class_path(), java_broker.class_path()] == [str(jar)] * 2
    assert calls.read_text() == "call\n"
    jar.unlink()
    assert java_broker.class_path() == str(jar)
    assert calls.read_text() == "call\ncall\n"


def test_what_maven_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_maven(tmp_path, "echo the net is away; exit 1", monkeypatch)
    with pytest.raises(BrokerError, match=r"Maven did not resolve Apache Kafka .*\nthe net is away"):
        java_broker.class_path()


@pytest.mark.broker
def test_a_better_kind_that_fails_is_passed_over_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.delenv("GRIDCLOCK_BROKER", raising=False)
    monkeypatch.setattr(brokers, "_why_no_docker", lambda: "no Docker engine here")
    fake_maven(tmp_path, "echo the net is away; exit 1", monkeypatch)
    said: list[str] = []
    with broker(on_progress=said.append) as found:
        assert found.kind == "embedded"
    assert found.passed_over[0] == "docker: no Docker engine here"
    assert found.passed_over[1].startswith("java: ")
    assert "no broker of kind docker: no Docker engine here" in said


@pytest.mark.broker
def test_much_is_read_to_its_end_without_a_refusal(
    kafka: Broker, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    topic = f"{prefix}much"
    ensure_topics(kafka.bootstrap, [TopicSpec(topic, 4)])
    producer = ThreadedProducer(bootstrap_servers=kafka.bootstrap)
    value = b"x" * 100_000
    for number in range(80):  # two megabytes a partition: more in one answer than kafka-python takes by itself
        producer.send(topic, value, partition=number % 4)
    producer.flush()
    producer.close()
    found = [value for _, value in read_records(load_settings(bootstrap=kafka.bootstrap), topic, follow=False)]
    assert found == [value] * 80
    assert [record for record in caplog.records if "InvalidReceiveError" in record.getMessage()] == []
