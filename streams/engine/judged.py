"""One replay by the native engine: lines in, alerts out, and what Python must judge by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import starmap
from types import ModuleType
from typing import Any, Final, NamedTuple

from streams.core.alerts import Subject
from streams.core.event import Event

Line = tuple[int, int, bytes]
"""Number of arrival, origin, and the line itself."""


EVENTS_AT_ONCE: Final = 20_000
"""Events whose lines are held twice at once."""

ALERTS_AT_ONCE: Final = 1000
"""Alerts that are held twice at once."""

CASES_AT_ONCE: Final = 500
"""Subjects whose cases are held as bytes at once."""


class JudgedCases(NamedTuple):
    """The cases of one subject: their lines, or, where alerts are asked for, each line without its end, with an alert.

    Such an alert has the sentence on the case; there is none where nothing is reported of it. ``left_to_python`` are
    the lines of its events where Python must write the cases instead.
    """

    subject: Subject
    text: bytes
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

    ``document`` is the encoded one of the rulebook, ``rival`` that of another one, whose cases are asked for too.
    ``bounds`` are the latest instant that is taken, the end of time, and ``as_of``.
    """

    def __init__(
        self,
        module: ModuleType,
        document: bytes,
        bounds: tuple[int, int | None, int | None],
        rival: bytes | None = None,
    ) -> None:
        self._inner: Any = module.Replay(document, rival, *bounds)

    def take(self, line: bytes, origin: int) -> bool:
        """Take one line; false where Python must read it."""
        return bool(self._inner.take(line, origin))

    def skim(self, text: bytes, origin: int) -> tuple[int, int]:
        """Take the whole lines that a text begins with, up to one that Python must read: the bytes and lines taken.

        ``origin`` is that of the line before.
        """
        found: tuple[int, int] = self._inner.skim(text, origin)
        return found

    def take_for(self, line: bytes, subject: Subject) -> bool:
        """Take what one line says of one subject, and count nothing; false where Python must read it."""
        return bool(self._inner.take_for(line, *subject))

    def clear(self) -> None:
        """Forget all lines and what came of them; counts stay."""
        self._inner.clear()

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

    def keep_highs(self) -> list[int]:
        """From now on, keep the rising maxima of the events' instants; gives those kept so far."""
        return list(self._inner.keep_highs())

    def keep(self, subjects: Iterable[Subject]) -> int:
        """Leave the subjects of an event to Python, and count nothing; the event's number of arrival."""
        return int(self._inner.keep(list(subjects)))

    def routed(self) -> Iterator[tuple[Line, int, Subject]]:
        """All lines held, once for each subject that they concern, with the event's instant."""
        for first in range(0, self._inner.held, EVENTS_AT_ONCE):
            for number, origin, at, kind, subject, line in self._inner.routed(first, EVENTS_AT_ONCE):
                yield (number, origin, line), at, (kind, subject)

    def left(self) -> set[Subject]:
        """The subjects that are known to be Python's; after ``divide``."""
        return set(self._inner.left())

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

    def cases(self, until: int, *, of_rival: bool = False, with_alerts: bool = True) -> Iterator[JudgedCases]:
        """Every case as of an instant, by subject, of those that are not left to Python; after ``judge``."""
        first = 0
        while some := self._inner.cases(until, (first, CASES_AT_ONCE), of_rival, with_alerts):
            yield from starmap(JudgedCases, some)
            first += CASES_AT_ONCE

    def add(self, key: tuple[Any, ...], line: bytes) -> None:
        """Add an alert of the Python engine."""
        self._inner.add(key, line)

    def alerts(self) -> Iterator[tuple[list[bytes], dict[tuple[str, str], int]]]:
        """All alerts in their order, some at a time: each as a line, and how many there are by rule and kind; once."""
        lines, counts = self._inner.alerts(ALERTS_AT_ONCE)
        while lines:
            yield lines, {(rule, kind): count for rule, kind, count in counts}
            lines, counts = self._inner.alerts(ALERTS_AT_ONCE)

    def keyed_alerts(self) -> list[tuple[tuple[Any, ...], bytes]]:
        """All alerts in their order, each with what ``add`` takes; once."""
        return list(self._inner.keyed_alerts())
