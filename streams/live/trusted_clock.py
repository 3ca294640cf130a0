"""The time by which silence is judged: what this machine's clock and the brokers' have both reached.

A worker that reads its sources to their end says: it is now so late, and nothing more has come. Were its own clock an
hour ahead, every clock of the province that has less than an hour left would be called breached. So it asks a second
witness. What is appended to the log is stamped by the broker (``LogAppendTime``), every batch goes there, and the
acknowledgement carries the stamp: at that moment it was at least so late for the broker. Time is the earlier of the
two. A clock that is behind, this machine's or the brokers', makes alerts late by as much, and never false.

Until a first stamp has come there is no time. A log that keeps its senders' times (made elsewhere, or by a broker
that cannot do otherwise) is no witness: then this machine's clock alone counts, and that is said once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from streams.wall_clock import WallClock, monotonic
from streams.wire.records import LOG_APPEND_TIME, YEAR_2000

APART: Final = 2.0
"""Seconds between the clocks from which on it is worth a line in the log."""

TELL_AGAIN: Final = 60.0
"""Seconds between two such lines."""

FORGOTTEN: Final = 100
"""What was heard counts for a hundredth of its age less: an acknowledgement that came late says less than one before
that came at once, but clocks drift, and leaders change."""

logger = logging.getLogger(__name__)


class Stamp(Protocol):
    """What an acknowledgement says."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch."""

    @property
    def timestamp_type(self) -> int:
        """``LOG_APPEND_TIME``, or 0 where the sender set it."""


class TrustedClock:
    """``observe`` of acknowledgements as they come; ``now`` in between."""

    def __init__(self, clock: WallClock, elapsed: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self._elapsed = elapsed
        self._broker: tuple[int, int] | None = None  # its time less the time elapsed; and when that was heard
        self._is_alone = False
        self._told_at: int | None = None

    def observe(self, stamps: Iterable[Stamp]) -> None:
        """Take note of acknowledgements that came in just now.

        Of several brokers the one that is furthest counts: one whose clock is behind must not hold up the others.
        """
        found = [
            stamp.timestamp * 1000
            for stamp in stamps
            # librdkafka's embedded broker answers a constant near zero, which is no time
            if stamp.timestamp_type == LOG_APPEND_TIME and stamp.timestamp > YEAR_2000
        ]
        if found:
            elapsed = self._us()
            offset = max(found) - elapsed
            if self._broker is not None:
                before, heard = self._broker
                offset = max(offset, before - (elapsed - heard) // FORGOTTEN)
            self._broker, self._is_alone = (offset, elapsed), False
            self._log_difference(elapsed)
        elif self._broker is None and not self._is_alone:
            self._is_alone = True
            logger.warning(
                "the log keeps its senders' times (message.timestamp.type is not LogAppendTime): "
                "nobody would notice if this machine's clock were wrong"
            )

    def now(self) -> int:
        """Microseconds of the clock given.

        Raises:
            LookupError: where it is not known yet.
        """
        if self._broker is not None:
            return min(self.clock.now(), self.clock.at(self._broker[0] + self._us()))
        if self._is_alone:
            return self.clock.now()
        raise LookupError("no broker has told the time yet")

    def brokers_now(self) -> int:
        """Microseconds of real time, whatever the clock given, by the brokers; by this machine where none has said it.

        For what producers sent: this machine's clock has no part in that, right or wrong.
        """
        return WallClock().now() if self._broker is None else self._broker[0] + self._us()

    def ahead(self) -> float:
        """Real seconds by which this machine's clock is ahead of the brokers', negative where it is behind.

        0 where there is nothing to compare with.
        """
        return 0.0 if self._broker is None else (WallClock().now() - self.brokers_now()) / 1e6

    def _us(self) -> int:
        return int(self._elapsed() * 1e6)

    def _log_difference(self, elapsed: int) -> None:
        ahead = self.ahead()
        if abs(ahead) > APART and (self._told_at is None or elapsed - self._told_at > TELL_AGAIN * 1e6):
            self._told_at = elapsed
            which = "ahead of" if ahead > 0 else "behind"
            logger.warning("this machine's clock is %.1f s %s the brokers': the earlier counts", abs(ahead), which)
