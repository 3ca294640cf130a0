"""Judges all events of some subjects: a replay does this once, or once for each partition of the subjects.

Subjects are independent, so the events can be partitioned by subject and each partition judged alone. The order of the
alerts does not depend on the partitioning: by the watermark at which they were detected, alerts caused by time before
alerts caused by an event, then the engine's order. That is ``AlertKey``.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter

from streams.core.alerts import Alert, DueAlert, Subject
from streams.core.event import Event
from streams.core.history import again as one_of_two
from streams.core.history import effective
from streams.core.offline_engine import AT_ONCE, OfflineEngine
from streams.core.records import JudgedCase
from streams.core.rulebook import Rulebook

Copies = Sequence[tuple[Subject, Event]]
"""The subjects that an event concerns, each with its copy of the event."""

Arrived = tuple[tuple[int, int, str], int, Event, int, Copies]
"""An event as read: its sort key in a history, its arrival number, the event, its origin, its copies."""

AlertKey = tuple[int, bool, int, str, str, str, str, str]


@dataclass(slots=True)
class Deduplicated:
    """Events without repetitions, in the order of time, and the arrival numbers of the repetitions.

    The copies of an event are those that go into a history.

    ``conflicts`` are the origins of events whose id was seen before with other content, by arrival number.
    """

    events: list[Arrived] = field(default_factory=list)
    duplicates: array[int] = field(default_factory=lambda: array("Q"))
    conflicts: dict[int, tuple[int, Event]] = field(default_factory=dict)

    def add(self, other: Deduplicated) -> None:
        """Add the events of other subjects; only each subject's own events stay in the order of time."""
        self.events += other.events
        self.duplicates += other.duplicates
        self.conflicts |= other.conflicts

    @property
    def last_at(self) -> int | None:
        """The instant of the last event that stands: a wrong date that was corrected is no time that has come."""
        corrected: dict[Subject, list[Event]] = {}
        for _, _, event, _, copies in self.events:
            if event.corrects is not None or event.void:
                corrected.update((subject, []) for subject, _ in copies)
        if not corrected:
            return self.events[-1][2].at if self.events else None
        last: list[int] = []
        for _, _, _, _, copies in self.events:
            for subject, copy in copies:
                if subject in corrected:
                    corrected[subject].append(copy)
                else:
                    last.append(copy.at)
        last += (standing[-1].at for standing, _ in map(effective, corrected.values()) if standing)
        return max(last, default=None)


def deduplicate(arrived: Iterable[Arrived]) -> Deduplicated:
    """Remove repeated events by the order of arrival, as a live history does, and sort the rest.

    An id is unique within a subject. Sorting would lose which of two events with one id was read first; live, the first
    one counts.
    """
    found = Deduplicated()
    seen: dict[str, Arrived] = {}
    again: dict[str, dict[Subject, Event]] = {}
    keep = found.events.append
    versions: dict[str, list[Arrived]] = {}
    for arrival in arrived:
        event = arrival[2]
        event_id = event.event_id
        if event.version is not None or event_id in versions:
            versions.setdefault(event_id, []).append(arrival)
            continue
        first = seen.setdefault(event_id, arrival)
        if first is arrival:
            keep(arrival)
            continue
        order, number, _, origin, copies = arrival
        earlier = again.setdefault(event_id, dict(first[4]))
        if unseen := _unseen(copies, earlier, found, number, (origin, event)):
            earlier.update(unseen)
            keep((order, number, event, origin, unseen))
    corrected = {event.corrects for _, _, event, _, _ in found.events} if versions else set()
    for event_id, arrivals in versions.items():
        earlier = again.get(event_id) or dict(seen[event_id][4] if event_id in seen else ())
        _add_versions(arrivals, earlier, found, keeps_voids=event_id in corrected)
    found.events.sort()
    return found


def _add_versions(
    arrivals: Sequence[Arrived], earlier: Mapping[Subject, Event], found: Deduplicated, *, keeps_voids: bool
) -> None:
    """Add the valid version of events with one id, by subject, as a live history would keep it.

    ``earlier`` are those of the id without a version. A void event is not judged, unless a correction names it.
    """
    kept: dict[Subject, tuple[int, Event]] = {subject: (-1, copy) for subject, copy in earlier.items()}
    for _, number, event, origin, copies in arrivals:
        is_new = False
        for subject, copy in copies:
            if subject not in kept:
                kept[subject], is_new = (number, copy), True
                continue
            before, seen = kept[subject]
            stands, notice = one_of_two(seen, copy)
            if stands is not seen:
                kept[subject] = (before if stands.version == seen.version else number), stands
            if notice == "conflict":
                found.conflicts[number] = (origin, event)
            is_new = is_new or notice == "applied"
        if not is_new and number not in found.conflicts:
            found.duplicates.append(number)
    standing: dict[int, list[tuple[Subject, Event]]] = {}
    for subject, (number, copy) in kept.items():
        if number >= 0 and (keeps_voids or not copy.void or copy.corrects is not None):
            standing.setdefault(number, []).append((subject, copy))
    read = {number: (event, origin) for _, number, event, origin, _ in arrivals}
    for number, own in standing.items():
        found.events.append((own[0][1].order, number, *read[number], own))


