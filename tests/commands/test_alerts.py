"""``gridclock alerts``, ``ack`` and ``acks`` on topics to which others have written, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import schemas
from streams.cli import run
from streams.kafka.admin import TopicSpec, ensure_topics
from streams.kafka.brokers import Broker
from streams.kafka.threaded_producer import ThreadedProducer

ALERT: dict[str, Any] = json.loads((Path(schemas.__file__).parent / "examples" / "alert.json").read_text("utf-8"))
CASE: dict[str, Any] = json.loads((Path(schemas.__file__).parent / "examples" / "case.json").read_text("utf-8"))
FOREIGN = (
    b"not json", b"\xff", b"null", b"[1]", b'"text"', b"7", b"{}", b'{"data": null}', b"[" * 100_000 + b"]" * 100_000,
    b'{"data": {"arithmetic": 1e99999999999999999999}}', b'{"data": {"alert_id": ["x"], "kind": ["breach"]}}',
    json.dumps(CASE).encode(), json.dumps({"alert_id": "x", "action": "excuse"}).encode(),
)  # fmt: skip
HOSTILE = {**ALERT, "data": {**ALERT["data"], "detected_at": "\x1b[2J\x9b31m"}}


@pytest.mark.broker
def test_records_of_others_are_named_and_passed_over(
    kafka: Broker, prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A number ended them; with ``--json`` all was printed as if it were alerts, on any number of lines."""
    ensure_topics(kafka.bootstrap, [TopicSpec(f"{prefix}.alerts", 1), TopicSpec(f"{prefix}.acks", 1)])
    producer = ThreadedProducer(bootstrap_servers=kafka.bootstrap)
    for topic in ("alerts", "acks"):
        for value in (*FOREIGN, None):
            producer.send(f"{prefix}.{topic}", value, key=b"k")
    for value in (json.dumps(HOSTILE).encode(), json.dumps(ALERT, indent=1).encode(), json.dumps(ALERT).encode()):
        producer.send(f"{prefix}.alerts", value, key=b"k")
    producer.flush()
    producer.close()
    where = ("--bootstrap", kafka.bootstrap, "--name", prefix)
    noted = [f"{prefix}.alerts/0/{offset} is not an alert" for offset in range(len(FOREIGN))]

    assert run(["alerts", "--json", *where]) == 0
    out, error = capfd.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == [HOSTILE, ALERT, ALERT]
    assert [line for line in error.splitlines() if "is not" in line] == noted
    assert run(["alerts", *where]) == 0
    out, error = capfd.readouterr()
    assert [line for line in error.splitlines() if "is not" in line] == noted
    assert len(out.splitlines()) == 3
    assert "\\x1b[2J\\x9b31m" in out
    assert "\x1b[2J" not in out

    assert run(["ack", ALERT["data"]["alert_id"], "--by", "D1024", *where]) == 0
    capfd.readouterr()
    assert run(["acks", *where]) == 0
    out, error = capfd.readouterr()
    assert len(out.splitlines()) == 1
    assert error.count("is not an acknowledgement") == len(FOREIGN)
