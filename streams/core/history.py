"""One subject's events: sorted, without duplicates, with corrections applied from the beginning.

An event in order is one more step of every fold; an event out of order or a correction makes the folds begin again
(histories are short). The folds see the *effective* history: a correction replaces the event that it corrects; a void
one (``corrects`` with ``void``) removes it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, islice
from types import MappingProxyType
from typing import Any, Literal

from msgspec.structs import replace

from streams.core.event import Event
from streams.core.saved import ById, Saved
from streams.core.verdicts import Fold, Resumable

Notice = Literal["applied", "late", "duplicate", "conflict", "too_old"]
"""The result of an event: applied in order, applied behind the watermark, seen before, or refused because its id was
seen with other content, or because its subject may have been dropped.
"""

# Beyond this length a history keeps a set of its ids; below, a linear search is cheaper.
_SMALL = 24

# Real data has no chains of sixty corrections; a hostile sender could use them to exhaust the stack.
_LONGEST_CHAIN = 60

Route = tuple[int, Fold, tuple[str, ...]]
"""A fold's position in the rulebook, the fold, and the subject types that take precedence over this one."""


def names_one_of(event: Event, kinds: Sequence[str]) -> bool:
    """Whether the event has an id of one of those subject types."""
    for kind in kinds:  # noqa: SIM110 (a generator would cost more than it looks at)
        if event.id_of(kind) is not None:
            return True
    return False


def _order(event: Event) -> tuple[int, int, str]:
    return event.order


def effective(events: Sequence[Event]) -> tuple[list[Event], dict[str, str]]:
    """The history with corrections applied, and the root id of every event that replaces another.

    A correction of a correction takes its place; a void correction of a correction brings the original back. Of several
    corrections of one event the one recorded last counts. Corrections in a circle, or in a chain longer than sixty,
    correct nothing: they are plain events, and a void one among them is ignored.
    """
    by_id = {event.event_id: event for event in events}
    roots = {event.event_id: _root(event, by_id) for event in events if event.corrects is not None}
    claims: dict[str, list[Event]] = {}
    for event in events:
        if roots.get(event.event_id) is not None:
            claims.setdefault(event.corrects or "", []).append(event)

    known: dict[str, bool] = {}

    def stands(event: Event) -> bool:
        """Whether the event is valid: false once a valid void corrects it."""
        if event.event_id not in known:
            known[event.event_id] = not any(claim.void and stands(claim) for claim in claims.get(event.event_id, ()))
        return known[event.event_id]

    contest: dict[str, list[Event]] = {}
    for event in events:
        root = roots.get(event.event_id) or event.event_id
        withdraws_a_correction = event.void and event.corrects != root
        replaced = any(stands(claim) for claim in claims.get(event.event_id, ()))
        if not withdraws_a_correction and not replaced and stands(event):
            contest.setdefault(root, []).append(event)
    kept = []
    for root, claimants in contest.items():
        winner = max(claimants, key=lambda event: (event.recorded, event.event_id))
        if not winner.void:
            kept.append(winner if winner.corrects is None else _entered_with(winner, by_id.get(root)))
    return sorted(kept, key=_order), {own: root for own, root in roots.items() if root is not None}


def _entered_with(winner: Event, original: Event | None) -> Event:
    """A correction counts as entered with the event it corrects; where that is not known, it is never too late."""
    first = winner.at if original is None else min(original.entered, winner.recorded)
    return replace(winner, first_recorded=first)


def again(seen: Event, event: Event) -> tuple[Event, Notice]:
    """Which of two events with one id is kept, and the result of the second.

    The higher version is kept, as a correction would be: entered when the first of them was. Without versions, or with
    equal ones, the first is kept, and other content is a conflict.
    """
    is_same = seen.repeats(event)
    mine, theirs = seen.version, event.version
    if mine is None or theirs is None or mine == theirs:
        return seen, "duplicate" if is_same else "conflict"
    winner = event if theirs > mine else seen
    entered = min(seen.entered, event.entered)
    kept = winner if entered == winner.entered else replace(winner, first_recorded=entered)
    return kept, "duplicate" if kept.repeats(seen) and entered == seen.entered else "applied"


