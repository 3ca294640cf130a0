"""Watermarks, and the one definition of their boundary.

A watermark W means that no event at or before W is still to come (Flink's convention). So something is due when ``due
<= W``, after every event at or before W has been applied; a stop exactly at its deadline is on time.

Several sources feed one log, each with its own watermark. The combined watermark is their minimum: an idle source that
has been read to its end does not hold it back, one with a backlog does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def is_due(due: int, watermark: int) -> bool:
    """Whether something due at an instant is certain under a watermark; both in microseconds."""
    return due <= watermark


class SourceWatermarks:
    """The latest watermark of every source, and their minimum.

    A source is a name such as ``topic/3``. There is no minimum until every expected source has a watermark. A source's
    watermark never decreases; nor does the minimum, even when a new source joins behind it. A source that is no longer
    expected is dropped: a removed feed must not stop the clocks.
    """

    __slots__ = ("_at", "_by_source", "_expected")

    def __init__(self, by_source: Mapping[str, int] | None = None, at: int | None = None) -> None:
        self._by_source: dict[str, int] = dict(by_source or {})
        self._expected: frozenset[str] = frozenset(self._by_source)
        self._at = at

    @property
    def at(self) -> int | None:
        """The combined watermark, or ``None`` until every expected source has one."""
        return self._at

    @property
    def by_source(self) -> Mapping[str, int]:
        """The watermark of each source that has one."""
        return self._by_source

    def expect(self, sources: Iterable[str]) -> None:
        """Expect exactly these sources; a new one holds the combined watermark until it has one of its own."""
        expected = frozenset(sources)
        if expected != self._expected:
            self._expected = expected
            self._by_source = {source: at for source, at in self._by_source.items() if source in expected}

    def update(self, watermarks: Mapping[str, int]) -> int | None:
        """Take newer watermarks, ignoring sources not expected; return the combined watermark."""
        for source, watermark in watermarks.items():
            if source in self._expected and watermark > self._by_source.get(source, watermark - 1):
                self._by_source[source] = watermark
        if self._by_source and len(self._by_source) == len(self._expected):
            lowest = min(self._by_source.values())
            self._at = lowest if self._at is None else max(self._at, lowest)
        return self._at
