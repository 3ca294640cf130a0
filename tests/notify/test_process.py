"""The whole process on a real broker: alerts in, messages out, killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from kafka import KafkaConsumer, TopicPartition

from streams.cli import run
from streams.kafka.admin import TopicSpec, ensure_topics
from streams.kafka.brokers import Broker
from streams.kafka.child_process import ChildProcess
from streams.kafka.threaded_producer import ThreadedProducer
from streams.wire.pseudonyms import Pseudonyms
from tests.notify.alerts import alert, id_of
from tests.notify.receiver import HANG, Receiver, eventually, receiver
from tests.notify.test_alertmanager import ALERTMANAGER, AMTOOL, alertmanager

SECRET = {"HOOK_SECRET": "not told to anybody"}


@pytest.fixture
def lasting(kafka: Broker) -> Broker:
    """A broker whose topics have the partitions asked for, and that can be read again after a transaction."""
    if not kafka.can_create_topics:
        pytest.skip(f"{kafka.description} cannot be read again from the start once it held a transaction")
    return kafka


def written(folder: Path, hook: Receiver, name: str, **subscription: Any) -> Path:
    """Two channels, a webhook and a topic; one subscription."""
    path = folder / "subscriptions.yaml"
    retries = {"attempts": 20, "first": "1 s", "longest": "1 s", "timeout": "5 s"}
    channels = {
        "hook": {"kind": "webhook", "url": hook.url, "secret": {"env": "HOOK_SECRET"}, "retries": retries},
        "copy": {"kind": "kafka", "topic": f"{name}.copy"},
        "up": {"kind": "kafka", "topic": f"{name}.up"},
    }
    one = {"name": "all", "channels": ["hook", "copy"], **subscription}
    path.write_text(json.dumps({"channels": channels, "subscriptions": [one]}), "utf-8")
    return path


@contextmanager
def notifier(kafka: Broker, name: str, file: Path, log: Path) -> Iterator[ChildProcess]:
    command = [
        sys.executable, "-m", "streams.cli", "notify", "--bootstrap", kafka.bootstrap, "--name", name,
        "--subscriptions", str(file), "--metrics-port", "0", "--log-level", "info",
    ]  # fmt: skip
    child = ChildProcess(command, log, environment=SECRET)
    try:
        yield child
    finally:
        child.kill()


def says(child: ChildProcess, word: str) -> bool:
    found = eventually(lambda: word in child.output() or child.exit_code is not None)
    assert found, child.last_lines()
    assert child.exit_code is None, child.last_lines()
    return True


def send(kafka: Broker, topic: str, alerts: list[dict[str, Any]], *, timestamp_ms: int | None = None) -> None:
    producer = ThreadedProducer(bootstrap_servers=kafka.bootstrap)
    try:
        for one in alerts:
            key = one["data"]["case_id"].encode()
            producer.send(topic, json.dumps(one).encode(), key=key, timestamp_ms=timestamp_ms)
        producer.flush(timeout=60)
    finally:
        producer.close(timeout=30)


def read(kafka: Broker, topic: str) -> list[Any]:
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(parts)
        consumer.seek_to_beginning(*parts)
        ends = consumer.end_offsets(parts)
        found = []
        while any(consumer.position(part) < ends[part] for part in parts):
            for records in consumer.poll(timeout_ms=200).values():
                found += [None if record.value is None else json.loads(record.value) for record in records]
        return found
    finally:
        consumer.close()


def rows_of(kafka: Broker, topic: str, begins: str) -> dict[str, bytes]:
    """The last row of each key that begins so, tombstones left out."""
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, isolation_level="read_committed")
    try:
        part = TopicPartition(topic, 0)
        consumer.assign([part])
        consumer.seek_to_beginning(part)
        end, found = consumer.end_offsets([part])[part], {}
        while consumer.position(part) < end:
            for record in consumer.poll(timeout_ms=200).get(part, ()):
                found[record.key.decode()] = record.value
        return {key: value for key, value in found.items() if key.startswith(begins) and value is not None}
    finally:
        consumer.close()


def ids(hook: Receiver) -> Counter[str]:
    return Counter(one.headers["idempotency-key"] for one in hook.taken())


def metrics_of(child: ChildProcess) -> str:
    address = child.output().partition("metrics ")[2].split()[0]
    with urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


def prepared(kafka: Broker, name: str) -> None:
    ensure_topics(kafka.bootstrap, [TopicSpec(f"{name}.alerts", 3), TopicSpec(f"{name}.acks", 1)])


def test_each_is_told_once_and_a_retraction_follows_its_alert(lasting: Broker, prefix: str, tmp_path: Path) -> None:
    kafka = lasting
    name = prefix.strip("-")
    prepared(kafka, name)
    topic = f"{name}.alerts"
    with receiver() as hook:
        file = written(tmp_path, hook, name)
        with notifier(kafka, name, file, tmp_path / "log") as child:
            says(child, "delivering")
            breach = alert("b1", case="c1")
            send(kafka, topic, [breach, breach, alert("w", "warning", case="c2")])
            assert eventually(lambda: id_of("b1") in ids(hook)), child.last_lines()
            send(
                kafka,
                topic,
                [
                    alert("l1", "late_completion", case="c1"),
                    alert("not-b1", "retraction", case="c1", retracts="b1"),
                    alert("not-w", "retraction", case="c2", retracts="w"),
                    alert("v", "violation", case="c3"),
                ],
            )
            expected = {id_of(key) for key in ("b1", "l1", "not-b1", "v")}
            assert eventually(lambda: set(ids(hook)) == expected), child.last_lines()
            assert set(ids(hook).values()) == {1}
            assert eventually(lambda: 'deliveries_total{channel="hook",outcome="delivered"} 4.0' in metrics_of(child))
            assert SECRET["HOOK_SECRET"] not in child.output() + metrics_of(child)
        assert {one["id"] for one in read(kafka, f"{name}.copy")} == expected


def outbox(kafka: Broker, name: str) -> set[str]:
    """Messages for the webhook that are on their way by the committed rows: what a crash may repeat."""
    consumer = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    rows: dict[str, bytes | None] = {}
    try:
        part = TopicPartition(f"{name}.deliveries", 0)
        consumer.assign([part])
        consumer.seek_to_beginning(part)
        end = consumer.end_offsets([part])[part]
        while consumer.position(part) < end:
            for record in consumer.poll(timeout_ms=200).get(part, ()):
                rows[record.key.decode()] = record.value
    finally:
        consumer.close()
    beginning = "delivery/hook/"
    return {key.removeprefix(beginning) for key, value in rows.items() if key.startswith(beginning) and value}


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_missed_and_only_what_was_under_way_comes_again(
    lasting: Broker, prefix: str, tmp_path: Path
) -> None:
    kafka = lasting
    name, kills, a_round = prefix.strip("-"), 3, 60
    prepared(kafka, name)
    everything = [alert(f"b{number}", case=f"c{number}") for number in range(a_round * (kills + 1))]
    unrecorded: list[tuple[int, set[str]]] = []
    with receiver(slow=0.005) as hook:
        file = written(tmp_path, hook, name)
        for number in range(kills + 1):
            with notifier(kafka, name, file, tmp_path / f"log{number}") as child:
                says(child, "delivering")
                before = len(hook.taken())
                send(kafka, f"{name}.alerts", everything[a_round * number : a_round * (number + 1)])
                goal = before + 10 + 13 * number
                if number < kills:
                    assert eventually(lambda goal=goal: len(hook.taken()) >= goal), child.last_lines()  # type: ignore[misc]
                else:
                    assert eventually(lambda: len(ids(hook)) == len(everything)), child.last_lines()
                    assert eventually(lambda: not outbox(kafka, name)), child.last_lines()
            if number < kills:
                unrecorded.append((len(hook.taken()), outbox(kafka, name)))
        told = [one.headers["idempotency-key"] for one in hook.taken()]
        assert set(told) == {one["id"] for one in everything}
        seen: set[str] = set()
        for index, key in enumerate(told):
            if key in seen:
                _, left = max((item for item in unrecorded if item[0] <= index + 1), key=lambda item: item[0])
                assert key in left, "told again, though it was recorded that the receiver has it"
            seen.add(key)
        bodies: dict[str, bytes] = {}
        for one in hook.taken():
            assert bodies.setdefault(one.headers["idempotency-key"], one.body) == one.body
        assert {one["id"] for one in read(kafka, f"{name}.copy")} == seen


def test_stopped_in_order_and_started_again_tells_nobody_twice(lasting: Broker, prefix: str, tmp_path: Path) -> None:
    kafka = lasting
    name = prefix.strip("-")
    prepared(kafka, name)
    with receiver() as hook:
        file = written(tmp_path, hook, name)
        for round_number in range(3):
            log = tmp_path / f"log{round_number}"
            with log.open("wb") as errors, subprocess.Popen(
                [
                    sys.executable, "-m", "streams.cli", "notify", "--bootstrap", kafka.bootstrap, "--name", name,
                    "--subscriptions", str(file), "--metrics-port", "0",
                ],
                stderr=errors,
                env={**os.environ, **SECRET},
            ) as child:  # fmt: skip
                try:
                    assert eventually(lambda log=log: "delivering" in log.read_text()), log.read_text()  # type: ignore[misc]
                    send(kafka, f"{name}.alerts", [alert(f"b{round_number}", case=f"c{round_number}")])
                    assert eventually(lambda n=round_number: len(ids(hook)) == n + 1), log.read_text()  # type: ignore[misc]
                finally:
                    child.send_signal(signal.SIGTERM)
                assert child.wait(60) == 0, log.read_text()
                assert "stopped in order" in log.read_text()
        assert ids(hook) == Counter({id_of(f"b{number}"): 1 for number in range(3)})


def test_what_is_under_way_goes_on_under_a_renamed_subscription_and_not_to_a_renamed_channel(
    lasting: Broker, prefix: str, tmp_path: Path
) -> None:
    kafka = lasting
    name = prefix.strip("-")
    prepared(kafka, name)
    topic = f"{name}.alerts"
    with receiver() as hook:
        file = written(tmp_path, hook, name)
        with notifier(kafka, name, file, tmp_path / "log0") as child:
            says(child, "delivering")
            send(kafka, topic, [alert("b1", case="c1")])
            assert eventually(lambda: set(ids(hook)) == {id_of("b1")}), child.last_lines()
            hook.answers = [503] * 1000
            send(kafka, topic, [alert("b2", case="c2")])
            assert eventually(lambda: outbox(kafka, name) == {id_of("b2")}), child.last_lines()
        text = file.read_text("utf-8")
        file.write_text(text.replace('"name": "all"', '"name": "everything"'), "utf-8")
        hook.answers = []
        with notifier(kafka, name, file, tmp_path / "log1") as child:
            assert eventually(lambda: set(ids(hook)) == {id_of("b1"), id_of("b2")}), child.last_lines()
            assert hook.taken()[-1].headers["gridclock-subscription"] == "everything"
            hook.answers = [503] * 1000
            send(kafka, topic, [alert("b3", case="c3")])
            assert eventually(lambda: outbox(kafka, name) == {id_of("b3")}), child.last_lines()
        file.write_text(text.replace('"hook"', '"door"'), "utf-8")
        hook.answers = []
        with notifier(kafka, name, file, tmp_path / "log2") as child:
            says(child, "delivering")
            send(kafka, topic, [alert("not-b1", "retraction", case="c1", retracts="b1"), alert("b4", case="c4")])
            assert eventually(lambda: id_of("b4") in ids(hook)), child.last_lines()
            assert child.exit_code is None
        assert set(ids(hook)) == {id_of("b1"), id_of("b2"), id_of("b4")}
        (letter,) = read(kafka, f"{name}.undelivered")
        assert (letter["channel"], letter["key"], letter["reason"]) == ("hook", id_of("b3"), "refused")
        assert "channel is not in the file" in letter["detail"]
        copied = [one["id"] for one in read(kafka, f"{name}.copy")]
        assert sorted(copied) == sorted(map(id_of, ("b1", "b2", "b3", "b4", "not-b1")))


def test_who_stands_by_stops_in_order_too(lasting: Broker, prefix: str, tmp_path: Path) -> None:
    kafka = lasting
    name = prefix.strip("-")
    with receiver() as hook:
        file = written(tmp_path, hook, name)
        with notifier(kafka, name, file, tmp_path / "one") as one, notifier(kafka, name, file, tmp_path / "two") as two:
            assert eventually(lambda: any("delivering" in child.output() for child in (one, two))), two.last_lines()
            assert eventually(lambda: all("standing by" in child.output() for child in (one, two))), two.last_lines()
            for child in (two, one):
                os.kill(child.pid, signal.SIGTERM)
            assert [child.wait(60) for child in (one, two)] == [0, 0], one.last_lines() + two.last_lines()


def test_a_missing_secret_is_told_at_the_start(
    lasting: Broker, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka = lasting
    with receiver() as hook:
        file = written(tmp_path, hook, prefix.strip("-"))
        assert run(["notify", "--bootstrap", kafka.bootstrap, "--subscriptions", str(file), "--metrics-port", "0"]) == 2
    assert "channels.hook.secret: environment variable HOOK_SECRET is not set" in capsys.readouterr().err


def test_a_breach_goes_up_until_it_is_acknowledged(
    lasting: Broker, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka = lasting
    name = prefix.strip("-")
    prepared(kafka, name)
    common = ["--bootstrap", kafka.bootstrap, "--name", name]
    with receiver() as hook:
        steps = [{"after": "3 s", "to": "county", "channels": "up"}]
        file = written(tmp_path, hook, name, escalate=steps)
        send(kafka, f"{name}.alerts", [alert(key, case=key) for key in ("seen", "noted", "left", "quiet", "loud")])
        assert run(["ack", id_of("seen"), *common, "--by", "D1024", "--note", "crew on site 已到场"]) == 0
        assert run(["ack", id_of("noted"), *common, "--by", "D7", "--note", "rang them", "--annotate"]) == 0
        assert run(["ack", id_of("left"), *common, "--by", "D7", "--assign", "D9"]) == 0
        for key, silence in (("quiet", "7 days"), ("loud", "7 days"), ("loud", "end")):
            assert run(["ack", id_of(key), *common, "--by", "D7", "--silence", silence]) == 0
        with notifier(kafka, name, file, tmp_path / "log") as child:
            says(child, "delivering")
            assert eventually(
                lambda: (
                    {one["id"] for one in read(kafka, f"{name}.up")} == {id_of("noted"), id_of("left"), id_of("loud")}
                )
            )
            assert eventually(lambda: 'escalations_total{level="county"} 3.0' in metrics_of(child))
            assert 'acknowledgements_total{action="acknowledge"} 1.0' in metrics_of(child)
            assert 'acknowledgements_total{action="silence"} 3.0' in metrics_of(child)
            kept = f"silenced/{id_of('quiet')}"
            assert eventually(lambda: [*rows_of(kafka, f"{name}.deliveries", "silenced/")] == [kept])
        # Another process, that begins with the rows, holds it back as well.
        with notifier(kafka, name, file, tmp_path / "again") as child:
            says(child, "delivering")
            assert run(["ack", id_of("quiet"), *common, "--by", "D7", "--silence", "end"]) == 0
            assert eventually(lambda: id_of("quiet") in {one["id"] for one in read(kafka, f"{name}.up")})
            assert 'escalations_total{level="county"} 1.0' in metrics_of(child)
            assert "crew on site" not in child.output() + metrics_of(child)
    capsys.readouterr()
    assert run(["acks", *common]) == 0
    first, second, third, fourth, *_, last = capsys.readouterr().out.splitlines()
    assert first.split("  ")[1:] == [id_of("seen"), "acknowledged 确认", "D1024", "crew on site 已到场"]
    assert second.split("  ")[1:] == [id_of("noted"), "annotated 备注", "D7", "rang them"]
    assert third.split("  ")[1:] == [id_of("left"), "assigned 指派 to D9", "D7"]
    assert fourth.split("  ")[1] == id_of("quiet")
    assert fourth.split("  ")[2].startswith("silenced 静默 until 20")
    when, _, what, _ = last.split("  ")
    assert what == f"silenced 静默 until {when}"
    assert run(["acks", id_of("noted"), *common, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["by"] == "D7"


def test_what_is_no_alert_and_no_acknowledgement_is_named_and_passed_over(
    kafka: Broker, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = prefix.strip("-")
    prepared(kafka, name)
    common = ["--bootstrap", kafka.bootstrap, "--name", name]
    ack = {"alert_id": id_of("b1"), "action": "acknowledge", "by": "D7", "at": "2026-03-02T09:00:00+08:00"}
    odd = [b"{", b"[]", b'{"data": 1}', b"[" * 2_000 + b"]" * 2_000, None]
    late = json.dumps({**ack, "at": "0001-01-01T00:00:00+14:00"}).encode()
    producer = ThreadedProducer(bootstrap_servers=kafka.bootstrap)
    for topic, last in (("alerts", [json.dumps(alert("b1")).encode()]), ("acks", [late, json.dumps(ack).encode()])):
        for value in [*odd, *last]:
            producer.send(f"{name}.{topic}", value, key=b"k", partition=0)
    producer.flush()
    producer.close()
    capsys.readouterr()
    assert run(["alerts", *common]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert said.err.splitlines() == [f"{name}.alerts/0/{offset} is not an alert" for offset in range(4)]
    assert run(["acks", *common]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    newer = "or one of a newer version of gridclock: read it with that version"
    assert said.err.splitlines() == [
        f"{name}.acks/0/{offset} is not an acknowledgement, {newer}" for offset in (0, 1, 2, 3, 5)
    ]


@pytest.mark.parametrize("more", [(), ("--annotate", "--note", "rang them")], ids=["acknowledge", "annotate"])
def test_an_id_that_is_not_there_is_refused(
    kafka: Broker, prefix: str, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    name = prefix.strip("-")
    prepared(kafka, name)
    topic = f"{name}.alerts"
    send(kafka, topic, [alert("b1", case="c1"), alert("not-b1", "retraction", case="c1", retracts="b1")])
    producer = ThreadedProducer(bootstrap_servers=kafka.bootstrap)
    producer.send(topic, f"no alert, but it names {id_of('b2')}".encode()).get(timeout=30)
    producer.send(topic, None, key=b"k").get(timeout=30)
    producer.close()
    # One that is not there, one that stands in a record that is no alert, and a case's id.
    for wrong in (id_of("nobody"), id_of("b2"), id_of("c1")):
        assert run(["ack", wrong, "--bootstrap", kafka.bootstrap, "--name", name, "--by", "D1", *more]) == 2
        assert f"no alert {wrong} on topic {topic}" in capsys.readouterr().err
    assert read(kafka, f"{name}.acks") == []
    assert run(["ack", id_of("b1"), "--bootstrap", kafka.bootstrap, "--name", name, "--by", "D1", *more]) == 0
    assert [one["alert_id"] for one in read(kafka, f"{name}.acks")] == [id_of("b1")]
    # An alert that the topic no longer keeps can still be acknowledged, by who says that he knows that.
    assert run(["ack", id_of("old"), "--bootstrap", kafka.bootstrap, "--name", name, *more, "--unchecked"]) == 0
    assert read(kafka, f"{name}.acks")[-1]["alert_id"] == id_of("old")


def test_with_a_key_staff_are_written_as_pseudonyms(
    kafka: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = prefix.strip("-")
    prepared(kafka, name)
    common = ["--bootstrap", kafka.bootstrap, "--name", name, "--unchecked"]
    monkeypatch.setenv("GRIDCLOCK_PSEUDONYM_KEY", "sixteen characters and more")
    assert run(["ack", id_of("b1"), *common, "--by", "D1024", "--assign", "D7"]) == 0
    assert run(["ack", id_of("b1"), *common, "--by", "D7"]) == 0
    assert "D7" not in capsys.readouterr().out
    first, second = read(kafka, f"{name}.acks")
    staff = Pseudonyms(b"sixteen characters and more").staff
    assert (first["by"], first["to"], second["by"]) == (staff("D1024"), staff("D7"), staff("D7"))
    assert "to" not in second  # a reader of 0.1 refuses keys that it does not know


def test_one_delivers_and_another_takes_over_when_it_dies(lasting: Broker, prefix: str, tmp_path: Path) -> None:
    kafka = lasting
    name = prefix.strip("-")
    prepared(kafka, name)
    with receiver() as hook:
        file = written(tmp_path, hook, name)
        with notifier(kafka, name, file, tmp_path / "one") as one:
            says(one, "delivering")
            with notifier(kafka, name, file, tmp_path / "two") as two:
                says(two, "standing by")
                send(kafka, f"{name}.alerts", [alert("b1", case="c1")])
                assert eventually(lambda: len(ids(hook)) == 1)
                delivering = {"one": one, "two": two}
                leader = next(
                    child for child in delivering.values() if "gridclock_notify_active 1.0" in metrics_of(child)
                )
                leader.kill()
                send(
                    kafka,
                    f"{name}.alerts",
                    [alert("b2", case="c2"), alert("not-b1", "retraction", case="c1", retracts="b1")],
                )
                assert eventually(lambda: len(ids(hook)) == 3), one.last_lines() + two.last_lines()
        # What was under way when it died, not yet noted as told, is told again, under the same key.
        assert Counter({**ids(hook), id_of("b1"): 1}) == Counter({id_of("b1"): 1, id_of("b2"): 1, id_of("not-b1"): 1})


def test_a_leader_that_was_believed_dead_writes_and_tells_nothing_more(
    lasting: Broker, prefix: str, tmp_path: Path
) -> None:
    kafka = lasting
    name = prefix.strip("-")
    prepared(kafka, name)
    with receiver() as hook:
        file = written(tmp_path, hook, name)
        with notifier(kafka, name, file, tmp_path / "one") as one:
            says(one, "delivering")
            os.kill(one.pid, signal.SIGSTOP)
            with notifier(kafka, name, file, tmp_path / "two") as two:
                says(two, "delivering")
                send(kafka, f"{name}.alerts", [alert("b1", case="c1")])
                assert eventually(lambda: len(ids(hook)) == 1), two.last_lines()
                os.kill(one.pid, signal.SIGCONT)
                assert eventually(lambda: "gridclock_notify_active 0.0" in metrics_of(one)), one.last_lines()
                send(kafka, f"{name}.alerts", [alert("b2", case="c2")])
                assert eventually(lambda: len(ids(hook)) == 2), one.last_lines() + two.last_lines()
        assert ids(hook) == Counter({id_of("b1"): 1, id_of("b2"): 1})


def test_a_new_notifier_begins_with_the_last_hour(lasting: Broker, prefix: str, tmp_path: Path) -> None:
    kafka = lasting
    name = prefix.strip("-")
    prepared(kafka, name)
    now = int(time.time() * 1000)  # noqa: TID251 (a broker's record is to be two hours old)
    send(kafka, f"{name}.alerts", [alert("old", case="c1")], timestamp_ms=now - 7_200_000)
    send(kafka, f"{name}.alerts", [alert("recent", case="c1"), alert("recent-2", case="c2")])
    with receiver() as hook:
        file = written(tmp_path, hook, name)
        with notifier(kafka, name, file, tmp_path / "log") as child:
            assert eventually(lambda: len(ids(hook)) == 2), child.last_lines()
            send(kafka, f"{name}.alerts", [alert("new", case="c1")])
            assert eventually(lambda: len(ids(hook)) == 3), child.last_lines()
        assert set(ids(hook)) == {id_of(key) for key in ("recent", "recent-2", "new")}


def test_what_a_channel_refuses_is_kept_and_holds_up_nobody(lasting: Broker, prefix: str, tmp_path: Path) -> None:
    kafka = lasting
    name = prefix.strip("-")
    prepared(kafka, name)
    with receiver([410, HANG, 503]) as hook:
        file = written(tmp_path, hook, name)
        with notifier(kafka, name, file, tmp_path / "log") as child:
            says(child, "delivering")
            send(kafka, f"{name}.alerts", [alert("b1", case="c1")])
            assert eventually(lambda: len(hook.received) == 1)
            send(
                kafka,
                f"{name}.alerts",
                [alert("not-b1", "retraction", case="c1", retracts="b1"), alert("b2", case="c2")],
            )
            assert eventually(lambda: set(ids(hook)) == {id_of("b2")}), child.last_lines()
            assert eventually(lambda: 'outcome="undelivered"} 1.0' in metrics_of(child))
            # What kept the second message is there while it waits, for the board to show, and goes when it is taken.
            assert eventually(lambda: not rows_of(kafka, f"{name}.deliveries", "channel/"))
        tried = [one for one in read(kafka, f"{name}.deliveries") if one is not None and "next_at" in one]
        assert [(one["delivery"], one["reason"], one["attempts"]) for one in tried] == [
            (f"hook/{id_of('b2')}", "timeout", 1),
            (f"hook/{id_of('b2')}", "server_error", 2),
        ]
        (letter,) = read(kafka, f"{name}.undelivered")
        assert (letter["channel"], letter["reason"], letter["detail"]) == ("hook", "refused", "HTTP 410")
        assert [one["id"] for one in letter["events"]] == [id_of("b1")]
        # Who was told by the other channel hears of the retraction; the webhook never heard of the breach.
        assert {one["id"] for one in read(kafka, f"{name}.copy")} == {id_of(key) for key in ("b1", "not-b1", "b2")}


def test_of_more_than_its_queue_holds_a_channel_gives_up_first_reports_and_no_retraction(
    lasting: Broker, prefix: str, tmp_path: Path
) -> None:
    kafka = lasting
    name = prefix.strip("-")
    prepared(kafka, name)
    with receiver([503] * 6) as hook:
        file = written(tmp_path, hook, name)
        found = json.loads(file.read_text("utf-8"))
        found["channels"]["hook"]["queue"] = 2
        file.write_text(json.dumps(found), "utf-8")
        with notifier(kafka, name, file, tmp_path / "log") as child:
            says(child, "delivering")
            one_case = [alert(f"b{number}", case="c1") for number in range(1, 6)]  # in one partition, in order
            send(kafka, f"{name}.alerts", one_case)
            assert eventually(lambda: len(hook.received) >= 1), child.output()
            send(kafka, f"{name}.alerts", [alert("not-b1", "retraction", case="c1", retracts="b1")])
            assert eventually(lambda: set(ids(hook)) == {id_of(key) for key in ("b1", "b2", "not-b1")}), child.output()
            assert eventually(lambda: 'outcome="undelivered"} 3.0' in metrics_of(child))
        letters = read(kafka, f"{name}.undelivered")
        assert {(one["channel"], one["reason"], one["key"]) for one in letters} == {
            ("hook", "queue_full", id_of(f"b{number}")) for number in (3, 4, 5)
        }
        assert {one["id"] for one in read(kafka, f"{name}.copy")} >= {id_of(f"b{number}") for number in range(1, 6)}


def test_in_alertmanager_a_breach_fires_and_its_late_completion_resolves_it(
    lasting: Broker, prefix: str, tmp_path: Path
) -> None:
    if ALERTMANAGER is None or AMTOOL is None:
        pytest.skip("no Alertmanager here (Debian: apt install prometheus-alertmanager)")
    kafka = lasting
    name = prefix.strip("-")
    prepared(kafka, name)
    topic = f"{name}.alerts"
    with alertmanager(tmp_path) as running:
        path = tmp_path / "subscriptions.yaml"
        channel = {"kind": "alertmanager", "url": running.url, "refresh": "1 s"}
        one = {"name": "all", "channels": "am"}
        path.write_text(json.dumps({"channels": {"am": channel}, "subscriptions": [one]}), "utf-8")
        with notifier(kafka, name, path, tmp_path / "one") as child:
            says(child, "delivering")
            send(kafka, topic, [alert("b1", case="c1"), alert("b2", case="c2")])
            assert eventually(lambda: set(running.alerts()) == {id_of("b1"), id_of("b2")}), child.last_lines()
        # Killed; whoever comes next goes on reminding, or both would have gone out after three seconds.
        with notifier(kafka, name, path, tmp_path / "two") as child:
            says(child, "delivering")
            assert eventually(lambda: set(running.alerts()) == {id_of("b1"), id_of("b2")}), child.last_lines()
            before = running.alerts()[id_of("b1")]["endsAt"]
            assert eventually(lambda: running.alerts()[id_of("b1")]["endsAt"] > before), child.last_lines()
            completed = alert("l1", "late_completion", case="c1")
            send(kafka, topic, [completed, alert("not-b2", "retraction", case="c2", retracts="b2")])
            assert eventually(lambda: running.alerts() == {}), child.last_lines()
            resolved = {(id_of("b1"), "resolved"), (id_of("b2"), "resolved")}
            assert eventually(lambda: resolved <= set(running.told())), running.told()


def test_a_file_whose_secret_is_missing_ends_no_notifier(kafka: Broker, prefix: str, tmp_path: Path) -> None:
    """After SIGHUP: whoever stands by or delivers goes on with what it had."""
    with receiver() as hook:
        file = written(tmp_path, hook, prefix)
        with notifier(kafka, prefix, file, tmp_path / "log") as child:
            assert says(child, "delivering on")
            secret = tmp_path / "secret"
            whole = file.read_text("utf-8")
            for wrong in ({"env": "NOT_SET"}, {"file": str(secret)}):
                file.write_text(whole.replace('{"env": "HOOK_SECRET"}', json.dumps(wrong)), "utf-8")
                os.kill(child.pid, signal.SIGHUP)
                told = "environment variable NOT_SET is not set" if "env" in wrong else f"secret file {secret}: No such"
                assert says(child, f"SIGHUP: not restarted: channels.hook.secret: {told}")
            send(kafka, f"{prefix}.alerts", [alert("a1")])
            assert eventually(lambda: bool(hook.taken())), child.last_lines()
            secret.write_text(SECRET["HOOK_SECRET"], "utf-8")
            os.kill(child.pid, signal.SIGHUP)
            assert eventually(lambda: child.output().count("delivering on") == 2), child.last_lines()
            assert child.exit_code is None
