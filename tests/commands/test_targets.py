"""Topics to which events are sent: one that nobody reads for events is refused before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.dead_letters import DeadLetter
from streams.cli import run
from streams.kafka.admin import TopicSpec, ensure_topics, partitions_of
from streams.kafka.brokers import Broker
from streams.kafka.threaded_producer import ThreadedProducer
from tests.stories import wire

(EVENT,) = wire("e1 2026-03-02T09:00 counter.service_started WO1 business=fee")
NONE = "is not a topic's name"
OWN = "is a topic of this installation (--name city), and none that events come from: name city.events"


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("no topic!", NONE),
        ("t" * 250, NONE),
        *((f"city.{word}", OWN) for word in ("log", "alerts", "cases", "dead-letters", "acks", "deliveries")),
    ],
)
def test_a_topic_of_the_installation_gets_no_events(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], topic: str, why: str
) -> None:
    """They went among the entries of the log, the alerts or the letters; a name that is none was a traceback."""
    events = tmp_path / "events.jsonl"
    events.write_text(json.dumps(EVENT) + "\n", "utf-8")
    where = ("--topic", topic, "--name", "city", "--bootstrap", "127.0.0.1:9")
    for command in (("send", str(events)), ("dead-letters", "retry", "--all")):
        assert run([*command, *where]) == 2
        out, error = capfd.readouterr()
        assert (out, error.count("\n")) == ("", 1), error
        assert why in error


def test_events_are_not_sent_among_the_rows_of_a_mapped_topic(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers took them for rows: refused, or passed over without a word, and the command said that all was sent."""
    events, mapping = tmp_path / "events.jsonl", tmp_path / "map.yaml"
    events.write_text(json.dumps(EVENT) + "\n", "utf-8")
    mapping.write_text("unread here", "utf-8")
    monkeypatch.setenv("GRIDCLOCK_SOURCES", f"rows={mapping}")
    where = ("--name", "city", "--bootstrap", "127.0.0.1:9")
    made = ("send", str(events), "--map", str(mapping), "--topic", "rows")
    for command in (("send", str(events)), made, ("feed",)):
        assert run([*command, *where]) == 2
        assert "rows is read through a mapping, and these are events: name another" in capfd.readouterr().err
    assert run(["send", str(events), "--topic", "rows", *where]) == 2
    assert "mapping" not in capfd.readouterr().err  # rows may be sent there as they are


@pytest.mark.broker
def test_a_letter_is_not_sent_to_a_topic_that_is_not_there(
    kafka: Broker, prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The brokers made the misspelled topic, which nobody reads, and the letter was marked as sent."""
    ensure_topics(kafka.bootstrap, [TopicSpec(f"{prefix}.{word}", 1) for word in ("events", "dead-letters")])
    payload = json.dumps(EVENT)
    letter = DeadLetter(
        reason="unknown_type", detail="x", source=f"{prefix}.events/0", position=0, encoding="utf-8", payload=payload,
        size=len(payload),
    )  # fmt: skip
    producer = ThreadedProducer(bootstrap_servers=kafka.bootstrap)
    producer.send(f"{prefix}.dead-letters", letter.model_dump_json().encode(), key=letter.id.encode()).get(30)
    producer.close()
    retry = ("dead-letters", "retry", letter.id, "--bootstrap", kafka.bootstrap, "--name", prefix)
    assert run([*retry, "--topic", f"{prefix}.evnts"]) == 2
    out, error = capfd.readouterr()
    assert (out, f"no topic {prefix}.evnts: nothing is sent" in error) == ("", True)
    assert partitions_of(kafka.bootstrap, f"{prefix}.evnts") == 0
    assert run([*retry, "--topic", f"{prefix}.events"]) == 0
    assert capfd.readouterr().out == f"{letter.id} -> {prefix}.events/0/0\n"


@pytest.mark.broker
def test_events_are_not_sent_to_a_topic_that_is_not_there(
    kafka: Broker, prefix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The brokers made the topic by their own defaults, and the events in a misspelled one were never judged."""
    events = tmp_path / "events.jsonl"
    events.write_text(json.dumps(EVENT) + "\n", "utf-8")
    where = ("--bootstrap", kafka.bootstrap, "--name", prefix)
    for command in (("send", str(events), "--topic", f"{prefix}.evnts"), ("send", str(events)), ("feed",)):
        assert run([*command, *where]) == 2
        assert "no topic" in capfd.readouterr().err
    assert partitions_of(kafka.bootstrap, f"{prefix}.evnts") == partitions_of(kafka.bootstrap, f"{prefix}.events") == 0
    ensure_topics(kafka.bootstrap, [TopicSpec(f"{prefix}.events", 1)])
    assert run(["send", str(events), *where]) == 0


@pytest.mark.broker
def test_a_time_that_the_brokers_refuse_is_named(
    kafka: Broker, prefix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With one such record the whole batch is refused, with words about *a batch which had invalid records*."""
    if not kafka.can_create_topics:
        pytest.skip(f"{kafka.description} takes any timestamp")
    ensure_topics(kafka.bootstrap, [TopicSpec(f"{prefix}.events", 1)])
    events = tmp_path / "events.jsonl"
    times = ("2026-03-02T09:00:00+08:00", "2999-03-02T09:00:00+08:00")
    events.write_text("".join(json.dumps({**EVENT, "recorded_at": at}) + "\n" for at in times), "utf-8")
    sent = ["send", str(events), "--bootstrap", kafka.bootstrap, "--name", prefix]
    assert run([*sent, "--timestamps", "recorded"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "the latest recorded_at is 2999-03-02T01:00:00" in line
    assert "send with --timestamps now" in line
    assert run(sent) == 0
