"""The benches of a live worker run, in small, and find nothing wrong; how fast things are is no matter of a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.kafka.brokers import Broker
from tests.bench import delay, province, recovery, soak, workers
from tests.bench.measuring import Used, percentile
from tests.bench.peers import measure as peers


@pytest.fixture
def apache(kafka: Broker) -> Broker:
    if kafka.kind == "embedded":
        pytest.skip("librdkafka's embedded broker keeps nothing and has no real groups: this needs Apache Kafka")
    return kafka


@pytest.mark.slow
def test_delays_are_measured(apache: Broker, prefix: str, tmp_path: Path) -> None:
    done = delay.measure(apache, prefix, tmp_path, rate=50, seconds=3, a_second=10)
    assert done.wanted == 30
    assert len(done.read) == len(done.written) >= 30
    assert min(done.read) > 0
    assert all(read >= written for read, written in zip(done.read, done.written, strict=True))
    assert len(list(done.lines())) == 7


@pytest.mark.slow
def test_a_short_soak_drops_all_that_was_opened(apache: Broker, prefix: str, tmp_path: Path) -> None:
    done = soak.measure(apache, prefix, tmp_path, subjects=600, seconds=4, open_for=1, keep=5, every=1)
    assert done.remaining == 0
    assert done.alerts == 4
    assert done.sizes.subjects > 100
    assert done.sizes.rows >= 2
    assert done.sizes.written > done.sizes.last > 300
    assert max(sample.closed for sample in done.samples) > 0
    assert all(sample.memory > 1e7 for sample in done.samples)


@pytest.mark.slow
def test_two_workers_are_compared_with_one(apache: Broker, prefix: str, tmp_path: Path) -> None:
    done = workers.measure(apache, prefix, tmp_path, events=3000, names=["alone", "both"])
    assert [(run.name, run.workers, len(run.used.workers)) for run in done] == [("alone", 1, 1), ("both", 2, 2)]
    # So few events may all be done before the second worker is at work.
    assert all(0 <= run.left <= 1 for run in done)
    assert len(list(workers.report(done))) == 5


@pytest.mark.slow
def test_ways_back_are_timed(apache: Broker, prefix: str, tmp_path: Path) -> None:
    done = recovery.measure(apache, prefix, tmp_path, subjects=300, session=6, ways=("changed rules", "second worker"))
    assert [(back.way, back.ready is None) for back in done.backs] == [
        ("changed rules", False),
        ("second worker", True),
    ]
    assert all(0 < back.first <= back.last for back in done.backs)
    assert [back.anew is None for back in done.backs] == [False, True]
    assert done.alerts == 8


@pytest.mark.slow
def test_kafka_streams_and_flink_find_the_same_breaches(apache: Broker, prefix: str, tmp_path: Path) -> None:
    try:
        runs = peers.measure(apache.bootstrap, prefix, tmp_path, orders=400)
    except peers.PeersUnavailable as error:
        pytest.skip(str(error))
    assert [run.name for run in runs] == [*peers.PEERS, "gridclock"]
    assert len(runs[0].breaches) > 20
    assert len({run.looks[-1].taken for run in runs}) == 1


@pytest.mark.slow
def test_partitions_go_over_to_the_workers_that_are_left(apache: Broker, prefix: str, tmp_path: Path) -> None:
    done = province.group_of(apache, prefix, tmp_path, partitions=6, workers=2, subjects=30, session=6, idle=0.1)
    assert [step.what for step in done.steps] == ["2 workers start", "one is killed", "it comes back"]
    assert all(0 < step.shared <= step.last and step.first <= step.last for step in done.steps)
    assert done.steps[-1].given >= 1
    assert len(done.memory) == 2
    assert len(list(done.lines())) == 6


def test_the_model_follows_from_the_figures_of_meters() -> None:
    used = Used(1.0, (1.0,), None, 1.0, 2.0)
    backs = [recovery.Back(way, 1.0, 5.0, 6.0, None, used) for way in province.WAYS]
    done = recovery.Recovery(backs, 10.0, 50_000, 8, 1_000_000, 3_000_000, 300_000)
    assert list(province.of_meters([(1_000, done)]))[-1] == (
        "| 1,000 | 10 s | 3 MB | 2,000 B | 0 MB | 300 B | 0 MB | 5 s, 6 s | 5 s, 6 s |"
    )
    assert province.figures(1_000, done, 5) == (2_000, 300, 1_000)
    rows = list(province.model(2_000, 50, 600))
    assert "| memory of workers, GB | 200 | 5,400 | 2,000 B a meter, above |" in rows
    assert rows[-1].startswith("| a worker of 64 to recover, s past the session | 938 | 938 |")


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2), (0.75, 3), (0.751, 4), (1, 4)])
def test_a_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    assert percentile([4, 1, 3, 2], share) == expected


def test_memory_that_stays_is_told_from_memory_that_grows() -> None:
    used = Used(90.0, (1.0,), None, 1.0, 2.0)

    def of(memory: list[int]) -> soak.Trend:
        samples = [soak.Sample(10.0 * n, 1000 * n, 1, 1, bytes_, 1, 1) for n, bytes_ in enumerate(memory)]
        return soak.Soak(samples, soak.RowSizes(1, 1, 1, 1), 0, 0, used).trend

    full = of([100, 400, 1000, 1000, 1000, 1000, 1000])  # the first third does not count
    assert (full.an_hour, full.each_100_000, full.is_flat) == (0, 0, True)
    grows = of([1000, 1000, 1000, 1100, 1200, 1300, 1400])
    assert (round(grows.an_hour), round(grows.each_100_000), grows.is_flat) == (36_000, 10_000, False)
