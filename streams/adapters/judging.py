"""Some subjects' events, judged to the end: what a replay does, once for the whole or once for each part of it.

Subjects are independent (DESIGN.md 3), so events may be parted by subject and each part judged by itself. The
order in which alerts come out is the same however they were parted: by the watermark that showed them, then
those that time brought before those that an event brought, then as the engine orders them. That is ``AlertKey``.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from streams.adapters.driver import Driver, Entry, Step
from streams.core.alerts import Alert, Subject
from streams.core.engine import Engine, JudgedCase
from streams.core.event import Event
from streams.core.rulebook import Rulebook

Copies = Sequence[tuple[Subject, Event]]
"""The subjects that an event concerns, each with the event as that subject sees it."""

Arrived = tuple[tuple[int, int, str], int, Event, int, Copies]
"""An event as it came: its place in a history, its number in order of arrival, itself, its origin, its copies."""

Sorted = tuple[tuple[int, int, str], int, Event, Copies]
"""An event with the copies that go into a history."""

AlertKey = tuple[int, int, int, str, str, str, str, str]


@dataclass(slots=True)
class Sifted:
    """Events without repetitions, in the order of time; and the arrival numbers of those left out.

    ``conflicts`` are the origins of events whose id was seen before with other content, by arrival number.
    """

    events: list[Sorted] = field(default_factory=list)
    duplicates: array[int] = field(default_factory=lambda: array("Q"))
    conflicts: dict[int, tuple[int, Event]] = field(default_factory=dict)

    @property
    def last_at(self) -> int | None:
        """The instant of the last event."""
        return self.events[-1][2].at if self.events else None


def sift(arrived: Iterable[Arrived]) -> Sifted:
    """Sort events, after telling repeated ones by the order in which they came, as a live history does.

    An id is unique within a subject. Sorting loses which of two events with one id came first; live, the first
    one counts.
    """
    found = Sifted()
    seen: dict[str, tuple[Event, Copies]] = {}
    again: dict[str, dict[Subject, Event]] = {}
    keep = found.events.append
    for order, number, event, origin, copies in arrived:
        first, first_copies = seen.setdefault(event.event_id, (event, copies))
        if first is not event:
            earlier = again.setdefault(event.event_id, dict(first_copies))
            copies = _unseen(copies, earlier, found, number, (origin, event))
            if not copies:
                continue
            earlier.update(copies)
        keep((order, number, event, copies))
    found.events.sort()
    return found


def _unseen(
    copies: Copies, earlier: Mapping[Subject, Event], found: Sifted, number: int, whence: tuple[int, Event]
) -> Copies:
    """The copies for subjects that have not seen the event's id; the others' finding is noted."""
    unseen = []
    for subject, copy in copies:
        first = earlier.get(subject)
        if first is None:
            unseen.append((subject, copy))
        elif first.content() != copy.content():
            found.conflicts[number] = whence
        elif not found.duplicates or found.duplicates[-1] != number:
            found.duplicates.append(number)
    return unseen


class Judging:
    """Sorted events through one engine: ``alerts`` to the end of time, then ``cases``."""

    def __init__(self, rulebook: Rulebook, end: int) -> None:
        self._rulebook = rulebook
        self._end = end
        self._engine = Engine(rulebook)
        self.at_event: Event | None = None
        """The event under way, to be named should something break."""

    def alerts(
        self, events: Sequence[Sorted], on_events: Callable[[int], None] = lambda _n: None, *, filtered: bool = False
    ) -> Iterator[tuple[AlertKey, Alert]]:
        """Alerts in the order of their keys.

        Time goes to just before each event's instant, stopping wherever something is due, as it would have live.
        ``filtered``: the events' subjects may be more than this rulebook watches.
        """
        engine = self._engine
        driver = Driver(engine, stepwise=True)
        copies_of = self._rulebook.copies_of
        position, count = 0, len(events)
        while position < count:
            at = events[position][2].at
            first = position
            entries: list[Entry] = []
            while position < count and events[position][2].at == at:
                _, _, event, copies = events[position]
                if filtered:
                    own = {subject for subject, _ in copies_of(event)}
                    entries += [(subject, copy, "") for subject, copy in copies if subject in own]
                else:
                    entries += [(subject, copy, "") for subject, copy in copies]
                position += 1
            self.at_event = events[first][2]
            before = engine.watermark
            step = Step()
            driver.advance(at - 1, step)
            if step.alerts:
                yield from _keyed(step.alerts, before)
            driver.feed(entries, step)
            on_events(position - first)
        self.at_event = None
        before = engine.watermark
        step = Step()
        driver.advance(self._end, step)
        yield from _keyed(step.alerts, before)

    def cases(self) -> Iterator[JudgedCase]:
        """Every case as of the end, by subject."""
        return self._engine.cases(self._end)

    def orphans(self) -> Counter[str]:
        """Stops that never had a start, by rule."""
        return self._engine.orphans()


def _keyed(alerts: Iterable[Alert], before: int) -> Iterator[tuple[AlertKey, Alert]]:
    """With what was decided under the watermark of before, because an event came, behind what time had brought."""
    for alert in alerts:
        by_event = 1 if alert.detected_at == before else 0
        yield (
            (alert.detected_at, by_event, alert.due_at, *alert.subject, alert.rule, alert.kind, alert.alert_id),
            alert,
        )
