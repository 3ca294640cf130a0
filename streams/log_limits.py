"""A bound on log lines: of one cause a few a minute, whatever goes wrong and however often.

One cause is one logger and one wording (numbers apart). What is left out is counted, and the next line of the same
cause that comes out says how many there were. What is away (brokers, a database, a registry) is one cause for as long
as it lasts (``Absence``).
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

OWN_LINES: Final = 10
LIBRARY_LINES: Final = 2
"""Lines a minute of one cause: of this program, and of the libraries."""

MINUTE: Final = 60.0
CAUSES: Final = 1_000
"""Causes that are counted at a time; of more the one longest silent is forgotten."""

_NUMBERS: Final = re.compile(r"\d+")


class Absence:
    """How long something has been away, and when a line says so: when it begins, once a minute, and when it ends.

    Instants are seconds of one clock that never goes back.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._said: float | None = None

    @property
    def is_said(self) -> bool:
        """Whether a line has said that it is away, and none that it is back."""
        return self._said is not None

    def lasts(self, now: float, *, is_sure: bool = True) -> float | None:
        """It is away: for how many seconds, where a line is due now. Until it is sure no line says so."""
        self._since = now if self._since is None else self._since
        if not is_sure or (self._said is not None and now - self._said < MINUTE):
            return None
        self._said = now
        return now - self._since

    def ends(self, now: float) -> float | None:
        """It is there: for how many seconds it was away, where a line has said so."""
        lasted = None if self._since is None or self._said is None else now - self._since
        self._since = self._said = None
        return lasted


@dataclass(slots=True)
class _Window:
    began: float
    shown: int = 0
    left_out: int = 0


class LineLimit(logging.Filter):
    """A filter of a handler; ``own`` are the top loggers of this program.

    Critical lines always come out, and so do those of the loggers ``always``.
    """

    def __init__(self, own: tuple[str, ...], always: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._always = frozenset(always)
        self._own = frozenset(own)
        self._windows: OrderedDict[tuple[str, str], _Window] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line comes out; it may come out with a count."""
        if record.levelno >= logging.CRITICAL or record.name in self._always:
            return True
        wording = record.getMessage() if record.msg == "%s" else str(record.msg)
        key = record.name, _NUMBERS.sub("N", wording[:300])
        window = self._windows.pop(key, None) or _Window(record.created)
        self._windows[key] = window
        if len(self._windows) > CAUSES:
            self._windows.popitem(last=False)
        missed = 0
        if record.created - window.began >= MINUTE:
            missed, window.began, window.shown, window.left_out = window.left_out, record.created, 0, 0
        most = OWN_LINES if record.name.partition(".")[0] in self._own else LIBRARY_LINES
        if window.shown >= most:
            window.left_out += 1
            return False
        window.shown += 1
        if missed:
            record.msg, record.args = f"{record.getMessage()} ({missed:,} more like this were left out before)", ()
        return True
