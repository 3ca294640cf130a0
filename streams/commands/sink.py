"""``gridclock sink``: cases and alerts into a database, or into Parquet files."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from streams.commands.common import DONE, broker_options, log_options, log_outages, need_broker
from streams.errors import ConfigError
from streams.kafka.acls import permissions_of
from streams.log_lines import announce, start_logging
from streams.loopback import in_url
from streams.settings import Settings, load_settings
from streams.sink.rows import KEYS, Table

if TYPE_CHECKING:
    from streams.sink.metrics import SinkMetrics
    from streams.sink.target import Target

TABLES: tuple[Table, ...] = tuple(KEYS)


@click.command(short_help="Write cases and alerts to PostgreSQL or to Parquet files.")
@broker_options
@click.option(
    "--database", metavar="ADDRESS", help="postgresql://USER@HOST:PORT/NAME, without a password (GRIDCLOCK_DATABASE)."
)
@click.option("--schema", "database_schema", help="The schema of its tables, created if missing (gridclock).")
@click.option(
    "--to", type=(click.Choice(["parquet"]), click.Path(path_type=Path)), metavar="parquet DIR",
    help="Write Parquet files to this directory instead: one a day, for DuckDB, Spark, Power BI.",
)  # fmt: skip
@click.option(
    "--every", type=click.FloatRange(min=1), default=60.0, show_default=True, metavar="SECONDS",
    help="How often the files of days with changes are written anew.",
)  # fmt: skip
@click.option("--table", "tables", multiple=True, type=click.Choice(TABLES), help="Only cases, or only alerts.")
@click.option("--metrics-host", help="Address of /metrics (127.0.0.1).")
@click.option(
    "--metrics-port", type=int, default=9468, envvar="GRIDCLOCK_SINK_METRICS_PORT", show_default=True,
    help="Port of /metrics, 0 for any.",
)  # fmt: skip
@log_options
def sink(tables: tuple[str, ...], to: tuple[str, Path] | None, every: float, **given: Any) -> int:
    """Write each case's present state, and every alert, to PostgreSQL or Parquet until SIGTERM or Ctrl-C.

    把工单时限案件与告警写入 PostgreSQL（及时率视图在库中），或按日写成 Parquet 文件。

    Tables cases and alerts, views on_time_by_day, on_time_by_month, on_time_by_organisation, on_time_by_rule (及时率)
    and standing_alerts. Workers must run with --cases. Each record is written once, with its offset in the same
    transaction. The password comes from GRIDCLOCK_DATABASE_PASSWORD or from the file that
    GRIDCLOCK_DATABASE_PASSWORD_FILE names. Several may run: one writes, the others stand by. Metrics are on port 9468.

    With --to parquet DIR: DIR/cases/day=2026-03-02/cases.parquet and the like, each file replaced as a whole, so
    that a reader of DIR/cases/*/*.parquet sees each case once, as it stands.

    \b
    Examples:
      gridclock sink --bootstrap 127.0.0.1:9092 --database postgresql://gridclock@127.0.0.1:5432/gridclock
      gridclock sink --bootstrap 127.0.0.1:9092 --to parquet /var/lib/gridclock/results
    """
    settings = load_settings(**given)
    start_logging(settings.log_level)
    from streams.sink.metrics import SinkMetrics  # late: psycopg takes time to load
    from streams.sink.process import Sink, Sources

    target, name = _target(settings, to, every)
    wanted = cast(tuple[Table, ...], tuple(dict.fromkeys(tables)) or TABLES)
    begun = log_outages(settings)
    need_broker(settings, permissions_of("sink", settings))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    metrics = SinkMetrics(wanted, target.place)
    url = _served(metrics, settings)

    def on_ready(partitions: int) -> None:
        begun()
        announce(f"writing {' and '.join(wanted)} of {partitions} partitions to {name}, metrics {url}")

    try:
        Sink(settings, Sources.of(settings, wanted), target, metrics, on_ready, stop).run()
    finally:
        metrics.close()
    announce("stopped in order")
    return DONE


def _served(metrics: SinkMetrics, settings: Settings) -> str:
    """The address of the metrics, served from now on."""
    host, port = settings.metrics_host, settings.metrics_port
    return f"http://{in_url(host)}:{metrics.serve(host, port)}/metrics"


def _target(settings: Settings, to: tuple[str, Path] | None, every: float) -> tuple[Target, str]:
    """Where to write, and its name for the line that says that it writes."""
    if to is not None:
        from streams.sink.parquet import ParquetTarget, check_directory  # late: as above

        _, directory = to
        check_directory(directory)
        return ParquetTarget(directory, every), f"directory {directory}"
    if not settings.database:
        raise ConfigError("no database given: use --database, GRIDCLOCK_DATABASE or --to parquet DIR", key="database")
    from streams.sink.database import DatabaseTarget

    return DatabaseTarget(settings), f"schema {settings.database_schema}"
