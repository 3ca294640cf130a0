"""How many cases were decided on each day, and how they ended: by day, by rule, by place.

A case is *decided* when it is met, or when its deadline passes, whichever is first; an act that is judged as such is
decided when it is made. The day, in the calendar's zone, is that of ``counted_day``, as in the column ``decided_on`` of
the sink: a deadline at 24:00 is of the day that ends. Cancelled and running cases are not decided.

``DecidedCases`` counts those that the state still holds. Of each subject it keeps which counters it adds to, so that a
row written again replaces what was counted of it. It is bounded: of more than ``most`` subjects the oldest days are
forgotten, each as a whole.

Example. With 200,000 subjects kept and the oldest day the 3rd, one subject more makes ``since`` the 4th, and all that
was counted on the 3rd is forgotten.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from streams.core.alerts import Subject
from streams.core.counted_day import counted_at
from streams.core.filters import Filter, choices_of
from streams.core.open_cases import Place, place_of
from streams.core.verdicts import Outcome, Verdict
from streams.core.working_days import WorkingCalendar

MOST_SUBJECTS: Final = 200_000
"""Subjects with decided cases of which it is kept what they count for: some 40 MB."""

Key = TypeVar("Key", int, str)


class Figures(NamedTuple):
    """Numbers of cases: decided; of these met, breached (also if met later), violated, and failed red lines."""

    decided: int = 0
    on_time: int = 0
    breaches: int = 0
    violations: int = 0
    red_lines: int = 0


@dataclass(frozen=True, slots=True)
class Trends:
    """Figures of some days.

    ``first`` and ``last`` are the ordinals of the first and the last day of which all is known, inclusive; ``None``
    where there is no such day. ``days`` are by ordinal, ``places`` by the code of the level under the filter's.
    ``choices`` are the codes of each level that a filter may name.
    """

    first: int | None
    last: int | None
    days: Mapping[int, Figures] = field(default_factory=dict)
    rules: Mapping[str, Figures] = field(default_factory=dict)
    places: Mapping[str, Figures] = field(default_factory=dict)
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Days(NamedTuple):
    """The days asked for: ordinals, inclusive."""

    since: int
    until: int


class _Kind(NamedTuple):
    """What cases have in common that are counted together."""

    day: int
    rule: str
    clause: str
    severity: str
    place: Place
    outcome: Outcome

    def figures(self, count: int) -> Figures:
        missed = self.outcome != "met"
        violated = self.outcome == "violated"
        return Figures(
            count,
            0 if missed else count,
            count if missed and not violated else 0,
            count if violated else 0,
            count if missed and self.severity == "red_line" else 0,
        )


class _Counter:
    __slots__ = ("count", "kind")

    def __init__(self, kind: _Kind) -> None:
        self.kind = kind
        self.count = 0


class DecidedCases:
    """Counts the decided cases of subjects as they are judged, again and again."""

    def __init__(self, calendar: WorkingCalendar, *, keep_for: int, most: int = MOST_SUBJECTS) -> None:
        self._calendar = calendar
        self._keep_for = keep_for
        self._most = most
        self._counters: dict[_Kind, _Counter] = {}
        self._subjects: dict[Subject, tuple[_Counter, ...]] = {}
        self._since = 0

    def __len__(self) -> int:
        return len(self._subjects)

    def take(self, subject: Subject, verdicts: Iterable[Verdict]) -> None:
        """All cases of a subject, in place of those before; none where its row was deleted."""
        found = tuple(counter for verdict in verdicts if (counter := self._counter(verdict)) is not None)
        for counter in found:
            counter.count += 1
        self._release(self._subjects.pop(subject, ()))
        if found:
            self._subjects[subject] = found
        while len(self._subjects) > self._most:
            self.begin(min(kind.day for kind in self._counters) + 1)

    def is_forgotten(self, instant: int) -> bool:
        """Whether no case that was decided by an instant (microseconds) is counted any more."""
        return self._calendar.local_date(instant) < self._since

    def trends(self, wanted: Filter, days: Days, watermark: int | None) -> Trends:
        """The figures of some days, as of a watermark (microseconds); the days that are not whole are left out.

        ``watermark`` is that up to which all is judged, ``None`` where that is not known.
        """
        if watermark is None:
            return Trends(None, None)
        last = self._calendar.local_date(watermark)
        # Of a day in part older than ``keep_for`` some histories are no longer kept.
        first = max(self._since, self._calendar.local_date(watermark - self._keep_for) + 1)
        if first > last:
            return Trends(None, None)
        tally = _Tally(wanted)
        for kind, counter in list(self._counters.items()):
            if max(first, days.since) <= kind.day <= min(last, days.until):
                tally.add(kind, counter.count)
        return tally.trends(first, last)

    def _counter(self, verdict: Verdict) -> _Counter | None:
        at = counted_at(verdict.outcome, verdict.started_at, verdict.deadline, verdict.stopped_at)
        if at is None or (day := self._calendar.local_date(at)) < self._since:
            return None
        rule, place = verdict.rule, place_of(verdict.anchor.data.get("org"))
        kind = _Kind(day, rule.id, rule.clause, rule.severity, place, verdict.outcome)
        counter = self._counters.get(kind)
        if counter is None:
            counter = self._counters[kind] = _Counter(kind)
        return counter

    def _release(self, counters: Iterable[_Counter]) -> None:
        for counter in counters:
            counter.count -= 1
            if not counter.count:
                self._counters.pop(counter.kind, None)

    def begin(self, day: int) -> None:
        """Count from a day on (an ordinal, inclusive), and forget all before it."""
        self._since = day
        self._counters = {kind: counter for kind, counter in self._counters.items() if kind.day >= self._since}
        kept = (
            (subject, tuple(one for one in counters if one.kind.day >= self._since))
            for subject, counters in self._subjects.items()
        )
        self._subjects = {subject: counters for subject, counters in kept if counters}


class _Tally:
    """Adds up what passes a filter."""

    def __init__(self, wanted: Filter) -> None:
        self._wanted = wanted
        self._level = wanted.level
        self._seen: set[Place] = set()
        self._days: dict[int, list[int]] = defaultdict(lambda: [0] * len(Figures._fields))
        self._rules: dict[str, list[int]] = defaultdict(lambda: [0] * len(Figures._fields))
        self._places: dict[str, list[int]] = defaultdict(lambda: [0] * len(Figures._fields))

    def add(self, kind: _Kind, count: int) -> None:
        self._seen.add(kind.place)
        asked = zip(self._wanted.place, kind.place, strict=True)
        if not self._wanted.takes(kind) or any(one is not None and one != code for one, code in asked):
            return
        figures = kind.figures(count)
        for sums in (self._days[kind.day], self._rules[kind.rule], self._places[kind.place[self._level] or ""]):
            for index, value in enumerate(figures):
                sums[index] += value

    def trends(self, first: int, last: int) -> Trends:
        choices = choices_of(self._wanted.place, self._seen)
        return Trends(first, last, _sums(self._days), _sums(self._rules), _sums(self._places), choices)


def _sums(table: Mapping[Key, Sequence[int]]) -> dict[Key, Figures]:
    return {key: Figures(*sums) for key, sums in table.items()}
