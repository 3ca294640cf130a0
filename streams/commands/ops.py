"""``gridclock ops``: the operations centre on one machine, on simulated work orders."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import click
import yaml

from streams.commands.common import DONE, broker_options, options_as, rulebook_of, rulebook_options
from streams.commands.receiver import SECRET
from streams.core.instants import instant_us
from streams.errors import ConfigError, GridclockError
from streams.kafka.brokers import Broker, broker
from streams.kafka.child_process import ChildProcess
from streams.kafka.java_broker import free_ports
from streams.operations.feeder import Feeder
from streams.operations.grafana import Grafana, how_to_start
from streams.operations.monitoring import DEPLOY, Alertmanager, MonitoringError, Prometheus, why_not
from streams.operations.supervision import Restartable, Supervisor
from streams.settings import Settings, load_settings
from streams.simulation import simulate
from streams.wall_clock import WallClock

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
DAYS_BEFORE: Final = 2
DAYS_AFTER: Final = 12
STOPPED_EARLY: Final = 1
LOOPBACK: Final = ("--metrics-host", "127.0.0.1")
CENTRE: Final = DEPLOY / "subscriptions.centre.yaml"


@dataclass(frozen=True, slots=True)
class _Clock:
    """The clock of the whole set-up, and the options that give it to a child."""

    clock: WallClock
    words: tuple[str, ...]


@dataclass(frozen=True)
class _Options:
    """The options of ``gridclock ops``."""

    bootstrap: str | None
    name: str | None
    rules: tuple[Path, ...]
    only: Path | None
    workers: int
    speed: float
    orders_per_day: int
    seed: int
    no_simulator: bool
    seconds: int
    webhook: str | None


@click.command(short_help="Start the whole operations centre on simulated orders.")
@broker_options
@rulebook_options
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
    help="Simulated work orders per simulated day.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulation.")
@click.option("--no-simulator", is_flag=True, help="Send no events: they come from elsewhere.")
@click.option(
    "--seconds", type=click.IntRange(1), default=2, show_default=True, help="The scrape interval of Prometheus."
)
@click.option(
    "--webhook", metavar="URL",
    help="The webhook for alerts, signed with GRIDCLOCK_WEBHOOK_SECRET; by default a receiver started here.",
)  # fmt: skip
@options_as(_Options)
def ops(options: _Options) -> int:
    """Start the operations centre 运营中心: workers, board, notifier, Prometheus, Alertmanager, simulated orders.

    A broker is started where none is named. All processes listen on 127.0.0.1 and end with Ctrl-C; no data is kept. A
    process that ends by itself is restarted, which is reported. The notifier sends to Alertmanager and a webhook, by
    deploy/subscriptions.centre.yaml. Prometheus and Alertmanager are those installed here (Debian: prometheus,
    prometheus-alertmanager); a missing one is reported and left out. The dashboards are shown by a grafana program that
    is installed here, or by Docker with the image of deploy/compose.yaml. With GRIDCLOCK_DATABASE a sink writes there.

    \b
    Example:
      gridclock ops --speed 60
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = load_settings(bootstrap=options.bootstrap, name=options.name)
    rulebook = _rulebook_words(options.rules, options.only)
    secret = os.environ.get(SECRET, "").strip()
    if options.webhook and not secret:
        raise ConfigError(f"environment variable {SECRET} is not set", key="webhook")
    kind = "external"
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gridclock-ops-")))
        if not settings.bootstrap:
            found = _broker(stack)
            settings = settings.model_copy(update={"bootstrap": found.bootstrap})
            kind = found.kind
        centre = _Centre(stack, settings, _clock(options.speed), directory, secret or secrets.token_hex(16))
        if not _start(centre, options, rulebook, kind, stop):
            return STOPPED_EARLY
        feeder = None if options.no_simulator else _feeder(stack, settings, centre.time, options)
        for name, url in centre.urls:
            click.echo(f"{name:14} {url}")
        click.echo(f"{'events go to':14} {settings.source_topics[0]} on {settings.bootstrap}")
        click.echo("Ctrl-C stops everything")
        return _watch(centre.supervised, feeder, stop)


def _start(
    centre: _Centre, options: _Options, rulebook: Sequence[str], broker_kind: str, stop: threading.Event
) -> bool:
    """Start all processes, each group when the one before is ready; false if stopped before."""
    workers = options.workers
    if broker_kind == "embedded" and workers > 1:
        _report("one worker: this broker cannot assign partitions to several")
        workers = 1
    for _ in range(workers):
        centre.worker(rulebook)
    if not centre.await_ready(stop):
        return False
    centre.board(rulebook)
    centre.alertmanager()
    if broker_kind == "embedded":
        _report("no notifier: this broker has no transactions; see the alerts on the board")
    else:
        centre.notifier(options.webhook or centre.receiver())
    centre.sink()
    centre.prometheus(options.seconds)
    centre.grafana()
    return centre.await_ready(stop)


