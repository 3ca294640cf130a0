"""Puts a worker together: settings in, a running worker out."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.errors import BrokerError, ConfigError
from streams.files import private_directory
from streams.kafka.acls import permissions_of
from streams.kafka.admin import ensure_topics
from streams.kafka.connection import clock_of, kafka_options, permissions_at
from streams.kafka.partition_counts import PartitionCounts
from streams.kafka.producer import BackPressure, BlockingProducer
from streams.kafka.range_reader import read_ranges
from streams.kafka.topics import MAX_REQUEST, topics_of
from streams.live.changelog import Changelog
from streams.live.clock_partition import Applied, ClockPartition
from streams.live.intake import MAX_PAYLOAD, Intake
from streams.live.metrics import Metrics
from streams.live.metrics_server import Health, MetricsServer
from streams.live.progress import Progress
from streams.live.trusted_clock import TrustedClock
from streams.rulebooks.decoding import decoder_of
from streams.rulebooks.loader import LoadedRulebook
from streams.rulebooks.mapping_files import topic_mappings
from streams.settings import Settings
from streams.wire.cloudevents import encode, without_detail
from streams.wire.decoder import conflict_of, dead_letter_of, encode_json, too_old, wire_fields
from streams.wire.pseudonyms import cloud_events
from streams.wire.records import RecordDecoder

MAX_ALERT = 900_000
"""Bytes of an alert at most: within what any broker takes."""

logger = logging.getLogger(__name__)

FETCH_SIZE = 2 * 1024 * 1024
"""Bytes of each partition in one answer."""

MAX_BATCH = 512 * 1024
"""Bytes sent to one partition at a time: the rows of a whole record, within what any broker takes."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Told when a worker is at work."""

    metrics_port: int
    log_partitions: int