def _root(event: Event, by_id: Mapping[str, Event]) -> str | None:
    """The id at the start of a chain of corrections; ``None`` for a circle or a chain that is too long."""
    seen = {event.event_id}
    current: Event | None = event
    root = event.event_id
    while current is not None and current.corrects is not None:
        root = current.corrects
        if root in seen or len(seen) > _LONGEST_CHAIN:
            return None
        seen.add(root)
        current = by_id.get(root)
    return root


class History:
    """One subject's events and the states folded from them.

    Events that happened later than ``until`` (inclusive), as corrected, are left out; a correction counts whatever its
    instant. ``only`` has, by event id, the folds that may still see an event (``streams.core.pruning``); all folds see
    any other. ``begun`` are the states from which some folds go on.
    """

    __slots__ = (
        "_begun",
        "_folded",
        "_has_corrections",
        "_ids",
        "_only",
        "_until",
        "events",
        "is_folded_elsewhere",
        "is_fresh",
        "is_renewed",
        "roots",
        "states",
        "touched",
    )

    def __init__(
        self,
        events: Sequence[Event] = (),
        *,
        until: int | None = None,
        only: Mapping[str, frozenset[int]] = MappingProxyType({}),
        begun: Begun | None = None,
    ) -> None:
        self.events: list[Event] = list(events)
        self.states: dict[int, Any] = {}
        self.roots: dict[str, str] = {}
        self.touched: set[int] = set()
        """Folds whose result may have changed since this was last cleared."""
        self.is_fresh = True
        """Whether all folds began again since this was last cleared."""
        self.is_renewed = False
        """Whether a version was recorded without any other change, since this was last cleared."""
        self.is_folded_elsewhere = False
        """Whether the states of the events folded so far are missing: ``drop_states`` was called."""
        self._folded = 0
        self._ids: set[str] | None = None
        self._until = until
        self._only = only
        self._begun = begun
        # Where some events are later than the end, a new event is not the last one: every fold begins again.
        self._has_corrections = until is not None or any(event.corrects is not None or event.void for event in events)

    @classmethod
    def folded(cls, events: Sequence[Event], states: dict[int, Any]) -> History:
        """A history without corrections, with the states already folded from all its events."""
        history = cls()
        history.events = list(events)
        history.states = states
        history._folded = len(history.events)
        return history

    def find(self, event_id: str) -> Event | None:
        """The event of that id as received, or ``None``."""
        if self._ids is not None and event_id not in self._ids:
            return None
        for event in self.events:  # a loop: a generator would cost more than the comparison
            if event.event_id == event_id:
                return event
        return None

    def add(self, event: Event) -> Notice:
        """Add one event; idempotent for the same content."""
        events = self.events
        seen = self.find(event.event_id)
        if seen is not None:
            kept, notice = again(seen, event)
            if kept is not seen:
                self._replace(seen, kept, is_same=notice == "duplicate")
            return notice
        if event.corrects is not None or event.void:
            self._has_corrections = True
        if not events or event.order > events[-1].order:
            events.append(event)
            if self._has_corrections:
                self._folded = 0
        else:
            insort(events, event, key=_order)
            self._folded = 0
        if self._ids is not None:
            self._ids.add(event.event_id)
        elif len(events) > _SMALL:
            self._ids = {one.event_id for one in events}
        return "applied"

    def _replace(self, seen: Event, kept: Event, *, is_same: bool) -> None:
        """Replace an event by one of a higher version."""
        self.is_renewed = True
        self.events.remove(seen)
        insort(self.events, kept, key=_order)
        if kept.void:
            self._has_corrections = True
        if not is_same:
            self._folded = 0

    def append(self, event: Event) -> None:
        """Add an event that is not yet in the history and is the last of those at or before ``until``."""
        if self._until is None:
            self.events.append(event)
        else:
            insort(self.events, event, key=_order)
        if event.corrects is not None or event.void:
            self._has_corrections = True
        if self._has_corrections:
            self._folded = 0
        self._ids = None

    @property
    def has_corrections(self) -> bool:
        """Whether any event corrects another or is void."""
        return self._has_corrections

    @property
    def begins_again(self) -> bool:
        """Whether the result of every fold may have changed, not only of those that see the latest events."""
        return self.is_fresh or self._folded == 0

    def fold(self, routes: Callable[[str], Sequence[Route]]) -> Mapping[int, Any]:
        """Fold the events not yet folded; ``routes`` gives the folds that see an event type.

        A fold gets a state at the first event that can start a case of it; it then sees the earlier events too.
        """
        events = self.events
        if self._folded == len(events):
            return self.states
        if self._folded == 0:
            self.is_fresh = True
            if self._has_corrections:
                fresh, self.roots = self._corrected()
            else:
                fresh = events
            self.states = {} if self._begun is None else self._begun.states(fresh)
        else:
            fresh = events[self._folded :]
        states, touched, only, begun = self.states, self.touched, self._only, self._begun
        for position, event in enumerate(fresh):
            event_type = event.type
            seen_by = only.get(event.event_id) if only else None
            for index, fold, before in routes(event_type):
                if seen_by is not None and index not in seen_by:
                    continue
                if begun is not None and begun.includes(index, event):
                    continue
                state = states.get(index)
                if state is None:
                    if event_type not in fold.begins or names_one_of(event, before):
                        continue
                    earlier = chain(events[: self._folded], islice(fresh, position))
                    state = states[index] = self.caught_up(index, fold, before, earlier)
                elif before and names_one_of(event, before):
                    continue
                if fold.step(state, event):
                    touched.add(index)
        self._folded = len(events)
        return states

    def drop_states(self) -> None:
        """Count all events as folded, elsewhere: the history must be made again before ``fold`` gives states."""
        self.states = {}
        self.touched.clear()
        self.is_fresh = False
        self.is_folded_elsewhere = True
        self._folded = len(self.events)

    def effective(self) -> Sequence[Event]:
        """The events with corrections applied."""
        return self._corrected()[0] if self._has_corrections else self.events

    def _corrected(self) -> tuple[list[Event], dict[str, str]]:
        found, roots = effective(self.events)
        if self._until is not None:
            found = [event for event in found if event.at <= self._until]
        return found, roots

    def is_idle(self, routes: Callable[[str], Sequence[Route]]) -> bool:
        """Whether no case is open, and nothing of the history matters to a later event (see ``Fold.is_idle``).

        This includes folds without a case so far: a notice may precede its act.
        """
        states = self.fold(routes)
        events = self.effective()
        known: set[int] = set()
        for event in events:
            for index, fold, before in routes(event.type):
                if index not in known:
                    known.add(index)
                    state = states.get(index)
                    if not fold.is_idle(self.caught_up(index, fold, before, events) if state is None else state):
                        return False
        return True

    def is_seen_by(self, index: int, event: Event) -> bool:
        """Whether a fold, by its position in the rulebook, may still see an event."""
        seen_by = self._only.get(event.event_id) if self._only else None
        return seen_by is None or index in seen_by

    def caught_up(self, index: int, fold: Fold, before: Sequence[str], events: Iterable[Event]) -> Any:
        """The state of a fold after all events that it sees."""
        begun = self._begun
        if begun is not None and begun.has(index):
            events = list(events)
            state = begun.state(index, {event.event_id: event for event in events})
        else:
            state = fold.start()
        for event in events:
            if begun is not None and begun.includes(index, event):
                continue
            if event.type in fold.listens and not names_one_of(event, before) and self.is_seen_by(index, event):
                fold.step(state, event)
        return state


class Begun:
    """The saved states from which some folds go on, by position in the rulebook; they include all up to ``until``."""

    __slots__ = ("_folds", "_until")

    def __init__(self, until: int, folds: Mapping[int, tuple[Resumable, Sequence[Saved]]]) -> None:
        self._until = until
        self._folds = folds

    def has(self, index: int) -> bool:
        """Whether a fold goes on from a saved state."""
        return index in self._folds

    def includes(self, index: int, event: Event) -> bool:
        """Whether the saved state of a fold includes an event already."""
        return event.at <= self._until and index in self._folds

    def states(self, events: Iterable[Event]) -> dict[int, Any]:
        """The states as they were saved, made from the events that they name."""
        by_id = {event.event_id: event for event in events}
        return {index: self.state(index, by_id) for index in self._folds}

    def state(self, index: int, events: ById) -> Any:
        """That of one fold."""
        fold, saved = self._folds[index]
        return fold.load(saved, events)
