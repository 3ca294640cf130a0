"""Kind ``deadline`` with ``only_while.each``: a case for each thing of a subject for which the condition holds.

An account may be cut off under two orders; a payment starts a clock for each, and a restoration that names one of the
orders ends that one. So each thing has its own state of the plain fold, begun by its event of ``since``.

Worked example, ``restore-after-payment``: disconnected under W1 and W2, paid, restored with W1 an hour later. The
case of W1 is met, that of W2 is breached 24 hours after the payment. Restored under an order of its own: both are met.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from msgspec.structs import replace

from schemas.rules import DeadlineRule
from streams.core.chosen_calendar import Calendars
from streams.core.event import Event
from streams.core.kinds.deadline import DeadlineFold
from streams.core.kinds.deadline import State as OneState
from streams.core.kinds.patterns import Tests, compile_patterns, matches
from streams.core.saved import ById, Saved, find
from streams.core.verdicts import Needed, Status, Verdict
from streams.core.working_days import WorkingCalendar

MOST_THINGS: Final = 2_000
"""Things of one subject for which the condition holds or a case is open. Another one takes the place of the oldest
without an open case; where each has one, it is not begun.
"""

Key = tuple[str | None, ...]
"""The ids that distinguish one thing from another."""


class _Item:
    """One thing for which the condition has held; ``holds`` until it ends."""

    __slots__ = ("holds", "key", "number", "since", "state")

    def __init__(self, number: int, since: Event, key: Key, state: OneState) -> None:
        self.number = number
        self.since = since
        self.key = key
        self.state = state
        self.holds = True

    @property
    def is_live(self) -> bool:
        """Whether an event can still change something: the condition holds, or a case is open."""
        return self.holds or self.state.open is not None


class State:
    """The things in the order in which they began; ``live`` are those that an event can still change, by number.

    ``holding`` are those for which the condition holds, by key; ``named`` the live ones by each id of their keys.
    """

    __slots__ = ("holding", "items", "left_out", "live", "named")

    def __init__(self) -> None:
        self.items: list[_Item] = []
        self.live: dict[int, _Item] = {}
        self.holding: dict[Key, _Item] = {}
        self.named: dict[tuple[int, str], dict[int, _Item]] = {}
        self.left_out: int | None = None

    def begin(self, since: Event, key: Key, state: OneState) -> _Item:
        """Add a thing."""
        item = _Item(len(self.items), since, key, state)
        self.items.append(item)
        self.live[item.number] = self.holding[key] = item
        for name in _names(key):
            self.named.setdefault(name, {})[item.number] = item
        return item

    def makes_room(self, at: int) -> bool:
        """Whether one more may begin. Where ``MOST_THINGS`` are live the oldest without an open case gives way."""
        if len(self.live) < MOST_THINGS:
            return True
        self.left_out = at
        oldest = next((item for item in self.live.values() if item.state.open is None), None)
        if oldest is None:
            return False
        self.stop_holding(oldest)
        self.drop(oldest)
        return True

    def named_by(self, key: Key) -> list[_Item]:
        """The live things that have one of the ids, in the order in which they began."""
        found: dict[int, _Item] = {}
        for name in _names(key):
            found |= self.named.get(name, {})
        return [found[number] for number in sorted(found)]

    def stop_holding(self, item: _Item) -> None:
        """The condition does not hold any more."""
        item.holds = False
        if self.holding.get(item.key) is item:
            del self.holding[item.key]

    def drop(self, item: _Item) -> None:
        """No event can change it any more."""
        if self.live.pop(item.number, None) is not None:
            for name in _names(item.key):
                del self.named[name][item.number]
                if not self.named[name]:
                    del self.named[name]


class EachFold:
    """All versions of one deadline rule with ``only_while.each``; see ``streams.core.verdicts.Fold``."""

    opens = True
    bound = "things"

    def __init__(self, rules: Sequence[DeadlineRule], calendar: WorkingCalendar, calendars: Calendars) -> None:
        self._fold = DeadlineFold(rules, calendar, calendars)
        self.id = self._fold.id
        self.subject_types = self._fold.subject_types
        self.listens = self._fold.listens
        self.begins = self._fold.begins
        conditions = [rule.only_while for rule in rules if rule.only_while is not None]
        self._each = next(condition.each for condition in conditions if condition.each)
        self._since = _joined(compile_patterns(condition.since) for condition in conditions)
        self._until = _joined(compile_patterns(condition.until) for condition in conditions)
        self._stop = _joined(compile_patterns(rule.stop) for rule in rules)

    def start(self) -> State:
        """Nothing has begun."""
        return State()

    def step(self, state: State, event: Event) -> bool:
        """Pass the event to the things that it concerns, and add a new one where it names one."""
        key = self._key(event)
        is_since, is_until = matches(self._since, event), matches(self._until, event)
        concerned: list[_Item] = []
        if is_until or event.type in self._stop:
            concerned = state.named_by(key) or list(state.live.values())
        elif not is_since:
            concerned = list(state.live.values())
        if is_since:
            own = state.holding.get(key)
            if own is None and state.makes_room(event.at):
                own = state.begin(event, key, self._fold.start())
                concerned = [item for item in concerned if item.number in state.live]
            if own is not None and own not in concerned:
                concerned.append(own)
        ask = self._hand_on(concerned, event)
        if is_until:
            for item in concerned:
                state.stop_holding(item)
        for item in concerned:
            if not item.is_live:
                state.drop(item)
        return ask

    def _hand_on(self, items: Sequence[_Item], event: Event) -> bool:
        ask = False
        has_started = False
        for item in items:
            ask = self._fold.step(item.state, event) or ask
            if item.state.latest is event:
                case = item.state.open or item.state.closed[-1]
                if has_started:
                    case.item = item.since.event_id
                case.started_by = (item.since.event_id, *case.started_by)
                has_started = True
        return ask

    def left_out(self, state: State) -> int | None:
        """See ``Bounded``. A thing that gave way is one, too."""
        return state.left_out

    def judge(self, state: State, as_of: int, *, every: bool = False) -> tuple[list[Verdict], int | None]:
        """See ``Fold``."""
        found: list[Verdict] = []
        dues: list[int] = []
        for item in state.items:
            verdicts, due = self._fold.judge(item.state, as_of, every=every)
            found += verdicts
            if due is not None:
                dues.append(due)
        return found, min(dues, default=None)

    def statuses(self, state: State, as_of: int, watermark: int) -> list[Status]:
        """See ``Fold``."""
        return [status for item in state.items for status in self._fold.statuses(item.state, as_of, watermark)]

    def has_case(self, state: State, as_of: int) -> bool:
        """See ``Fold``."""
        return any(self._fold.has_case(item.state, as_of) for item in state.items)

    def reported(self, state: State, until: int) -> list[Verdict] | None:
        """See ``Fold``."""
        found: list[Verdict] = []
        for item in state.items:
            reported = self._fold.reported(item.state, until)
            if reported is None:
                return None
            found += reported
        return found

    def open_cases(self, state: State, as_of: int) -> Sequence[Event]:
        """The start of each open case."""
        return tuple(chain.from_iterable(self._fold.open_cases(item.state, as_of) for item in state.live.values()))

    def is_stop(self, event: Event) -> bool:
        """See ``Fold``: by its own fields."""
        return self._fold.is_stop(event)

    def is_idle(self, state: State) -> bool:
        """No condition holds, and no case is open."""
        return not state.live

    def needed(self, state: State, until: int) -> Needed:
        """See ``Fold``: the events by which the conditions hold; where a thing has more than that, the state itself.

        An event concerns several things, and would begin again a case of one that is over for it.
        """
        items = list(state.live.values())
        ids = {item.since.event_id for item in items}
        for item in items:
            is_plain = item.holds and self._fold.is_neutral(item.state)
            needed = self._fold.needed_events(item.state, until) if is_plain else None
            if needed is None:
                break
            ids |= needed.ids
        else:
            return Needed(frozenset(ids))
        saved = [self._saved(item) for item in items]
        return Needed(frozenset(one for thing in saved for one in thing.events()), saved=saved)

    def _saved(self, item: _Item) -> Saved:
        return replace(self._fold.save(item.state), since=item.since.event_id, holds=item.holds)

    def load(self, saved: Sequence[Saved], events: ById) -> State:
        """See ``Resumable``."""
        state = State()
        for thing in saved:
            since = find(events, thing.since)
            if since is not None:
                item = state.begin(since, self._key(since), self._fold.loaded(thing, events))
                if not thing.holds:
                    state.stop_holding(item)
        return state

    def _key(self, event: Event) -> Key:
        return tuple(event.id_of(kind) for kind in self._each)


def _names(key: Key) -> list[tuple[int, str]]:
    return [(place, one) for place, one in enumerate(key) if one is not None]


def _joined(several: Iterator[Tests]) -> Tests:
    found: dict[str, list[object]] = {}
    for tests in several:
        for event_type, pairs in tests.items():
            found.setdefault(event_type, []).extend(pairs)
    return found  # type: ignore[return-value]
