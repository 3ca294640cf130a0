"""Since when, and of what, verdicts may be incomplete."""

from __future__ import annotations

import pytest

from schemas.dead_letters import DeadLetter
from schemas.limits import DAY, HOUR
from streams.live import incomplete
from streams.live.incomplete import Incompleteness, RecentLetters, incompleteness, since_of
from streams.live.source_positions import Loss
from streams.wire.state_rows import Aside
from tests.stories import us

NOW = us("2026-03-02T12:00")


def letter(
    position: int, reason: str = "not_json", source: str = "in/0", subject: tuple[str, str] | None = None
) -> bytes:
    return (
        DeadLetter(
            reason=reason,
            detail="", source=source, position=position, encoding="utf-8", payload="王小明", size=9, subject=subject,
        )
        .model_dump_json()
        .encode()
    )  # fmt: skip


def taken(*found: tuple[int, bytes | None, int]) -> RecentLetters:
    letters = RecentLetters()
    for number, value, at in found:
        letters.take(b"in/0/%d" % number, value, at)
    return letters


def test_letters_are_counted_by_source_and_cause_for_a_day() -> None:
    letters = taken(
        (1, letter(1), NOW - DAY),  # a day ago: no longer
        (2, letter(2), NOW - 3 * HOUR),
        (3, letter(3, "bad_field"), NOW - 5 * HOUR),
        (4, letter(4, source="in/1"), NOW),
        (5, letter(5, "too_old"), NOW - HOUR),
        (6, letter(6, "quarantined"), NOW - 2 * HOUR),  # a record of a source
        (7, letter(7, "quarantined", "g.log/0", ("order", "WO1")), NOW),  # held of a subject, which is named itself
        (8, b"no letter", NOW),
    )
    assert letters.incompleteness(NOW) == [
        Incompleteness("refused", NOW - 5 * HOUR, "in/0", None, 3),
        Incompleteness("refused", NOW, "in/1", None, 1),
        Incompleteness("too_old", NOW - HOUR, "in/0", None, 1),
    ]


def test_a_letter_that_was_sent_again_is_no_longer_listed() -> None:
    letters = taken((1, letter(1), NOW - 2), (2, letter(2), NOW - 1), (1, None, NOW))
    assert letters.incompleteness(NOW) == [Incompleteness("refused", NOW - 1, "in/0", None, 1)]
    letters.take(b"in/0/2", None, NOW)
    assert letters.incompleteness(NOW) == []


def test_of_more_letters_than_are_looked_at_the_newest_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incomplete, "MOST_LETTERS", 2)
    letters = taken(*((number, letter(number), NOW - 9 + number) for number in range(5)))
    assert letters.incompleteness(NOW) == [Incompleteness("refused", NOW - 6, "in/0", None, 2)]


def test_all_causes_are_one_list_that_begins_with_the_oldest() -> None:
    lost = {"in/0": [Loss(3, 5, NOW - 2 * HOUR), Loss(9, 9, NOW - HOUR), Loss(0, 1, NOW - DAY)], "in/1": []}
    aside = [Aside(("order", "WO1"), 5, 5, "KeyError", NOW - 3 * DAY), Aside(("meter", "M1"), 5, 5, "KeyError", None)]
    found = incompleteness(lost, taken((1, letter(1), NOW - 3 * HOUR)), aside, NOW)
    assert found == [
        Incompleteness("quarantined", None, subject=("meter", "M1")),
        Incompleteness("quarantined", NOW - 3 * DAY, subject=("order", "WO1")),
        Incompleteness("refused", NOW - 3 * HOUR, "in/0", None, 1),
        Incompleteness("lost", NOW - 2 * HOUR, "in/0", None, 4),
    ]
    assert since_of(found) == NOW - 3 * DAY
    assert since_of(found[:1]) is None
    assert incompleteness({}, RecentLetters(), (), NOW) == []
