"""SIGHUP: reload changed files by a clean stop and a restart in the same process.

There is one mechanism: restarts are covered by all tests of crashes and upgrades, and a second way of changing rules in
a running engine would need as many tests. The files are read first; if they have errors, these are reported and the
process continues unchanged. On a terminal SIGHUP ends the process, as with every program.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from streams.early_signals import reload_came
from streams.errors import ConfigError, GridclockError
from streams.log_lines import announce


class Ending(asyncio.Event):
    """Set when the process must stop. ``again``: and restart, unless an end was requested since."""

    def __init__(self) -> None:
        super().__init__()
        self.again = False

    def set(self) -> None:
        """Stop without a restart."""
        self.again = False
        super().set()

    def begin_again(self) -> None:
        """Stop and restart; no effect while it is stopping."""
        if not self.is_set():
            super().set()
            self.again = True


def run_reloading(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]], check: Callable[[], object]) -> None:
    """Run ``work`` until it ends; after a SIGHUP and a successful ``check`` execute the same command again.

    ``check`` reads all files that a start reads, and raises the same errors. ``work`` sets its argument on SIGTERM, and
    ends when it is set. Does not return after a restart.
    """
    if sys.stderr.isatty():
        asyncio.run(work(asyncio.Event()))
        return
    again = asyncio.run(_until_the_end(work, check))
    if again:
        announce("restarting with the changed files")
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # Ignored until the new program has its own handler (``early_signals``): another SIGHUP must not kill it.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


async def _until_the_end(
    work: Callable[[asyncio.Event], Coroutine[Any, Any, None]], check: Callable[[], object]
) -> bool:
    ending, looking = Ending(), asyncio.Lock()
    tasks: set[asyncio.Task[None]] = set()

    async def look() -> None:
        async with looking:
            try:
                await asyncio.to_thread(check)
            except ConfigError as error:
                for problem in (error, *error.others):
                    announce(f"SIGHUP: not restarted: {problem}", level=logging.ERROR)
            except GridclockError as error:
                announce(f"SIGHUP: not restarted: {error}", level=logging.ERROR)
            else:
                ending.begin_again()

    def on_signal() -> None:
        task = asyncio.create_task(look())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_signal)
    if reload_came():
        on_signal()
    await work(ending)
    return ending.again
