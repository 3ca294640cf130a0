"""Signals that come while the program is still being imported, which takes a second.

This module imports nothing slow: it is used before all others. Before it runs Python itself starts, within some 40 ms;
a signal in that time is handled as the parent process left it.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Final

RELOADING: Final = ("run", "board", "notify")
"""Commands that take up changed files at SIGHUP."""

INTERRUPTED: Final = 130

_came: list[int] = []


def hold_reloads() -> None:
    """From now on a SIGHUP does not end the process, and is acted on once ``run_reloading`` runs.

    Called first of all: a start takes seconds, and files that are changed after it has read them must not be missed.
    No effect on a terminal, where SIGHUP ends every program.
    """
    if not sys.stderr.isatty():
        signal.signal(signal.SIGHUP, lambda number, _frame: _came.append(number))


def reload_came() -> bool:
    """Whether a SIGHUP came since ``hold_reloads``."""
    return bool(_came)


def hold_early(arguments: list[str]) -> None:
    """What a process does first: ``hold_reloads`` for a command that reloads; Ctrl-C ends it without a traceback.

    ``arguments`` are those of the command line, without the program.
    """
    if arguments[:1] and arguments[0] in RELOADING:
        hold_reloads()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def imported() -> None:
    """From now on Ctrl-C is a ``KeyboardInterrupt`` again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"gridclock: interrupted\n")
    os._exit(INTERRUPTED)
