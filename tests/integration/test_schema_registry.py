"""Topics of Avro, Protobuf and JSON Schema with a real registry: live, replayed, explained and tried as a new user."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from streams.kafka.admin import TopicSpec, ensure_topics
from streams.kafka.threaded_producer import ThreadedProducer
from tests.apicurio import Registry, apicurio
from tests.integration.live import Live, command, until
from tests.replay.runs import data_of, of_rule
from tests.schemas.test_reference import mappings

pytestmark = pytest.mark.broker

NINE = datetime(2026, 3, 2, 1, tzinfo=UTC)  # 09:00 in Shanghai
UNTIL = "2026-03-02T12:00:00+08:00"
AVRO = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "order_no", "type": "string"},
        {"name": "reported", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "arrived", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
        {"name": "place", "type": {"type": "record", "name": "Place", "fields": [{"name": "area", "type": "string"}]}},
    ],
}
JSON_SCHEMA = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Order", "type": "object"}
PROTO = """syntax = "proto3";
import "place.proto";
import "google/protobuf/timestamp.proto";
message Other { string q = 1; }
message Order {
  string order_no = 1;
  google.protobuf.Timestamp reported = 2;
  google.protobuf.Timestamp arrived = 3;
  places.Place place = 4;
}
"""
PLACE = 'syntax = "proto3"; package places; message Place { string area = 1; }'


def mapping(form: str, url: str) -> str:
    """The example of schemas/README.md, for another format and this registry."""
    found = next(text for text in mappings() if text.startswith("format: avro"))
    return found.replace("format: avro", f"format: {form}").replace("http://127.0.0.1:8081", url)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with apicurio(tmp_path_factory.mktemp("registry")) as found:
        yield found


class Feed:
    """Orders as their three systems write them, by confluent-kafka's own serializers where it has them."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.topics = {form: f"{name}.{form}" for form in ("avro", "json_schema", "protobuf")}
        self._client = SchemaRegistryClient({"url": registry.url})
        self._avro = AvroSerializer(self._client, json.dumps(AVRO))
        self._json = JSONSerializer(json.dumps(JSON_SCHEMA), self._client)
        self._client.register_schema("place.proto", Schema(PLACE, "PROTOBUF"))
        place = SchemaReference("place.proto", "place.proto", 1)
        subject = f"{self.topics['protobuf']}-value"
        self.protobuf_id: int = self._client.register_schema(subject, Schema(PROTO, "PROTOBUF", [place]))

    def close(self) -> None:
        self._client.close()

    def record(self, form: str, no: str, arrived: int | None) -> bytes:
        at = None if arrived is None else NINE + timedelta(minutes=arrived)
        row: dict[str, Any] = {"order_no": no, "reported": NINE, "arrived": at, "place": {"area": "urban"}}
        context = SerializationContext(self.topics[form], MessageField.VALUE)
        if form == "avro":
            return bytes(self._avro(row, context))
        if form == "json_schema":
            texts = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
            return bytes(self._json(texts, context))
        return b"\0" + self.protobuf_id.to_bytes(4, "big") + b"\2\2" + _order(no, at)


