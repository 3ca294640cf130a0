"""Every rule of the shipped rulebook has its six rows, in the file of its chapter."""

from __future__ import annotations

import pytest

from tests.rulebook import test_connection, test_counter, test_inspection, test_metering, test_reading, test_repair
from tests.rulebook.rows import SIX
from tests.stories import shipped

CHAPTERS = {
    "W": test_counter.ROWS,
    "B": test_connection.ROWS,
    "M": test_metering.ROWS,
    "R": test_reading.ROWS,
    "I": test_inspection.ROWS,
    "F": test_repair.ROWS,
}


def names(chapter: str) -> list[str]:
    found = [row.id for row in CHAPTERS[chapter]]
    assert all(isinstance(name, str) for name in found)
    return [str(name) for name in found]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_rule_has_all_six_rows(chapter: str) -> None:
    rules = {item.rule.id for item in shipped().loaded if item.chapter == chapter}
    rows = set(names(chapter))
    assert rules
    assert {f"{rule}/{what}" for rule in rules for what in SIX} - rows == set()
    assert {name.split("/")[0] for name in rows} == rules


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_no_row_stands_twice(chapter: str) -> None:
    found = names(chapter)
    assert sorted(set(found)) == sorted(found)


def test_the_six_chapters_are_the_whole_rulebook() -> None:
    assert {item.chapter for item in shipped().loaded} == set(CHAPTERS)
