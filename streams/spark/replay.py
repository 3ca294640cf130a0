"""``gridclock replay --engine spark``: a replay whose reading, shuffling, sorting and judging are Spark's.

It has the interface of ``streams.replay.replay.Replay`` and gives the same results. Files are read in the executors;
what comes to the driver are the results, in their order, and the counts.
"""

from __future__ import annotations

import json
import os
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.dead_letters import DeadLetter
from streams.errors import ConfigError
from streams.replay.input_counts import InputCounts
from streams.replay.reading import BEGINNING
from streams.replay.sources import Source
from streams.replay.sources.catalog import CatalogTable
from streams.replay.summary import Summary
from streams.spark import steps
from streams.spark.frames import ALERT_ORDER, ROUTED, Place, judged_copies, what_was_read
from streams.spark.inputs import Inputs, Split, originals, read, splits_of
from streams.spark.steps import Job
from streams.spark.tables import routed_table
from streams.wire.cloudevents import ReportedCase
from streams.wire.decoder import conflict_of, dead_letter_of

LEAST: Final = 1 << 16
MOST: Final = 1 << 26
"""Bytes of a split of a plain file, at least and at most."""

_ORIGINALS: Final = "major long, minor long, payload binary"
_COUNT: Final = "count long"
_PAYLOAD: Final = "payload binary"


