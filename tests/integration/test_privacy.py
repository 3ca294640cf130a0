"""Marked data about people go in by every door; where they come out is looked for everywhere.

Four kinds of mark. ``PERSONAL`` stands in ``personal`` blocks and may stay on the source topic only. ``UNKNOWN``
stands in fields that nobody declared; they are not kept. ``STAFF`` is a staff number, which with the setting is hashed
as it comes in. Real account and meter numbers are needed inside, and with the setting never told. ``UNREADABLE`` is in
a record that is no JSON, of which nobody can tell what it is: it goes to the dead letters whole, and nowhere else.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from streams.kafka.child_process import ChildProcess
from streams.kafka.threaded_producer import ThreadedProducer
from streams.wire.pseudonyms import Pseudonyms, cloud_events
from tests.integration.live import Children, Live, command, until
from tests.stories import shipped, us, wire

pytestmark = pytest.mark.live(embedded_lacks="the notifier of this test needs transactions")

PERSONAL, UNKNOWN, UNREADABLE = "MARKPERSONAL7d1f", "MARKUNKNOWN9c2e", "MARKUNREADABLE4b8a"
ACCOUNT, METER = "3200077123456", "MET0077123456"
STAFF = "MARKSTAFF5e3c"
KEY = b"a key of tests, not of anybody"
STORY = f"""
a1 2025-03-03T09:00 calibration.requested - account={ACCOUNT}
m1 +1m meter.replaced - meter={METER} planned=batch
b1 +2m meter.batch_notice_posted - batch=B1 meters=["{METER}"] planned_on=2025-03-20
o1 +3m counter.service_started WO1 account={ACCOUNT} business=fee
o2 +13m counter.service_completed WO1 account={ACCOUNT} business=fee
"""
INSIDE = ("events", "log", "dead-letters", "-state-changelog")


def marked(event: dict[str, Any]) -> dict[str, Any]:
    """The event with marks in every place that could hold any."""
    unknown = {"note": UNKNOWN, "list": [UNKNOWN, {"deep": {"deeper": UNKNOWN}}], UNKNOWN: 1}
    personal = {"name": PERSONAL, "phones": [PERSONAL], "address": {"street": {"of": PERSONAL}}, PERSONAL: PERSONAL}
    org = {"province": "32", "city": "3201", "county": "320102", "unit": "U1", "manager": UNKNOWN, "more": unknown}
    return {
        **event,
        "org": org,
        "remark": UNKNOWN,
        "extra": unknown,
        UNKNOWN: UNKNOWN,
        "personal": personal,
        "staff_id": STAFF,
    }


def records() -> list[bytes]:
    events = [marked(event) for event in wire(STORY)]
    raw = [json.dumps(event).encode() for event in events]
    cloud = {"specversion": "1.0", "id": "c1", "type": "x", "source": "s", "subject": UNKNOWN, "remark": UNKNOWN}
    raw.append(json.dumps({**cloud, "personal": PERSONAL, "data": {**events[3], "event_id": "c1"}}).encode())
    bad = events[3]
    raw += [
        json.dumps({**bad, "event_id": "x1", "event_type": "counter.no_such_thing"}).encode(),
        json.dumps({**bad, "event_id": "x2", "personal": PERSONAL}).encode(),  # no object: refused for it
        json.dumps({**bad, "event_id": "x3", "occurred_at": "2025-03-03T09:00:00"}).encode(),
        json.dumps([{"personal": PERSONAL}]).encode(),
        json.dumps({**bad, "event_id": "x4", "remark": UNKNOWN * 20_000}).encode(),  # too large
        json.dumps({**bad, "business": "power", "occurred_at": "2025-03-03T09:04:00+08:00"}).encode(),  # a conflict
        b'{"personal": {"name": "' + UNREADABLE.encode() + b'"',
        b'{"personal": "\xff' + UNREADABLE.encode() + b'"}',
    ]
    return raw


@pytest.fixture
def live(live: Live) -> Live:
    live._writer = cloud_events(shipped().rulebook.calendar, KEY)
    return live


@pytest.fixture
def start(live: Live, tmp_path: Path) -> Iterator[Callable[..., ChildProcess]]:
    """Starts a command of the installation and waits until it says a word."""
    where = ["--bootstrap", live.bootstrap, "--name", live.name, "--log-level", "debug"]
    with Children() as running:

        def started(word: str, *arguments: object, environment: dict[str, str]) -> ChildProcess:
            return running.start((*arguments, *where), tmp_path / f"{arguments[0]}.log", environment, word)

        yield started


def everything_on(bootstrap: str, topic: str) -> bytes:
    """Keys, values and headers of a topic, one after the other."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap.split(","), enable_auto_commit=False, max_partition_fetch_bytes=8 * 1024 * 1024
    )
    parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
    consumer.assign(parts)
    consumer.seek_to_beginning(*parts)
    ends, found = consumer.end_offsets(parts), []
    while any(consumer.position(part) < ends[part] for part in parts):
        for some in consumer.poll(timeout_ms=200).values():
            for record in some:
                found += [record.key or b"", record.value or b"", repr(record.headers).encode()]
    consumer.close()
    return b"\n".join(found)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_what_is_about_people_stays_inside(live: Live, start: Callable[..., ChildProcess], tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(KEY + b"\n")
    setting = {"GRIDCLOCK_PSEUDONYM_KEY_FILE": str(key), "GRIDCLOCK_LOG_FORMAT": "json"}
    live.make_source(partitions=1)
    producer = ThreadedProducer(bootstrap_servers=live.bootstrap.split(","), max_request_size=4_000_000)
    for raw in records():
        producer.send(f"{live.name}.events", raw, key=b"k", timestamp_ms=us("2025-03-03T09:20") // 1000).get(30)
    producer.close()
    worker = live.worker(store="store-1", ready=True, **setting)
    subscriptions = tmp_path / "subscriptions.json"
    subscriptions.write_text(
        json.dumps(
            {
                "channels": {"copy": {"kind": "kafka", "topic": f"{live.name}.copy"}},
                "subscriptions": [{"name": "all", "channels": "copy", "match": {"kind": ["violation", "breach"]}}],
            }
        )
    )
    notifier = start("delivering", "notify", "--subscriptions", subscriptions, "--metrics-port", 0, environment=setting)
    board = start("board http", "board", "--port", 0, environment=setting)
    told = live.settle("2025-03-20T09:00")
    assert {(alert["subject"]["type"], alert["rule"]) for alert in told.values()} >= {
        ("account", "calibration-5-working-days"), ("meter", "batch-meter-notice-7-days"), ("order", "fee-5-minutes"),
    }  # fmt: skip
    until(lambda: len(live.topic("copy").records) >= 3, 60, notifier.output)
    where = ("--bootstrap", live.bootstrap, "--name", live.name)
    assert command("ack", next(iter(told)), "--by", "D1", "--note", "seen", *where).returncode == 0
    names = Pseudonyms(KEY)
    page = board.output().partition("board http")[2].split("/board")[0]
    url = f"http{page}"
    until(lambda: names.number("account", ACCOUNT) in get(f"{url}/api/cases?state=overdue"), 60, board.output)

    seen: dict[str, str] = {
        "worker log": worker.output, "notifier log": notifier.output(), "board log": board.output(),
        "worker metrics": worker.metrics(),
        "notifier metrics": get(notifier.output().partition("metrics ")[2].partition('"')[0]),
    }  # fmt: skip
    for place in ("worker log", "notifier log", "board log"):
        lines = [json.loads(line) for line in seen[place].splitlines()]
        assert len(lines) > 2
        assert [line for line in lines if not {"time", "level", "logger", "message"} <= line.keys()] == []
    seen |= {path: get(f"{url}{path}") for path in ("/api/cases?state=overdue", "/api/alerts", "/healthz")}
    admin = KafkaConsumer(bootstrap_servers=live.bootstrap.split(","))
    topics = sorted(topic for topic in admin.topics() if topic.startswith(live.name))
    admin.close()
    assert len(topics) >= 8
    on = {topic.removeprefix(live.name).lstrip("."): everything_on(live.bootstrap, topic) for topic in topics}
    seen |= {f"topic {word}": raw.decode("utf-8", "replace") for word, raw in on.items() if word not in INSIDE}
    seen |= replayed(tmp_path, key)

    # What is looked for can be found: it went in, and it is where it is needed.
    for mark in (PERSONAL, UNKNOWN, UNREADABLE, ACCOUNT, METER, STAFF):
        assert mark.encode() in on["events"]
    for mark in (names.staff(STAFF), ACCOUNT, METER):
        assert mark.encode() in on["log"]
        assert mark.encode() in on["-state-changelog"]
    assert names.number("account", ACCOUNT) in seen["topic alerts"]
    assert names.number("meter", METER) in seen["topic copy"]
    letters = on["dead-letters"]
    assert UNKNOWN.encode() in letters
    assert b'"personal_removed":true' in letters

    assert [word for word, raw in on.items() if PERSONAL.encode() in raw] == ["events"]
    assert [word for word, raw in on.items() if UNREADABLE.encode() in raw] == ["dead-letters", "events"]
    for mark in (UNKNOWN, STAFF):
        assert [word for word, raw in on.items() if mark.encode() in raw] == ["dead-letters", "events"], mark
    for mark in (PERSONAL, UNKNOWN, UNREADABLE, ACCOUNT, METER, STAFF):
        assert [place for place, text in seen.items() if mark in text] == [], mark
    kept = [path for path in (tmp_path / "store-1").rglob("*") if path.is_file()]
    assert kept
    for mark in (PERSONAL, UNKNOWN, STAFF):
        assert [path for path in kept if mark.encode() in path.read_bytes()] == []
    assert [path for path in kept if path.stat().st_mode & 0o077] == []


def replayed(folder: Path, key: Path) -> dict[str, str]:
    """All that a replay writes and says; its dead letters belong inside."""
    events = folder / "events.jsonl"

    events.write_bytes(b"".join(raw + b"\n" for raw in records()))
    names = ("alerts.jsonl", "alerts.csv", "cases.jsonl", "cases.csv", "report.html", "letters.jsonl")
    alerts, table, cases, rows, report, letters = (folder / name for name in names)
    common = ("replay", events, "--until", "2025-03-20T09:00:00+08:00", "--pseudonym-key-file", key)
    first = command(
        *common, "--alerts", alerts, "--cases", cases, "--report", report, "--dead-letters", letters
    )  # fmt: skip
    second = command(*common, "--alerts", table, "--cases", rows, "--quiet")
    assert (first.returncode, second.returncode) == (3, 3), first.stderr + second.stderr
    assert PERSONAL not in letters.read_text("utf-8")
    found = {f"replay {path.name}": path.read_text("utf-8") for path in (alerts, table, cases, rows, report)}
    assert all(found.values())
    return {**found, "replay output": first.stdout + first.stderr + second.stdout + second.stderr}


def test_a_new_installation_with_pseudonyms_inside_works_and_begins_again(live: Live) -> None:
    account, key = "3301000123456", "a key of sixteen characters and more"
    live.make_source(1)
    for count in (1, 2):  # new, and with the state of the first
        worker = live.worker(store="same", GRIDCLOCK_PSEUDONYMS_INSIDE="true", GRIDCLOCK_PSEUDONYM_KEY=key)
        story = f"e{count} 2025-03-03T09:00 counter.service_started WO{count} business=fee"
        live.send([{**event, "account_id": account} for event in wire(story)])
        orders = {f"WO{number}" for number in range(1, count + 1)}
        until(lambda: orders == breached_orders(live), 60, lambda: worker.output)  # noqa: B023
        assert worker.stop() == 0, worker.output
    other = live.worker(
        store="same", ready=False, GRIDCLOCK_PSEUDONYMS_INSIDE="true", GRIDCLOCK_PSEUDONYM_KEY=key.upper()
    )
    until(lambda: other.exit_code is not None, 60, lambda: other.output)
    assert (other.exit_code, "under another key" in other.output) == (2, True), other.output
    for word in ("log", "alerts"):
        assert not [value for *_, value in live.topic(word).records if account.encode() in value]


def breached_orders(live: Live) -> set[str]:
    told = [json.loads(value)["data"] for *_, value in live.topic("alerts").records]
    return {one["subject"]["id"] for one in told if (one["rule"], one["kind"]) == ("fee-5-minutes", "breach")}
