"""A worker in a child process, on a scaled clock."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.errors import BrokerError
from streams.kafka.child_process import ChildProcess
from streams.settings import Settings
from streams.wall_clock import WallClock

GRACE_SECONDS: Final = 0.3
"""Grace for events under way, in real milliseconds; its simulated length grows with the clock's speed."""

TICK_MS: Final = 250
_AT_WORK = re.compile(r"at work on .*?, (\d+) rules, (\d+) partitions, .*metrics (\S+)")
_LAG = re.compile(r'^gridclock_watermark_lag_seconds\{partition="\d+"\} (\S+)$', re.MULTILINE)
_STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class AtWork:
    """What a worker reports when it is ready."""

    rules: int
    partitions: int
    metrics: str


class Worker:
    """``gridclock run`` as a child process; ``directory`` holds its state and its log."""

    def __init__(self, settings: Settings, clock: WallClock, directory: Path) -> None:
        self._clock = clock
        self._at_work: AtWork | None = None
        flags = {
            "--bootstrap": settings.bootstrap,
            "--name": settings.name,
            "--partitions": settings.partitions,
            "--data-dir": directory / "state",
            "--store": "memory",
            "--grace-ms": int(GRACE_SECONDS * 1000 * clock.speed),
            "--tick-ms": TICK_MS,
            "--metrics-port": 0,
            "--clock-origin": clock.origin,
            "--clock-anchor": clock.anchor,
            "--clock-speed": float(clock.speed),
        }
        command = [sys.executable, "-m", "streams.cli", "run"]
        command += [str(word) for flag in flags.items() for word in flag]
        # Record timestamps are whole milliseconds, which are minutes of a scaled clock.
        environment = {
            "GRIDCLOCK_MAX_AHEAD_S": "864000", "GRIDCLOCK_FETCH_WAIT_MS": "50", "GRIDCLOCK_LOG_FORMAT": "text",
        }  # fmt: skip
        self._child = ChildProcess(command, directory / "worker.log", environment=environment)

    @property
    def at_work(self) -> AtWork | None:
        """The worker's report; ``None`` until it is ready.

        Raises:
            BrokerError: where it has ended instead.
        """
        if self._child.exit_code is not None:
            raise BrokerError(f"the worker ended with {self._child.exit_code}:\n{self._child.last_lines()}")
        if self._at_work is None and (found := _AT_WORK.search(self._child.output())):
            self._at_work = AtWork(int(found[1]), int(found[2]), found[3])
        return self._at_work

    def has_passed(self, instant: int) -> bool:
        """Whether every partition's watermark has passed an instant, by the worker's metrics."""
        ready = self.at_work
        if ready is None:
            return False
        now = self._clock.now()  # read before the request, so the watermarks are at least as late as computed
        try:
            with urllib.request.urlopen(ready.metrics, timeout=2) as answer:
                lags = [float(lag) for lag in _LAG.findall(answer.read().decode())]
        except OSError:
            return False
        return len(lags) == ready.partitions and now - int(max(lags) * 1e6 * self._clock.speed) >= instant

    def stop(self) -> None:
        """Stop it in order and wait for its end."""
        if self._child.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child.pid, signal.SIGTERM)
            self._child.wait(_STOP_SECONDS)
        self._child.kill()

    def kill(self) -> None:
        """End it at once."""
        self._child.kill()