class _Centre:
    """The processes started so far, and their addresses. All end with the ``stack``."""

    def __init__(self, stack: ExitStack, settings: Settings, time: _Clock, directory: Path, secret: str) -> None:
        self.time = time
        self.urls: list[tuple[str, str]] = []
        self.children: dict[str, ChildProcess] = {}
        self._stack = stack
        self._directory = directory
        self._environment = {SECRET: secret, "GRIDCLOCK_LOG_FORMAT": "text"}
        if settings.database:
            self._environment |= {"GRIDCLOCK_CASES": "true"}
        self._settings = settings
        self._where = ("--bootstrap", settings.bootstrap, "--name", settings.name)
        self._waiting: list[tuple[ChildProcess, str, str]] = []
        self._worker_ports: list[int] = []
        self._others: dict[str, list[str]] = {}  # for Prometheus: addresses by job
        self._alertmanager: Alertmanager | None = None
        self._prometheus: Prometheus | None = None
        self._grafana: Grafana | None = None

    @property
    def supervised(self) -> Mapping[str, Restartable]:
        """All processes started here, by name."""
        servers = {"Alertmanager": self._alertmanager, "Prometheus": self._prometheus, "Grafana": self._grafana}
        return {**self.children, **{name: one for name, one in servers.items() if one is not None}}

    def _start(self, name: str, words: Sequence[str], says: str | None) -> None:
        """Start one more ``gridclock``; ``await_ready`` waits until it says a word, if one is given."""
        command = [sys.executable, "-m", "streams.cli", *words]
        log = self._directory / f"{name.replace(' ', '-')}.log"
        child = ChildProcess(command, log, environment=self._environment)
        self._stack.callback(child.kill)
        self.children[name] = child
        if says is not None:
            self._waiting.append((child, name, says))

    def worker(self, rulebook: Sequence[str]) -> None:
        """One more worker, with its own state."""
        (port,) = free_ports(1)
        self._worker_ports.append(port)
        number = len(self._worker_ports)
        own = ("--data-dir", str(self._directory / f"state-{number}"), *LOOPBACK, "--metrics-port", str(port))
        self._start(f"worker {number}", ("run", *self._where, *rulebook, *own, *self.time.words), "at work on")
        self.urls.append((f"worker {number}", f"http://127.0.0.1:{port}/metrics"))

    def board(self, rulebook: Sequence[str]) -> None:
        """The live board, on its usual port where that is free."""
        port = _usual_port("board_port")
        words = ("board", *self._where, *rulebook, "--host", "127.0.0.1", "--port", str(port), *self.time.words)
        self._start("board", words, "board http")
        self.urls.insert(0, ("board 实时看板", f"http://127.0.0.1:{port}/board"))

    def receiver(self) -> str:
        """A receiver of webhooks; its address."""
        (port,) = free_ports(1)
        self._start("receiver", ("receiver", "--port", str(port)), "receiver http")
        url = f"http://127.0.0.1:{port}/"
        self.urls.append(("webhook", url))
        return url

    def notifier(self, webhook: str) -> None:
        """The notifier, which sends to the webhook and, where it runs, Alertmanager."""
        if not CENTRE.is_file():
            _report(f"there is no {CENTRE}: run from a clone to have alerts sent")
            return
        port = self._monitored("gridclock-notify")
        self._environment |= {"GRIDCLOCK_WEBHOOK_URL": webhook}
        if self._alertmanager is not None:
            self._environment |= {"GRIDCLOCK_ALERTMANAGER_URL": self._alertmanager.url}
        file = self._directory / "subscriptions.yaml"
        file.write_text(_subscriptions(with_alertmanager=self._alertmanager is not None), "utf-8")
        own = ("--subscriptions", str(file), *LOOPBACK, "--metrics-port", str(port))
        self._start("notifier", ("notify", *self._where, *own, *self.time.words), "metrics http")
        self.urls.append(("notifier", f"http://127.0.0.1:{port}/metrics"))

    def sink(self) -> None:
        """The sink, where the settings name a database; it waits for one that is away."""
        if not self._settings.database:
            return
        port = self._monitored("gridclock-sink")
        self._start("sink", ("sink", *self._where, *LOOPBACK, "--metrics-port", str(port)), None)
        self.urls.append(("sink", f"http://127.0.0.1:{port}/metrics"))

    def _monitored(self, job: str) -> int:
        """A port that Prometheus will scrape."""
        (port,) = free_ports(1)
        self._others[job] = [f"127.0.0.1:{port}"]
        return port

    def alertmanager(self) -> None:
        """Alertmanager, where it is installed."""
        if (reason := why_not("Alertmanager")) is not None:
            _report(f"{reason}: alerts are only on the board, at the webhook and in Prometheus")
            return
        self._alertmanager = Alertmanager(self._directory / "alertmanager")
        self._stack.callback(self._alertmanager.stop)
        self.urls.append(("Alertmanager", self._alertmanager.url))

    def prometheus(self, seconds: int) -> None:
        """Prometheus, if it is installed; it scrapes all processes started before."""
        if (reason := why_not("Prometheus")) is not None:
            _report(f"{reason}: see the workers' /metrics instead")
            return
        self._prometheus = server = Prometheus(
            self._directory / "prometheus",
            [f"127.0.0.1:{port}" for port in self._worker_ports],
            others=self._others,
            alertmanager=f"127.0.0.1:{self._alertmanager.port}" if self._alertmanager else None,
            seconds=seconds,
        )
        self._stack.callback(server.stop)
        self.urls.append(("Prometheus", server.url))

    def grafana(self) -> None:
        """Grafana with the dashboards, where Prometheus runs and a grafana program or Docker is there."""
        if self._prometheus is None:
            return
        how = how_to_start()
        if isinstance(how, str):
            _report(f"{how}: the dashboards are not shown; see Prometheus and the board")
            return
        _report(f"Grafana: {how.description}")
        try:
            self._grafana = Grafana(self._directory / "grafana", self._prometheus.url, how)
        except MonitoringError as error:  # an image that cannot be fetched, an old version: the rest is of use without
            _report(f"the dashboards are not shown: {error}")
            return
        self._stack.callback(self._grafana.stop)
        self.urls.insert(1, ("Grafana 大屏", self._grafana.url))

    def await_ready(self, stop: threading.Event) -> bool:
        """Wait for all started processes; false if stopped before.

        Raises:
            GridclockError: where one of them ended.
        """
        while self._waiting and not stop.wait(0.1):
            for waiting in list(self._waiting):
                child, name, says = waiting
                if child.exit_code is not None:
                    raise GridclockError(f"{name} did not start:\n{child.last_lines()}")
                if says in child.output():
                    self._waiting.remove(waiting)
        return not self._waiting


