"""The state of a ``deadline`` fold as a value, for the row of a subject.

Where a history without what is over would not give the state again, or holds too many pauses, the state itself is kept
(``Needed.saved``): the fold goes on from it, and does not see the events up to the cut again. Events are given by their
ids; those that it names stay in the history. Cases that have ended are not in it: they were over at the cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from streams.core.deadlines import Pause
from streams.core.event import Event

MOST_PAUSES: Final = 100
"""Events that pause or resume one open case; past it the oldest of them are folded for good (``merged``)."""


class SavedWatch(msgspec.Struct, frozen=True, array_like=True):
    """The state of one version outside any case; see ``streams.core.kinds.deadline``."""

    version: str
    marks: tuple[str | None, ...]
    holds: bool
    holds_since: str | None
    paused_since: str | None
    facts: str | None
    seen: tuple[str, ...] = ()

    def events(self) -> Iterator[str | None]:
        """The ids of its events."""
        yield from (*self.marks, self.holds_since, self.paused_since, self.facts, *self.seen)


class SavedCase(msgspec.Struct, frozen=True, array_like=True):
    """An open case. ``pauses`` and ``paused_by`` are ``merged``; ``omitted`` are how many of each are not there.

    ``held`` are the events for which it stands still, of a rule that tells them apart.
    """

    version: str
    start: str
    started_by: tuple[str, ...]
    facts: str | None
    holds_since: str | None
    item: str
    pauses: tuple[Pause, ...]
    paused_by: tuple[str, ...]
    omitted: tuple[int, int]
    held: tuple[str, ...] = ()

    def events(self) -> Iterator[str | None]:
        """The ids of the events that it is made from again, and of those that started it."""
        yield from (self.start, *self.started_by, self.facts, self.holds_since, *self.held)


class Saved(msgspec.Struct, frozen=True, array_like=True):
    """The state of the plain fold; ``since`` and ``holds`` are of the thing that it is about, with ``each``."""

    watches: tuple[SavedWatch, ...]
    case: SavedCase | None
    since: str | None = None
    holds: bool = True

    def events(self) -> Iterator[str]:
        """The ids of all events that it names."""
        several: list[SavedWatch | SavedCase] = [*self.watches, *([] if self.case is None else [self.case])]
        found = [self.since, *(one for part in several for one in part.events())]
        yield from (one for one in found if one is not None)


ById = Mapping[str, Event]
"""The events of a history by id, with corrections applied."""


def find(events: ById, event_id: str | None) -> Event | None:
    """The event of an id; ``None`` where there is none, or no id."""
    return None if event_id is None else events.get(event_id)
