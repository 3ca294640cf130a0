"""Exact quantiles of all values of a quantity, at eight bytes a value.

Values are kept in sorted runs of doubles. A quantile is found by bisecting the range of values and counting in every
run, because sorting ten million values at once would make each of them a Python object.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from math import ceil
from typing import Final

RUN: Final = 1 << 15
"""Values in one sorted run."""


class Quantiles:
    """Values added one by one or merged. The same values in any order give the same quantiles."""

    __slots__ = ("_latest", "_runs")

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._runs: list[array[float]] = []
        self._latest = array("d", values)

    def __len__(self) -> int:
        return len(self._latest) + sum(map(len, self._runs))

    def add(self, value: float) -> None:
        """Add one value, not NaN."""
        self._latest.append(value)
        if len(self._latest) >= RUN:
            self._sort()

    def __iadd__(self, other: Quantiles) -> Quantiles:
        """Merge another's values; it must not be changed afterwards."""
        self._runs += other._runs
        self._latest += other._latest
        if len(self._latest) >= RUN:
            self._sort()
        return self

    def _sort(self) -> None:
        if self._latest:
            self._runs.append(array("d", sorted(self._latest)))
            self._latest = array("d")

    def values(self) -> list[float]:
        """All values, in no order."""
        return [value for run in (*self._runs, self._latest) for value in run]

    def quantiles(self, *shares: float) -> list[float | None]:
        """The smallest value that the given share (0 to 1) of the values does not exceed; ``None`` without values."""
        self._sort()
        count = len(self)
        if not count:
            return [None] * len(shares)
        return [self._at(min(max(ceil(share * count), 1), count)) for share in shares]

    def _at(self, rank: int) -> float:
        """The ``rank``-th smallest value, from 1."""
        low, high = min(run[0] for run in self._runs), max(run[-1] for run in self._runs)
        while low < high:
            middle = low + (high - low) / 2
            if middle >= high:  # neighbours: take the larger
                middle = low
            places = [bisect_right(run, middle) for run in self._runs]
            if sum(places) >= rank:
                high = max(run[place - 1] for run, place in zip(self._runs, places, strict=True) if place)
            else:
                low = min(run[place] for run, place in zip(self._runs, places, strict=True) if place < len(run))
        return low