def _rulebook_words(rules: Sequence[Path], only: Path | None) -> tuple[str, ...]:
    """The rulebook options as arguments for a child; checked here, so that an error is reported at once."""
    rulebook_of(rules, only)
    words = [word for path in rules for word in ("--rules", str(path))]
    return (*words, *(("--only", str(only)) if only else ()))


def _usual_port(setting: str) -> int:
    """A setting's default port where it is free, else any free port."""
    port: int = Settings.model_fields[setting].default
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return free_ports(1)[0]
    return port


def _subscriptions(*, with_alertmanager: bool) -> str:
    """The shipped file, without missing parts."""
    text = CENTRE.read_text("utf-8")
    if with_alertmanager:
        return text
    found = yaml.safe_load(text)
    del found["channels"]["alertmanager"]
    for one in found["subscriptions"]:
        one["channels"] = [name for name in one["channels"] if name in found["channels"]]
    return yaml.safe_dump(found, allow_unicode=True)


def _report(text: str) -> None:
    click.echo(f"gridclock: {text}", err=True)


def _broker(stack: ExitStack) -> Broker:
    found = stack.enter_context(broker(on_progress=_report))
    _report(f"broker: {found.description}")
    return found


def _clock(speed: float) -> _Clock:
    """Real time, or a faster clock that begins this morning at half past eight."""
    real = WallClock()
    if speed == 1:
        return _Clock(real, ())
    anchor = real.now()
    today = datetime.fromtimestamp(anchor / 1e6, SHANGHAI)
    origin = instant_us(today.replace(hour=8, minute=30, second=0, microsecond=0))
    words = ("--clock-origin", str(origin), "--clock-anchor", str(anchor), "--clock-speed", str(speed))
    return _Clock(WallClock.scaled(origin, speed, anchor), words)


def _feeder(stack: ExitStack, settings: Settings, time: _Clock, options: _Options) -> Feeder:
    today: date = datetime.fromtimestamp(time.clock.now() / 1e6, SHANGHAI).date()
    days = DAYS_BEFORE + DAYS_AFTER
    orders = options.orders_per_day * days
    _report(f"making {orders:,} simulated orders of {days} days")
    events = simulate(orders=orders, seed=options.seed, start=today - timedelta(days=DAYS_BEFORE), days=days).events
    feeder = Feeder(settings, events, time.clock)
    stack.callback(feeder.stop)
    feeder.start()
    return feeder


def _watch(children: Mapping[str, Restartable], feeder: Feeder | None, stop: threading.Event) -> int:
    """Run until ``stop``; a process that ends by itself is restarted."""
    reported = feeder is None
    supervisor = Supervisor(children, _report)
    while not stop.wait(0.5):
        supervisor.look()
        if feeder is not None:
            feeder.check()
            if feeder.is_done and not reported:
                reported = True
                _report("the simulator has no more orders; the clocks continue")
    return DONE
