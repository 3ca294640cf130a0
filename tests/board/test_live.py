"""The board beside a real worker on a real broker: what the worker says is on the page within seconds."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka import KafkaConsumer

from schemas.acknowledgements import Acknowledgement
from streams.board.acts import AckWriter
from streams.board.deliveries import Deliveries
from streams.board.feed import BoardFeed, StateReader
from streams.board.rows import KafkaRows, Rows
from streams.cli import run
from streams.core.board import Board
from streams.core.instants import format_us
from streams.errors import BrokerError
from streams.kafka.admin import TopicSpec, ensure_topics, partitions_of
from streams.kafka.brokers import Broker
from streams.kafka.child_process import ChildProcess
from streams.kafka.threaded_producer import ThreadedProducer
from streams.settings import load_settings
from streams.wall_clock import WallClock
from streams.wire.state_rows import Position, StateError, position_to_bytes, snapshot_to_bytes
from tests.boards import COUNTER, MINUTE, started
from tests.browser import WALL, page_of
from tests.stories import SHANGHAI

SECONDS = 90.0
PERSON = "X-Forwarded-User"
RULES = """
chapter: T
title: {zh: 测试章, en: Test chapter}
rules:
  - id: four-seconds
    effective_from: 2023-01-01
    clauses: [T-R1]
    source: a test
    severity: red_line
    kind: deadline
    subject: order
    title: {zh: 四秒办结, en: Done in four seconds}
    start: {type: counter.service_started, where: {business: fee}}
    stop: counter.service_completed
    limit: 4 s
  - id: one-hour
    effective_from: 2023-01-01
    clauses: [T-S1]
    source: a test
    kind: deadline
    subject: order
    title: {zh: 一小时办结, en: Done in an hour}
    start: {type: counter.service_started, where: {business: power}}
    stop: counter.service_completed
    limit: 1 h
