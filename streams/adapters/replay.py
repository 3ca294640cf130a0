"""Replay of files: the live engine over events of the past.

Events are put in the order in which they occurred, and time passes between them as it would have live: the
watermark goes to just before each event's instant, stopping at every instant at which something was due. The
end of input is not the end of time: the replay ends at ``until``, or at the last event's instant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from schemas.dead_letters import DeadLetter
from streams.adapters.codec import Decoder, conflict_of, dead_letter_of, encode_json, wire_fields
from streams.adapters.driver import Driver, Entry, Step
from streams.adapters.files import read_lines
from streams.core.alerts import Alert
from streams.core.engine import Engine, JudgedCase
from streams.core.event import Event
from streams.core.rulebook import Rulebook
from streams.errors import InputError

MAX_AHEAD = 366 * 24 * 3600 * 1_000_000
"""How far (microseconds) past the moment of reading an event in a file may lie before it is taken for a
broken clock: simulated files may run into next year."""


@dataclass(slots=True)
class Tally:
    """What a replay read and found; counts."""

    lines: int = 0
    events: int = 0
    after_until: int = 0
    duplicates: int = 0
    unwatched: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    alerts: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def total_dead_letters(self) -> int:
        """Lines that could not be taken."""
        return sum(self.dead_letters.values())


class Replay:
    """One replay: ``read`` the files, then ``run`` for the alerts, then ``cases``.

    ``until`` (microseconds, inclusive) leaves later events unread and is where time ends.
    """

    def __init__(
        self,
        rulebook: Rulebook,
        decoder: Decoder,
        *,
        received: int,
        until: int | None = None,
        on_dead_letter: Callable[[DeadLetter], None] = lambda _letter: None,
        on_step: Callable[[Step], None] = lambda _step: None,
    ) -> None:
        self.tally = Tally()
        self.ends_at: int | None = until
        self._rulebook = rulebook
        self._decoder = decoder
        self._received = received
        self._until = until
        self.on_dead_letter = on_dead_letter
        self._on_step = on_step
        self._events: list[tuple[tuple[int, int, str], int, Event, str]] = []
        self._seen: dict[str, Event] = {}
        self._engine = Engine(rulebook)

    def read(self, names: Sequence[str], on_line: Callable[[int], None] = lambda _n: None) -> None:
        """Read and decode every line of every file; what cannot be taken becomes a dead letter."""
        for name in names:
            for number, line in read_lines(name):
                self.tally.lines += 1
                on_line(len(line))
                try:
                    event = self._decoder.decode(line, received=self._received, max_ahead=MAX_AHEAD)
                except InputError as error:
                    self._dead_letter(dead_letter_of(line, error, source=name, position=number))
                    continue
                self.tally.events += 1
                if self._until is not None and event.at > self._until:
                    self.tally.after_until += 1
                    continue
                if self._is_new(event, line, name, number):
                    self._events.append((event.order, len(self._events), event, f"{name}:{number}"))
        self._events.sort()

    def _is_new(self, event: Event, line: bytes, name: str, number: int) -> bool:
        # Sorting loses which of two events with one id came first; live, the first one counts. So it is told
        # here, in order of arrival, by the engine's own measure: an id is unique within a subject.
        first = self._seen.setdefault(event.event_id, event)
        if first is event or not set(first.subjects()) & set(event.subjects()):
            return True
        if first.content() == event.content():
            self.tally.duplicates += 1
        else:
            self._dead_letter(dead_letter_of(line, conflict_of(event.event_id), source=name, position=number))
        return False

    def _dead_letter(self, letter: DeadLetter) -> None:
        self.tally.dead_letters[letter.reason] += 1
        self.on_dead_letter(letter)

    def run(self, on_event: Callable[[int], None] = lambda _n: None) -> Iterator[Alert]:
        """The alerts, in the order in which they would have come out."""
        driver = Driver(self._engine, stepwise=True)
        position, events = 0, self._events
        while position < len(events):
            at = events[position][2].at
            group = position
            while group < len(events) and events[group][2].at == at:
                group += 1
            step = Step()
            driver.advance(at - 1, step)
            driver.feed(self._entries(events[position:group]), step)
            yield from self._finish(step)
            on_event(group - position)
            position = group
        end = self._until if self._until is not None else events[-1][2].at if events else None
        if end is not None:
            self.ends_at = end
            step = Step()
            driver.advance(end, step)
            yield from self._finish(step)

    def _entries(self, group: Iterable[tuple[tuple[int, int, str], int, Event, str]]) -> Iterator[Entry]:
        for _, _, event, origin in group:
            copies = self._rulebook.copies_of(event)
            if not copies:
                self.tally.unwatched += 1
            for subject, copy in copies:
                yield subject, copy, origin

    def _finish(self, step: Step) -> Iterator[Alert]:
        self._on_step(step)
        for (notice, _), count in step.notices.items():
            if notice == "duplicate":
                self.tally.duplicates += count
        told = set()
        for _, event, origin in step.conflicts:
            if origin not in told:
                told.add(origin)
                source, _, number = origin.rpartition(":")
                self._dead_letter(
                    dead_letter_of(
                        encode_json(wire_fields(event)),
                        conflict_of(event.event_id),
                        source=source,
                        position=int(number),
                    )
                )
        for alert in step.alerts:
            self.tally.alerts[alert.rule, alert.kind] += 1
            yield alert

    def cases(self) -> Iterator[JudgedCase]:
        """Every case as of the end of the replay, by subject."""
        return self._engine.cases(self.ends_at)
