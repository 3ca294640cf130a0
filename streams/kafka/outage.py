"""Outages of the brokers: one log line at the begin, one per minute, one at the end; the clients' lines are dropped.

The Kafka clients retry by themselves without limit, and log about a hundred lines per second. So their line only
triggers a check: the addresses are tried, and while none accepts a connection, the clients' lines are dropped. Without
such a line nothing is tried, because a connection without a login is logged by the brokers.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from streams.log_limits import Absence
from streams.wall_clock import monotonic

CLIENTS: Final = frozenset({"aiokafka", "kafka", "faust", "mode"})
TRY_SECONDS: Final = 1.0
TRIES: Final = 3
"""Consecutive failures that make an outage: the restart of one broker is none."""

_CONNECT_SECONDS: Final = 2.0

logger = logging.getLogger(__name__)


def is_reachable(bootstrap: str) -> bool:
    """Whether one of the addresses accepts a connection."""
    for server in bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS):
                return True
        except (OSError, ValueError):
            continue
    return False


class Outage(logging.Filter):
    """The state of the brokers; a filter of the log handlers. ``look`` must be called repeatedly.

    ``waits``: whether the process has begun its work, and so waits for the brokers. One that is starting may end.
    """

    def __init__(
        self,
        bootstrap: str,
        is_reachable: Callable[[str], bool] = is_reachable,
        now: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__()
        self._bootstrap = bootstrap
        self._is_reachable = is_reachable
        self._now = now
        self._failed = 0
        self._absence = Absence()
        self.left_out = 0
        self.waits = False
        self.suspected = threading.Event()
        self._ended = threading.Event()

    @property
    def is_on(self) -> bool:
        """Whether there is an outage."""
        return self._absence.is_said

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is logged."""
        if record.levelno < logging.WARNING or record.name.partition(".")[0] not in CLIENTS:
            return True
        self.suspected.set()
        if self.is_on:
            self.left_out += 1
            return False
        return True

    def look(self) -> None:
        """Try the brokers, and log a change."""
        now = self._now()
        if self._is_reachable(self._bootstrap):
            if (lasted := self._absence.ends(now)) is not None:
                logger.warning(
                    "brokers %s: a connection again after %.0f s; %d lines of the Kafka clients were left out",
                    self._bootstrap,
                    lasted,
                    self.left_out,
                )
            self._failed = self.left_out = 0
            self.suspected.clear()
            return
        self._failed += 1
        if (seconds := self._absence.lasts(now, is_sure=self._failed >= TRIES)) is not None:
            logger.warning(
                "brokers %s: no connection for %.0f s; this process %s, nothing is lost",
                self._bootstrap,
                seconds,
                "waits until they are back" if self.waits else "is only starting and ends if it cannot begin",
            )

    def keep_looking(self) -> None:
        """Until ``end``: after a line of the clients, until the brokers can be reached."""
        while not self._ended.is_set():
            self.suspected.wait()
            if not self._ended.is_set():
                self.look()
                self._ended.wait(TRY_SECONDS)

    def end(self) -> None:
        """End ``keep_looking``, in another thread."""
        self._ended.set()
        self.suspected.set()


@contextmanager
def outage_lines(bootstrap: str) -> Iterator[Outage]:
    """Have these lines, and not the clients', in this process's log."""
    outage, handlers = Outage(bootstrap), list(logging.getLogger().handlers)
    for handler in handlers:
        handler.filters.insert(0, outage)  # before the limit, which would count the lines dropped here
    threading.Thread(target=outage.keep_looking, name="outage", daemon=True).start()
    try:
        yield outage
    finally:
        outage.end()
        for handler in handlers:
            handler.removeFilter(outage)
