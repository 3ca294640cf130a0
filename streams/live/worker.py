"""Builds and runs a worker from its settings."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.dead_letters import DeadLetter
from schemas.snapshots import FIRST_VERSION
from streams.core.alerts import Alert
from streams.core.case_changes import CaseChange
from streams.core.driver import Entry
from streams.core.history import Notice
from streams.engine.clocks import NativeClocks
from streams.engine.written_alerts import WrittenAlert
from streams.errors import BrokerError
from streams.kafka.admin import ensure_topics
from streams.kafka.connection import clock_of, kafka_options
from streams.kafka.partition_counts import PartitionCounts
from streams.kafka.producer import BackPressure, BlockingProducer, Message
from streams.kafka.range_reader import read_ranges
from streams.kafka.topics import MAX_REQUEST, configs_of, message_limits, topics_of, wrong_settings
from streams.live.applied import Applied
from streams.live.changelog import Changelog
from streams.live.clock_partition import ClockPartition, fingerprint_of, subject_of_key
from streams.live.incomplete import report_left_out
from streams.live.intake import Intake, IntakeClients
from streams.live.linger import Linger
from streams.live.metrics import Metrics
from streams.live.metrics_server import Health, MetricsServer
from streams.live.progress import Progress
from streams.live.quarantine import MAX_HELD, MAX_PAYLOAD, TooLargeError, letter_of_held, quarantined
from streams.live.routing import Router
from streams.live.rulebook_watch import RulebookWatch
from streams.live.source_positions import group_offsets
from streams.live.tracing import spans_of
from streams.live.trusted_clock import TrustedClock
from streams.live.worker_parts import Clocks, Output, Topics
from streams.rulebooks.decoding import decoder_of
from streams.rulebooks.loader import LoadedRulebook
from streams.rulebooks.mapping_files import topic_mappings
from streams.settings import Settings
from streams.wire.cloudevents import encode, without_detail
from streams.wire.decoder import conflict_of, dead_letter_of, encode_json, too_old, wire_fields
from streams.wire.pseudonyms import Hidden, Pseudonyms, cloud_events
from streams.wire.records import RecordDecoder
from streams.wire.state_rows import CONTROL_KEY

if TYPE_CHECKING:
    from streams.live.spans import Spans

MAX_ALERT = 900_000
"""Most bytes of an alert: within every broker's limit."""

logger = logging.getLogger(__name__)

FETCH_SIZE = 2 * 1024 * 1024
"""Bytes per partition in one response."""

MAX_BATCH = 512 * 1024
"""Bytes sent to one partition at a time: the rows of a whole record, within every broker's limit."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Reported when a worker is ready."""

    metrics_port: int
    log_partitions: int


