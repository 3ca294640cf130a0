"""Processes that end by themselves are started again, after longer and longer pauses where they do not stay.

One line says that a process ended, with what and with its last line; none is written in between, so that a process
that cannot run writes one line a pause, which is a minute in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from streams.wall_clock import monotonic

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
STAYED: Final = 60.0
"""Seconds after which a process that runs has stayed: its next end is a first one again."""


class Restartable(Protocol):
    """What is looked after."""

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs."""

    def restart(self) -> None:
        """Start it again."""

    def last_lines(self, count: int = 20) -> str:
        """The end of what it has written."""


@dataclass(slots=True)
class _Care:
    process: Restartable
    started: float
    pause: float = 0.0
    due: float | None = None


class Supervisor:
    """Looks after processes by name; ``say`` gets one line for each end, ``time`` gives seconds."""

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
        """Note what has ended and start what is due; call it again and again."""
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