def _order(no: str, arrived: datetime | None) -> bytes:
    """The message, written by hand: the classes of the product are not to write what they read."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    def instant(at: datetime) -> bytes:
        seconds, out = int(at.timestamp()), b"\x08"
        while seconds >= 128:
            out, seconds = out + bytes([seconds & 127 | 128]), seconds >> 7
        return out + bytes([seconds])

    found = field(1, no.encode()) + field(2, instant(NINE))
    if arrived is not None:
        found += field(3, instant(arrived))
    return found + field(4, field(1, b"urban"))


def test_orders_of_three_encodings_are_judged_live_and_replayed_though_the_registry_stands_still_at_first(
    live: Live, registry: Registry, tmp_path: Path
) -> None:
    feed = Feed(registry, live.name)
    live.make_source(partitions=1)
    ensure_topics(live.bootstrap, [TopicSpec(topic, 1, -1) for topic in feed.topics.values()])
    producer = ThreadedProducer(bootstrap_servers=live.bootstrap.split(","))
    maps = {}
    try:
        for form, topic in feed.topics.items():
            maps[form] = tmp_path / f"{form}.yaml"
            maps[form].write_text(mapping(form, registry.url), "utf-8")
            for no, arrived in (("1", 44), ("2", 46), ("3", None)):
                producer.send(topic, feed.record(form, f"{form}-{no}", arrived), key=no.encode())
            producer.send(topic, None, key=b"1")
        producer.send(feed.topics["avro"], b"\0\0\x0f\x42\x3f" + b"x")
        producer.send(feed.topics["avro"], b'{"no": "4"}')
        producer.flush()
    finally:
        producer.close()
        feed.close()
    sources = ",".join(f"{topic}={maps[form]}" for form, topic in feed.topics.items())
    os.kill(registry.process.pid, signal.SIGSTOP)
    try:
        worker = live.worker(GRIDCLOCK_SOURCES=f"{sources},{live.name}.events")
        until(lambda: "no answer" in worker.output, 60, lambda: worker.output)
        assert live.topic("dead-letters").records == []
        assert live.sent() == {}
    finally:
        os.kill(registry.process.pid, signal.SIGCONT)
    live.settle(UNTIL)
    assert worker.output.count("no answer") <= 2, "one line when it begins, and one a minute"
    assert worker.output.count("answers again") == 1
    stands = {
        (alert["subject"]["id"], alert["kind"])
        for alert in live.sent().values()
        if alert["rule"] == "repair-arrival" and alert["kind"] != "warning"
    }
    late = {(f"{form}-2", kind) for form in feed.topics for kind in ("breach", "late_completion")}
    assert stands == late | {(f"{form}-3", "breach") for form in feed.topics}
    letters = [json.loads(value) for *_, value in live.topic("dead-letters").records]
    assert [letter["reason"] for letter in letters] == ["unknown_schema", "undecodable"]
    assert "schema 999999 of http" in letters[0]["detail"]
    assert "looks like JSON" in letters[1]["detail"]
    _check_commands(live, feed, maps, tmp_path)


def _check_commands(live: Live, feed: Feed, maps: dict[str, Path], tmp_path: Path) -> None:
    cases = tmp_path / "cases.jsonl"
    topics = [word for topic in feed.topics.values() for word in ("--topic", topic)]
    given = [word for form, topic in feed.topics.items() for word in ("--map", f"{topic}={maps[form]}")]
    done = command("replay", *topics, *given, "--bootstrap", live.bootstrap, "--until", UNTIL, "--cases", cases)
    assert done.returncode == 3, done.stderr
    assert "3 skipped: tombstone\n" in done.stderr
    found = {case["subject"]["id"]: case["outcome"] for case in of_rule(data_of(cases), "repair-arrival")}
    outcomes = {"1": "met", "2": "met_late", "3": "breached"}
    assert found == {f"{form}-{no}": outcome for form in feed.topics for no, outcome in outcomes.items()}
    brokers = ("--bootstrap", live.bootstrap)
    proto = feed.topics["protobuf"]
    explained = command(
        "explain", "protobuf-2", "--topic", proto, "--map", maps["protobuf"], *brokers, "--until", UNTIL
    )
    assert explained.returncode == 0, explained.stderr
    assert "09:46:00" in explained.stdout
    for form, refused in (("protobuf", 0), ("json_schema", 0), ("avro", 3)):
        checked = command("map", "check", maps[form], "--topic", feed.topics[form], *brokers)
        assert checked.returncode == refused, checked.stderr
    shown = command("map", "preview", maps["protobuf"], "--topic", proto, *brokers)
    assert shown.returncode == 0, shown.stderr
    assert "repair.arrived 2026-03-02T09:44:00" in shown.stdout
    assert shown.stdout.split()[:2] == ["partition/offset", "columns"]
    assert "\n0/0 " in shown.stdout
    assert f"live: gridclock run --source {proto}={maps['protobuf']}\n" in shown.stderr
    url = maps["avro"].read_text("utf-8").split('url: "')[1].split('"')[0]
    suggested = command("map", "suggest", "--topic", feed.topics["avro"], "--registry", url, *brokers)
    assert suggested.returncode == 0, suggested.stderr
    assert f'format: avro\nregistry: {{url: "{url}"}}\n' in suggested.stdout
    assert "place.area" in suggested.stdout
