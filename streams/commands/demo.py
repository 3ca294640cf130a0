"""``gridclock demo``: the whole system on one machine, for a first look."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from schemas.fields import parse_time
from schemas.limits import DAY
from streams.commands.common import DONE
from streams.core.instants import format_us, instant_us
from streams.demonstration.net_alerts import Comparison, Fact, NetAlerts, compare, expected_facts
from streams.demonstration.screen import Screen, Status
from streams.demonstration.worker import Worker
from streams.errors import BrokerError
from streams.kafka.admin import READING, delete_topics, ensure_topics
from streams.kafka.brokers import Broker, broker
from streams.kafka.topics import topics_of
from streams.operations.feeder import Feeder
from streams.rulebooks.loader import load_rulebook
from streams.settings import Settings, load_settings
from streams.simulation import Simulation, simulate
from streams.wall_clock import WallClock
from streams.wire.decoder import decode_json

DIFFERENT: Final = 1
START: Final = date(2026, 3, 2)
PARTITIONS: Final = 4
"""Partitions of each topic: as many as the embedded broker creates."""

_HEAD_START = 5.0
"""Seconds before simulated time starts: about the start-up time of the worker. A slower worker has a backlog and
catches up.
"""

_PATIENCE = 60.0
"""Seconds of lag at the end after which the demo gives up."""


@click.command(short_help="Show the whole system, on its own broker.")
@click.option("--orders", type=click.IntRange(1, 20_000), default=300, show_default=True, help="Simulated orders.")
@click.option("--days", type=click.IntRange(1, 366), default=40, show_default=True, help="Days that they take.")
@click.option(
    "--speed",
    type=click.FloatRange(0.001, 20),
    default=1.0,
    show_default=True,
    help="Simulated days in one second.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the simulation.")
@click.option("--lang", type=click.Choice(["zh", "en"]), default="en", show_default=True, help="中文 or English.")
def demo(orders: int, days: int, speed: float, seed: int, lang: str) -> int:
    """Show the whole system: simulated work orders through Kafka to alerts, forty days in about a minute.

    Finds or starts a broker (KAFKA_BOOTSTRAP_SERVERS, Docker, Java, or the embedded one; GRIDCLOCK_BROKER=embedded
    forces that), starts a worker, sends the orders' events in simulated time, and prints the alerts. At the end it
    compares them with the verdicts that the simulator expects; exits 1 where they differ. It stops all that it started.

    \b
    Example:
      gridclock demo --lang zh
      gridclock demo --orders 1000 --speed 0.5
    """
    made = simulate(orders=orders, seed=seed, start=START, days=days)
    screen = Screen(lang)
    with _ended_by_sigterm(), ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gridclock-demo-")))
        found = stack.enter_context(broker(on_progress=lambda text: screen.print_line(text, text, style="dim")))
        settings = load_settings(bootstrap=found.bootstrap, name=_name(), partitions=PARTITIONS, sources=())
        _introduce(screen, found, made, days, speed)
        specs = topics_of(settings)
        security = settings.security()
        ensure_topics(settings.bootstrap, specs, security=security)
        if found.kind == "external":
            names = [spec.name for spec in specs]
            stack.callback(delete_topics, settings.bootstrap, names, security=security)
        net = NetAlerts(made.as_of)
        _play(screen, settings, made, net, directory, days, speed)
    expected = expected_facts(made.expected)
    comparison = compare(expected, net.facts())
    return _sum_up(screen, lang, net, expected, comparison)


def _name() -> str:
    """A new name for every run, so that existing topics on the user's broker are not used."""
    return f"gridclock-demo-{os.getpid()}-{WallClock().now() // 1000}"


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the demo like Ctrl-C, with all cleaned up."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _introduce(screen: Screen, found: Broker, made: Simulation, days: int, speed: float) -> None:
    screen.print_line(
        f"broker: {found.description}, {found.bootstrap}", f"消息代理：{found.description}，{found.bootstrap}"
    )
    seconds = days / speed
    until = START + timedelta(days=days)
    screen.print_line(
        f"{len(made.events):,} events of simulated work orders, {START} to {until}, in about {seconds:.0f} seconds. "
        "The time limits of State Grid standard 482 (2023) run on them.",
        f"模拟工单事件 {len(made.events):,} 条，{START} 至 {until}，约 {seconds:.0f} 秒；"
        "按国家电网营销〔2023〕482号及公开承诺计时。",
    )


def _play(
    screen: Screen, settings: Settings, made: Simulation, net: NetAlerts, directory: Path, days: int, speed: float
) -> None:
    real = WallClock()
    end = instant_us(parse_time(made.as_of))
    begin = end - days * DAY
    clock = WallClock.scaled(begin, round(speed * 86_400), anchor=real.now() + int(_HEAD_START * 1e6))
    give_up = real.now() + int((days / speed + _HEAD_START + _PATIENCE) * 1e6)
    zone = parse_time(made.as_of).tzinfo
    assert zone is not None
    with ExitStack() as stack:
        worker = Worker(settings, clock, directory)
        stack.callback(worker.kill)
        feed = Feeder(settings, made.events, clock)
        stack.callback(feed.stop)
        poll = stack.enter_context(_alerts(settings))
        feed.start()
        ready = None

        def show() -> bool:
            found = poll()
            for data in found:
                if net.add(data):
                    screen.alert(data, net.alerts.get(data["retracts"] or ""))
            return bool(found)

        with screen:
            # After the time limit the loop ends too; the comparison then shows the missing alerts.
            while not (feed.is_done and clock.now() > end and worker.has_passed(end)) and real.now() < give_up:
                if ready is None and (ready := worker.at_work) is not None:
                    screen.at_work(ready)
                show()
                now = max(begin, min(clock.now(), end))
                screen.status(
                    Status(format_us(now, zone), feed.sent, len(made.events), (now - begin) / (end - begin)), net
                )
                feed.check()
                _ = worker.at_work  # raises where it has ended
            worker.stop()
            while show():
                pass


@contextmanager
def _alerts(settings: Settings) -> Iterator[Callable[[], list[Any]]]:
    """Yields a function that waits briefly and returns the new alerts, in order."""
    try:
        consumer = KafkaConsumer(
            **settings.kafka_python(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **READING,
            fetch_max_wait_ms=50,  # the embedded broker delays an empty answer by the whole wait
        )
        try:
            numbers = consumer.partitions_for_topic(settings.alerts_topic) or ()
            consumer.assign([TopicPartition(settings.alerts_topic, number) for number in sorted(numbers)])

            def poll() -> list[Any]:
                batches = consumer.poll(timeout_ms=100).values()
                found = [decode_json(record.value)["data"] for records in batches for record in records]
                return sorted(found, key=lambda data: str(data["detected_at"]))

            yield poll
        finally:
            consumer.close()
    except KafkaError as error:
        raise BrokerError(f"{settings.bootstrap}: {error}") from error


def _sum_up(screen: Screen, lang: str, net: NetAlerts, expected: set[Fact], comparison: Comparison) -> int:
    titles = {rule.id: getattr(rule.title, lang) for rule in load_rulebook().rulebook.rules}
    screen.summary(net, titles, expected, comparison)
    return DONE if comparison.agrees else DIFFERENT
