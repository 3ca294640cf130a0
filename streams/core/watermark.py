"""Watermarks: what has surely been seen, and the one place that says where the boundary lies.

A watermark W says: no event at or before W is still to come (Flink's convention). So something is due when
``due <= W``, after every event at or before W has been applied; a stop exactly at its deadline is on time.

Several sources feed one log. Each vouches only for itself, so the time of the whole is the minimum over all of
them: an idle source that has been read to its end does not hold time back, one with a backlog does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def is_due(due: int, watermark: int) -> bool:
    """Whether something due at an instant is certain under a watermark; both in microseconds."""
    return due <= watermark


class SourceWatermarks:
    """The latest watermark of every source, and their minimum.

    A source is a name such as ``topic/3``. No time has passed until every expected source has spoken. A
    source's watermark never goes back; nor does the minimum, even when a new source joins behind it. One that is
    no longer expected is forgotten: a feed that was taken out of service must not stop the clocks.
    """

    __slots__ = ("_at", "_by_source", "_expected")

    def __init__(self, by_source: Mapping[str, int] | None = None, at: int | None = None) -> None:
        self._by_source: dict[str, int] = dict(by_source or {})
        self._expected: frozenset[str] = frozenset(self._by_source)
        self._at = at

    @property
    def at(self) -> int | None:
        """The watermark of the whole, or ``None`` before every expected source has spoken."""
        return self._at

    @property
    def by_source(self) -> Mapping[str, int]:
        """The watermark of each source that has spoken."""
        return self._by_source

    def expect(self, sources: Iterable[str]) -> None:
        """Wait for exactly these sources; a new one holds time where it is until it has spoken."""
        expected = frozenset(sources)
        if expected != self._expected:
            self._expected = expected
            self._by_source = {source: at for source, at in self._by_source.items() if source in expected}

    def update(self, watermarks: Mapping[str, int]) -> int | None:
        """Take newer watermarks, those of sources not expected left out; return the watermark of the whole."""
        for source, watermark in watermarks.items():
            if source in self._expected and watermark > self._by_source.get(source, watermark - 1):
                self._by_source[source] = watermark
        if self._by_source and len(self._by_source) == len(self._expected):
            lowest = min(self._by_source.values())
            self._at = lowest if self._at is None else max(self._at, lowest)
        return self._at
