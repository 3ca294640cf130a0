"""``gridclock feed``: simulated work orders, sent at their times."""

from __future__ import annotations

import signal
import threading
from datetime import date, datetime, timedelta
from typing import Any, Final
from zlib import crc32
from zoneinfo import ZoneInfo

import click

from streams.commands.common import DONE, broker_options, log_outages, need_broker
from streams.kafka.acls import permissions_of
from streams.kafka.topics import check_present, check_unmapped
from streams.log_lines import start_logging
from streams.operations.feeder import feed as send_in_time
from streams.settings import load_settings
from streams.simulation import simulate
from streams.wall_clock import WallClock

SHANGHAI = ZoneInfo("Asia/Shanghai")
_SERIES: Final = 1_000_000
_LONGEST: Final = 10_000_000
"""Orders of a series of numbers, more than a feed sends."""


@click.command(short_help="Send simulated work orders at their times.")
@broker_options
@click.option(
    "--orders-per-day", type=click.IntRange(1), default=1500, show_default=True, help="Simulated work orders per day."
)
@click.option("--days", type=click.IntRange(1), default=7, show_default=True, help="From today on.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulation.")
def feed(orders_per_day: int, days: int, seed: int, **given: Any) -> int:
    """Send simulated work orders of today and the next days, each event at its time.

    Events recorded before now are sent at once. For trials of an installation; the workers cannot distinguish these
    events from real ones, so use a separate --name. Ends with the last event, or on Ctrl-C. Given again on the same day
    with the same options it goes on: what is sent a second time counts once.

    \b
    Example:
      gridclock feed --bootstrap 127.0.0.1:9092 --name trial
    """
    settings = load_settings(**given)
    check_unmapped(settings, settings.source_topics[0], " as the first of GRIDCLOCK_SOURCES")
    need_broker(settings, permissions_of("send", settings))
    check_present(settings, settings.source_topics[:1])
    start_logging(settings.log_level)
    begun = log_outages(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    clock = WallClock()
    today = datetime.fromtimestamp(clock.now() / 1e6, SHANGHAI).date()
    events = _simulated(today - timedelta(days=1), days + 1, orders_per_day, seed)
    click.echo(f"gridclock: {len(events):,} events for {settings.source_topics[0]}", err=True)
    sent = send_in_time(settings, events, clock, stop, lambda _sent: begun())
    click.echo(f"gridclock: {sent:,} events sent", err=True)
    return DONE


def _simulated(start: date, days: int, orders_per_day: int, seed: int) -> list[dict[str, Any]]:
    """The events. Those of other arguments, such as of another day, have other ids: under one id a fact is one fact."""
    number = crc32(f"{start}/{days}/{orders_per_day}/{seed}".encode()) % _SERIES * _LONGEST
    return simulate(orders=orders_per_day * days, seed=seed, start=start, days=days, first_number=number + 1).events
