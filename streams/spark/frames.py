"""A replay as Spark DataFrames: read, shuffled by subject, judged within partitions, results as DataFrames.

Theory of operation. ``route`` decodes records in Arrow batches and gives a row for each subject that an event
concerns. Spark shuffles the rows by subject and sorts them within partitions by their order of arrival; ``judge`` then
sees each subject's whole history, and does what every replay does. Both results are persisted on disk, because counts,
alerts and cases are asked for one after the other. A lost executor's partitions are done again by Spark: both steps
give the same rows for the same input.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.fields import parse_time
from streams.core.instants import instant_us
from streams.errors import ConfigError
from streams.spark import steps
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
ALERT_ORDER: Final = ("detected_at", "by_event", "due_at", "subject_type", "subject", "rule", "report", "id")
_LAST: Final = "at long"
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
        return self._judged.where(F.col("kind") == steps.CASE).orderBy("subject_type", "subject", "place")

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
    default, and to find that takes one more pass over the events. ``order`` names a column of whole numbers, the order
    of arrival, which tells which of two records with one id came first; without it the order of their content does.

    Raises:
        ConfigError: where the data have no such columns.
    """
    last, known = _instant(until), _instant(as_of)
    ends = [at for at in (last, known) if at is not None]
    job = steps.Job(rulebook or RulebookFiles(), WallClock().now(), min(ends) if ends else None, known)
    routed = _records(df, order, source).mapInArrow(partial(_route, job), ROUTED)
    routed = routed.persist(StorageLevel.DISK_ONLY)
    counts, unwatched_at = _counted(routed)
    end, judged = judged_copies(job, routed, unwatched_at)
    return Judged(end or 0, counts, routed, judged.persist(StorageLevel.DISK_ONLY))


def judged_copies(job: steps.Job, routed: DataFrame, unwatched_at: int | None) -> tuple[int | None, DataFrame]:
    """Where time ends, and ``steps.JUDGED`` rows of ``steps.ROUTED`` ones; ``unwatched_at``: the last other event."""
    copies = routed.where(F.col("kind").isin(steps.COPY, steps.LINE))
    by_subject = copies.repartition("subject_type", "subject")
    in_order = by_subject.sortWithinPartitions("subject_type", "subject", "major", "minor", "payload")
    end = job.ends_at
    if end is None:
        found = [row["at"] for row in in_order.mapInArrow(partial(_last, job), _LAST).collect()]
        end = max(found if unwatched_at is None else [*found, unwatched_at], default=None)
    return end, in_order.mapInArrow(partial(_judge, job.until(end or 0)), _JUDGED)


def _route(job: steps.Job, batches: Any) -> Any:
    return steps.route(job, batches)


def _last(job: steps.Job, batches: Any) -> Any:
    return steps.last(job, batches)


def _judge(job: steps.Job, batches: Any) -> Any:
    return steps.judge(job, batches)


def _instant(value: str | int | None) -> int | None:
    return instant_us(parse_time(value)) if isinstance(value, str) else value


def _records(df: DataFrame, order: str | None, source: str) -> DataFrame:
    if order is not None and order not in df.columns:
        raise ConfigError(f"has no column {order!r}; it has {', '.join(df.columns)}", path="DataFrame", key="order")
    given = [name for name in df.columns if name != order]
    if "value" in given:
        value = F.col("value").cast("binary")
    elif {"event_id", "event_type", "occurred_at"} <= set(given):
        value = F.to_json(F.struct(*given), _TIMES).cast("binary")
    else:
        raise ConfigError(
            f"has neither a column 'value' nor event_id, event_type and occurred_at; it has {', '.join(given)}",
            path="DataFrame",
        )
    named = df.select(
        value.alias("value"),
        F.lit(source).alias("source"),
        F.lit(0).cast("long").alias("major"),
        (F.xxhash64(value) if order is None else F.col(order).cast("long")).alias("minor"),
    )
    return named


def _counted(routed: DataFrame) -> tuple[Counter[str], int | None]:
    """The counts of reading, and the instant of the last event that no rule watches."""
    counts: Counter[str] = Counter()
    unwatched_at: int | None = None
    rows = routed.where(F.col("kind") == steps.COUNTS).select("payload").toLocalIterator()
    for row in rows:
        found = json.loads(bytes(row["payload"]))
        at = found["unwatched_at"]
        counts.update({name: found["tally"][name] for name in _COUNTED})
        unwatched_at = at if unwatched_at is None or (at is not None and at > unwatched_at) else unwatched_at
    return counts, unwatched_at
