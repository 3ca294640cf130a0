"""``gridclock ops``: the operations centre on one machine, on simulated work orders."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import click

from streams.adapters.brokers import broker
from streams.adapters.child_process import ChildProcess
from streams.adapters.feeder import feed
from streams.adapters.java_broker import free_ports
from streams.adapters.monitoring import Alertmanager, Prometheus, why_not
from streams.adapters.wall_clock import WallClock
from streams.commands.common import DONE, broker_options
from streams.core.instants import instant_us
from streams.errors import BrokerError, GridclockError
from streams.settings import Settings, load_settings
from streams.simulation import simulate

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
DAYS_BEFORE: Final = 2
DAYS_AFTER: Final = 12
STOPPED_EARLY: Final = 1

COMPANIONS: Final[tuple[tuple[str, ...], ...]] = ()
"""Further commands of ``gridclock`` to run beside the workers, each as its words; all get --bootstrap and --name.

The place to add ``("notify", "--subscriptions", ...)`` and ``("board",)``.
"""


@dataclass(frozen=True, slots=True)
class _Clock:
    """The clock of the whole set-up, and how to tell it to a child."""

    clock: WallClock
    words: tuple[str, ...]


@click.command(short_help="Bring up workers, Prometheus and Alertmanager on simulated orders.")
@broker_options
@click.option("--workers", type=click.IntRange(1, 16), default=2, show_default=True, help="Worker processes.")
@click.option(
    "--speed",
    type=click.FloatRange(min=1),
    default=60,
    show_default=True,
    help="1: real time; 60: a simulated minute is a second.",
)
@click.option(
    "--orders-per-day",
    type=click.IntRange(1),
    default=1500,
    show_default=True,
    help="Simulated work orders a simulated day.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulation.")
@click.option("--no-simulator", is_flag=True, help="Send nothing: events come from elsewhere.")
@click.option("--seconds", type=click.IntRange(1), default=5, show_default=True, help="How often Prometheus looks.")
def ops(
    workers: int, speed: float, orders_per_day: int, seed: int, no_simulator: bool, seconds: int, **given: Any
) -> int:
    """Bring up a broker where none is named, workers, Prometheus and Alertmanager, and feed them simulated orders.

    Everything listens on 127.0.0.1 and is gone after Ctrl-C; nothing is kept. Prometheus and Alertmanager are those
    installed here (Debian: prometheus, prometheus-alertmanager); one that is missing is named and left out. The
    dashboards need Grafana: see deploy/compose.yaml.

    \b
    Example:
      gridclock ops --speed 60
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = load_settings(**given)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gridclock-ops-")))
        if not settings.bootstrap:
            settings = settings.model_copy(update={"bootstrap": _broker(stack)})
        time = _clock(speed)
        children = _workers(stack, settings, time, workers, directory)
        ports = [port for _, port in children]
        urls = [(f"worker {number}", f"http://127.0.0.1:{port}/metrics") for number, port in enumerate(ports, 1)]
        urls += _monitoring(stack, directory, ports, seconds)
        for words in COMPANIONS:
            child = _child((*words, *_where(settings)), directory / f"{words[0]}.log")
            stack.callback(child.kill)
            children.append((child, 0))
        if not _await_ready([child for child, _ in children[:workers]], stop):
            return STOPPED_EARLY
        feeder = None if no_simulator else _feeder(stack, settings, time, orders_per_day, seed, stop)
        for name, url in urls:
            click.echo(f"{name:14} {url}")
        click.echo(f"{'events go to':14} {settings.source_topics[0]} on {settings.bootstrap}")
        click.echo("Ctrl-C stops everything")
        return _watch([child for child, _ in children], feeder, stop)


def _say(text: str) -> None:
    click.echo(f"gridclock: {text}", err=True)


def _broker(stack: ExitStack) -> str:
    found = stack.enter_context(broker(on_progress=_say))
    _say(f"broker: {found.description}")
    return found.bootstrap