def _unseen(
    copies: Copies, earlier: Mapping[Subject, Event], found: Deduplicated, number: int, whence: tuple[int, Event]
) -> Copies:
    """The copies for subjects without the event's id so far; repetitions and conflicts are recorded."""
    unseen = []
    for subject, copy in copies:
        first = earlier.get(subject)
        if first is None:
            unseen.append((subject, copy))
        elif not first.repeats(copy):
            found.conflicts[number] = whence
        elif not found.duplicates or found.duplicates[-1] != number:
            found.duplicates.append(number)
    return unseen


class Judging:
    """Sorted events through one engine, subject by subject: ``alerts`` to the end of time, then ``cases``.

    With ``keeps_cases`` false there are no cases, and less memory is needed.
    """

    def __init__(self, rulebook: Rulebook, end: int, *, keeps_cases: bool = True) -> None:
        self._rulebook = rulebook
        self._end = end
        self._engine = OfflineEngine(rulebook, keeps_cases=keeps_cases)

    @property
    def at_event(self) -> Event | None:
        """The event being judged, for error messages."""
        return self._engine.at_event

    def alerts(
        self, events: Sequence[Arrived], on_events: Callable[[int], None] = lambda _n: None, *, filtered: bool = False
    ) -> Iterator[tuple[AlertKey, Alert]]:
        """Alerts in the order of their keys; after an interruption, those of the finished subjects.

        The watermark advances to just before each event's instant, stopping at every due instant, as it would live.
        ``filtered``: events may have copies for subjects that this rulebook does not watch.
        """
        calendar = self._rulebook.calendar
        for key, found in self.due(events, on_events, filtered=filtered):
            yield key, found.made(calendar) if isinstance(found, DueAlert) else found

    def due(
        self, events: Sequence[Arrived], on_events: Callable[[int], None] = lambda _n: None, *, filtered: bool = False
    ) -> Iterator[tuple[AlertKey, Alert | DueAlert]]:
        """``alerts``, most of them without their texts."""
        reported: list[tuple[AlertKey, Alert | DueAlert]] = []
        evaluate, end = self._engine.evaluate, self._end
        try:
            by_subject = self._by_subject(events, filtered=filtered)
            while together := list(islice(by_subject, AT_ONCE)):
                found = evaluate([(subject, own) for subject, own, _ in together], end)
                for (subject, _, count), alerts in zip(together, found, strict=True):
                    for by_event, alert in alerts:
                        key = (
                            alert.detected_at, by_event, alert.due_at, *subject, alert.rule, alert.kind, alert.alert_id,
                        )  # fmt: skip
                        reported.append((key, alert))
                    if count:
                        on_events(count)
        except KeyboardInterrupt:
            reported.sort(key=itemgetter(0))
            yield from reported
            raise
        self._engine.advance_to(end)
        reported.sort(key=itemgetter(0))
        yield from reported

    def _by_subject(self, events: Sequence[Arrived], *, filtered: bool) -> Iterator[tuple[Subject, list[Event], int]]:
        """Each subject, its events in order, and the number of those whose first subject it is."""
        found: defaultdict[Subject, list[Event]] = defaultdict(list)
        others: defaultdict[Subject, int] = defaultdict(int)  # events whose first subject is another
        copies_of = self._rulebook.copies_of
        for _, _, event, _, copies in events:
            if filtered:
                own = {subject for subject, _ in copies_of(event)}
                copies = [copy for copy in copies if copy[0] in own]
            for subject, copy in copies:
                found[subject].append(copy)
            if len(copies) > 1:
                for subject, _ in copies[1:]:
                    others[subject] += 1
        for subject, events_of_subject in found.items():
            yield subject, events_of_subject, len(events_of_subject) - others.get(subject, 0)

    def cases(self) -> Iterator[JudgedCase]:
        """Every case as of the end, by subject."""
        return self._engine.cases(self._end)

    def orphans(self) -> Counter[str]:
        """Stops without a start, by rule."""
        return self._engine.orphans()
