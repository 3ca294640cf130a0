"""A count of all running clocks, and the time left of each.

Nothing is kept between counts, because every clock changes all the time. The count runs in a thread other than the
engine's: each engine gives a copy that it makes in one step. It sorts and bisects instead of counting into buckets: a
quarter faster with 200,000 clocks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from streams.core.outcome_counts import ClocksAt, Place
from streams.live.metric_table import FRACTIONS, LEFT


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """The clocks of one rule in one city that have a deadline; overdue ones have no time left.

    Buckets are cumulative, ``(upper bound as text, clocks with at most that left)``. ``next_deadline`` is the next one,
    in microseconds.
    """

    by_fraction: list[tuple[str, float]]
    fraction_sum: float
    by_seconds: list[tuple[str, float]]
    seconds_sum: float
    next_deadline: int | None


@dataclass(slots=True)
class RunningClocks:
    """The result of one count, by label values."""

    open_cases: Counter[tuple[str, ...]] = field(default_factory=Counter)
    by_city: dict[tuple[str, ...], TimeLeft] = field(default_factory=dict)


def count_running(
    partitions: Iterable[Iterable[ClocksAt]], now: int, labels_of: Callable[[Place], tuple[str, ...]]
) -> RunningClocks:
    """Count every clock as of ``now`` (microseconds). ``labels_of`` gives a place's labels, the county last."""
    found = RunningClocks()
    by_city: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for partition in partitions:
        for place, started, deadlines, others in partition:
            labels = labels_of(place)
            found.open_cases[labels] += len(started) + others
            by_city.setdefault(labels[:-1], []).extend(
                [(deadline - now, max(1, deadline - start)) for start, deadline in zip(started, deadlines, strict=True)]
            )
    for labels, lefts in by_city.items():
        if not lefts:
            continue  # an act that waits for its close has no deadline
        found.by_city[labels] = _time_left(lefts, now)
    return found


def _time_left(lefts: Sequence[tuple[int, int]], now: int) -> TimeLeft:
    """From pairs of time left and limit, microseconds."""
    ahead = [pair for pair in lefts if pair[0] > 0]
    overdue = len(lefts) - len(ahead)
    seconds = sorted([left / 1e6 for left, _ in ahead])
    fractions = sorted([left / limit for left, limit in ahead])
    return TimeLeft(
        _buckets(FRACTIONS, fractions, overdue),
        sum(fractions),
        _buckets(LEFT, seconds, overdue),
        sum(seconds),
        now + min(ahead)[0] if ahead else None,
    )


def _buckets(bounds: Sequence[float], values: Sequence[float], below: int) -> list[tuple[str, float]]:
    found = [(str(float(bound)), float(below + bisect_right(values, bound))) for bound in bounds]
    return [*found, ("+Inf", float(below + len(values)))]