def _clock(speed: float) -> _Clock:
    """Real time, or one that begins this morning at half past eight and runs faster."""
    real = WallClock()
    if speed == 1:
        return _Clock(real, ())
    anchor = real.now()
    today = datetime.fromtimestamp(anchor / 1e6, SHANGHAI)
    origin = instant_us(today.replace(hour=8, minute=30, second=0, microsecond=0))
    words = ("--clock-origin", str(origin), "--clock-anchor", str(anchor), "--clock-speed", str(speed))
    return _Clock(WallClock.scaled(origin, speed, anchor), words)


def _where(settings: Settings) -> tuple[str, ...]:
    return "--bootstrap", settings.bootstrap, "--name", settings.name


def _child(words: Sequence[str], log: Path) -> ChildProcess:
    return ChildProcess([sys.executable, "-m", "streams.cli", *words], log)


def _workers(
    stack: ExitStack, settings: Settings, time: _Clock, count: int, directory: Path
) -> list[tuple[ChildProcess, int]]:
    found = []
    for number, port in enumerate(free_ports(count), 1):
        own = ("--data-dir", str(directory / f"state-{number}"), "--metrics-port", str(port))
        child = _child(("run", *_where(settings), *own, *time.words), directory / f"worker-{number}.log")
        stack.callback(child.kill)
        found.append((child, port))
    return found


def _monitoring(stack: ExitStack, directory: Path, ports: Sequence[int], seconds: int) -> list[tuple[str, str]]:
    urls = []
    alertmanager = None
    if (reason := why_not("Alertmanager")) is None:
        found = Alertmanager(directory / "alertmanager")
        stack.callback(found.stop)
        alertmanager = f"127.0.0.1:{found.port}"
        urls.append(("Alertmanager", found.url))
    else:
        _say(f"{reason}: alerts are seen in Prometheus only")
    if (reason := why_not("Prometheus")) is None:
        targets = [f"127.0.0.1:{port}" for port in ports]
        server = Prometheus(directory / "prometheus", targets, alertmanager=alertmanager, seconds=seconds)
        stack.callback(server.stop)
        urls.insert(0, ("Prometheus", server.url))
    else:
        _say(f"{reason}: look at the workers' /metrics instead")
    return urls


def _await_ready(workers: Sequence[ChildProcess], stop: threading.Event) -> bool:
    waiting = list(workers)
    while waiting and not stop.wait(0.1):
        for child in list(waiting):
            if child.exit_code is not None:
                raise BrokerError(f"a worker did not start:\n{child.last_lines()}")
            if "at work on" in child.output():
                waiting.remove(child)
    return not waiting


def _feeder(
    stack: ExitStack, settings: Settings, time: _Clock, orders_per_day: int, seed: int, stop: threading.Event
) -> threading.Thread:
    today: date = datetime.fromtimestamp(time.clock.now() / 1e6, SHANGHAI).date()
    days = DAYS_BEFORE + DAYS_AFTER
    orders = orders_per_day * days
    _say(f"making {orders:,} simulated orders of {days} days")
    events = simulate(orders=orders, seed=seed, start=today - timedelta(days=DAYS_BEFORE), days=days).events
    arguments = (events, settings.source_topics[0], time.clock, stop, settings.kafka_python())
    thread = threading.Thread(target=feed, args=arguments, name="feeder")
    thread.start()
    stack.callback(thread.join)
    stack.callback(stop.set)
    return thread


def _watch(children: Sequence[ChildProcess], feeder: threading.Thread | None, stop: threading.Event) -> int:
    done = feeder is None
    while not stop.wait(0.5):
        for child in children:
            if child.exit_code is not None:
                raise GridclockError(f"a process ended with {child.exit_code}:\n{child.last_lines()}")
        if not done and feeder is not None and not feeder.is_alive():
            done = True
            _say("the simulator has no more orders; the clocks go on")
    return DONE
