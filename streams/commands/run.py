"""``gridclock run``: one live worker."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from streams.commands.common import (
    DONE,
    WRONG_USE,
    Bytes,
    broker_options,
    engine_option,
    log_options,
    log_outages,
    need_broker,
    rulebook_of,
    rulebook_options,
)
from streams.engine.clocks import NativeClocks, native_clocks
from streams.errors import GridclockError
from streams.kafka.acls import permissions_of
from streams.live.gc_tuning import short_collections
from streams.live.reloading import run_reloading
from streams.live.worker import Ready, run_worker
from streams.log_lines import announce, start_logging
from streams.loopback import in_url
from streams.rulebooks.decoding import decoder_of
from streams.rulebooks.loader import LoadedRulebook
from streams.rulebooks.mapping_files import topic_mappings
from streams.settings import Settings, load_settings


@click.command(short_help="Run a worker: events from Kafka, alerts to Kafka.")
@broker_options
@rulebook_options
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="TOPIC[=MAP]",
    help="A source topic (NAME.events), and the mapping of its records if they are not events.",
)
@click.option("--partitions", type=int, help="Partitions of new topics (8).")
@click.option("--cases/--no-cases", default=None, help="Write each case's present state to the topic NAME.cases (no).")
@click.option("--data-dir", metavar="DIR", help="Local copy of the state (gridclock-data).")
@click.option("--store", type=click.Choice(["rocksdb", "memory"]), help="The store of that copy (rocksdb).")
@click.option("--memory", type=Bytes(), metavar="BYTES", help="What subjects may need in memory; others rest (512M).")
@engine_option
@click.option("--grace-ms", type=int, help="The most that an event may be delayed without being late (1000).")
@click.option("--tick-ms", type=int, help="How often the watermark advances without input (250).")
@click.option("--metrics-host", help="Address of /metrics (127.0.0.1).")
@click.option("--metrics-port", type=int, help="Port of /metrics, 0 for any (9464).")
@click.option("--clock-origin", type=int, hidden=True)
@click.option("--clock-anchor", type=int, hidden=True)
@click.option("--clock-speed", type=float, hidden=True)
@log_options
def run(rules: tuple[Path, ...], only: Path | None, sources: tuple[str, ...], engine: str | None, **given: Any) -> int:
    """Run a worker until SIGTERM or Ctrl-C: events in, one alert for each change of verdict out.

    Every setting can also be in the environment as GRIDCLOCK_<NAME>. Missing topics are created if the broker can.
    /metrics is for Prometheus. SIGHUP reloads a changed rulebook, if it has no errors.

    \b
    Example:
      gridclock run --bootstrap 127.0.0.1:9092 --data-dir /var/lib/gridclock
      gridclock run --source marketing.public.orders=orders.yaml --source gridclock.events
    """
    settings = load_settings(sources=sources or None, **given)
    start_logging(settings.log_level)
    begun = log_outages(settings)
    need_broker(settings, permissions_of("run", settings))
    loaded = rulebook_of(rules, only)
    topic_mappings(settings, loaded.catalogue)
    native = native_clocks(loaded.rulebook, loaded.catalogue, engine)
    shown = {name: value for name, value in settings.shown().items() if value not in (None, [], ())}
    announce("settings", settings=shown)

    def check() -> None:
        again = load_settings(sources=sources or None, **given)  # secrets in files too
        book = rulebook_of(rules, only)
        decoder_of(book, again.pseudonyms, inside=again.pseudonyms_inside)
        topic_mappings(again, book.catalogue)
        again.ssl_context()
        native_clocks(book.rulebook, book.catalogue, engine)

    def on_ready(ready: Ready) -> None:
        begun()
        announce(
            f"at work on {settings.bootstrap}, {len(loaded.rulebook.rules)} rules, "
            f"{ready.log_partitions} partitions, engine {'python' if native is None else 'native'}, "
            f"metrics http://{in_url(settings.metrics_host)}:{ready.metrics_port}/metrics"
        )

    os.umask(0o077)  # all files of a worker are state, with customers' numbers in it
    with short_collections():
        run_reloading(lambda stop: _work(settings, loaded, native, on_ready, stop), check)
    announce("stopped in order")
    return DONE


async def _work(
    settings: Settings,
    loaded: LoadedRulebook,
    native: NativeClocks | None,
    on_ready: Callable[[Ready], None],
    stop: asyncio.Event,
) -> None:
    """Run, and end the process if the worker fails, or does not end when it must.

    A crashed Faust app leaves tasks that restart when they are cancelled, and threads that wait for ever: so the
    process does not wait for them once all is closed, nor longer than two sessions before; nor longer than three where
    ``stop`` was set. A kill would be harmless, too.
    """
    failing = False
    latest = 3 * settings.session_s

    def on_failed(error: Exception) -> None:
        nonlocal failing
        failing = True
        _after(2 * settings.session_s, lambda: _end_process(error))

    def on_late() -> None:
        announce(
            f"it has not stopped in order within {latest:g} s: the process ends; nothing is lost", level=logging.ERROR
        )
        os._exit(1)

    async def limit() -> None:
        await stop.wait()
        timer = _after(latest, on_late)
        try:
            await asyncio.Event().wait()
        finally:
            timer.cancel()

    limiting = asyncio.create_task(limit())
    try:
        await run_worker(settings, loaded, native=native, on_ready=on_ready, on_failed=on_failed, stop=stop)
    except Exception as error:
        if failing:
            _end_process(error)
        raise
    finally:
        limiting.cancel()


def _after(seconds: float, act: Callable[[], None]) -> threading.Timer:
    """Act in a thread of its own: the loop may stand still by then."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    return timer


def _end_process(error: Exception) -> None:
    if isinstance(error, GridclockError):
        announce(str(error), level=logging.ERROR)
    else:
        sys.excepthook(type(error), error, error.__traceback__)
    os._exit(WRONG_USE if isinstance(error, GridclockError) else 1)
