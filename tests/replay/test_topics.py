"""Topics of a real broker, replayed by time range."""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from streams.core.instants import instant_us
from streams.errors import ConfigError
from streams.kafka.admin import TopicSpec, delete_topics, ensure_topics
from streams.kafka.brokers import Broker
from streams.kafka.threaded_producer import ThreadedProducer
from streams.replay.checkpoints import Checkpoint
from streams.replay.sources.topics import TopicSlice, topic_slices
from streams.rulebooks.loader import load_rulebook
from streams.settings import load_settings
from tests.integration.live import LONG, Live
from tests.replay import orders
from tests.replay.runs import Runner, records_of
from tests.stories import shipped, wire


def sent(kafka: Broker, topic: str, lines: list[str], partitions: int) -> None:
    """Send lines, those of one order to one partition, their time of recording as the broker's timestamp."""
    ensure_topics(kafka.bootstrap, [TopicSpec(topic, partitions, -1)])  # the orders are older than a broker's 7 days
    producer = ThreadedProducer(bootstrap_servers=kafka.bootstrap, linger_ms=20)
    try:
        for number, line in enumerate(lines):
            try:
                event: dict[str, Any] = json.loads(line)
            except ValueError:
                event = {"order_id": f"bad{number}", "recorded_at": orders.START.isoformat()}
            at = instant_us(datetime.fromisoformat(event["recorded_at"])) // 1000
            partition = sum(event["order_id"].encode()) % partitions
            producer.send(topic, line.encode(), partition=partition, timestamp_ms=at)
        producer.flush()
    finally:
        producer.close()


@pytest.fixture
def lines() -> list[str]:
    """In the order of recording, so that a partition is in the order of its timestamps."""
    found = []
    for line in orders.lines(240):
        try:
            found.append((json.loads(line)["recorded_at"], line))
        except ValueError:
            found.append((orders.START.isoformat(), line))
    return [line for _, line in sorted(found, key=lambda item: item[0])]


def test_topics_give_what_their_file_gives(gridclock: Runner, kafka: Broker, prefix: str, lines: list[str]) -> None:
    half = len(lines) // 2
    sent(kafka, f"{prefix}a", lines[:half], 3)
    sent(kafka, f"{prefix}b", lines[half:], 1)
    expected = gridclock("replay", gridclock.file("events.jsonl", "\n".join(lines)), "--quiet")
    letters = gridclock.path / "letters.jsonl"
    ran = gridclock(
        "replay", "--topic", f"{prefix}a", "--topic", f"{prefix}b", "--bootstrap", kafka.bootstrap, "--quiet",
        "--dead-letters", letters, "--memory", "90K",
    )  # fmt: skip
    assert ran.code == expected.code == 3
    assert ran.out == expected.out
    refused = [letter for letter in records_of(letters) if letter["reason"] == "not_json"]
    assert {letter["payload"] for letter in refused} == {'{"event_id": '}
    assert {letter["source"] for letter in refused} <= {f"{prefix}{name}" for name in ("a/0", "a/1", "a/2", "b/0")}


def test_explain_reads_a_topic_as_it_reads_a_file(
    gridclock: Runner, kafka: Broker, prefix: str, lines: list[str]
) -> None:
    sent(kafka, f"{prefix}a", lines, 2)
    order = next(json.loads(line)["order_id"] for line in lines if "order_id" in line)
    by_file = gridclock("explain", order, "--events", gridclock.file("events.jsonl", "\n".join(lines)))
    by_topic = gridclock("explain", order, "--topic", f"{prefix}a", "--bootstrap", kafka.bootstrap)
    assert by_file.code == by_topic.code == 0
    assert by_topic.out == by_file.out
    assert order in by_topic.out
    assert gridclock("explain", order).code == 2


def test_a_range_begins_by_broker_timestamps_and_ends_by_event_time(
    gridclock: Runner, kafka: Broker, prefix: str, lines: list[str]
) -> None:
    if kafka.kind == "embedded":
        pytest.skip("the embedded broker does not find offsets by timestamp")
    sent(kafka, f"{prefix}a", lines, 2)
    since, until = "2026-03-08T12:00:00+08:00", "2026-03-12T12:00:00+08:00"
    inside = [line for line in lines if line.endswith("}") and since <= json.loads(line)["recorded_at"]]
    assert 100 < len(inside) < len(lines) - 100
    path = gridclock.file("events.jsonl", "\n".join(inside))
    expected = gridclock("replay", path, "--until", until, "--quiet")
    ran = gridclock(
        "replay", "--topic", f"{prefix}a", "--bootstrap", kafka.bootstrap, "--from", since, "--until", until, "--quiet"
    )
    assert (ran.code, ran.out) == (expected.code, expected.out)
    assert ran.out


