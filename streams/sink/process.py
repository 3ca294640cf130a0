"""The sink: records of two topics into PostgreSQL or a directory of Parquet, each exactly once, whatever is killed.

Where reading begins is in the target, in the transaction that wrote the rows; no consumer group is used. One sink at a
time owns a target, others stand by. While the target is away nothing is read; it is asked again and again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from streams.errors import BrokerError
from streams.kafka.admin import READING, meaning_of
from streams.log_limits import Absence
from streams.log_lines import printable
from streams.settings import Settings
from streams.sink.metrics import SinkMetrics
from streams.sink.rows import KEYS, NoRow, Table, row_of
from streams.sink.target import Batch, Moved, Partition, SinkError, Store, Target
from streams.wall_clock import monotonic

logger = logging.getLogger(__name__)

MOST_RECORDS: Final = 2_000
"""Records written in one transaction at most."""

_POLL_MS: Final = 500
_AGAIN_SECONDS: Final = 1.0
_PARTITIONS_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Sources:
    """The topics that are read, with the table of each."""

    tables: Mapping[str, Table]

    @classmethod
    def of(cls, settings: Settings, tables: tuple[Table, ...]) -> Sources:
        """The topics of an installation."""
        topics: dict[Table, str] = {"cases": settings.cases_topic, "alerts": settings.alerts_topic}
        return cls({topics[table]: table for table in tables})


class Sink:
    """Writes to ``target`` until ``stop`` is set. ``on_ready`` is called whenever it owns it and begins to read."""

    def __init__(
        self,
        settings: Settings,
        sources: Sources,
        target: Target,
        metrics: SinkMetrics,
        on_ready: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._target = target
        self._metrics = metrics
        self._on_ready = on_ready
        self._stop = stop
        self._absence = Absence()
        self._stands_by = False

    def run(self) -> None:
        """Read and write until it is to stop.

        Raises:
            BrokerError: where the brokers cannot be read or a topic is missing.
            SinkError: where target and topics do not fit.
        """
        target = self._target
        while not self._stop.is_set():
            try:
                store = target.open()
            except target.away as error:
                self._is_away(error)
                continue
            try:
                self._work(store)
            except Moved:
                logger.warning("another sink has written to %s: reading on from there", target.place)
            except target.away as error:
                self._is_away(error)
            except target.failed as error:
                raise SinkError(f"{target.place}: {_first_line(error)}{target.remedy(error)}") from error
            finally:
                store.close()

    def _is_away(self, error: Exception) -> None:
        """Say so when it begins and once a minute, and wait a little."""
        self._metrics.away()
        if (seconds := self._absence.lasts(monotonic())) is not None:
            logger.warning(
                "%s: away for %.0f s (%s); this process waits until it is back, nothing is lost",
                self._target.place, seconds, _first_line(error),
            )  # fmt: skip
        self._stop.wait(_AGAIN_SECONDS)

    def _is_back(self) -> None:
        if (lasted := self._absence.ends(monotonic())) is not None:
            logger.warning("%s: there again after %.0f s", self._target.place, lasted)

    def _work(self, store: Store) -> None:
        if not store.own():
            self._is_back()
            self._metrics.stands_by()
            if not self._stands_by:
                logger.warning("%s is written by another sink: this one stands by", self._target.place)
            self._stands_by = True
            self._stop.wait(_AGAIN_SECONDS)
            return
        steps = store.migrate()
        self._is_back()
        self._metrics.owns()
        self._stands_by = False
        if steps:
            logger.warning("%s: %d migrations made", self._target.place, steps)
        try:
            with _Reader(self._settings, self._sources, store.offsets(), self._target.afresh) as reader:
                self._on_ready(len(reader.position))
                while not self._stop.is_set():
                    batch = reader.read()
                    self._metrics.lag(reader.lag(batch))
                    if batch.offsets:
                        with self._metrics.write_seconds.time():
                            store.write(batch)
                        self._metrics.wrote(batch)
                        self._metrics.lag(reader.lag(Batch()))
                    store.settle()
        except KafkaError as error:
            raise BrokerError(f"{self._settings.bootstrap}: {meaning_of(error)}") from error
        store.settle(is_end=True)


class _Reader:
    """All partitions of the topics from where the target stands, as batches. Use as a context manager."""

    def __init__(self, settings: Settings, sources: Sources, offsets: Mapping[Partition, int], afresh: str) -> None:
        self._afresh = afresh
        self._sources = sources
        self._offsets = offsets
        self._ends: dict[Partition, int] = {}
        self.position: dict[Partition, int] = {}
        self._looked_at = monotonic()
        self._consumer = KafkaConsumer(
            **settings.kafka_python(),
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=8 * 1024 * 1024,
            metadata_max_age_ms=int(_PARTITIONS_SECONDS * 1000),
            **READING,
        )

    def __enter__(self) -> _Reader:
        try:
            self._find_partitions()
        except BaseException:
            self._consumer.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._consumer.close()

    def _find_partitions(self) -> None:
        """Take up partitions that were not read so far.

        Raises:
            BrokerError: where there is no such topic.
            SinkError: where a partition ends before what was read of it.
        """
        found = []
        for topic in self._sources.tables:
            numbers = self._consumer.partitions_for_topic(topic)
            if not numbers:
                raise BrokerError(f"no topic {topic}: gridclock topics create makes it (cases: with --cases)")
            found += [TopicPartition(topic, number) for number in sorted(numbers)]
        fresh = [part for part in found if (part.topic, part.partition) not in self.position]
        if not fresh:
            return
        begins, ends = self._consumer.beginning_offsets(fresh), self._consumer.end_offsets(fresh)
        for part in fresh:
            place = (part.topic, part.partition)
            known = self._offsets.get(place)
            if known is not None and known > ends[part]:
                raise SinkError(
                    f"topic {part.topic}, partition {part.partition} ends at {ends[part]}, and the sink has read "
                    f"up to {known}: the topic was made anew; {self._afresh}"
                )
            if known is not None and known < begins[part]:
                logger.warning(
                    "topic %s, partition %d: records %d to %d are gone unread, or compacted away",
                    part.topic, part.partition, known, begins[part] - 1,
                )  # fmt: skip
            self.position[place] = known if known is not None else begins[part]
            self._ends[place] = ends[part]
        self._consumer.assign(found)
        for part in found:
            place = (part.topic, part.partition)
            self._consumer.seek(part, max(self.position[place], begins.get(part, 0)))

    def read(self) -> Batch:
        """The records that have come, if any have."""
        if monotonic() - self._looked_at > _PARTITIONS_SECONDS:
            self._looked_at = monotonic()
            self._find_partitions()
        batch = Batch()
        for part, records in self._consumer.poll(timeout_ms=_POLL_MS, max_records=MOST_RECORDS).items():
            table, place = self._sources.tables[part.topic], (part.topic, part.partition)
            for record in records:
                _take(batch, table, record)
            batch.offsets[place] = self.position[place], records[-1].offset + 1
        # What was read is not read again: whoever fails to write it makes another reader.
        self.position |= {place: until for place, (_, until) in batch.offsets.items()}
        return batch

    def lag(self, unwritten: Batch) -> dict[Partition, int]:
        """Records of each partition that are not written, by the newest ends that are known."""
        found = {}
        for part in self._consumer.assignment():
            place = (part.topic, part.partition)
            # Not ``position``: behind the last record there may be markers, or what compaction took away.
            read = unwritten.offsets[place][0] if place in unwritten.offsets else self._consumer.position(part)
            end = self._consumer.highwater(part)
            found[place] = max(0, (self._ends[place] if end is None else end) - read)
        return found


def _take(batch: Batch, table: Table, record: Any) -> None:
    rows = batch.rows[table]
    batch.records[table] += 1
    try:
        if record.value is None:
            key = "\0" if record.key is None else record.key.decode()
            if table == "cases" and "\0" not in key:  # PostgreSQL takes none in a text, so no case has it
                rows[key] = None
            return
        row = row_of(table, record.value)
        rows[row[KEYS[table]]] = row
    except (NoRow, UnicodeDecodeError) as error:
        why = printable(str(error))  # it names fields as the record does, with null characters
        logger.warning(
            "topic %s, partition %d, offset %d: %s: kept in the table refused",
            record.topic, record.partition, record.offset, why,
        )  # fmt: skip
        batch.refused_of[table] += 1
        batch.refused.append((record.topic, record.partition, record.offset, why, record.value))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
