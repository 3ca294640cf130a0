"""Histories: the order of events, what becomes of a repeated one, and corrections as if they had always been so."""

from __future__ import annotations

from itertools import permutations

import pytest

from streams.core.engine import Engine
from streams.core.event import Event
from streams.core.history import History, effective
from tests.stories import shipped

SUBJECT = ("order", "WO1")


def event(event_id: str, at: int = 0, *, recorded: int | None = None, corrects: str = "", void: bool = False) -> Event:
    return Event(
        event_id,
        "t",
        at,
        at if recorded is None else recorded,
        {},
        order_id="WO1",
        corrects=corrects or None,
        void=void,
    )


def story(text: str) -> list[Event]:
    """``e@5`` at 5, ``k@4>e`` corrects e, ``v@5xk`` voids k; recorded in the order written unless ``/9`` says when."""
    found = []
    for number, word in enumerate(text.split()):
        word, _, recorded = word.partition("/")
        void = "x" in word
        head, _, corrects = word.partition("x" if void else ">")
        event_id, _, at = head.partition("@")
        when = int(recorded) if recorded else 100 + number
        found.append(event(event_id, int(at), recorded=when, corrects=corrects, void=void))
    return found


# -- order -----------------------------------------------------------------------------------------------


def test_by_time_then_by_entry_then_by_id() -> None:
    ordered = [event("z", 1), event("y", 2, recorded=2), event("b", 2, recorded=3), event("c", 2, recorded=3)]
    for arrival in permutations(ordered):
        history = History()
        assert [history.add(one) for one in arrival] == ["applied"] * 4
        assert [one.event_id for one in history.events] == ["z", "y", "b", "c"]


def test_an_event_behind_the_watermark_is_late_and_one_after_it_is_not() -> None:
    engine = Engine(shipped().rulebook)
    engine.advance_to(10)
    notices = [engine.handle(SUBJECT, event(str(at), at)) for at in (9, 10, 11)]
    assert notices == ["late", "late", "applied"]


# -- the same id -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, 40], ids=["short history", "long history"])
@pytest.mark.parametrize(
    ("again", "notice"),
    [
        (event("e", 5), "duplicate"),
        (event("e", 6), "conflict"),
        (event("e", 5, recorded=6), "conflict"),
        (event("e", 5, corrects="d"), "conflict"),
        (Event("e", "t", 5, 5, {"k": 1}, order_id="WO1"), "conflict"),
        (Event("e", "t", 5, 5, {}, order_id="WO1", account_id="A"), "conflict"),
        (Event("e", "u", 5, 5, {}, order_id="WO1"), "conflict"),
    ],
)
def test_an_id_seen_before(before: int, again: Event, notice: str) -> None:
    history = History()
    for number in range(before):
        history.add(event(f"n{number}", 50 + number))
    history.add(event("e", 5))
    kept = list(history.events)
    assert history.add(again) == notice
    assert history.events == kept
    # ... also after the subject was restored from a snapshot
    assert History(kept).add(again) == notice


# -- corrections -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept", "roots"),
    [
        ("e@5", "e", {}),
        ("e@5 k@4>e", "k", {"k": "e"}),
        ("k@4>e", "k", {"k": "e"}),  # what it corrects has not come, or never will
        ("e@5 v@5xe", "", {"v": "e"}),
        ("v@5xe", "", {"v": "e"}),
        # of several the one recorded last
        ("e@5 k@4>e l@3>e", "l", {"k": "e", "l": "e"}),
        ("e@5 k@4>e/9 l@3>e/8", "k", {"k": "e", "l": "e"}),
        ("e@5 k@4>e/9 l@3>e/9", "l", {"k": "e", "l": "e"}),
        ("e@5 v@5xe k@4>e", "k", {"v": "e", "k": "e"}),  # voided, then after all so
        ("e@5 k@4>e v@5xe", "", {"v": "e", "k": "e"}),
        # corrections of corrections
        ("e@5 k@4>e l@3>k", "l", {"k": "e", "l": "e"}),
        ("e@5 k@4>e v@4xk", "e", {"k": "e", "v": "e"}),
        ("e@5 v@5xe w@5xv", "e", {"v": "e", "w": "e"}),
        ("e@5 k@4>e v@4xk w@4xv", "k", {"k": "e", "v": "e", "w": "e"}),
        ("e@5 v@5xe k@4>v", "k", {"v": "e", "k": "e"}),
        ("e@5 k@4>e l@3>e v@3xl", "k", {"k": "e", "l": "e", "v": "e"}),
        ("e@5 k@4>e l@3>k v@3xl", "k", {"k": "e", "l": "e", "v": "e"}),
        # circles correct nothing
        ("a@1>b b@2>a", "a b", {}),
        ("a@1>b b@2>a c@3>a", "a b c", {}),
        ("a@1xb b@2>a", "b", {}),
        # each its own
        ("e@5 f@6 k@7>e", "f k", {"k": "e"}),
    ],
)
def test_what_is_left_of_a_history(text: str, kept: str, roots: dict[str, str]) -> None:
    events = story(text)
    for arrival in permutations(events):
        history = History()
        for one in arrival:
            history.add(one)
        standing, found = effective(history.events)
        assert ([one.event_id for one in standing], found) == (kept.split(), roots)


@pytest.mark.parametrize(("length", "kept"), [(60, 1), (61, 2), (5000, 4941)])
def test_a_chain_of_sixty_is_the_longest(length: int, kept: int) -> None:
    events = [event("0", 0), *(event(str(n), n, corrects=str(n - 1)) for n in range(1, length + 1))]
    standing, roots = effective(events)
    assert (len(standing), len(roots)) == (kept, min(length, 60))
