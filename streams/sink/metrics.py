"""The metrics of a sink: one table, from which the Prometheus registry is made.

``table`` is ``cases`` or ``alerts``; ``topic`` and ``partition`` name what is read. All times are real seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.live.metric_table import WORK, Metric
from streams.live.metrics_server import Health
from streams.live.served_metrics import ServedMetrics
from streams.sink.rows import Table
from streams.sink.target import Batch, Partition
from streams.wall_clock import WallClock, monotonic

CHANGES: Final = ("upserted", "deleted")

SINK_TABLE: Final = (
    Metric(
        "gridclock_sink_records_total",
        "counter",
        ("table",),
        "Records read whose rows are written, with the offsets to read on from",
    ),
    Metric(
        "gridclock_sink_rows_total",
        "counter",
        ("table", "change"),
        "Rows upserted and deleted; of several records of one key in a transaction the last makes the row",
    ),
    Metric(
        "gridclock_sink_refused_total",
        "counter",
        ("table",),
        "Records that are no cases or alerts, kept with their bytes in the table refused",
    ),
    Metric(
        "gridclock_sink_lag_records",
        "gauge",
        ("topic", "partition"),
        "Records of a partition that are not written yet; the last known number while the target is away, absent "
        "while this process stands by",
    ),
    Metric(
        "gridclock_sink_write_seconds",
        "histogram",
        (),
        "One transaction of rows and offsets",
        WORK,
    ),
    Metric(
        "gridclock_sink_last_write_timestamp_seconds",
        "gauge",
        (),
        "The last transaction, in seconds since the epoch; 0 before the first of this process",
    ),
    Metric(
        "gridclock_sink_retries_total",
        "counter",
        (),
        "Attempts that failed because the database or the directory is away",
    ),
    Metric(
        "gridclock_sink_away_seconds",
        "gauge",
        (),
        "For how long the database or the directory has been away; 0 while it is there",
    ),
    Metric("gridclock_sink_active", "gauge", (), "1 where this process writes, 0 where it stands by or waits"),
)
SINK_METRICS: Final = {metric.name: metric for metric in SINK_TABLE}


class SinkMetrics(ServedMetrics):
    """The metrics of one sink.

    It is alive for as long as it runs: a migration of a large table takes minutes, and a restart would begin it anew.
    """

    def __init__(self, tables: tuple[Table, ...], place: str) -> None:
        super().__init__(SINK_METRICS, "gridclock_sink_", Health(now=lambda: 0.0))
        self.health.troubles.append(self._trouble)
        self._place = place
        self._away_since: float | None = None
        self._records = self.registered("records_total")
        self._rows = self.registered("rows_total")
        self._refused = self.registered("refused_total")
        self._lag = self.registered("lag_records")
        self.write_seconds = self.registered("write_seconds")
        self._last_write = self.registered("last_write_timestamp_seconds")
        self._retries = self.registered("retries_total")
        self.registered("away_seconds").set_function(self._away_seconds)
        self._active = self.registered("active")
        # Create every series at the start: Prometheus sees no increase in a series that begins at 1.
        for table in tables:
            self._records.labels(table)
            self._refused.labels(table)
            for change in CHANGES:
                self._rows.labels(table, change)

    def _away_seconds(self) -> float:
        since = self._away_since
        return 0.0 if since is None else monotonic() - since

    def _trouble(self) -> str | None:
        return None if self._away_since is None else f"{self._place}: away for {self._away_seconds():.0f} s"

    def away(self) -> None:
        """An attempt failed because the target is away."""
        if self._away_since is None:
            self._away_since = monotonic()
        self._retries.inc()
        self._active.set(0)

    def stands_by(self) -> None:
        """The target is there, and another sink writes to it."""
        self._away_since = None
        self._active.set(0)
        self._lag.clear()
        self.health.is_ready = True

    def owns(self) -> None:
        """The target is there, and this process writes to it."""
        self._away_since = None
        self._active.set(1)
        self._lag.clear()
        self.health.is_ready = True

    def lag(self, records: Mapping[Partition, int]) -> None:
        """How many records of each partition are not written yet."""
        for (topic, partition), count in records.items():
            self._lag.labels(topic, str(partition)).set(count)

    def wrote(self, batch: Batch) -> None:
        """A batch is written, with its offsets."""
        self._last_write.set(WallClock().now() / 1e6)
        for table, count in batch.records.items():
            self._records.labels(table).inc(count)
        for table, count in batch.refused_of.items():
            self._refused.labels(table).inc(count)
        for table, rows in batch.rows.items():
            deleted = sum(row is None for row in rows.values())
            for change, count in zip(CHANGES, (len(rows) - deleted, deleted), strict=True):
                if count:
                    self._rows.labels(table, change).inc(count)
