"""Sends the messages of one channel, in order, one after the other, with bounded retries.

A failed message is tried again after pauses that double. Their jitter is derived from the message's id, so that
channels that fail together do not retry together, and tests can compute it. A message that is refused, or fails for
the last time, is given up and the next one is tried.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from schemas.subscriptions import Retries
from streams.core.delivery_case import Event
from streams.core.delivery_message import Delivery
from streams.notify.channels.contract import Channel, NotDelivered, Refreshing
from streams.notify.metrics import NotifyMetrics

logger = logging.getLogger(__name__)


def pause_us(retries: Retries, delivery_id: str, attempt: int) -> int:
    """The pause after the ``attempt``-th failure (from 1): half to the whole of the doubled one."""
    whole = min(retries.longest, retries.first << min(attempt - 1, 40))
    digest = blake2b(f"{delivery_id}\x1f{attempt}".encode(), digest_size=4).digest()
    return whole // 2 + whole * int.from_bytes(digest) // (2 * 0xFFFF_FFFF)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a message: delivered, given up (``problem``), or not sent because it is outdated (``moot``)."""

    delivery: Delivery
    problem: NotDelivered | None = None
    attempts: int = 0
    moot: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """A message whose last attempt failed and that is tried again, ``pause_us`` real microseconds after it failed."""

    delivery: Delivery
    problem: NotDelivered
    attempts: int
    pause_us: int


class Sender:
    """Sends the messages of one channel.

    ``trouble`` is there between a failed attempt and the next one's end, else ``None``.

    ``on_done`` gets every outcome before the next message is taken; ``wanted`` gives what is left of a message before
    it is sent, ``None`` for nothing;
    ``standing`` gives the alerts that are still active, of those reported at most so many microseconds ago by kind.
    """

    def __init__(
        self,
        name: str,
        channel: Channel,
        retries: Retries,
        *,
        metrics: NotifyMetrics,
        on_done: Callable[[Outcome], None],
        wanted: Callable[[Delivery], Delivery | None],
        standing: Callable[[Mapping[str, int]], Sequence[tuple[Event, str]]],
    ) -> None:
        self.name = name
        self.trouble: Trouble | None = None
        self._channel = channel
        self._retries = retries
        self._metrics = metrics
        self._on_done = on_done
        self._wanted = wanted
        self._standing = standing
        self._queue: deque[Delivery] = deque()
        self._ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._remind_at = 0.0

    def put(self, delivery: Delivery) -> None:
        """Add a message to the end of the queue."""
        self._queue.append(delivery)
        self._ready.set()

    def __len__(self) -> int:
        """Waiting messages, including the one being sent."""
        return len(self._queue)

    def stop(self) -> None:
        """Finish the attempt under way and send no more."""
        self._stopping.set()
        self._ready.set()

    async def run(self) -> None:
        """Send until ``stop``."""
        self._remind_at = self._time()
        while not self._stopping.is_set():
            await self._remind_if_due()
            if self._queue:
                outcome = await self._send(self._queue[0])
                self.trouble = None
                if outcome is not None:
                    self._queue.popleft()
                    self._on_done(outcome)
                continue
            self._ready.clear()
            wait = max(0.0, self._remind_at - self._time()) if self.reminds else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), wait)

    @property
    def reminds(self) -> bool:
        """Whether the channel gets reminders of active alerts."""
        return hasattr(self._channel, "refresh_us")

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()

    async def _remind_if_due(self) -> bool:
        """Send the channel a reminder if one is due; whether it was accepted."""
        if not self.reminds or self._time() < self._remind_at:
            return False
        channel: Refreshing = self._channel  # type: ignore[assignment]
        try:
            # Requested here and not earlier: an alert that ends during the wait must not fire again.
            await channel.remind(standing := self._standing(channel.holds_us))
        except NotDelivered as problem:
            self._metrics.attempt_failed(self.name, problem.reason)
            logger.warning("channel %s: reminder failed: %s", self.name, problem)
            return False
        finally:
            self._remind_at = self._time() + channel.refresh_us / 1e6
        return bool(standing)

    async def _send(self, planned: Delivery) -> Outcome | None:
        """The outcome; ``None`` where ``stop`` came before it was known."""
        delivery = self._wanted(planned)
        if delivery is None:
            return Outcome(planned, moot=True)
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._channel.deliver(delivery)
            except NotDelivered as problem:
                self._metrics.attempt_failed(self.name, problem.reason)
                if not problem.again or attempt >= self._retries.attempts:
                    logger.warning("channel %s: given up after %d attempts: %s", self.name, attempt, problem)
                    return Outcome(delivery, problem, attempt)
                pause = pause_us(self._retries, delivery.id, attempt)
                pause = max(pause, min(problem.wait_us, self._retries.longest))
                logger.info("channel %s: attempt %d: %s; again in %.1f s", self.name, attempt, problem, pause / 1e6)
                self.trouble = Trouble(delivery, problem, attempt, pause)
                if await self._is_stopped_within(pause / 1e6):
                    return None
            else:
                return Outcome(delivery, attempts=attempt)

    async def _is_stopped_within(self, seconds: float) -> bool:
        """The pause before the next attempt; it ends early if the channel accepts a reminder meanwhile."""
        until = self._time() + seconds
        while (left := until - self._time()) > 0 and not self._stopping.is_set():
            wait = min(left, max(0.0, self._remind_at - self._time())) if self.reminds else left
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)
            if not self._stopping.is_set() and await self._remind_if_due():
                break
        return self._stopping.is_set()

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()
