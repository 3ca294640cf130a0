"""The labels of a rule and a part of the organisation, as bounded sets.

Codes come from senders, and invented codes must neither fill ``/metrics`` nor displace real ones. So a set has a size,
and its members are the most used codes: when it is full, a new code is ``other`` until it has been used more than twice
as often as the least used member, which it then replaces. Codes used once never do. Uses are halved from time to time,
so that members no longer used are replaced. The counts of a removed code go to ``other``: no total decreases.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Final, Generic, TypeVar

from schemas.rules import RuleBase
from streams.core.outcome_counts import Place

MAX_CITIES: Final = 400
"""China has about 340 cities; more are invalid codes."""

MAX_PLACES: Final = 12_000
"""Rules in cities and counties; each is at most about twenty lines of ``/metrics``."""

HALVED_AFTER: Final = 100_000
"""Uses after which all are halved."""

OTHER: Final = "other"
UNKNOWN: Final = "unknown"

Key = TypeVar("Key", bound=Hashable)


class PopularSet(Generic[Key]):
    """At most ``most`` members, the most used ones; ``on_forgotten`` gets each removed member."""

    def __init__(self, most: int, on_forgotten: Callable[[Key], None] = lambda _key: None) -> None:
        self._most = most
        self._on_forgotten = on_forgotten
        self._uses: dict[Key, int] = {}
        self._candidates: OrderedDict[Key, int] = OrderedDict()
        self._total = 0

    def __len__(self) -> int:
        return len(self._uses)

    def use(self, key: Key, times: int = 1) -> bool:
        """Count so many uses, more than one only of a member; whether the key is then a member."""
        self._total += times
        if self._total >= HALVED_AFTER:
            self._halve()
        if key in self._uses:
            self._uses[key] += times
            return True
        if len(self._uses) < self._most:
            self._uses[key] = 1 + self._candidates.pop(key, 0)
            return True
        return self._most > 0 and self._is_chosen(key)

    def has(self, key: Key) -> bool:
        """Whether the key is a member; it becomes one if there is room. No use is counted."""
        if key not in self._uses and len(self._uses) < self._most:
            self._uses[key] = 0
        return key in self._uses

    def forget(self, key: Key) -> None:
        """Remove a member, if it is one."""
        if self._uses.pop(key, None) is not None:
            self._on_forgotten(key)

    def _is_chosen(self, key: Key) -> bool:
        uses = self._candidates.pop(key, 0) + 1
        if uses > 1:
            least = min(self._uses, key=self._uses.__getitem__)
            if uses > 2 * self._uses[least]:
                self.forget(least)
                self._uses[key] = uses
                return True
        self._candidates[key] = uses
        if len(self._candidates) > self._most:
            self._candidates.popitem(last=False)
        return False

    def _halve(self) -> None:
        self._total = 0
        for key in self._uses:
            self._uses[key] //= 2
        self._candidates.clear()


class PlaceLabels:
    """Values of the labels rule, chapter, severity, city and county.

    ``on_forgotten`` gets city and county of a removed member; the county is ``None`` for a removed city.
    """

    def __init__(
        self,
        rules: Iterable[RuleBase],
        max_counties: int,
        on_forgotten: Callable[[str, str | None], None] = lambda _city, _county: None,
    ) -> None:
        self._rules = {rule.id: (rule.id, chapter_of(rule), rule.severity) for rule in rules}
        self._on_forgotten = on_forgotten
        self._cities: PopularSet[str] = PopularSet(MAX_CITIES, self._forget_city)
        self._counties: PopularSet[tuple[str, str]] = PopularSet(max_counties, self._forget_county)
        self._of_city: dict[str, set[str]] = {}
        self._places: set[tuple[str, str, str]] = set()
        self._known: dict[Place, tuple[str, str, str, str, str]] = {}  # values of places, both of which are members
        self._uses: Counter[Place] = Counter()  # uses of these, to be counted before the sets are asked again

    def of(self, place: Place, *, is_use: bool = True) -> tuple[str, str, str, str, str]:
        """Values for rule, chapter, severity, city, county. Without ``is_use`` no member is replaced."""
        known = self._known.get(place)
        if known is None:
            self._count_uses()
            known = self._look_up(place, is_use=is_use)
            if OTHER not in known[3:]:
                self._known[place] = known
        elif is_use:
            self.use_known((place,))
        return known

    def knows(self, place: Place) -> bool:
        """Whether these values stay until ``on_forgotten`` is called."""
        return place in self._known

    def use_known(self, places: Iterable[Place]) -> None:
        """Count a use of each of these places, whose values are known."""
        self._uses.update(places)

    def _count_uses(self) -> None:
        uses, self._uses = self._uses, Counter()
        for place, times in list(uses.items()):  # another thread may add to it still
            city, county = self._known[place][3:]
            if city != UNKNOWN:
                self._cities.use(city, times)
            if county != UNKNOWN:
                self._counties.use((city, county), times)

    def _look_up(self, place: Place, *, is_use: bool) -> tuple[str, str, str, str, str]:
        city = county = UNKNOWN
        if isinstance(place.city, str) and place.city:
            city = place.city if _is_in(self._cities, place.city, is_use=is_use) else OTHER
        if isinstance(place.county, str) and place.county:
            county = place.county
            if city == OTHER or not _is_in(self._counties, (city, county), is_use=is_use):
                county = OTHER
            else:
                self._of_city.setdefault(city, set()).add(county)
        found = place.rule, city, county
        if found not in self._places:
            if len(self._places) >= MAX_PLACES and {city, county} != {OTHER}:
                city = county = OTHER
                found = place.rule, city, county
            self._places.add(found)
        return *self._rules.get(place.rule, (place.rule, OTHER, OTHER)), city, county

    def _forget_city(self, city: str) -> None:
        self._known.clear()
        for county in sorted(self._of_city.pop(city, ())):
            self._counties.forget((city, county))
        self._places = {place for place in self._places if place[1] != city}
        self._on_forgotten(city, None)

    def _forget_county(self, key: tuple[str, str]) -> None:
        self._known.clear()
        city, county = key
        self._of_city.get(city, set()).discard(county)
        self._places = {place for place in self._places if place[1:] != key}
        self._on_forgotten(city, county)


def _is_in(members: PopularSet[Key], key: Key, *, is_use: bool) -> bool:
    return members.use(key) if is_use else members.has(key)


def chapter_of(rule: RuleBase) -> str:
    """The chapter of a rule's main clause: ``W`` of ``W-S5``."""
    return rule.clause.partition("-")[0]
