"""A producer that blocks while the brokers take no writes, and reports it.

Missing replicas, an absent leader or a slow broker are temporary, and unacknowledged records are not lost, because the
reader does not advance meanwhile. So the producer waits for as long as it takes. ``BackPressure`` records what is
waited for and since when, for the log and for ``/readyz``. A permanent refusal (no permission to write, a record too
large) is an error at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.wall_clock import monotonic

LOG_AGAIN_SECONDS = 60.0
"""Seconds between two log lines about the same wait."""


class Message(NamedTuple):
    """A key, a value (``None`` deletes the key where the topic is compacted), and headers.

    ``partition_hash`` is the key's, where it is known (``murmur2`` without its sign).
    """

    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] | None = None
    partition_hash: int | None = None


logger = logging.getLogger(__name__)


class BlockingProducer(AIOKafkaProducer):  # type: ignore[misc]
    """A producer without a send timeout while it works; when it stops it waits ``patience`` seconds at most."""

    def __init__(self, *, patience: float, **options: Any) -> None:
        super().__init__(**options)
        self._patience = patience

    async def send(self, *args: Any, **options: Any) -> Any:
        """As the parent's, but keeps waiting while a partition's buffer is full: the record is not in it yet."""
        return await _until_buffered(super().send, *args, **options)

    async def send_batch(self, *args: Any, **options: Any) -> Any:
        """As ``send``, of a batch."""
        return await _until_buffered(super().send_batch, *args, **options)

    async def send_together(self, topic: str, messages: Sequence[Message]) -> None:
        """Write messages to the partitions of their keys, those of one partition in this order; wait until all are.

        As ``send`` of each, with less work for each: they are put into batches here.

        Raises:
            KafkaError: where the broker refuses one of them.
        """
        if not messages:
            return
        partitions = sorted(await self.partitions_for(topic))
        batches: dict[int, BatchBuilder] = {}
        sent = []
        for key, value, headers, partition_hash in messages:
            message = {"timestamp": None, "key": key, "value": value, "headers": headers}
            known = murmur2(key) & 0x7FFFFFFF if partition_hash is None else partition_hash
            number = partitions[known % len(partitions)]
            batch = batches.get(number)
            if batch is None or batch.append(**message) is None:
                if batch is not None:  # full
                    sent.append(await self.send_batch(batch, topic, partition=number))
                batches[number] = batch = self.create_batch()
                batch.append(**message)  # an empty batch takes a message of any size
        for number, batch in batches.items():
            batch.close()
            sent.append(await self.send_batch(batch, topic, partition=number))
        await asyncio.gather(*sent)

    async def stop(self) -> None:
        """Close, flushing what can be flushed. The rest was not acknowledged, so it may be dropped."""
        stopping = asyncio.ensure_future(super().stop())
        await asyncio.wait([stopping], timeout=self._patience)
        stopping.cancel()


async def _until_buffered(send: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
    while True:
        try:
            return await send(*args, **options)
        except KafkaTimeoutError:
            continue


class BackPressure:
    """The writes that this worker waits for; one entry for each wait under way. Times are in seconds."""

    def __init__(self, patience: float, now: Callable[[], float] = monotonic) -> None:
        self._patience = patience
        self._now = now
        self._since: dict[object, tuple[float, str]] = {}
        self._logged: tuple[str, float] | None = None  # what was logged last, and when

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Use it around a wait for ``what``."""
        token = object()
        self._since[token] = self._now(), what
        try:
            yield
        finally:
            del self._since[token]

    async def watch(self) -> None:
        """``check`` every second until cancelled."""
        while True:
            await asyncio.sleep(1)
            self.check()

    def check(self) -> None:
        """Log an overdue wait when it changes and once a minute, and log when it is over."""
        overdue = self._overdue()
        if overdue is None:
            if self._logged is not None:
                logger.warning("the brokers take writes again")
            self._logged = None
        elif self._logged is None or self._logged[0] != overdue[0] or self._now() - self._logged[1] > LOG_AGAIN_SECONDS:
            logger.warning("%s: this worker waits and reads no further; nothing is lost", _in_words(*overdue))
            self._logged = overdue[0], self._now()

    def overdue(self) -> str | None:
        """The wait that is longer than ``patience``, in words; ``None`` without one. For any thread."""
        overdue = self._overdue()
        return None if overdue is None else _in_words(*overdue)

    def _overdue(self) -> tuple[str, float] | None:
        oldest = min(list(self._since.values()), default=None)
        if oldest is None or (waited := self._now() - oldest[0]) <= self._patience:
            return None
        return oldest[1], waited


def _in_words(what: str, waited: float) -> str:
    return f"{what} has taken no writes for {waited:.0f} s"
