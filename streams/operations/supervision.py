"""Restarts processes that end by themselves, after growing pauses where they keep ending.

Each end is reported in one line with the exit code and the last output line; a process that cannot run causes one line
per pause; pauses grow to a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from streams.wall_clock import monotonic

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
STAYED: Final = 60.0
"""Seconds after which a running process counts as stable: its next pause is the shortest again."""


class Restartable(Protocol):
    """A supervised process."""

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs."""

    def restart(self) -> None:
        """Restart it."""

    def last_lines(self, count: int = 20) -> str:
        """The last lines of its output."""


@dataclass(slots=True)
class _Care:
    process: Restartable
    started: float
    pause: float = 0.0
    due: float | None = None


class Supervisor:
    """Supervises processes by name; ``say`` gets one line for each end, ``time`` gives seconds."""

    def __init__(
        self,
        processes: Mapping[str, Restartable],
        say: Callable[[str], None],
        time: Callable[[], float] = monotonic,
    ) -> None:
        self._say = say
        self._time = time
        self._cared = {name: _Care(process, time()) for name, process in processes.items()}

    def look(self) -> None:
        """Detect ended processes and restart those that are due; call it repeatedly."""
        for name, one in self._cared.items():
            code, now = one.process.exit_code, self._time()
            if code is None:
                continue
            if one.due is None:
                stayed = now - one.started >= STAYED
                one.pause = 0.0 if stayed else min(LONGEST_PAUSE, 2 * one.pause or FIRST_PAUSE)
                one.due = now + one.pause
                when = f"in {one.pause:g} s" if one.pause else "now"
                last = one.process.last_lines(1)
                self._say(
                    f"{name} ended with {code}; it is started again {when}" + (f"; it said: {last}" if last else "")
                )
            if now >= one.due:
                one.process.restart()
                one.started, one.due = now, None