@pytest.mark.parametrize("stamp", ["now", "in 2100", "near 0"])
def test_until_is_event_time_whatever_the_stamps(
    gridclock: Runner, kafka: Broker, prefix: str, lines: list[str], stamp: str
) -> None:
    """Events of March sent today; one record among them with a stamp that hides what comes after it."""
    topic, until = f"{prefix}a", "2026-03-12T12:00:00+08:00"
    stamps = {"now": None, "in 2100": instant_us(datetime.fromisoformat("2100-01-01T00:00:00Z")) // 1000, "near 0": 1}
    if kafka.kind == "embedded" and stamp != "now":
        pytest.skip(f"{kafka.description} stamps records itself")
    ensure_topics(kafka.bootstrap, [TopicSpec(topic, 1, -1)])
    if stamp != "now":  # brokers of today refuse such stamps unless told otherwise, those of yesterday took them
        any_stamp = dict.fromkeys(("message.timestamp.after.max.ms", "message.timestamp.before.max.ms"), str(2**63 - 1))
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {**any_stamp, "retention.ms": "-1"})])
        admin.close()
    producer = ThreadedProducer(bootstrap_servers=kafka.bootstrap, linger_ms=20)
    sent_all = [
        producer.send(topic, line.encode(), timestamp_ms=stamps[stamp] if number == 1 else None)
        for number, line in enumerate(lines)
    ]
    for one in sent_all:
        one.get(timeout=60)
    producer.close()
    cases = [gridclock.path / name for name in ("by-file.jsonl", "by-topic.jsonl")]
    path = gridclock.file("events.jsonl", "\n".join(lines))
    expected = gridclock("replay", path, "--until", until, "--quiet", "--cases", cases[0])
    where = ("--topic", topic, "--bootstrap", kafka.bootstrap)
    ran = gridclock("replay", *where, "--until", until, "--quiet", "--cases", cases[1])
    assert ran.out == expected.out != ""
    assert cases[0].read_bytes() == cases[1].read_bytes() != b""


@pytest.mark.parametrize("since", [None, "2031-01-01T00:00:00+08:00"])
def test_an_empty_range_is_no_error(gridclock: Runner, kafka: Broker, prefix: str, since: str | None) -> None:
    ensure_topics(kafka.bootstrap, [TopicSpec(f"{prefix}a", 2)])
    options = [] if since is None else ["--from", since]
    ran = gridclock("replay", "--topic", f"{prefix}a", "--bootstrap", kafka.bootstrap, "--quiet", *options)
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_what_retention_has_removed_of_a_topic_is_told(gridclock: Runner, kafka: Broker, prefix: str) -> None:
    """A notice that is gone makes its act a violation, which it was not for the workers."""
    if kafka.kind == "embedded":
        pytest.skip("the embedded broker removes nothing")
    topic = f"{prefix}a"
    story = """
        e1 2026-03-01T09:00 survey.appointed WO1 recorded=2026-03-01T09:00
        e2 2026-03-02T09:00 survey.performed WO1 recorded=2026-03-02T09:00
    """
    sent(kafka, topic, [json.dumps(event) for event in wire(story)], 1)
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.delete_records({TopicPartition(topic, 0): 1})
    admin.close()
    where = ("--topic", topic, "--bootstrap", kafka.bootstrap)
    note = f"gridclock: note: {topic}/0: offsets 0 to 0 were removed by the topic's retention: what rests on them"
    for command in (("replay", "--quiet"), ("explain", "WO1"), ("replay", "--quiet", "--from", "2026-02-01T00:00:00Z")):
        ran = gridclock(*command, *where)
        assert ran.code == 0
        assert ran.err.startswith(note)
        assert ran.err.count("\n") == 1
    ran = gridclock("replay", "--quiet", *where, "--from", "2031-01-01T00:00:00Z")
    assert (ran.code, ran.err) == (0, "")


def test_a_topic_that_is_not_there_is_named(gridclock: Runner, kafka: Broker, prefix: str) -> None:
    ran = gridclock("replay", "--topic", f"{prefix}none", "--bootstrap", kafka.bootstrap)
    assert ran.code == 2
    assert f"no topic {prefix}none" in ran.err


