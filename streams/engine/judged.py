"""One replay by the native engine: lines in, alerts out, and what Python must judge by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from schemas.events import EventCatalogue
from streams.core.alerts import Subject
from streams.core.event import Event
from streams.core.rulebook import Rulebook
from streams.engine.document import Document

Line = tuple[int, int, bytes]
"""Number of arrival, origin, and the line itself."""


CASES_AT_ONCE: Final = 500
"""Subjects whose cases are held as bytes at once."""


@dataclass(frozen=True, slots=True)
class JudgedCases:
    """The cases of one subject: each its line, without its end, and an alert with its sentence, where it has one.

    ``left_to_python`` are the lines of its events where Python must write the cases instead.
    """

    subject: Subject
    cases: list[tuple[bytes, bytes | None]]
    left_to_python: list[Line]


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of judging natively.

    ``lines`` and ``left_to_python`` (subjects, each with the reason) are for Python. ``judged`` counts events, for each
    of their subjects; ``repeated`` are numbers of arrival; ``orphans`` are stops without a start, by rule.
    """

    lines: list[Line]
    left_to_python: dict[Subject, str]
    judged: int
    repeated: list[int]
    orphans: Counter[str]


class NativeReplay:
    """Wraps the compiled replay (``streams/native/src/replay.rs``). Instants are microseconds since the epoch.

    ``bounds`` are the latest instant that is taken, the end of time, and ``as_of``.
    """

    def __init__(
        self,
        module: ModuleType,
        rulebook: Rulebook,
        catalogue: EventCatalogue,
        bounds: tuple[int, int | None, int | None],
    ) -> None:
        self._inner: Any = module.Replay(Document(rulebook, catalogue).encoded, *bounds)

    def take(self, line: bytes, origin: int) -> bool:
        """Take one line; false where Python must read it."""
        return bool(self._inner.take(line, origin))

    def skim(self, text: bytes, origin: int) -> tuple[int, int]:
        """Take the whole lines that a text begins with, up to one that Python must read: the bytes and lines taken.

        ``origin`` is that of the line before.
        """
        found: tuple[int, int] = self._inner.skim(text, origin)
        return found

    def note(self, event: Event, subjects: Iterable[Subject]) -> int | None:
        """Count an event that Python has read; its number of arrival, where it is kept."""
        found: int | None = self._inner.note(event.at, event.recorded, event.corrects is not None, list(subjects))
        return found

    @property
    def memory(self) -> int:
        """Bytes held."""
        return int(self._inner.memory)

    @property
    def highest(self) -> int:
        """The latest instant of the events so far."""
        return int(self._inner.highest)

    @property
    def unwatched_at(self) -> int | None:
        """The latest instant of the events that no rule watches."""
        found: int | None = self._inner.unwatched_at
        return found

    def counts(self) -> list[int]:
        """Events, after the end, not yet recorded, unwatched, out of order, late by a minute, an hour, a day."""
        return list(self._inner.counts())

    def lines(self) -> list[Line]:
        """All lines held."""
        return list(self._inner.lines())

    def divide(self) -> tuple[int | None, list[Line]]:
        """The last instant of the subjects that are not Python's, and the lines that are known to be Python's."""
        last, lines = self._inner.divide()
        return last, list(lines)

    def judge(self, until: int, threads: int) -> Judged:
        """Judge up to an instant (inclusive), in so many threads, which do not hold Python's lock."""
        lines, subjects, judged, repeated, orphans = self._inner.judge(until, threads)
        left = {(kind, number): reason for kind, number, reason in subjects}
        return Judged(lines, left, judged, repeated, Counter(orphans))

    def cases(self, until: int) -> Iterator[JudgedCases]:
        """Every case as of an instant, by subject, of those that are not left to Python; after ``judge``."""
        first = 0
        while some := self._inner.cases(until, first, CASES_AT_ONCE):
            for kind, number, cases, lines in some:
                yield JudgedCases((kind, number), cases, lines)
            first += CASES_AT_ONCE

    def add(self, key: tuple[Any, ...], line: bytes) -> None:
        """Add an alert of the Python engine."""
        self._inner.add(key, line)

    def alerts(self) -> list[tuple[str, str, bytes]]:
        """All alerts in their order: rule, kind, line without its end."""
        return list(self._inner.alerts())
