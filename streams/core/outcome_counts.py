"""Counts of cases by outcome, and the running clocks: the input of on-time rates.

Alerts alone give no rate: a met case has no alert. So the verdicts of each subject are counted when it is decided. A
verdict can change: a breached case is completed late, a correction makes it met. Counters must not decrease, so there
are two, ``ended`` and ``reopened``, with the same keys; the count is their difference, over any time range.

A restored subject is not counted again; a dropped one keeps its counts.

Worked example. fee-5-minutes at 09:05:00 without a stop: ``ended[breached]`` is 1. Completed 09:07:00:
``reopened[breached]`` is 1 and ``ended[met_late]`` is 1. Corrected to 09:04:50: ``reopened[met_late]`` is 1 and
``ended[met]`` is 1. The differences: met 1, all others 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from streams.core.alerts import Subject
from streams.core.event import Event
from streams.core.verdicts import Outcome, Status


class Place(NamedTuple):
    """A rule in a part of the organisation; ``None`` where the starting event has none."""

    rule: str
    city: str | None
    county: str | None


class Running(NamedTuple):
    """One clock that runs. Instants in microseconds; no deadline while paused or without a limit."""

    place: Place
    started_at: int
    deadline: int | None


Ending = tuple[Place, Outcome]


class ClocksAt(NamedTuple):
    """Running clocks at one place: of those with a deadline when they started and end, and the number of the others."""

    place: Place
    started: Sequence[int]
    deadlines: Sequence[int]
    others: int


class OutcomeCounts:
    """The counts of one engine; ``running`` holds only the subjects that have a clock running."""

    def __init__(self) -> None:
        self.ended: Counter[Ending] = Counter()
        self.reopened: Counter[Ending] = Counter()
        self.running: dict[Subject, tuple[Running, ...]] = {}
        self.clocks = 0
        """How many run."""
        self._endings: dict[Subject, tuple[Ending, ...]] = {}
        self._places: dict[tuple[str, str | None, str | None], Place] = {}
        self._known: dict[Ending, Ending] = {}

    def take(
        self,
        subject: Subject,
        found: Mapping[str, Iterable[Status]],
        *,
        is_all: bool = False,
        known: bool = False,
    ) -> None:
        """Count every case of some rules on a subject; replaces their earlier counts.

        ``found`` is by rule id; with ``is_all`` the other rules' counts are removed too. The cases may be as of an
        instant after the watermark, so that a completion counts when it is read. A case with a report due after the
        watermark is not certain yet: it counts once the watermark has passed that instant, which decides the subject
        again.
        """
        endings: list[Ending] = []
        running: list[Running] = []
        for rule_id, statuses in found.items():
            for anchor, outcome, started_at, deadline, is_certain, is_running in statuses:
                place = self._place(rule_id, anchor)
                if is_certain and outcome != "running":
                    ending = place, outcome
                    endings.append(self._known.setdefault(ending, ending))
                if is_running:
                    running.append(Running(place, started_at, deadline))
        self.replace(subject, found, endings, running, is_all=is_all, known=known)

    def replace(
        self,
        subject: Subject,
        rules: Collection[str],
        endings: Sequence[Ending],
        running: list[Running],
        *,
        is_all: bool,
        known: bool = False,
    ) -> None:
        """``take`` with the endings and the running clocks of those rules already found."""
        run_before = self.running.get(subject, ())
        if run_before and not is_all:
            running += [clock for clock in run_before if clock.place.rule not in rules]
        if running or run_before:
            self.run(subject, tuple(running))
        before = self._endings.get(subject, ())
        stand: list[Ending] = []
        if before and not is_all:
            stand = [ending for ending in before if ending[0].rule not in rules]
            before = tuple([ending for ending in before if ending[0].rule in rules])
        now = tuple(endings)
        if now == before:
            return
        self._endings[subject] = (*stand, *now)
        if known:
            return
        if now[: len(before)] == before:  # the usual case: one more has ended
            for ending in now[len(before) :]:
                self.ended[ending] += 1
        else:
            self.ended.update(Counter(now) - Counter(before))
            self.reopened.update(Counter(before) - Counter(now))

    def change(
        self, subject: Subject, ended: Iterable[Ending], reopened: Iterable[Ending], running: Sequence[Running] | None
    ) -> None:
        """Count the difference that a decision made elsewhere; ``running`` are all clocks, ``None`` where unchanged."""
        for ending in ended:
            self.ended[ending] += 1
        for ending in reopened:
            self.reopened[ending] += 1
        if running is not None:
            self.run(subject, tuple(running))

    def run(self, subject: Subject, clocks: tuple[Running, ...]) -> None:
        """Replace the running clocks of a subject."""
        self.clocks += len(clocks) - len(self.running.pop(subject, ()))
        if clocks:
            self.running[subject] = clocks

    def clocks_at(self) -> list[ClocksAt]:
        """All running clocks, each place once; also from another thread."""
        found: dict[Place, tuple[list[int], list[int], list[None]]] = {}
        for clocks in list(self.running.values()):  # copied in one step of the interpreter
            for place, started_at, deadline in clocks:
                started, deadlines, others = found.get(place) or found.setdefault(place, ([], [], []))
                if deadline is None:
                    others.append(None)
                else:
                    started.append(started_at)
                    deadlines.append(deadline)
        return [
            ClocksAt(place, started, deadlines, len(others)) for place, (started, deadlines, others) in found.items()
        ]

    def take_counts(self) -> tuple[Counter[Ending], Counter[Ending]]:
        """``ended`` and ``reopened`` since this was last called."""
        found = self.ended, self.reopened
        self.ended, self.reopened = Counter(), Counter()
        return found

    def forget(self, subject: Subject) -> None:
        """Drop the subject; its counts stay."""
        self._endings.pop(subject, None)
        self.run(subject, ())

    def _place(self, rule_id: str, anchor: Event) -> Place:
        org = anchor.data.get("org") or {}
        key = rule_id, org.get("city"), org.get("county")
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = Place(*key)
        return place