def session_of(master: str | None, *, quiet: bool) -> SparkSession:
    """A session of Spark: ``master`` as Spark has it, else what Spark's configuration says, else ``local[*]``.

    Raises:
        ConfigError: where Spark cannot be started.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("gridclock replay")
    builder = builder.config("spark.ui.showConsoleProgress", str(not quiet).lower())
    builder = builder.config("spark.log.level", "ERROR")
    builder = builder.config("spark.rdd.compress", "true")  # what is persisted lies on disk: a quarter of it
    if master is not None:
        builder = builder.master(master)
    if (master or "local").startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        builder = builder.config("spark.ui.enabled", "false")
    try:
        found: SparkSession = builder.getOrCreate()
    except (PySparkRuntimeError, OSError) as error:
        raise ConfigError(f"Spark cannot be started: {error}; it needs Java 17") from error
    return found


class SparkReplay:
    """One replay: ``read``, ``judge``, then ``alerts``, ``cases`` and ``sides``; see ``Replay``."""

    def __init__(self, job: Job, inputs: Inputs, session: Callable[[], SparkSession]) -> None:
        self.tally = InputCounts()
        self.summary = Summary()
        self.ends_at = job.ends_at
        self.on_dead_letter: Callable[[DeadLetter], None] = lambda _letter: None
        self.total = 0
        self._job = job
        self._inputs = inputs
        self._start = session
        self._spark: SparkSession | None = None
        self._names: list[str] = []
        self._splits: list[Split] = []
        self._of_files = 0
        """How many of them are of files; the others are tables, which come after all files."""
        self._lines_before: list[int] = []
        self._read: list[steps.Counted] = []
        self._totals: list[steps.Totals] = []
        self._frames: list[DataFrame] = []

    def close(self) -> None:
        """Give back what Spark holds, and end it. Further calls do no harm."""
        if self._spark is not None:
            self._spark.stop()
            self._spark, self._frames = None, []

    # -- read --------------------------------------------------------------------------------------------

    def read(self, sources: Sequence[Source], on_record: Callable[[int], None] = lambda _n: None) -> None:
        """Read and decode every record of every source; what cannot be taken becomes a dead letter.

        Raises:
            ConfigError: where a source cannot be read, or Spark not be started.
        """
        total = sum(source.size or 0 for source in sources)
        self._spark = self._start()
        tasks = 3 * self._spark.sparkContext.defaultParallelism
        self._names = [source.name for source in sources]
        files = [source for source in sources if not isinstance(source, CatalogTable)]
        splits = splits_of(self._inputs, files, min(max(total // tasks, LEAST), MOST))
        numbers = self._spark.range(0, len(splits), 1, max(len(splits), 1))
        routed = numbers.mapInArrow(partial(read, self._job, splits), ROUTED)
        self._splits, self._of_files = list(splits), len(splits)
        for number, table in enumerate(sources):
            if isinstance(table, CatalogTable):
                rows = routed_table(self._spark, self._job, self._inputs, table, len(self._splits))
                self._splits.append(Split(self._inputs, number))
                routed = routed.unionAll(rows)
        self._kept(routed)
        found = what_was_read(routed.persist(StorageLevel.DISK_ONLY))
        self._read = [counted for _, counted in found]
        self._count(routed, found)
        if any(counted.letters for counted in self._read):
            letters = routed.where(F.col("kind") == steps.LETTER).orderBy("major", "minor")
            for row in rows_of(letters.select("major", "payload")):
                letter = DeadLetter.model_validate_json(bytes(row["payload"]))
                self._refuse(letter.model_copy(update={"position": letter.position + self._lines_before[row["major"]]}))
        on_record(total)

    def _kept(self, frame: DataFrame) -> DataFrame:
        self._frames.append(frame)
        return frame

    def _refuse(self, letter: DeadLetter) -> None:
        self.tally.dead_letters[letter.reason] += 1
        self.on_dead_letter(letter)

    def _count(self, routed: DataFrame, found: Sequence[tuple[Place, steps.Counted]]) -> None:
        lines = [0] * len(self._splits)
        before: dict[Place, int] = {}
        highest = BEGINNING
        for place, counted in found:
            self.tally.add(InputCounts.from_state(counted.tally))
            if counted.first_at is not None and counted.first_at < highest:
                before[place] = highest
            highest = max(highest, counted.highest)
            lines[place[0]] += counted.lines
        if before:
            highs = routed.where(F.col("kind") == steps.HIGHS).mapInArrow(partial(_out_of_order, before), _COUNT)
            self.tally.out_of_order += sum(row[0] for row in highs.collect())
        number, so_far = -1, 0
        for split, own in zip(self._splits, lines, strict=True):
            if split.number != number:
                number, so_far = split.number, 0
            self._lines_before.append(so_far)
            so_far += own

    # -- judge -------------------------------------------------------------------------------------------

    def judge(self, on_events: Callable[[int], None] = lambda _n: None) -> None:
        """Judge what was read."""
        self.ends_at, judged, self._totals = judged_copies(self._job, self._frames[0], self._read)
        self._kept(judged)

    def _judged(self, kind: str) -> DataFrame:
        return self._frames[1].where(F.col("kind") == kind)

    def alerts(self, on_events: Callable[[int], None] = lambda _n: None) -> Iterator[bytes]:
        """The alerts as the output form has them, in the order in which they would have come out."""
        alerts = self._judged(steps.ALERT)
        yield from _unpacked(alerts.orderBy(*ALERT_ORDER).select("payload").mapInArrow(_packed, _PAYLOAD))
        for totals in self._totals:
            self.tally.alerts.update({(rule, kind): count for rule, kind, count in totals.alerts})
            self.tally.orphans.update(totals.orphans)
            if totals.summary is not None:
                self.summary.merge(Summary.from_state(totals.summary))
        self._refuse_conflicts()

    def _refuse_conflicts(self) -> None:
        """Count repetitions, and report those with other content, with the original bytes."""
        if self._spark is None or not any(totals.repeated or totals.refused for totals in self._totals):
            return
        is_refused = F.col("kind") == steps.LETTER
        again = self._frames[1].where(F.col("kind").isin(steps.DUPLICATE, steps.LETTER))
        # an event is a repetition for each of its subjects, and a conflict for one of them is one for all
        once = again.groupBy("major", "minor", "position").agg(F.max(F.when(is_refused, F.col("id"))).alias("id"))
        self.tally.duplicates = once.where(F.col("id").isNull()).count()
        if any(totals.refused for totals in self._totals):
            self._refuse_records(self._spark, once.where(F.col("id").isNotNull() & (F.col("major") < self._of_files)))
            self._refuse_rows(again.where(is_refused & (F.col("major") >= self._of_files)))

    def _refuse_records(self, spark: SparkSession, refused: DataFrame) -> None:
        """Report repetitions in files, which are read once more for the original bytes."""
        wanted: dict[int, tuple[Split, dict[int, list[tuple[int, str]]]]] = {}
        for major, minor, position, event_id in rows_of(refused):
            _, positions = wanted.setdefault(major, (self._splits[major], {}))
            positions.setdefault(position, []).append((minor, event_id))
        if not wanted:
            return
        ids = {
            (major, minor): (position, event_id)
            for major, (_, positions) in wanted.items()
            for position, own in positions.items()
            for minor, event_id in own
        }
        numbers = spark.createDataFrame([(number,) for number in wanted], "id long").repartition(len(wanted))
        found = numbers.mapInArrow(partial(originals, self._job, wanted), _ORIGINALS).orderBy("major", "minor")
        for major, minor, raw in rows_of(found):
            position, event_id = ids[major, minor]
            name = self._names[self._splits[major].number]
            at = position + self._lines_before[major]
            self._refuse(dead_letter_of(bytes(raw), conflict_of(event_id), source=name, position=at))

    def _refuse_rows(self, refused: DataFrame) -> None:
        """Report repetitions in tables, as the events that they were read as."""
        once = refused.groupBy("major", "minor").agg(F.min("payload").alias("payload")).orderBy("major", "minor")
        for major, _, payload in rows_of(once):
            letter = DeadLetter.model_validate_json(bytes(payload))
            self._refuse(letter.model_copy(update={"source": self._names[self._splits[major].number]}))

    def cases(self) -> Iterator[bytes]:
        """Every case as of the end, by subject, as the output form has it; after ``alerts``."""
        yield from _unpacked(self._judged(steps.CASE).select("payload"))

    def sides(self) -> tuple[Iterator[ReportedCase], Iterator[ReportedCase]]:
        """Every case by the rulebook and every one by its rival, by subject."""
        return self._side(steps.BEFORE), self._side(steps.AFTER)

    def _side(self, kind: str) -> Iterator[ReportedCase]:
        for payload in _unpacked(self._judged(kind).select("payload").mapInArrow(_packed, _PAYLOAD)):
            for event, explanation in json.loads(payload):
                yield ReportedCase(event, explanation)


def rows_of(frame: DataFrame) -> Iterator[Any]:
    """The rows in their order; in the driver is one partition at a time.

    ``DataFrame.toLocalIterator`` keeps all of them until the last one has been read (Spark 4.3.0): ten million events
    did not fit into the driver's gigabyte.
    """
    rdd = frame.rdd
    for number in range(rdd.getNumPartitions()):
        yield from rdd.context.runJob(rdd, list, [number])


def _packed(batches: Any) -> Any:
    return steps.pack_rows(batches)


def _unpacked(packs: DataFrame) -> Iterator[bytes]:
    for row in rows_of(packs):
        yield from steps.unpacked(bytes(row[0]))


def _out_of_order(before: dict[Place, int], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Of the rising maxima of some records: how many lie before the last instant of what came before them."""
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in ("major", "minor", "payload"))
        rows = []
        for major, minor, payload in zip(*columns, strict=True):
            highs = array("q")
            highs.frombytes(payload)
            rows.append(bisect_left(highs, before.get((major, minor), BEGINNING)))
        yield pa.RecordBatch.from_arrays([pa.array(rows, pa.int64())], ["count"])