async def run_worker(
    settings: Settings,
    loaded: LoadedRulebook,
    *,
    native: NativeClocks | None = None,
    on_ready: Callable[[Ready], None] = lambda _ready: None,
    on_failed: Callable[[Exception], None] = lambda _error: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run until SIGTERM, SIGINT or ``stop``; then finish the current records and stop in order.

    ``native`` decides what it can; without it the Python engine decides all.

    ``on_failed`` gets the reason why a worker cannot continue, before it tries to stop in order, which may hang.

    Raises:
        BrokerError: where the broker cannot be reached or its topics do not fit.
        LocalStoreError: where the local copy of the state cannot be written or read.
        StateError: where the state was written by a newer version, or does not fit the log.
    """
    # Faust is imported late: it patches nothing, but it takes half a second.
    from streams.live.faust_app import Worker

    stop = stop or asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    events = decoder_of(loaded, settings.pseudonyms, inside=settings.pseudonyms_inside)
    decoder = RecordDecoder(events, topic_mappings(settings, loaded.catalogue))
    log_partitions = await asyncio.to_thread(_ensure, settings)
    limits = await asyncio.to_thread(_limits, settings)
    gauges = _Gauges(settings, loaded, log_partitions, limits, native)
    health = gauges.health

    async with AsyncExitStack() as stack:
        server = MetricsServer(settings.metrics_host, settings.metrics_port, gauges.metrics.registry, health)
        stack.callback(server.close)
        stack.callback(asyncio.ensure_future(health.keep_beating()).cancel)
        client_id = f"{socket.gethostname()}:{server.port}"  # the name shown by brokers and ``gridclock status``
        clients, producer = await _connected(stack, settings, client_id, gauges.waits)
        router = Router(loaded.rulebook, log_partitions, native)
        intake = Intake(settings, router, decoder, clients, time=gauges.time, metrics=gauges.metrics)
        intake.linger = Linger(gauges.partitions, log_partitions)
        topics = _topics(settings, log_partitions, clients.consumer, producer)
        clocks = _clocks(settings, loaded, gauges, producer, clients.spans)
        worker = Worker(settings, topics, clocks, intake, waits=gauges.waits, client_id=client_id, on_failed=on_failed)
        health.troubles.insert(0, lambda: "restoring the state" if worker.is_recovering else None)
        watch = _watch_of(settings, loaded, gauges, topics, clients.consumer)
        await watch.check_numbers(hashed_by=_hashed_by(settings))
        intake.may_prune = lambda: settings.state_format > FIRST_VERSION and watch.all_read_pruned_rows
        stack.callback(asyncio.ensure_future(watch.run()).cancel)

        def ready() -> None:
            health.is_ready = True
            on_ready(Ready(server.port, log_partitions))

        try:
            await worker.run(stop, ready)
        except KafkaError as error:  # refused for good: no permission, a record too large, a removed topic
            raise BrokerError(f"{settings.bootstrap}: {error}") from error


def _hashed_by(settings: Settings) -> str | None:
    """The mark of the key under which account and meter numbers are replaced inside, if they are."""
    key = settings.pseudonyms if settings.pseudonyms_inside else None
    return None if key is None else Pseudonyms(key).mark


def _watch_of(
    settings: Settings, loaded: LoadedRulebook, gauges: _Gauges, topics: Topics, consumer: AIOKafkaConsumer
) -> RulebookWatch:
    return RulebookWatch(
        fingerprint_of(loaded.rulebook, tracks_cases=settings.cases),
        topics.log_partitions,
        partial(_ends_of, consumer, settings.changelog_topic),
        topics.read_changelog,
        gauges.metrics.rulebooks.set,
    )


def _topics(settings: Settings, log_partitions: int, consumer: AIOKafkaConsumer, producer: BlockingProducer) -> Topics:
    return Topics(
        log_partitions,
        changelog=Changelog(producer, settings.changelog_topic),
        write_control=partial(_write_control, producer, settings.log_topic),
        log_ends=partial(_ends_of, consumer, settings.log_topic),
        read_log=_reader(settings, settings.log_topic),
        read_changelog=_reader(settings, settings.changelog_topic),
    )


def _clocks(
    settings: Settings, loaded: LoadedRulebook, gauges: _Gauges, producer: BlockingProducer, spans: Spans | None
) -> Clocks:
    outlet = _Outlet(settings, loaded, producer, gauges, spans)
    return Clocks(
        gauges.partitions,
        make=lambda partition: ClockPartition(
            partition,
            loaded.rulebook,
            keep_for=settings.keep_for,
            tracks_cases=settings.cases,
            prunes=False,
            hashed_by=_hashed_by(settings),
            native=gauges.native,
        ),
        encode=outlet.encode,
        emit=outlet.emit,
        on_applied=gauges.metrics.applied,
        on_recovered=gauges.metrics.recovered,
        on_headers=None if spans is None else spans.read,
    )


class _Gauges:
    """The worker's observability: metrics, health, clock, waits and progress.

    ``limits`` are the most bytes of a message of each topic.
    """

    def __init__(
        self,
        settings: Settings,
        loaded: LoadedRulebook,
        log_partitions: int,
        limits: Mapping[str, int],
        native: NativeClocks | None,
    ) -> None:
        self.native = native
        clock = clock_of(settings)
        self.log_partitions = log_partitions
        self.limits = limits
        self.partitions: dict[int, ClockPartition] = {}
        self.health = health = Health()
        self.metrics = Metrics(
            clock,
            self.partitions,
            loaded.rulebook,
            is_ready=lambda: health.ready()[0],
            log_partitions=log_partitions,
            max_counties=settings.metrics_counties,
            data_dir=settings.data_dir if settings.store == "rocksdb" else None,
        )
        self.metrics.name_organisations(loaded.organisations)
        if self.native is not None:
            self.metrics.show_native(self.native.fallbacks)
        self.time = TrustedClock(clock)
        self.metrics.clock_ahead.set_function(self.time.ahead)
        self.waits = BackPressure(settings.session_s)
        progress = Progress(self.partitions)
        health.on_beat.append(progress.look)
        health.troubles += [self.waits.overdue, progress.trouble]


class _Outlet:
    """Encodes and writes the alerts and dead letters of one log record.

    ``limits`` are the most bytes of a message of each topic.
    """

    def __init__(
        self,
        settings: Settings,
        loaded: LoadedRulebook,
        producer: BlockingProducer,
        gauges: _Gauges,
        spans: Spans | None,
    ) -> None:
        self._settings = settings
        self._spans = spans
        self._producer = producer
        self._metrics = gauges.metrics
        self._waits = gauges.waits
        self._limits = gauges.limits
        self._writer = cloud_events(loaded.rulebook.calendar, settings.pseudonyms)

    def encode(self, applied: Applied) -> Output:
        """The messages of one record, in order.

        Raises:
            TooLargeError: where an alert or a row exceeds its topic's limit.
        """
        topic, limit = self._settings.changelog_topic, self._limits[self._settings.changelog_topic]
        for key, value in applied.rows:
            if value is not None and len(key) + len(value) > limit and subject_of_key(key) is not None:
                raise TooLargeError("its state", len(key) + len(value), topic, limit)
        step, most = applied.step, self._limit_of(self._settings.alerts_topic)
        letters = [self._letter(entry, notice) for entry, notice in step.refused]
        letters += [letter_of_held(held, f"{self._settings.log_topic}/{applied.partition}") for held in applied.held]
        if applied.skipped is not None:
            letters.append(self._letter_of_skipped(applied))
        return Output(
            applied,
            [self._alert(alert, most) for alert in applied.told],
            [Message(letter.id.encode(), letter.model_dump_json().encode()) for letter in letters],
            [letter.reason for letter in letters],
            [self._case(change) for change in applied.cases],
        )

    async def emit(self, output: Output) -> None:
        """Write the messages of one record; returns when the brokers have acknowledged them."""
        alerts, dead_letters = self._settings.alerts_topic, self._settings.dead_letters_topic
        if output.alerts or output.letters:
            with self._waits.on(f"topic {alerts} or {dead_letters}"), self._sending(output) as messages:
                for reason in output.reasons:
                    self._metrics.dead_letter(reason)
                await asyncio.gather(
                    self._producer.send_together(alerts, messages),
                    self._producer.send_together(dead_letters, output.letters),
                )
        if output.cases:
            topic = self._settings.cases_topic
            with self._waits.on(f"topic {topic}"):
                await self._producer.send_together(topic, output.cases)
        self._metrics.alerts_sent(output.applied.told)
        for one in output.applied.left_out:
            report_left_out(one, Hidden(self._settings.pseudonyms))

    @contextmanager
    def _sending(self, output: Output) -> Iterator[Sequence[Message]]:
        """Around the sending of alerts: their messages, each with its trace where there is one."""
        if self._spans is None:
            yield output.alerts
            return
        with self._spans.sending(output.applied.alerts, self._writer.id) as headers:
            yield [one._replace(headers=trace) for one, trace in zip(output.alerts, headers, strict=True)]

    def _alert(self, alert: Alert | WrittenAlert, limit: int) -> Message:
        if isinstance(alert, WrittenAlert):
            if self._settings.pseudonyms is None and len(alert.line) <= limit:
                return Message(alert.case_id.encode(), alert.line, partition_hash=alert.partition_hash)
            alert = alert.read()
        return self._within_limit(self._settings.alerts_topic, "alert", self._writer.alert(alert))

    def _case(self, change: CaseChange) -> Message:
        if change.case is None:
            return Message(self._writer.id(change.case_id).encode(), None)
        return self._within_limit(self._settings.cases_topic, "case", self._writer.case(change.case, change.as_of))

    def _limit_of(self, topic: str) -> int:
        return min(MAX_ALERT, self._limits[topic])

    def _within_limit(self, topic: str, what: str, cloud_event: dict[str, Any]) -> Message:
        """The message of an alert or a case, without its detail if it would be too large."""
        limit = self._limit_of(topic)
        value, subject = encode(cloud_event), cloud_event["data"]["subject"]
        if len(value) > limit:
            logger.warning(
                "topic %s: %s %s about %s %s has %d bytes: sent without its detail; see the evidence by "
                "gridclock explain",
                topic, what, cloud_event["id"], subject["type"], subject["id"], len(value),
            )  # fmt: skip
            value = encode(without_detail(cloud_event, len(value)))
        if len(value) > limit:
            raise TooLargeError(f"a record of the {what}s by {cloud_event['data']['rule']}", len(value), topic, limit)
        return Message(cloud_event["subject"].encode(), value)

    def _letter(self, entry: Entry, notice: Notice) -> DeadLetter:
        _, event, origin = entry
        source, _, position = origin.rpartition("/")
        return dead_letter_of(
            encode_json(wire_fields(event)),
            conflict_of(event.event_id) if notice == "conflict" else too_old(event.at, self._settings.keep_for),
            source=source,
            position=int(position),
            max_payload=MAX_PAYLOAD,
        )

    def _letter_of_skipped(self, applied: Applied) -> DeadLetter:
        assert applied.skipped is not None
        offset, cause, raw = applied.skipped
        source = f"{self._settings.log_topic}/{applied.partition}"
        return dead_letter_of(raw, quarantined(cause), source=source, position=offset, max_payload=MAX_HELD)


async def _connected(
    stack: AsyncExitStack, settings: Settings, client_id: str, waits: BackPressure
) -> tuple[IntakeClients, BlockingProducer]:
    """The intake's clients, and a producer for the clocks' messages."""
    spans = await stack.enter_async_context(spans_of(settings, os.environ))
    options = kafka_options(settings)
    try:
        producer = await _producer(stack, settings.session_s, options)
        log_producer = await _producer(stack, settings.session_s, options)
        consumer = AIOKafkaConsumer(
            group_id=f"{settings.name}-intake",
            client_id=client_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=settings.fetch_wait_ms,
            session_timeout_ms=int(settings.session_s * 1000),
            heartbeat_interval_ms=int(settings.session_s * 200),
            metadata_max_age_ms=5_000,  # how soon a new partition of a source is read; the watermark waits for it
            max_partition_fetch_bytes=FETCH_SIZE,
            isolation_level="read_committed",
            **options,
        )
        uncommitted = AIOKafkaConsumer(group_id=None, client_id=f"{client_id}-ends", **options)
        for one in (consumer, uncommitted):
            stack.push_async_callback(one.stop)
            await one.start()
        counts = await stack.enter_async_context(PartitionCounts(settings.source_topics, options))
    except (KafkaError, OSError) as error:
        raise BrokerError(f"{settings.bootstrap}: {error}") from error
    offsets = group_offsets(f"{settings.name}-intake", options)
    return IntakeClients(consumer, uncommitted, log_producer, counts, waits, offsets, spans), producer


async def _write_control(producer: BlockingProducer, topic: str, partition: int, value: bytes) -> None:
    await producer.send_and_wait(topic, value, key=CONTROL_KEY, partition=partition)


async def _ends_of(consumer: AIOKafkaConsumer, topic: str, numbers: list[int]) -> dict[int, int]:
    """The end offsets of partitions of a topic; empty where one of them has no leader."""
    try:
        ends = await consumer.end_offsets([TopicPartition(topic, number) for number in numbers])
    except KafkaError:
        return {}
    return {tp.partition: end for tp, end in ends.items()}


def _reader(settings: Settings, topic: str) -> Any:
    return partial(read_ranges, topic=topic, fetch_size=FETCH_SIZE, options=kafka_options(settings))


async def _producer(stack: AsyncExitStack, patience: float, options: dict[str, Any]) -> BlockingProducer:
    producer = BlockingProducer(
        patience=patience,
        acks="all",
        enable_idempotence=True,
        linger_ms=2,
        max_batch_size=MAX_BATCH,
        max_request_size=MAX_REQUEST,
        **options,
    )
    stack.push_async_callback(producer.stop)
    await producer.start()
    return producer


def _ensure(settings: Settings) -> int:
    """Create the missing topics; returns the common number of partitions of log and state."""
    security = settings.security()
    specs = topics_of(settings)
    report = ensure_topics(settings.bootstrap, specs, replication=settings.replication, security=security)
    log, state = (report.partitions[topic] for topic in (settings.log_topic, settings.changelog_topic))
    if log != state:
        raise BrokerError(
            f"topic {settings.log_topic} has {log} partitions and {settings.changelog_topic} has {state}; "
            "they must have the same number: use another --name, or recreate them"
        )
    return log


def _limits(settings: Settings) -> dict[str, int]:
    """The most bytes of a message of each topic. Settings by which its own topics lose or refuse records are logged."""
    specs = topics_of(settings)
    configs = configs_of(settings, specs)
    own = [spec for spec in specs if spec.name not in settings.source_topics]
    for line in wrong_settings(settings, own, configs):
        logger.warning("%s", line)
    return message_limits(specs, configs)
