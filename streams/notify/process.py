"""Builds and runs a notifier from settings and subscriptions."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, assert_never

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.subscriptions import (
    AlertmanagerChannel,
    KafkaChannel,
    PeopleChannel,
    Secret,
    SubscriptionFile,
    WebhookChannel,
    check_address,
)
from schemas.subscriptions import (
    Channel as ChannelSpec,
)
from streams.core.notices import NO_NAMES, Names
from streams.errors import BrokerError, ConfigError
from streams.kafka.acls import permissions_of
from streams.kafka.admin import TopicSpec, ensure_topics
from streams.kafka.connection import clock_of, kafka_options, permissions_at
from streams.kafka.topics import DAY_S, MAX_REQUEST, notify_topics_of
from streams.notify.channels.alertmanager import Alertmanager
from streams.notify.channels.contract import Channel
from streams.notify.channels.http import Http
from streams.notify.channels.kafka import KafkaTopic
from streams.notify.channels.people import People
from streams.notify.channels.webhook import Webhook
from streams.notify.metrics import NotifyMetrics
from streams.notify.notifier import Notifier
from streams.notify.subscription_files import reveal
from streams.settings import Settings
from streams.wall_clock import WallClock

REAL: Final = WallClock()


@dataclass(frozen=True, slots=True)
class NotifyReady:
    """Reported when a notifier begins to deliver, and when it stands by."""

    metrics_port: int
    delivers: bool


def channels_of(
    file: SubscriptionFile, producer: AIOKafkaProducer | None, clock: WallClock = REAL, names: Names = NO_NAMES
) -> dict[str, Channel]:
    """Every channel of a file, opened. Without a producer its Kafka topics are left out.

    ``clock`` is that of the alerts.

    Raises:
        ConfigError: where a secret is missing or an address is invalid.
    """
    found: dict[str, Channel] = {}
    for name, spec in file.channels.items():
        if not isinstance(spec, KafkaChannel) or producer is not None:
            found[name] = _open(name, spec, file, producer, clock, names)
    return found


async def check_channels(file: SubscriptionFile) -> None:
    """Open and close every channel but Kafka topics.

    Raises:
        ConfigError: see ``channels_of``.
    """
    for channel in channels_of(file, None).values():
        await channel.close()


def _open(
    name: str,
    spec: ChannelSpec,
    file: SubscriptionFile,
    producer: AIOKafkaProducer | None,
    clock: WallClock,
    names: Names,
) -> Channel:
    key, subscriptions = f"channels.{name}", {item.name: item for item in file.subscriptions}
    timeout = spec.retries.timeout
    match spec:
        case KafkaChannel():
            assert producer is not None
            return KafkaTopic(producer, spec.topic, timeout)
        case WebhookChannel():
            http = Http(_address(spec.url, key), ca=spec.ca, timeout_us=timeout, key=f"{key}.ca")
            place = f"{key}.secret"
            return Webhook(http, reveal(spec.secret, key=place), REAL.now, key=place)
        case AlertmanagerChannel():
            http = Http(_address(spec.url, key), ca=spec.ca, timeout_us=timeout, key=f"{key}.ca")
            return Alertmanager(name, http, spec, subscriptions, clock, names)
        case PeopleChannel():
            return People(reveal(spec.url, key=f"{key}.url"), subscriptions, timeout, names=names, key=f"{key}.url")
        case _:
            assert_never(spec)


def _address(url: str | Secret, key: str) -> str:
    if not isinstance(url, Secret):
        return url
    found = reveal(url, key=f"{key}.url").get_secret_value()
    try:
        check_address(found)
    except ValueError as error:
        raise ConfigError(f"what {url.env or url.file} holds {error}", key=f"{key}.url") from None
    return found


def topics_of(settings: Settings, file: SubscriptionFile) -> list[TopicSpec]:
    """The topics of a notifier, with the settings for those that are missing."""
    kept = int(settings.retention_days * DAY_S * 1000)
    targets = sorted({spec.topic for spec in file.channels.values() if isinstance(spec, KafkaChannel)})
    return [
        TopicSpec(settings.alerts_topic, settings.partitions, kept, False, 2 * 1024 * 1024),
        *notify_topics_of(settings),
        *(TopicSpec(topic, settings.partitions, kept, False, 2 * 1024 * 1024) for topic in targets),
    ]


async def run_notifier(
    settings: Settings,
    file: SubscriptionFile,
    *,
    first_from_us: int,
    names: Names = NO_NAMES,
    on_ready: Callable[[NotifyReady], None] = lambda _ready: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Deliver, or stand by, until SIGTERM, SIGINT or ``stop``.

    A notifier without state begins ``first_from_us`` (microseconds) ago. ``names`` are the organisations' in messages.

    Raises:
        BrokerError: where the brokers cannot be reached or refuse.
        ConfigError: where a secret is missing.
        StateError: where a newer version wrote the state.
    """
    stop = stop or asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await check_channels(file)  # a missing secret is reported now, not when this process leads
    specs, security = topics_of(settings, file), settings.security()
    report = await asyncio.to_thread(
        ensure_topics, settings.bootstrap, specs, replication=settings.replication, security=security
    )
    # Without the channels' topics: where one of them refuses messages, the other channels continue.
    permissions = permissions_at(settings, permissions_of("notify", settings))
    metrics = NotifyMetrics(tuple(file.channels), names)
    async with AsyncExitStack() as stack:
        port = metrics.serve(settings.metrics_host, settings.metrics_port)
        stack.callback(metrics.close)
        stack.callback(asyncio.ensure_future(metrics.health.keep_beating()).cancel)
        watching = asyncio.ensure_future(permissions.watch())
        watching.add_done_callback(lambda task: None if task.cancelled() else stop.set())
        stack.callback(watching.cancel)

        def on_state(delivers: bool) -> None:
            metrics.health.is_ready = True
            on_ready(NotifyReady(port, delivers))

        try:
            producer = await stack.enter_async_context(_producing(settings))
            notifier = Notifier(
                settings,
                file,
                open_channels=lambda: channels_of(file, producer, clock_of(settings), names),
                metrics=metrics,
                partitions=report.partitions,
                first_from_us=WallClock().now() - first_from_us,
            )
            await notifier.run(stop, on_state)
        except (KafkaError, OSError) as error:
            watching.cancel()
            failure = BrokerError(f"{settings.bootstrap}: {type(error).__name__}: {error}")
            raise await permissions.reason(failure) from error
        if watching.done():
            watching.result()


@asynccontextmanager
async def _producing(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """A producer for the channels that are Kafka topics."""
    producer = AIOKafkaProducer(
        acks="all", enable_idempotence=True, linger_ms=2, max_request_size=MAX_REQUEST, **kafka_options(settings)
    )
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()