def test_a_checkpoint_knows_a_topic_made_anew_that_is_as_long(
    kafka: Broker, prefix: str, lines: list[str], tmp_path: Path
) -> None:
    """By its first and last records; an end that has none (the mark of a transaction) is not waited for."""
    topic, point = f"{prefix}a", Checkpoint(tmp_path / "point")

    def opened() -> list[TopicSlice]:
        slices = topic_slices(load_settings(bootstrap=kafka.bootstrap), [topic])
        point.open({}, slices, received=1)
        return slices

    sent(kafka, topic, lines[:30], 2)
    with closing(KafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=topic)) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic, b"{}", partition=0).get(30)
        producer.commit_transaction()
    lasts = [part.last for part in opened()]
    assert [(part.name, len(part.ends())) for part in opened()] == [(f"{topic}/0", 1), (f"{topic}/1", 2)]
    sent(kafka, topic, lines[30:60], 2)
    grown = opened()
    assert [part.last for part in grown] == lasts
    delete_topics(kafka.bootstrap, [topic])
    sent(kafka, topic, lines[::-1], 2)
    with pytest.raises(ConfigError, match=f"{topic}/0 now has other records at the same offsets, so it is another"):
        opened()


STORY = """
e1 2025-03-03T09:00 counter.service_started WO1 business=fee
e2 2025-03-03T09:10 counter.service_completed WO1
e3 2025-03-03T09:00 counter.service_started WO2 business=power
e4 2025-03-03T09:00 repair.reported WO3 area=urban
e5 2025-03-03T09:30 repair.arrived WO3
"""


def test_the_log_of_a_live_worker_gives_the_very_alerts_that_it_told(
    gridclock: Runner, kafka: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDCLOCK_KEEP_DAYS", f"{LONG}")
    with Live(kafka.bootstrap, prefix, tmp_path) as live:
        live.make_source()
        live.worker(GRIDCLOCK_CASES="true")  # which is no other rulebook
        # Stamped today they would all be late at once, and a repair judged before its arrival is read.
        live.send(wire(STORY), "--timestamps", "recorded")
        told = live.settle("2025-03-03T10:00")
        command = ("replay", "--log", "--name", live.name, "--bootstrap", kafka.bootstrap)
        ran = gridclock(*command)
        rules = tmp_path / "rules"
        rules.mkdir()
        (rules / "calendar.yaml").write_text("holidays: [2025-03-03]\n", "utf-8")
        by_others = gridclock(*command, "--rules", rules)
    assert (ran.code, ran.err) == (0, "")
    ours, theirs = shipped().rulebook.fingerprint, load_rulebook((rules,)).rulebook.fingerprint
    assert by_others.err.splitlines() == [
        f"gridclock: note: the workers judge by the rulebook {ours}, and this is {theirs}: the alerts differ from "
        "those that were sent; give the workers' --rules and --only"
    ]
    assert {alert["alert_id"]: alert for alert in ran.alerts} == told
    assert {"breach", "late_completion"} <= {alert["kind"] for alert in told.values()}

    # once retention has removed the beginning of a partition they are no longer those that were sent: it says so
    log, admin = f"{live.name}.log", KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    with closing(KafkaConsumer(bootstrap_servers=kafka.bootstrap)) as consumer:
        ends = consumer.end_offsets([TopicPartition(log, number) for number in consumer.partitions_for_topic(log)])
    lasts = {part.partition: end for part, end in ends.items() if end > 1}
    whole, some = list(lasts)[:2]
    admin.delete_records({TopicPartition(log, whole): lasts[whole], TopicPartition(log, some): lasts[some] - 1})
    admin.close()
    ran = gridclock(*command)
    assert ran.code == 0
    notes = ran.err.splitlines()
    assert len(notes) == 2
    assert (
        f"note: {log}/{whole}: offsets 0 to {lasts[whole] - 1} were removed by the topic's retention, noth" in ran.err
    )
    assert f"note: {log}/{some}: offsets 0 to {lasts[some] - 2} were removed by the topic's retention, it is" in ran.err
    assert re.search(r"it is there from 20\d\d-\d\d-\d\dT[\d:.]+\+08:00 on: ", ran.err)


def test_the_log_is_replayed_alone(gridclock: Runner) -> None:
    ran = gridclock("replay", "--log", "events.jsonl")
    assert (ran.code, ran.out) == (2, "")
    assert "--log only gives the alerts of the live run" in ran.err
