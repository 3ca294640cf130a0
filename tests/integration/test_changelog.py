"""The state on a broker: a second writer does not go unseen, nor a log that was made anew under it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from streams.kafka.admin import TopicSpec, delete_topics, ensure_topics
from streams.kafka.brokers import Broker
from streams.kafka.threaded_producer import ThreadedProducer
from streams.kafka.topics import topics_of
from streams.live.changelog import Changelog
from streams.live.clock_partition import position_key
from streams.live.faust_app import AGAIN
from streams.replay.log_replay import read_topic
from streams.settings import load_settings
from streams.simulation import Simulation, simulate
from tests.integration.live import Live, Topic, Worker, expected_keys, keys, standing, until


def test_a_second_writer_is_seen(kafka: Broker, prefix: str) -> None:
    topic = f"{prefix}changelog"
    ensure_topics(kafka.bootstrap, [TopicSpec(topic, 4, compact=True)])

    async def story() -> list[bool]:
        producers = [AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=True) for _ in range(2)]
        for producer in producers:
            await producer.start()
        try:
            first, second = (Changelog(producer, topic) for producer in producers)
            first.begin(1, 0)
            seen = [(await first.keep(1, [(b"1/a", b"x"), (b"1/*", b"0")])).alone]
            seen.append((await first.keep(1, [(b"1/*", b"1")])).alone)
            second.begin(1, 3)  # it has recovered all three rows
            seen.append((await second.keep(1, [(b"1/*", b"2")])).alone)
            seen.append((await first.keep(1, [(b"1/a", b"stale"), (b"1/*", b"2")])).alone)  # woken up
            seen.append((await second.keep(1, [(b"1/b", None), (b"1/*", b"3")])).alone)
            seen.append((await second.keep(1, [(b"1/a", b"y"), (b"1/*", b"3")])).alone)  # all rows again
            return seen
        finally:
            for producer in producers:
                await producer.stop()

    assert asyncio.run(story()) == [True, True, True, False, False, True]
    values = [value for partition, _, value in read_topic(kafka.bootstrap, topic) if partition == 1]
    assert values == [b"x", b"0", b"1", b"2", b"stale", b"2", None, b"3", b"y", b"3"]


def made() -> Simulation:
    return simulate(orders=60, seed=7, start=date(2026, 3, 2), days=3)


def versions(live: Live) -> dict[tuple[int, bytes], list[bytes]]:
    """What was ever written of each row, the newest last."""
    found: dict[tuple[int, bytes], list[bytes]] = defaultdict(list)
    topic = Topic(live.bootstrap, f"{live.name}-state-changelog")
    for partition, _, key, value in topic.update():
        assert key is not None
        found[partition, key].append(value)
    topic.close()
    return found


@pytest.mark.slow
def test_what_a_second_writer_wrote_is_written_over(kafka: Broker, prefix: str, tmp_path: Path) -> None:
    """A worker that was away wakes up with old rows under way: the owner's are the last word, also after a restart.

    Not where somebody goes on writing: then the worker ends.
    """
    if kafka.kind == "embedded":
        pytest.skip(f"{kafka.description}: a worker there does not get its partitions back after a restart")
    simulation = made()
    with Live(kafka.bootstrap, prefix, tmp_path, partitions=2) as live:
        live.make_source(2)
        worker = live.worker()
        half = len(simulation.events) // 2
        for events in (simulation.events[:half], simulation.events[half:]):  # so that rows have several versions
            taken = worker.metric("gridclock_events_total") + len(events)
            live.send(events)
            until(lambda: worker.metric("gridclock_events_total") >= taken, 60, lambda: worker.output)  # noqa: B023
            live.settle(simulation.as_of)
        before = versions(live)
        stale = {row: values[0] for row, values in before.items() if len(set(values)) > 1}
        assert len(stale) > 10
        assert {partition for partition, _ in stale} == {0, 1}
        # And the row of a subject that has been forgotten since, which nothing else would ever write over.
        started = next(value for (_, key), (value, *_) in before.items() if b"/order/" in key)
        forgotten = {(partition, b"%d/order/FORGOTTEN" % partition): started for partition in (0, 1)}

        producer = ThreadedProducer(bootstrap_servers=live.bootstrap.split(","))
        for (partition, key), value in (forgotten | stale).items():
            producer.send(f"{live.name}-state-changelog", value, key=key, partition=partition)
        producer.flush()
        producer.close()

        def set_right() -> bool:
            now = versions(live)
            subjects = [row for row in stale if row[1] != position_key(row[0])]
            return all(now[row][-1] == before[row][-1] for row in subjects) and not any(
                now[row][-1] for row in forgotten
            )

        until(set_right, 30, lambda: worker.output)
        for partition in (0, 1):
            assert f"partition {partition}: another process wrote to {live.name}-state-changelog" in worker.output
        positions = versions(live)
        for partition in (0, 1):
            row = partition, position_key(partition)
            assert json.loads(positions[row][-1])["offset"] > json.loads(before[row][-1])["offset"]
        worker.kill()
        shutil.rmtree(tmp_path / "store-1")
        worker = live.worker()
        until(lambda: worker.metric("gridclock_subjects") > 0, 60, lambda: worker.output)
        put = re.search(rf"(\d+) rows of {live.name}-state-changelog put into the local copy", worker.output)
        assert put is not None
        assert int(put[1]) > 0
        assert "Restoring state from changelog topics" not in worker.output, "Faust has nothing left to do"
        later = datetime.fromtimestamp((live.replay() or 0) / 1e6 + 3, UTC).isoformat()
        found = standing(live.settle(later).values(), simulation.as_of)
        assert keys(found, simulation.expected) == expected_keys(simulation.expected)
        with endless_writer(live):
            until(lambda: worker.exit_code is not None, 60, lambda: worker.output)
        assert worker.exit_code == 2
        told = f"partition 0: another process wrote to {live.name}-state-changelog: rewriting all rows"
        assert worker.output.count(told) >= AGAIN
        last = worker.output.splitlines()[-1]
        assert last == f"gridclock: another process keeps writing to {live.name}-state-changelog/0: this worker ends"


@contextmanager
def endless_writer(live: Live) -> Iterator[None]:
    """Somebody who goes on writing to partition 0 of the state: that a subject is gone which never was."""
    stop = threading.Event()

    def write() -> None:
        producer = ThreadedProducer(bootstrap_servers=live.bootstrap.split(","))
        while not stop.wait(0.001):  # often enough to come between any two batches of the worker's
            producer.send(f"{live.name}-state-changelog", None, key=b"0/order/NOBODY", partition=0)
        producer.close()

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write)
        try:
            yield
        finally:
            stop.set()
            writing.result(60)


@pytest.mark.slow
@pytest.mark.parametrize("at_work", [False, True], ids=["while stopped", "while at work"])
def test_a_log_made_anew_under_the_state_is_refused(at_work: bool, kafka: Broker, prefix: str, tmp_path: Path) -> None:
    """Its offsets begin again: a worker would pass over everything up to where it stood, in silence."""
    if not kafka.can_create_topics:
        pytest.skip(f"{kafka.description} cannot delete topics")
    simulation = made()
    with Live(kafka.bootstrap, prefix, tmp_path, partitions=2) as live:
        live.make_source(2)
        worker = live.worker(GRIDCLOCK_SESSION_S="6", GRIDCLOCK_TICK_MS="50")
        live.send(simulation.events)
        live.settle(simulation.as_of)
        # Further than the new log will be when the next workers look at it, for the one check to be tried alone.
        until(lambda: len(live.topic("log").records) > 80, 60, lambda: worker.output)
        log = log_of(live)
        if at_work:
            delete_topics(live.bootstrap, [log.name])
            ensure_topics(live.bootstrap, [log])
            refused(worker, live)
            return
        assert worker.stop() == 0
        delete_topics(live.bootstrap, [log.name])
        refused(live.worker(store="store-1", ready=False), live)
        with Live(kafka.bootstrap, f"{prefix}other-", tmp_path, partitions=2) as other:  # as the message says
            other.make_source(2)
            begun = other.worker(store="store-1")
            until(lambda: begun.metrics().count("\ngridclock_watermark_lag_seconds{") == 2, 60, lambda: begun.output)
        shutil.rmtree(tmp_path / "store-1")  # the state is not in the local copy alone
        refused(live.worker(store="store-1", ready=False), live)


@pytest.mark.slow
def test_a_log_made_anew_that_is_longer_than_the_old_one_is_refused(kafka: Broker, prefix: str, tmp_path: Path) -> None:
    """Nothing about its offsets tells: the record where the state stands is another one."""
    if not kafka.can_create_topics:
        pytest.skip(f"{kafka.description} cannot delete topics")
    simulation = made()
    with Live(kafka.bootstrap, prefix, tmp_path, partitions=2) as live:
        live.make_source(2)
        worker = live.worker(GRIDCLOCK_SESSION_S="6")
        live.send(simulation.events)
        live.settle(simulation.as_of)
        assert worker.stop() == 0
        records = [(partition, value) for partition, *_, value in live.topic("log").records]
        log = log_of(live)
        delete_topics(live.bootstrap, [log.name])
        ensure_topics(live.bootstrap, [log])
        producer = ThreadedProducer(bootstrap_servers=live.bootstrap.split(","))
        for partition in (0, 1):  # the end of the old log twice: all that it vouches for, the state has seen
            *_, last = [value for number, value in records if number == partition]
            for _ in range(len(records)):
                producer.send(log.name, last.replace(b'"entries":', b'"entries": '), partition=partition)
        producer.close()
        refused(live.worker(store="store-1", ready=False), live)


def log_of(live: Live) -> TopicSpec:
    """The topic of the log, as a worker makes it."""
    specs = topics_of(load_settings(bootstrap=live.bootstrap, name=live.name, partitions=2))
    (log,) = [spec for spec in specs if spec.name == f"{live.name}.log"]
    return log


def refused(worker: Worker, live: Live) -> None:
    until(lambda: worker.exit_code is not None, 60, lambda: worker.output)
    assert worker.exit_code == 2
    last = worker.output.splitlines()[-1]
    assert last.startswith("gridclock: the state of partition ")
    assert "the log was recreated" in last
