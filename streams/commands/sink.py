"""``gridclock sink``: cases and alerts into a database."""

from __future__ import annotations

import signal
import threading
from typing import Any, cast

import click

from streams.commands.common import DONE, broker_options, log_options, need_broker
from streams.errors import ConfigError
from streams.kafka.acls import permissions_of
from streams.kafka.outage import watch_for_outage
from streams.log_lines import announce, start_logging
from streams.settings import load_settings
from streams.sink.rows import KEYS, Table

TABLES: tuple[Table, ...] = tuple(KEYS)


@click.command(short_help="Write cases and alerts to PostgreSQL.")
@broker_options
@click.option(
    "--database", metavar="ADDRESS", help="postgresql://USER@HOST:PORT/NAME, without a password (GRIDCLOCK_DATABASE)."
)
@click.option("--schema", "database_schema", help="The schema of its tables, created if missing (gridclock).")
@click.option("--table", "tables", multiple=True, type=click.Choice(TABLES), help="Only cases, or only alerts.")
@log_options
def sink(tables: tuple[str, ...], **given: Any) -> int:
    """Write each case's present state, and every alert, to PostgreSQL until SIGTERM or Ctrl-C.

    把工单时限案件与告警写入 PostgreSQL，及时率视图在库中。

    Tables cases and alerts, views on_time_by_day, on_time_by_month, on_time_by_organisation, on_time_by_rule (及时率)
    and standing_alerts. Workers must run with --cases. Each record is written once, with its offset in the same
    transaction. The password comes from GRIDCLOCK_DATABASE_PASSWORD or from the file that
    GRIDCLOCK_DATABASE_PASSWORD_FILE names. Several may run: one writes, the others stand by.

    \b
    Example:
      gridclock sink --bootstrap 127.0.0.1:9092 --database postgresql://gridclock@127.0.0.1:5432/gridclock
    """
    settings = load_settings(**given)
    start_logging(settings.log_level)
    if not settings.database:
        raise ConfigError("no database given: use --database or GRIDCLOCK_DATABASE", key="database")
    from streams.sink.process import Sink, Sources  # late: psycopg takes time to load

    stop = threading.Event()
    wanted = cast(tuple[Table, ...], tuple(dict.fromkeys(tables)) or TABLES)
    found = Sink(
        settings,
        Sources.of(settings, wanted),
        lambda partitions: announce(
            f"writing {' and '.join(wanted)} of {partitions} partitions to schema {settings.database_schema}"
        ),
        stop,
    )
    watch_for_outage(settings.bootstrap)
    need_broker(settings, permissions_of("sink", settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    found.run()
    announce("stopped in order")
    return DONE
