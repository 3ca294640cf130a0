"""SIGHUP: what has changed in files is taken up by ending in order and beginning again, as the same process.

One mechanism, not two: a restart is what every test of crashes and upgrades is about, and a second way of changing
rules in a running engine would need as many of its own. First the files are read; where they are wrong, that is told
and the work goes on with what there was. On a terminal SIGHUP ends the process, as it does with every program.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from streams.errors import ConfigError, GridclockError
from streams.log_lines import announce


class Ending(asyncio.Event):
    """Set when the work is to end. ``again``: and to begin again, unless somebody wants an end since."""

    def __init__(self) -> None:
        super().__init__()
        self.again = False

    def set(self) -> None:
        """End for good."""
        self.again = False
        super().set()

    def begin_again(self) -> None:
        """End and begin again; nothing where an end is under way."""
        if not self.is_set():
            super().set()
            self.again = True


def run_reloading(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]], check: Callable[[], object]) -> None:
    """Run ``work`` until it ends; after a SIGHUP and a good ``check`` become this very command anew.

    ``check`` reads all that would be read at a start, and raises what a start would. ``work`` sets what it is given
    on SIGTERM, and ends when it is set. Does not return where it begins again.
    """
    if sys.stderr.isatty():
        asyncio.run(work(asyncio.Event()))
        return
    again = asyncio.run(_until_the_end(work, check))
    if again:
        announce("beginning again with what has changed")
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # Ignored until the new program has its own handler: a second SIGHUP must not kill it.
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
                    announce(f"SIGHUP: nothing is changed: {problem}", level=logging.ERROR)
            except GridclockError as error:
                announce(f"SIGHUP: nothing is changed: {error}", level=logging.ERROR)
            else:
                ending.begin_again()

    def on_signal() -> None:
        task = asyncio.create_task(look())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_signal)
    await work(ending)
    return ending.again
