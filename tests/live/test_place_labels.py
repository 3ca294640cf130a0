"""Codes of places in /metrics: bounded, the ones in use named, and no count lost when one is forgotten."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from streams.core.alerts import Alert
from streams.core.driver import Step
from streams.core.outcome_counts import Ending, Place
from streams.live.applied import Applied
from streams.live.metrics import Metrics
from streams.live.place_labels import HALVED_AFTER, MAX_CITIES, MAX_PLACES, OTHER, PlaceLabels, PopularSet
from streams.wall_clock import WallClock
from tests.stories import judge, shipped, wire

RULES = [rule.id for rule in shipped().rulebook.rules if rule.enabled]
REAL = [("3201", f"3201{number:02d}") for number in range(1, 12)]


def metrics() -> Metrics:
    return Metrics(WallClock(), {}, shipped().rulebook, max_counties=200)


def ended(where: Metrics, rule: str, city: str, county: str, count: int = 1) -> None:
    counts: Counter[Ending] = Counter({(Place(rule, city, county), "met"): count})
    where.applied(Applied(Step(), [], counts, Counter()), 0.0)


def totals(where: Metrics) -> Counter[tuple[str, str, str]]:
    """Cases ended by rule, city, county."""
    found: Counter[tuple[str, str, str]] = Counter()
    for family in where.registry.collect():
        if family.name == "gridclock_cases_ended":
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    labels = sample.labels
                    found[labels["rule"], labels["city"], labels["county"]] += int(sample.value)
    return found


@pytest.mark.whole
def test_real_places_are_named_again_however_many_codes_were_made_up() -> None:
    where = metrics()
    for number in range(600):
        for rule in RULES:
            ended(where, rule, f"made-up-{number}", f"county-{number}")
    sent = 600 * len(RULES)
    for _ in range(4 * len(RULES)):
        for city, county in REAL:
            ended(where, "fee-5-minutes", city, county)
            sent += 1
    found = totals(where)
    named = {(city, county) for rule, city, county in found if rule == "fee-5-minutes"}
    assert set(REAL) <= named, "real places are other until a restart"
    assert sum(found.values()) == sent, "counts are lost"
    assert found["fee-5-minutes", OTHER, OTHER] > 0


@pytest.mark.whole
def test_the_page_is_bounded_whatever_codes_come() -> None:
    where = metrics()
    for number in range(3_000):
        for rule in RULES[number % 3 :: 3]:
            ended(where, rule, f"city-{number}", f"county-{number}")
    page = generate_latest(where.registry)
    assert len({key for key in totals(where)}) <= MAX_PLACES + len(RULES)
    assert len(page) < 16_000_000
    assert sum(totals(where).values()) == sum(len(RULES[number % 3 :: 3]) for number in range(3_000))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=300), st.integers(0, 5))
def test_no_count_is_lost_and_no_set_grows(uses: list[tuple[int, int]], most: int) -> None:
    where = Metrics(WallClock(), {}, shipped().rulebook, max_counties=most)
    for city, county in uses:
        ended(where, "fee-5-minutes", f"c{city}", f"c{city}-{county}")
    found = totals(where)
    assert sum(found.values()) == len(uses)
    assert len({(city, county) for _, city, county in found if county != OTHER}) <= most


def test_a_city_that_is_forgotten_takes_its_counties_and_alerts_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.live.place_labels.MAX_CITIES", 1)
    where = metrics()
    ended(where, "fee-5-minutes", "old", "o1", 5)
    story = 'e1 2026-03-02T09:00 counter.service_started WO1 business=fee org={"city":"old","county":"o1"}'
    (alert,) = [alert for alert in judge(wire(story), "2026-03-03T00:00").alerts if alert.kind == "breach"]
    assert isinstance(alert, Alert)
    where.alerts_sent([alert])
    for _ in range(9):
        ended(where, "fee-5-minutes", "new", "n1")
    assert totals(where)["fee-5-minutes", "new", "n1"] > 0
    assert {city for _, city, _ in totals(where)} == {"new", OTHER}
    breaches = {
        sample.labels["city"]: sample.value
        for family in where.registry.collect()
        if family.name == "gridclock_breaches"
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["rule"] == "fee-5-minutes"
    }
    assert (breaches[OTHER], "old" in breaches) == (1, False)


def test_a_look_forgets_nobody() -> None:
    labels = PlaceLabels(shipped().rulebook.rules, max_counties=1)
    assert labels.of(Place("fee-5-minutes", "1", "a"))[3:] == ("1", "a")
    for _ in range(100):
        assert labels.of(Place("fee-5-minutes", "1", "b"), is_use=False)[3:] == ("1", OTHER)
    assert labels.of(Place("fee-5-minutes", "1", "a"))[3:] == ("1", "a")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=200))
def test_a_place_that_is_known_has_the_labels_of_a_place_that_is_looked_up(uses: list[tuple[int, int, bool]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.live.place_labels.MAX_CITIES", 2)
        found, expected = (PlaceLabels(shipped().rulebook.rules, max_counties=2) for _ in range(2))
    for city, county, is_use in uses:
        place = Place("fee-5-minutes", f"c{city}" if city else None, f"d{county}" if county else None)
        expected._known.clear()
        assert found.of(place, is_use=is_use) == expected.of(place, is_use=is_use)


def test_members_that_are_used_no_longer_lose_their_places() -> None:
    found: PopularSet[str] = PopularSet(1)
    for _ in range(HALVED_AFTER - 1):
        assert found.use("old")
    for _ in range(20):
        for _ in range(HALVED_AFTER):
            if found.use("new"):
                return
    raise AssertionError("a code of long ago keeps its place for ever")


def test_codes_used_once_never_take_a_place() -> None:
    found: PopularSet[int] = PopularSet(MAX_CITIES)
    for number in range(MAX_CITIES):
        assert found.use(number)
    assert [number for number in range(MAX_CITIES, 50_000) if found.use(number)] == []
    assert len(found) == MAX_CITIES