async def run_worker(
    settings: Settings,
    loaded: LoadedRulebook,
    *,
    on_ready: Callable[[Ready], None] = lambda _ready: None,
    on_failed: Callable[[Exception], None] = lambda _error: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Work until SIGTERM, SIGINT or ``stop``; then finish what is under way and leave in order.

    ``on_failed`` hears why a worker that was at work cannot go on, before it tries to end in order, which may hang.

    Raises:
        BrokerError: where the broker cannot be reached or its topics do not fit.
        LocalStoreError: where the local copy of the state cannot be written or read.
        StateError: where the state was written by a newer version, or does not fit the log.
    """
    # Faust is imported late: it patches nothing, but it takes half a second.
    from streams.live.faust_app import Worker

    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = clock_of(settings)
    rulebook = loaded.rulebook
    mappings = topic_mappings(settings, loaded.catalogue)
    decoder = RecordDecoder(decoder_of(loaded, settings.pseudonyms), mappings)
    log_partitions = await asyncio.to_thread(_ensure, settings)
    options = kafka_options(settings)
    partitions: dict[int, ClockPartition] = {}
    health = Health()
    metrics = Metrics(
        clock,
        partitions,
        rulebook,
        is_ready=lambda: health.ready()[0],
        log_partitions=log_partitions,
        max_counties=settings.metrics_counties,
        data_dir=settings.data_dir if settings.store == "rocksdb" else None,
    )
    agreed = TrustedClock(clock)
    metrics.clock_ahead.set_function(agreed.ahead)
    waits = BackPressure(settings.session_s)
    pace = Progress(partitions)
    health.on_beat.append(pace.look)
    health.troubles += [waits.overdue, pace.trouble]
    writer = cloud_events(rulebook.calendar, settings.pseudonyms)

    async with AsyncExitStack() as stack:
        server = MetricsServer(settings.metrics_host, settings.metrics_port, metrics.registry, health)
        stack.callback(server.close)
        client_id = f"{socket.gethostname()}:{server.port}"  # brokers and ``gridclock status`` name the worker by it
        beating = asyncio.ensure_future(health.keep_beating())
        stack.callback(beating.cancel)
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
                metadata_max_age_ms=5_000,  # how soon a new partition of a source is read; time waits for it
                max_partition_fetch_bytes=FETCH_SIZE,
                **options,
            )
            stack.push_async_callback(consumer.stop)
            await consumer.start()
            counts = await stack.enter_async_context(PartitionCounts(settings.source_topics, options))
        except (KafkaError, OSError) as error:
            raise BrokerError(f"{settings.bootstrap}: {error}") from error

        async def emit(applied: Applied) -> None:
            if applied.step.alerts or applied.step.refused:
                with waits.on(f"topic {settings.alerts_topic} or {settings.dead_letters_topic}"):
                    await write(applied)
            for alert in applied.step.alerts:
                metrics.alert_sent(alert)

        async def write(applied: Applied) -> None:
            sends = []
            for alert in applied.step.alerts:
                cloud_event = writer.alert(alert)
                value = encode(cloud_event)
                if len(value) > MAX_ALERT:
                    logger.warning(
                        "topic %s: alert %s about %s %s has %d bytes: sent without its detail; see the evidence by "
                        "gridclock explain",
                        settings.alerts_topic, alert.alert_id, *alert.subject, len(value),
                    )  # fmt: skip
                    value = encode(without_detail(cloud_event, len(value)))
                key = cloud_event["subject"].encode()
                sends.append(await producer.send(settings.alerts_topic, value, key=key))
            for (_, event, origin), notice in applied.step.refused:
                source, _, position = origin.rpartition("/")
                letter = dead_letter_of(
                    encode_json(wire_fields(event)),
                    conflict_of(event.event_id) if notice == "conflict" else too_old(event.at, settings.keep_for),
                    source=source,
                    position=int(position),
                    max_payload=MAX_PAYLOAD,
                )
                metrics.dead_letter(letter.reason)
                value = letter.model_dump_json().encode()
                sends.append(await producer.send(settings.dead_letters_topic, value, key=origin.encode()))
            for sent in sends:
                await sent

        async def log_ends(numbers: list[int]) -> dict[int, int]:
            topics = [TopicPartition(settings.log_topic, number) for number in numbers]
            try:
                ends = await consumer.end_offsets(topics)
            except KafkaError:  # no leader just now
                return {}
            return {topic.partition: end for topic, end in ends.items()}

        def engine_of(partition: int) -> ClockPartition:
            return ClockPartition(partition, rulebook, keep_for=settings.keep_for)

        intake = Intake(
            consumer=consumer,
            producer=log_producer,
            sources=settings.source_topics,
            counts=counts,
            log_topic=settings.log_topic,
            log_partitions=log_partitions,
            dead_letters_topic=settings.dead_letters_topic,
            decoder=decoder,
            rulebook=rulebook,
            clock=clock,
            time=agreed,
            metrics=metrics,
            waits=waits,
            grace=settings.grace_ms * 1000,
            tick=settings.tick_ms * 1000,
            batch=settings.batch,
            max_ahead=settings.max_ahead_s * 1_000_000,
        )
        worker = Worker(
            bootstrap=settings.bootstrap,
            name=settings.name,
            client_id=client_id,
            log_topic=settings.log_topic,
            log_partitions=log_partitions,
            data_dir=str(directory_of(settings)),
            store=settings.store,
            session=settings.session_s,
            security=options,
            fetch_wait_ms=settings.fetch_wait_ms,
            changelog=Changelog(producer, settings.changelog_topic),
            waits=waits,
            intake=intake,
            log_ends=log_ends,
            log_reader=partial(read_ranges, topic=settings.log_topic, fetch_size=FETCH_SIZE, options=options),
            changelog_reader=partial(
                read_ranges, topic=settings.changelog_topic, fetch_size=FETCH_SIZE, options=options
            ),
            engine_of=engine_of,
            emit=emit,
            on_applied=metrics.applied,
            on_recovered=metrics.recovered,
            on_failed=on_failed,
            rights=permissions_at(
                settings, permissions_of("run", settings), without="describe"
            ),  # that is for the start
            partitions=partitions,
        )

        health.troubles.insert(0, lambda: "reading the state back" if worker.is_recovering else None)

        def ready() -> None:
            health.is_ready = True
            on_ready(Ready(server.port, log_partitions))

        try:
            await worker.run(stop, ready)
        except KafkaError as error:  # refused for good: no right to write, a record too large, a topic that is gone
            raise BrokerError(f"{settings.bootstrap}: {error}") from error


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


def directory_of(settings: Settings) -> Path:
    """The directory of the local state, made where it is missing. Another name has another state."""
    path = settings.data_dir / settings.name
    try:
        private_directory(path)
    except OSError as error:
        raise ConfigError(f"data_dir: {path} cannot be made: {error.strerror}") from error
    return path


def _ensure(settings: Settings) -> int:
    """Make the topics that are missing; the number of partitions that the log and the state both have."""
    security = settings.security()
    specs = topics_of(settings)
    report = ensure_topics(settings.bootstrap, specs, replication=settings.replication, security=security)
    log, state = (report.partitions[topic] for topic in (settings.log_topic, settings.changelog_topic))
    if log != state:
        raise BrokerError(
            f"topic {settings.log_topic} has {log} partitions and {settings.changelog_topic} has {state}; "
            "they must have the same number: use another --name, or make them anew"
        )
    return log