"""


@contextmanager
def producing(kafka: Broker) -> Iterator[ThreadedProducer]:
    producer = ThreadedProducer(bootstrap_servers=kafka.bootstrap)
    try:
        yield producer
    finally:
        producer.close()


def event(number: str, kind: str, business: str, county: str, *, ago: float = 0.0) -> bytes:
    at = WallClock().now() - int(ago * 1_000_000)
    fields = {
        "event_id": f"{number}-{kind}",
        "event_type": f"counter.service_{kind}",
        "occurred_at": format_us(at, SHANGHAI),
        "order_id": number,
        "business": business,
        "org": {"province": "32", "city": county[:4], "county": county, "unit": "U1"},
    }
    return json.dumps(fields).encode()


def gridclock(directory: Path, name: str, *arguments: str) -> ChildProcess:
    return ChildProcess(
        [sys.executable, "-m", "streams.cli", *arguments],
        directory / f"{name}.log",
        environment={"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )


async def said(process: ChildProcess, words: str) -> str:
    """The line in which a process says something."""
    deadline = time.monotonic() + SECONDS
    while True:
        for line in process.output().splitlines():
            if words in line:
                return line
        assert process.exit_code is None, process.last_lines()
        assert time.monotonic() < deadline, f"never said {words!r}:\n{process.last_lines()}"
        await asyncio.sleep(0.1)


@asynccontextmanager
async def board_beside_workers(kafka: Broker, prefix: str, tmp_path: Path, workers: int) -> AsyncIterator[str]:
    """The board, begun before its workers and so before there are any topics; its address."""
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "test.yaml").write_text(RULES, encoding="utf-8")
    common = ("--bootstrap", kafka.bootstrap, "--name", f"{prefix}b", "--only", str(rules))
    processes = [gridclock(tmp_path, "board", "board", *common, "--port", "0", "--trust-header", PERSON)]
    try:
        line = await said(processes[0], "board http")
        for number in range(workers):
            options = ("--partitions", "4", "--data-dir", str(tmp_path / f"data{number}"), "--metrics-port", "0")
            processes.append(gridclock(tmp_path, f"worker{number}", "run", *common, *options))
        for process in processes[1:]:
            await said(process, "at work")
        yield line.split()[2].removesuffix("/board")
        assert [process.exit_code for process in processes] == [None] * len(processes)
    finally:
        for process in processes:
            process.kill()


ORDERS = "[...document.querySelectorAll('#cases .about')].map((node) => node.textContent.split(' ')[1]).sort().join()"
RED_LINES = "document.querySelector('[data-key=red_lines_reported_today] .figure').textContent"
TOLD = "[...document.querySelectorAll('#alerts .sentence')].map((node) => node.textContent)"


@pytest.mark.slow
def test_the_page_follows_two_workers(kafka: Broker, prefix: str, tmp_path: Path, chrome: str) -> None:
    async def test() -> None:
        async with board_beside_workers(kafka, prefix, tmp_path, 2) as url, page_of(chrome) as page:
            with producing(kafka) as producer:

                def send(*events: bytes) -> None:
                    for one in events:
                        producer.send(f"{prefix}b.events", one, key=json.loads(one)["order_id"].encode())
                    producer.flush()

                await page.size(*WALL)
                await page.do("Network.enable")
                await page.do("Network.setExtraHTTPHeaders", headers={PERSON: "S7"})  # as a proxy would
                await page.open(f"{url}/board")
                numbers = [f"WO{number}" for number in range(12)]
                send(*(event(number, "started", "power", f"32010{1 + at % 2}") for at, number in enumerate(numbers)))
                # Twelve orders lie on all partitions, so on both workers.
                await page.until(f"{ORDERS} == '{','.join(sorted(numbers))}'", SECONDS)
                await page.until("document.querySelector('#status').dataset.level == 'good'", SECONDS)
                await page.js("window.same = true")

                send(event("WO90", "started", "fee", "320201"))
                await page.until(f"{ORDERS}.includes('WO90')", SECONDS)
                await page.until(f"({TOLD}).length == 1", SECONDS)
                (sentence,) = await page.js(TOLD)
                assert "工单 WO90「四秒办结」（T-R1）超时" in sentence
                assert await page.js(RED_LINES) == "1"
                assert await page.js("document.querySelector('#live').textContent") == f"新告警：{sentence}"

                alert_id = (await _get(f"{url}/api/alerts"))["alerts"][0]["alert_id"]
                assert await page.js("window.same") is True
                await page.js("document.querySelector('#alerts .row').click()")
                await page.until("document.querySelector('#case-acts .first')?.checkVisibility()", SECONDS)
                await page.js("document.querySelector('#case-acts [name=note]').value = '已派人'")
                await page.js("document.querySelector('#case-acts .first').click()")  # one click from the evidence
                await page.until("document.querySelector('#case-acts .said').textContent == '已签收。'", SECONDS)
                await page.until("document.querySelector('#clocks').textContent.includes('S7  已派人')", SECONDS)
                (line,) = await acks_of(kafka, f"{prefix}b", tmp_path)
                assert line.split("  ")[1:] == [alert_id, "acknowledged 确认", "S7", "已派人"]
                await page.back()
                await page.until("document.querySelector('#alerts .row')", SECONDS)
                await page.js("window.same = true")
                send(event("WO90", "completed", "fee", "320201"), event("WO0", "completed", "power", "320101"))
                await page.until("document.querySelector('#alerts .row').dataset.state == 'completed_late'", SECONDS)
                await page.until("document.querySelector('#alerts .marks').textContent.includes('已签收 S7')", SECONDS)
                await page.until(f"!{ORDERS}.split(',').includes('WO0')", SECONDS)

                # It was in time after all: a correction, and the alert is withdrawn.
                due_at = (await _get(f"{url}/api/alerts"))["alerts"][0]["due_at"]
                corrected = json.loads(event("WO90", "completed", "fee", "320201"))
                corrected |= {"event_id": "WO90-again", "corrects": "WO90-completed", "occurred_at": due_at}
                send(json.dumps(corrected).encode())
                await page.until("document.querySelector('#alerts .row').dataset.state == 'retracted'", SECONDS)
                await page.until(f"{RED_LINES} == '0'")
                assert await page.js("window.same") is True

                found = await _get(f"{url}/api/cases?county=320102")
                assert sorted(case["subject"]["id"] for case in found["cases"]) == sorted(numbers[1::2])
                assert (await _get(f"{url}/healthz"))["status"] == "ok"

                # From the alert to its evidence; of an order at rest, and of one with an open clock.
                await page.js("document.querySelector('#alerts .row').click()")
                # A breach, a late completion, both withdrawn; and a warning, unless time came past both at once.
                of_case = "document.querySelectorAll('.case-clock .alerts-of li').length"
                await page.until(f"[4, 5].includes({of_case})", SECONDS)
                await page.until("document.querySelector('#clocks').textContent.includes('S7')", SECONDS)
                line = "[...document.querySelectorAll('#line li')].map((one) => one.id).filter(Boolean).join()"
                assert await page.js(line) == "event-WO90-started,event-WO90-again,event-WO90-completed"
                for number, outcome in (("WO0", "met"), ("WO1", "running")):
                    found = await _get(f"{url}/api/order/{number}")
                    assert [clock["outcome"] for clock in found["clocks"]] == [outcome]
                    link = f"{url}/api/case/{found['clocks'][0]['case_id']}?order={number}"
                    assert (await _get(link))["asked"]["case_id"] == found["clocks"][0]["case_id"]
                assert "error" in await _get(f"{url}/api/order/WO1000")
                trends = await _get(f"{url}/api/trends?days=2")  # WO90, as it was corrected, and WO0
                assert trends["source"] == "board"
                assert trends["total"] == {
                    "decided": 2, "on_time": 2, "breaches": 0, "violations": 0, "red_lines": 0, "rate": 1.0,
                }  # fmt: skip
            assert page.problems == []

    asyncio.run(test())


async def acks_of(kafka: Broker, name: str, tmp_path: Path) -> list[str]:
    """What ``gridclock acks`` prints."""
    process = gridclock(tmp_path, "acks", "acks", "--bootstrap", kafka.bootstrap, "--name", name)
    async with asyncio.timeout(SECONDS):
        while process.exit_code is None:
            await asyncio.sleep(0.1)
    assert process.exit_code == 0, process.last_lines()
    return process.output().splitlines()


async def _get(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.json()


# -- the feed alone ----------------------------------------------------------------------------------------


def feed_of(kafka: Broker, prefix: str) -> tuple[BoardFeed, StateReader, Board]:
    state = StateReader(COUNTER.rulebook)
    board = Board(state.cases, COUNTER.rulebook.calendar)
    settings = load_settings(bootstrap=kafka.bootstrap, name=f"{prefix}b")
    rows = Rows(KafkaRows(settings, settings.changelog_topic))
    deliveries = Deliveries(KafkaRows(settings, settings.deliveries_topic))
    feed = BoardFeed(settings, board, state, rows=rows, deliveries=deliveries)
    return feed, state, board


def test_the_feed_reads_the_state_of_all_partitions_and_goes_on(kafka: Broker, prefix: str) -> None:
    async def test() -> None:
        now = WallClock().now()
        report = await asyncio.to_thread(
            ensure_topics, kafka.bootstrap, [TopicSpec(f"{prefix}b-state-changelog", 2, compact=True)]
        )
        count = report.partitions[f"{prefix}b-state-changelog"]
        with producing(kafka) as producer:

            def row(partition: int, key: str, value: bytes | None) -> None:
                producer.send(
                    f"{prefix}b-state-changelog", value, key=f"{partition}/{key}".encode(), partition=partition
                )
                producer.flush()

            def position(partition: int, at: int) -> None:
                row(partition, "*", position_to_bytes(Position(1, at, {}, {})))

            for partition in range(count):
                number = f"WO{partition}"
                row(partition, f"order/{number}", snapshot_to_bytes(started(number, now - MINUTE)))
                row(partition, f"order/gone{partition}", snapshot_to_bytes(started(f"gone{partition}", now - MINUTE)))
                row(partition, f"order/gone{partition}", None)
                position(partition, now)
            feed, state, board = feed_of(kafka, prefix)
            running = asyncio.create_task(feed.run())
            try:
                await _until(lambda: not state.is_loading)
                orders = sorted(case.subject[1] for case in board.running.cases.values())
                assert orders == sorted(f"WO{partition}" for partition in range(count))
                assert state.watermark == now
                position(0, now + 4 * MINUTE)
                await _until(lambda: any(case.outcome == "breached" for case in board.running.cases.values()))
                assert state.watermark == (now if count > 1 else now + 4 * MINUTE)
                row(0, "order/WO0", None)
                await _until(lambda: len(board.running.cases) == count - 1)
                assert feed.refused == 0
                row(0, "order/new", b'{"v":99}')
                (ended,) = await asyncio.gather(running, return_exceptions=True)
                assert isinstance(ended, ExceptionGroup)
                assert isinstance(ended.exceptions[0], StateError)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    asyncio.run(test())


def test_the_feed_reads_what_was_lost(kafka: Broker, prefix: str) -> None:
    if kafka.kind == "embedded":
        pytest.skip(f"{kafka.description}: keeps no metadata of offsets")

    async def test() -> None:
        await asyncio.to_thread(ensure_topics, kafka.bootstrap, [TopicSpec(f"{prefix}b.dead-letters", 1)])
        tp, options = TopicPartition(f"{prefix}b.events", 0), {"bootstrap_servers": kafka.bootstrap}
        await asyncio.to_thread(ensure_topics, kafka.bootstrap, [TopicSpec(tp.topic, 1)])
        consumer = AIOKafkaConsumer(group_id=f"{prefix}b-intake", enable_auto_commit=False, **options)
        await consumer.start()
        consumer.assign([tp])
        at = WallClock().now()
        await consumer.commit({tp: (9, json.dumps({"lost": [[3, 5, at]]}))})
        await consumer.stop()
        with producing(kafka) as producer:
            letter = {"reason": "not_json", "source": f"{tp.topic}/0"}
            for number in range(3):
                producer.send(f"{prefix}b.dead-letters", json.dumps(letter).encode(), key=b"%d" % number)
            producer.send(f"{prefix}b.dead-letters", None, key=b"1")
            producer.flush()
        feed, state, _ = feed_of(kafka, prefix)
        running = asyncio.create_task(feed.run())
        try:
            found: dict[str, tuple[str | None, int]] = {}
            while found != {"lost": (f"{tp.topic}/0", 3), "refused": (f"{tp.topic}/0", 2)}:
                await asyncio.sleep(0.05)
                found = {one.cause: (one.source, one.count) for one in state.incompleteness(WallClock().now())}
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(test(), SECONDS))


def test_single_rows_are_read_from_a_topic(kafka: Broker, prefix: str) -> None:
    if kafka.kind == "embedded":
        pytest.skip(f"{kafka.description}: keeps no transactions")

    async def test() -> None:
        settings, topic = load_settings(bootstrap=kafka.bootstrap, name=f"{prefix}b"), f"{prefix}b.deliveries"
        await asyncio.to_thread(ensure_topics, kafka.bootstrap, [TopicSpec(topic, 1, compact=True)])
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"{prefix}t")
        await producer.start()
        places: dict[bytes, int] = {}
        for key, value, is_kept in (
            (b"a", b"1", True),
            (b"a", b"2", True),
            (b"b", b"3", True),
            (b"a", b"4", False),
            (b"c", b"5", True),
            (b"c", None, True),
        ):
            await producer.begin_transaction()
            sent = await producer.send_and_wait(topic, value, key=key, partition=0)
            await (producer.commit_transaction() if is_kept else producer.abort_transaction())
            if is_kept:
                places[key] = sent.offset
        await producer.stop()
        reader = KafkaRows(settings, topic)
        assert await reader.newest([0], lambda _key: True) == {b"a": b"2", b"b": b"3"}
        assert await reader.newest([0], lambda key: key == b"b") == {b"b": b"3"}
        at = [(0, places[key]) for key in (b"b", b"a", b"c")]
        assert await reader.at(at) == [(b"b", b"3"), (b"a", b"2"), (b"c", None)]
        # The marker of a transaction, what was aborted, and what is still to come are no rows.
        assert await reader.at([(0, places[b"a"] + 1), (0, places[b"b"] + 2), (0, 1000)]) == []
        rows = Rows(reader)
        rows.restart(1)
        for key, offset in places.items():
            rows.note(key, 0, offset, is_deleted=key == b"c")
        rows.is_loading = False
        assert await rows.several({key: (0, None) for key in (b"a", b"b", b"c", b"d")}) == {b"a": b"2", b"b": b"3"}

    asyncio.run(asyncio.wait_for(test(), SECONDS))


async def _until(claim: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not claim():
        assert time.monotonic() < deadline, "never"
        await asyncio.sleep(0.05)


def test_the_feed_never_makes_a_topic_and_leaves_out_what_is_no_alert(kafka: Broker, prefix: str) -> None:
    if not kafka.can_create_topics:
        pytest.skip(f"{kafka.description} makes topics by being asked for them")

    async def test() -> None:
        await asyncio.to_thread(ensure_topics, kafka.bootstrap, [TopicSpec(f"{prefix}b.alerts", 1)])
        with producing(kafka) as producer:
            producer.send(f"{prefix}b.alerts", b"no alert")
            producer.flush()
        feed, state, _ = feed_of(kafka, prefix)
        running = asyncio.create_task(feed.run())
        try:
            await _until(lambda: feed.refused == 1)
            assert state.is_loading
            assert await asyncio.to_thread(partitions_of, kafka.bootstrap, f"{prefix}b-state-changelog") == 0
            assert await asyncio.to_thread(partitions_of, kafka.bootstrap, f"{prefix}b.acks") == 0
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(test())


# -- the command -------------------------------------------------------------------------------------------


async def _acts_are_written_to_a_topic_that_is_there(kafka: Broker, name: str) -> None:
    settings = load_settings(bootstrap=kafka.bootstrap, name=name)
    given = {"alert_id": "a" * 32, "action": "acknowledge", "by": "S7", "at": "2026-03-02T10:00:00+08:00"}
    made = Acknowledgement.model_validate(given)
    async with AckWriter(settings) as write:
        with pytest.raises(BrokerError, match=f"there is no topic {name}.acks: gridclock topics create makes it"):
            await write(made)
        assert await asyncio.to_thread(partitions_of, kafka.bootstrap, f"{name}.acks", security={}) == 0
        await asyncio.to_thread(ensure_topics, kafka.bootstrap, [TopicSpec(f"{name}.acks", 1)])
        await write(made)
    consumer = KafkaConsumer(f"{name}.acks", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    try:
        found = await asyncio.to_thread(next, consumer)
        assert (found.key, json.loads(found.value)) == (made.alert_id.encode(), given)
    finally:
        consumer.close()


def test_acts_are_written_to_a_topic_that_is_there_and_make_none(kafka: Broker, prefix: str) -> None:
    asyncio.run(_acts_are_written_to_a_topic_that_is_there(kafka, f"{prefix}b"))


def test_sigterm_ends_the_board_in_order_with_pages_open(kafka: Broker, prefix: str, tmp_path: Path) -> None:
    async def test() -> None:
        process = gridclock(
            tmp_path, "board", "board", "--bootstrap", kafka.bootstrap, "--name", f"{prefix}b", "--port", "0"
        )
        try:
            url = (await said(process, "board http")).split()[2].removesuffix("/board")
            async with aiohttp.ClientSession() as session, session.get(f"{url}/api/stream") as answer:
                first = await answer.content.readline()
                assert first == b"retry: 2000\n"
                os.kill(process.pid, signal.SIGTERM)
                await answer.read()  # the stream ends
            await _until(lambda: process.exit_code is not None)
            assert (process.exit_code, process.output().splitlines()[-1]) == (0, "gridclock: board stopped in order")
        finally:
            process.kill()

    asyncio.run(test())


def test_a_port_that_is_taken_is_said(kafka: Broker, prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code = run(["board", "--bootstrap", kafka.bootstrap, "--name", f"{prefix}b", "--port", str(port)])
    assert code == 2
    assert f"gridclock: board_port: 127.0.0.1:{port}: " in capsys.readouterr().err


def test_a_broker_is_needed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.delenv("GRIDCLOCK_BOOTSTRAP", raising=False)
    assert run(["board"]) == 2
    assert (
        capsys.readouterr().err == "gridclock: bootstrap: no broker given: use --bootstrap or KAFKA_BOOTSTRAP_SERVERS\n"
    )
