"""The one module that reads the system's time.

``WallClock`` gives instants in microseconds. A scaled clock maps real instants to simulated ones, so that a
demo's thirty days pass in seconds; broker timestamps go through the same map, and so everything downstream
sees one consistent time. It is anchored at a real instant, not at the start of the process: a worker that is
killed and started again goes on in the same simulated time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction


def _now() -> int:
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class WallClock:
    """Real time, or time that runs ``speed`` times as fast from ``origin`` since the real ``anchor``."""

    anchor: int = 0
    origin: int = 0
    speed: Fraction = Fraction(1)

    @classmethod
    def scaled(cls, origin: int, speed: float, anchor: int | None = None) -> WallClock:
        """A clock that showed ``origin`` at the real instant ``anchor`` (default: now)."""
        return cls(_now() if anchor is None else anchor, origin, Fraction(speed).limit_denominator(1000))

    def now(self) -> int:
        """This instant, in microseconds since the epoch."""
        return self.at(_now())

    def at(self, real: int) -> int:
        """What this clock showed at a real instant; both in microseconds."""
        if self.speed == 1:
            return self.origin + real - self.anchor
        return self.origin + int((real - self.anchor) * self.speed)

    def all_at(self, reals: Iterable[int | None], later: int) -> list[int | None]:
        """``at`` of each, so many microseconds later; ``None`` stays."""
        if self.speed == 1:
            later += self.origin - self.anchor
            return [None if real is None else real + later for real in reals]
        return [None if real is None else self.at(real) + later for real in reals]

    def real(self, at: int) -> int:
        """The real instant at which this clock showed ``at``: the inverse of ``at``, to the microsecond before."""
        return self.anchor + int((at - self.origin) / self.speed)


def monotonic() -> float:
    """Seconds of a clock that never goes back; for measuring lengths only."""
    return time.monotonic()


def booted() -> float:
    """When this machine was started, in seconds since the epoch."""
    return _now() / 1e6 - time.clock_gettime(time.CLOCK_BOOTTIME)
