"""Reads alerts and acknowledgements, plans deliveries, writes the plan to Kafka, and then sends the messages.

One process of a group delivers and the others stand by: a digest must be complete, and a process of one partition would
see only a part. The leader is the process to which the group protocol assigns the only partition of the deliveries
topic. That topic holds the whole state (compacted): sent messages, messages in flight, and the offsets of alerts and
acknowledgements. A step is one Kafka transaction under one transactional id: its rows are written together or not at
all, and a former leader that is believed dead is fenced off.

A message is sent after its row was written, and its row is deleted after the receiver confirmed it. So no message is
lost, and only messages in flight at a crash are sent again, with the same key.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.subscriptions import SubscriptionFile
from streams.kafka.connection import clock_of, kafka_options
from streams.kafka.leadership import Leadership, either, keep_polling
from streams.kafka.topics import MAX_REQUEST
from streams.notify.channels.contract import Channel
from streams.notify.metrics import NotifyMetrics
from streams.notify.term import LeadershipLost, Setup, Term
from streams.settings import Settings

logger = logging.getLogger(__name__)

SESSION_MS = 6_000
"""The session timeout of the group: after so long without a heartbeat another process leads."""


class Notifier:
    """One process.

    ``open_channels`` opens the channels at each begin of its leadership, ``partitions`` gives the partition counts of
    its input topics, and a notifier without state begins at ``first_from_us`` (microseconds since the epoch).
    """

    def __init__(
        self,
        settings: Settings,
        file: SubscriptionFile,
        *,
        open_channels: Callable[[], Mapping[str, Channel]],
        metrics: NotifyMetrics,
        partitions: Mapping[str, int],
        first_from_us: int,
    ) -> None:
        self._settings = settings
        self._options = kafka_options(settings)
        self._metrics = metrics
        self._state = TopicPartition(settings.deliveries_topic, 0)
        self._setup = Setup(
            settings,
            file,
            clock=clock_of(settings),
            state=self._state,
            inputs={topic: partitions[topic] for topic in (settings.alerts_topic, settings.acks_topic)},
            open_channels=open_channels,
            metrics=metrics,
            first_from_us=first_from_us,
        )

    async def run(self, stop: asyncio.Event, on_state: Callable[[bool], None] = lambda _leads: None) -> None:
        """Run until ``stop``; ``on_state`` gets true when this process begins to deliver, false when it stands by.

        Raises:
            KafkaError: where the brokers refuse for good.
            StateError: where a newer version wrote the state.
        """
        leads, lost = asyncio.Event(), asyncio.Event()
        group = AIOKafkaConsumer(
            group_id=f"{self._settings.name}-notify",
            enable_auto_commit=False,
            auto_offset_reset="latest",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=SESSION_MS // 4,
            **self._options,
        )
        idle = asyncio.Event()
        idle.set()
        group.subscribe([self._state.topic], listener=Leadership(self._state, leads, lost, idle))
        await group.start()
        keeping = asyncio.create_task(keep_polling(group))
        keeping.add_done_callback(lambda _task: lost.set())
        try:
            on_state(False)
            while not stop.is_set():
                if not await either(leads, stop, keeping):
                    break
                lost.clear()
                idle.clear()
                try:
                    await self._lead(stop, lost, on_state)
                except LeadershipLost as reason:
                    logger.warning("stands by now: %s", reason)
                    leads.clear()
                finally:
                    self._metrics.active(False)
                    idle.set()
                on_state(False)
                if lost.is_set():
                    leads.clear()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)  # its failure was handled
            await group.stop()

    async def _lead(self, stop: asyncio.Event, lost: asyncio.Event, on_state: Callable[[bool], None]) -> None:
        producer = AIOKafkaProducer(
            transactional_id=f"{self._settings.name}-notify",
            max_request_size=MAX_REQUEST,
            transaction_timeout_ms=30_000,
            **self._options,
        )
        reader = AIOKafkaConsumer(
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=2 * 1024 * 1024,
            metadata_max_age_ms=30_000,
            **self._options,
        )
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(producer.stop)
            await producer.start()  # from here on a former leader is fenced off
            stack.push_async_callback(reader.stop)
            await reader.start()
            term = Term(self._setup, producer, reader, lost)
            stack.push_async_callback(term.close)
            await term.restore()
            self._metrics.active(True)
            on_state(True)
            await term.work(stop)
