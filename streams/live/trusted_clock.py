"""The clock of the watermarks: the earlier of this machine's clock and the brokers'.

A worker that has read its sources to their end writes the current time as watermark. If its clock were an hour ahead,
every case with less than an hour left would be reported as breached. So a second clock is used: the broker stamps each
record appended to the log (``LogAppendTime``), every batch goes there, and the acknowledgement has the stamp, a lower
bound of the broker's time. The earlier of the two clocks counts. A clock that is behind, this machine's or the
brokers', makes alerts late by as much, and never false.

Until the first stamp there is no time. A log with producers' timestamps (created elsewhere, or by a broker without
``LogAppendTime``) gives no stamps: then only this machine's clock counts, which is logged once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from streams.wall_clock import WallClock, monotonic
from streams.wire.records import LOG_APPEND_TIME, YEAR_2000

APART: Final = 2.0
"""Seconds between the clocks from which the difference is logged."""

TELL_AGAIN: Final = 60.0
"""Seconds between two such lines."""

FORGOTTEN: Final = 100
"""A stamp loses a hundredth of its age: a delayed acknowledgement gives a weaker bound than an earlier one without
delay, but clocks drift, and leaders change.
"""

logger = logging.getLogger(__name__)


class Stamp(Protocol):
    """The timestamp of an acknowledgement."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch."""

    @property
    def timestamp_type(self) -> int:
        """``LOG_APPEND_TIME``, or 0 where the producer set it."""


class TrustedClock:
    """Call ``observe`` with acknowledgements as they arrive; ``now`` at any time."""

    def __init__(self, clock: WallClock, elapsed: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self._elapsed = elapsed
        self._broker: tuple[int, int] | None = None  # its time minus the monotonic time; and when it was received
        self._is_alone = False
        self._told_at: int | None = None

    def observe(self, stamps: Iterable[Stamp]) -> None:
        """Take acknowledgements that have just arrived.

        Of several brokers the latest clock counts: one whose clock is behind must not delay the others.
        """
        found = [
            stamp.timestamp * 1000
            for stamp in stamps
            # librdkafka's embedded broker returns a constant near zero, which is not a time
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
                "the log keeps its producers' timestamps (message.timestamp.type is not LogAppendTime): "
                "an error of this machine's clock cannot be detected"
            )

    def now(self) -> int:
        """Microseconds, by the given clock.

        Raises:
            LookupError: where the brokers' time is not known yet.
        """
        if self._broker is not None:
            return min(self.clock.now(), self.clock.at(self._broker[0] + self._us()))
        if self._is_alone:
            return self.clock.now()
        raise LookupError("no broker has sent a timestamp yet")

    def brokers_now(self) -> int:
        """Microseconds of real time by the brokers, whatever the given clock; by this machine if they gave none.

        For producers' timestamps: this machine's clock has no influence on them.
        """
        return WallClock().now() if self._broker is None else self._broker[0] + self._us()

    def ahead(self) -> float:
        """Real seconds by which this machine's clock is ahead of the brokers', negative where it is behind.

        0 without a stamp to compare with.
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
