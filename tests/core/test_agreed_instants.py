"""Acts that must not come before, or after, what an earlier event names: a date or an instant in its field."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.events import EventCatalogue
from streams.core.rule_checks import check
from streams.core.rulebook import Rulebook
from tests.property.stories import rule
from tests.stories import Judged, judge, shipped

CATALOGUE = EventCatalogue.shipped().with_declared("works.named", {"on": "date", "at": "time", "until": "date"})
NAMED = {"kind": "minimum_notice", "act": "connection.energized", "notice": "works.named", "limit": {"until": "on"}}
STATE = {"kind": "not_before", "act": "connection.energized", "since": "works.named", "limit": {"until": "on"}}


def judged(written: dict[str, Any], story: str, until: str = "2026-04-01T00:00") -> Judged:
    found = shipped()
    book = Rulebook([rule(written)], found.rulebook.calendar)
    return judge(story, until, loaded=type(found)(book, CATALOGUE, (), ()))


ON_12 = "n 2026-03-02T09:00 works.named O on=2026-03-12\n"
AT_15 = 'n 2026-03-02T09:00 works.named O at="2026-03-12T15:00:00+08:00"\n'
UNTIL_12 = "n 2026-03-02T09:00 works.named O until=2026-03-12\n"


@pytest.mark.parametrize("kind", [NAMED, STATE], ids=["notice", "state"])
@pytest.mark.parametrize(
    ("field", "story", "outcome"),
    [
        ("on", ON_12 + "a 2026-03-11T23:59:59.999 connection.energized O", "violated"),
        ("on", ON_12 + "a 2026-03-12T00:00 connection.energized O", "met"),
        ("at", AT_15 + "a 2026-03-12T14:59:59.999999 connection.energized O", "violated"),
        ("at", AT_15 + "a 2026-03-12T15:00 connection.energized O", "met"),
        # named for a day that was over already
        ("on", "n 2026-03-02T09:00 works.named O on=2026-02-01\na 2026-03-02T09:01 connection.energized O", "met"),
    ],
)
def test_from_when_on_the_act_may_come(kind: dict[str, Any], field: str, story: str, outcome: str) -> None:
    found = judged({**kind, "limit": {"until": field}}, story)
    assert [one for one, _ in found.outcomes()] == [outcome]


def test_what_names_nothing_binds_no_act_and_is_no_known_state() -> None:
    story = "n 2026-03-02T09:00 works.named O\na 2026-03-02T09:00:00.001 connection.energized O"
    assert [one for one, _ in judged(NAMED, story).outcomes()] == ["met"]
    assert judged(STATE, story).outcomes() == []
    assert [one for one, _ in judged(NAMED, "a 2026-03-02T09:00 connection.energized O").outcomes()] == ["violated"]


def test_of_several_the_earliest_that_is_named_counts() -> None:
    later = "m 2026-03-03T09:00 works.named O on=2026-03-20\n"
    for kind in (NAMED, STATE):
        story = ON_12 + later + "a 2026-03-13T09:00 connection.energized O"
        assert [one for one, _ in judged(kind, story).outcomes()] == ["met"]


@pytest.mark.parametrize(
    ("story", "outcome"),
    [
        (UNTIL_12 + "a 2026-03-12T23:59:59.999 connection.energized O", "met"),
        (UNTIL_12 + "a 2026-03-13T00:00 connection.energized O", "violated"),
        # a date that was past when it was named bounds nothing
        ("n 2026-03-02T09:00 works.named O until=2026-03-01\na 2026-03-09T09:00 connection.energized O", "met"),
        # the last notice counts
        (
            UNTIL_12 + "m 2026-03-03T09:00 works.named O until=2026-03-04\na 2026-03-09T09:00 connection.energized O",
            "violated",
        ),
    ],
)
def test_until_when_the_act_may_come(story: str, outcome: str) -> None:
    found = judged({**NAMED, "limit": "5 min", "at_most": {"until": "until"}}, story)
    assert [one for one, _ in found.outcomes()] == [outcome]


def test_the_sentence_names_what_was_agreed() -> None:
    for kind in (NAMED, STATE):
        alert = judged(kind, ON_12 + "a 2026-03-11T09:00 connection.energized O").alerts[0]
        says = alert.explanation
        assert "by works.named (2026-03-02 09:00:00) it is lawful from 2026-03-12 00:00:00 on" in says.en
        assert "按「works.named」（2026-03-02 09:00:00）所定，2026-03-12 00:00:00 起方可进行" in says.zh
        assert alert.limit == "until on"


@pytest.mark.parametrize(
    ("written", "keys", "says"),
    [
        ({**NAMED, "limit": {"until": "onn"}}, ("limit",), "works.named has no field 'onn'"),
        ({**NAMED, "notice": "fee.charged", "limit": {"until": "code"}}, ("limit",), "kind date or time is wanted"),
        ({**NAMED, "at_most": {"until": "onn"}}, ("at_most",), "works.named has no field 'onn'"),
        ({**STATE, "limit": {"until": "onn"}}, ("limit",), "works.named has no field 'onn'"),
        ({**STATE, "limit": "1 day", "date_field": "at"}, ("date_field",), "kind time; a field of kind date"),
    ],
)
def test_a_field_that_names_no_date_is_refused(written: dict[str, Any], keys: tuple[str, ...], says: str) -> None:
    problems = check([rule(written)], CATALOGUE)
    assert [(problem.keys, says in problem.message) for problem in problems] == [(keys, True)]


def test_date_field_goes_with_a_length() -> None:
    with pytest.raises(ValueError, match="leave it out beside a limit until a field"):
        rule({**STATE, "date_field": "on"})
