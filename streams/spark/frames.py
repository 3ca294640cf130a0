"""A replay as Spark DataFrames: read, partitioned by subject, judged within partitions, results as DataFrames.

Theory of operation. ``route`` decodes records in Arrow batches and gives a row for each subject that an event
concerns. Spark partitions the rows by ranges of subjects and sorts them within partitions by their order of arrival;
``judge`` then sees each subject's whole history, and does what every replay does, in the order of subjects. What a
partition counts comes as a row of its own, so that no count needs a pass over the results. Where no end is given, the
last event read is taken for it; if judging finds that another is the last that counts (the last was repeated with
other content, or corrected), all is judged once more. Both results are persisted on disk, because alerts and cases are
asked for one after the other. A lost executor's partitions are done again by Spark: both steps give the same rows for
the same input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import msgspec
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.fields import parse_time
from streams.core.instants import instant_us
from streams.errors import ConfigError
from streams.replay.reading import BEGINNING
from streams.spark import judging, steps
from streams.spark.rulebook import RulebookFiles
from streams.wall_clock import WallClock

ROUTED: Final = (
    "kind string, subject_type string, subject string, major long, minor long, position long, payload binary"
)
_JUDGED: Final = (
    "kind string, detected_at long, by_event boolean, due_at long, subject_type string, subject string, rule string, "
    "report string, id string, place long, payload binary, explanation binary, "
    "major long, minor long, position long"
)
_read_counted = msgspec.json.Decoder(steps.Counted).decode
_read_totals = msgspec.json.Decoder(steps.Totals).decode
ALERT_ORDER: Final = ("detected_at", "by_event", "due_at", "subject_type", "subject", "rule", "report", "id")
COPIES: Final = 250_000
"""Rows of copies in a partition, about: some 100 MB."""

_COUNTED: Final = ("lines", "events", "after_until", "not_yet_recorded", "unwatched")
"""The counts of reading that do not depend on which records come in one batch; see ``InputCounts``."""
_TIMES: Final = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"}


@dataclass(frozen=True)
class Judged:
    """The results. ``ends_at`` is the end of time in microseconds; ``counts`` are those of reading.

    ``alerts`` and ``cases`` have the columns of ``streams.spark.steps.JUDGED``; ``payload`` is the CloudEvent as JSON.
    """

    ends_at: int
    counts: Counter[str]
    _routed: DataFrame
    _judged: DataFrame

    @cached_property
    def alerts(self) -> DataFrame:
        """All alerts, in the order in which they would have come out."""
        return self._judged.where(F.col("kind") == steps.ALERT).orderBy(*ALERT_ORDER)

    @cached_property
    def cases(self) -> DataFrame:
        """Every case as of the end, by subject."""
        return self._judged.where(F.col("kind") == steps.CASE)

    @cached_property
    def dead_letters(self) -> DataFrame:
        """What was refused, as JSON in ``payload``: records first, then ids seen before with other content."""
        refused = self._routed.where(F.col("kind") == steps.LETTER).orderBy("major", "minor").select("payload")
        conflicts = self._judged.where(F.col("kind") == steps.LETTER).select("payload").distinct()
        return refused.unionAll(conflicts)

    @property
    def summary(self) -> DataFrame:
        """Cases by rule and outcome."""
        outcome = F.get_json_object(F.col("payload").cast("string"), "$.data.outcome").alias("outcome")
        cases = self._judged.where(F.col("kind") == steps.CASE)
        return cases.groupBy("rule", outcome).count().orderBy("rule", "outcome")

    def close(self) -> None:
        """Give back the disk that the results take."""
        self._judged.unpersist()
        self._routed.unpersist()


def judge(
    df: DataFrame,
    rulebook: RulebookFiles | None = None,
    *,
    until: str | int | None = None,
    as_of: str | int | None = None,
    order: str | None = None,
    source: str = "spark",
) -> Judged:
    """Judge events by a rulebook (the shipped one by default; see ``rulebook_of``).

    ``df`` has a column ``value`` with one JSON object each (``spark.read.text``), or the fields of events as columns.
    ``until`` and ``as_of`` are instants: RFC 3339 with an offset, or microseconds; time ends at the last event by
    default. ``order`` names a column of whole numbers, the order
    of arrival, which tells which of two records with one id came first; without it the order of their content does.

    Raises:
        ConfigError: where the data have no such columns.
    """
    last, known = _instant(until), _instant(as_of)
    ends = [at for at in (last, known) if at is not None]
    job = steps.Job(rulebook or RulebookFiles(), WallClock().now(), min(ends) if ends else None, known)
    routed = _records(df, order, source).mapInArrow(partial(_route, job), ROUTED)
    routed = routed.persist(StorageLevel.DISK_ONLY)
    read = what_was_read(routed)
    counts: Counter[str] = Counter()
    for _, counted in read:
        counts.update({name: counted.tally[name] for name in _COUNTED})
    end, judged, _ = judged_copies(job, routed, [counted for _, counted in read])
    return Judged(end or 0, counts, routed, judged)


Place = tuple[int, int]
"""``major`` and ``minor`` of ``steps.ROUTED``."""


def what_was_read(routed: DataFrame) -> list[tuple[Place, steps.Counted]]:
    """The counts of all records, in the order of arrival.

    Raises:
        ConfigError: where a source could not be read.
    """
    counts = routed.where(F.col("kind").isin(steps.COUNTS, steps.ERROR)).select("kind", "major", "minor", "payload")
    rows = sorted(counts.collect(), key=lambda row: (row["major"], row["minor"]))
    for row in rows:
        if row["kind"] == steps.ERROR:
            raise ConfigError(bytes(row["payload"]).decode())
    return [((row["major"], row["minor"]), _read_counted(bytes(row["payload"]))) for row in rows]


def judged_copies(
    job: steps.Job, routed: DataFrame, read: Sequence[steps.Counted]
) -> tuple[int | None, DataFrame, list[steps.Totals]]:
    """Where time ends, ``steps.JUDGED`` rows of ``steps.ROUTED`` ones, persisted, and what the partitions counted."""
    copies = routed.where(F.col("kind").isin(steps.COPY, steps.LINE))
    count = sum(counted.copies for counted in read)
    partitions = max(-(-count // COPIES), min(routed.sparkSession.sparkContext.defaultParallelism, count), 1)
    by_subject = copies.repartitionByRange(partitions, "subject_type", "subject")
    in_order = by_subject.sortWithinPartitions("subject_type", "subject", "major", "minor", "payload")

    def judged(own: steps.Job) -> tuple[DataFrame, list[steps.Totals]]:
        found = in_order.mapInArrow(partial(_judge, own), _JUDGED).persist(StorageLevel.DISK_ONLY)
        totals = found.where(F.col("kind") == steps.TOTALS).select("payload").collect()
        return found, [_read_totals(bytes(row[0])) for row in totals]

    if job.ends_at is not None:
        return job.ends_at, *judged(job)
    highest = max((counted.highest for counted in read), default=BEGINNING)
    frame, totals = judged(job.until(highest, is_certain=False))
    last = [counted.unwatched_at for counted in read] + [own.last_at for own in totals]
    end = max((at for at in last if at is not None), default=None)
    if end is None or end == highest:
        return end, frame, totals
    frame.unpersist()
    return end, *judged(job.until(end))


def _route(job: steps.Job, batches: Any) -> Any:
    return steps.route(job, batches)


def _judge(job: steps.Job, batches: Any) -> Any:
    return judging.judge(job, batches)


def _instant(value: str | int | None) -> int | None:
    return instant_us(parse_time(value)) if isinstance(value, str) else value


def _records(df: DataFrame, order: str | None, source: str) -> DataFrame:
    if order is not None and order not in df.columns:
        raise ConfigError(f"has no column {order!r}; it has {', '.join(df.columns)}", path="DataFrame", key="order")
    value = values_of([name for name in df.columns if name != order], "DataFrame")
    return df.select(
        value.alias("value"),
        F.lit(source).alias("source"),
        F.lit(0).cast("long").alias("major"),
        (F.xxhash64(value) if order is None else F.col(order).cast("long")).alias("minor"),
    )


def values_of(given: Sequence[str], name: str) -> Column:
    """Events as JSON, from the column ``value`` or from the fields of events; ``given`` are the columns to look at.

    Raises:
        ConfigError: where there are neither.
    """
    if "value" in given:
        return F.col("value").cast("binary")
    if {"event_id", "event_type", "occurred_at"} <= set(given):
        return F.to_json(F.struct(*given), _TIMES).cast("binary")
    raise ConfigError(
        f"has neither a column 'value' nor event_id, event_type and occurred_at; it has {', '.join(given)}", path=name
    )
