"""``gridclock run`` with a Faust whose consumer fails when asked to.

SIGUSR1: what the log gets next is taken note of as read and thrown away, as Faust does while a recovery ends.
SIGUSR2: the log is not read any more.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import Any

from streams.cli import main
from streams.live import faust_app


class FaultyWorker(faust_app.Worker):
    """Says ``fault: ...`` when it is there."""

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """As its parent's."""
        loop = asyncio.get_running_loop()
        self._faults: list[asyncio.Task[None]] = []
        loop.add_signal_handler(signal.SIGUSR1, lambda: self._faults.append(loop.create_task(self._lose())))
        loop.add_signal_handler(signal.SIGUSR2, self._pause)
        await super().run(stop, on_ready)

    def _parts(self) -> Any:
        return {part for part in self.app.consumer.assignment() if part.topic == self._log_topic}

    def _pause(self) -> Any:
        parts = self._parts()
        self.app.consumer.pause_partitions(parts)
        print("fault: paused", file=sys.stderr, flush=True)  # noqa: T201
        return parts

    async def _lose(self) -> None:
        numbers = [part.partition for part in self._parts()]
        before = await self._topics.log_ends(numbers)  # the test sends more once it reads that this has paused
        parts = self._pause()
        while (after := await self._topics.log_ends(numbers)).items() == before.items():
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)  # the log's other partitions get their share of the same batch
        after = await self._topics.log_ends(numbers)
        await self.app.consumer.seek_wait({part: after[part.partition] for part in parts})
        self.app.consumer.resume_partitions(parts)
        print("fault: lost", file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    faust_app.Worker = FaultyWorker  # type: ignore[misc]
    main()
