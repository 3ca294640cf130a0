"""Stories in which a pruned history once gave other alerts than the whole one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from streams.core.rulebook import Rulebook
from tests.oracle.common import Fact
from tests.property.runs import us
from tests.property.stories import rule
from tests.property.test_pruning import Twins
from tests.stories import moment, shipped

LATE: dict[str, Any] = {"kind": "deadline", "id": "late", "start": "start", "stop": "stop", "limit": "5 min"}
SORRY: dict[str, Any] = {
    "kind": "deadline",
    "id": "sorry",
    "start": {"alert": "late", "kind": "breach"},
    "stop": "sorry",
    "limit": "5 min",
    "pause": "pause",
    "resume": "resume",
}
BY_START = [{"type": "sorry", "if_start": {"k": 1}}, {"type": "cancel", "if_start": {"k": 2}}]
Story = Sequence[tuple[str, str, dict[str, Any]]]


def lived(rules: Sequence[dict[str, Any]], story: Story, keep_for: timedelta = timedelta(0)) -> Twins:
    """Each event of a story of local times is decided by both engines; then a year passes."""
    twins = Twins(Rulebook([rule(one) for one in rules], shipped().rulebook.calendar), keep_for)
    for number, (at, event_type, fields) in enumerate(story):
        instant = moment(at)
        twins.send(Fact(f"e{number}", event_type, instant, instant, fields, {"order": "O"}))
        twins.advance(us(instant))
        twins.check()
    twins.advance(us(moment("2027-01-01T00:00")))
    twins.check()
    return twins


# The case starts with k = 1, and the "cancel" before it ends the pause only of one that starts with k = 2.
PAUSED_FOR_SOME: Story = (
    ("2026-03-01T08:00", "pause", {}),
    ("2026-03-02T08:00", "cancel", {"k": 2}),
    ("2026-03-03T08:00", "cancel", {"k": 2}),
    ("2026-03-05T08:00", "start", {"k": 1}),
)


@pytest.mark.parametrize(
    ("sorry", "story"),
    [
        pytest.param({"stop": BY_START}, PAUSED_FOR_SOME, id="it starts paused, which no other start would"),
        pytest.param(
            {"stop": BY_START, "pause": ["pause", "resume"]},
            (*PAUSED_FOR_SOME[:3], ("2026-03-04T08:00", "resume", {}), PAUSED_FOR_SOME[3]),
            id="it has been paused since the first pause, not since the one that is left",
        ),
        pytest.param(
            {"pause": {"type": "pause", "if_start": {"k": 1}}},
            (PAUSED_FOR_SOME[0], ("2026-03-02T08:00", "other", {}), PAUSED_FOR_SOME[3]),
            id="the pause counts only for that start",
        ),
        pytest.param(
            {"resume": {"type": "resume", "if_start": {"k": 2}}},
            (PAUSED_FOR_SOME[0], ("2026-03-02T08:00", "resume", {"k": 2}), PAUSED_FOR_SOME[3]),
            id="the resume counts only for another start",
        ),
    ],
)
def test_a_follow_up_starts_paused_as_its_own_start_says(sorry: dict[str, Any], story: Story) -> None:
    twins = lived([LATE, {**SORRY, **sorry}], story)
    late, paused = (case.verdict for case in twins.pruning.cases())
    assert (late.outcome, paused.outcome) == ("breached", "running")
    assert paused.evidence == (f"e{len(story) - 1}", "e0")


def test_what_the_other_rule_still_needs_does_not_pause_its_follow_up() -> None:
    """The facts of the order stay for the first rule; what resumed the second one is not dropped meanwhile."""
    twins = lived(
        [{**LATE, "facts_from": "facts"}, {**SORRY, "pause": "facts"}],
        (
            ("2026-03-01T08:00", "facts", {"k": 1}),
            ("2026-03-02T08:00", "resume", {}),
            ("2026-03-03T08:00", "resume", {}),
            ("2026-03-05T08:00", "start", {}),
        ),
    )
    assert [case.verdict.outcome for case in twins.pruning.cases()] == ["breached", "breached"]


TWO_STARTS: dict[str, Any] = {
    **LATE,
    "start": {"all": ["start", "open"]},
    "pause": ["pause", "start"],
    "resume": "resume",
}


@pytest.mark.parametrize(
    ("rule", "story"),
    [
        pytest.param(
            TWO_STARTS,
            (("start", {}), ("resume", {}), ("other", {}), ("open", {})),
            id="one of two starts paused the clock, and was resumed",
        ),
        pytest.param(
            {**TWO_STARTS, "limit": "30 days"},
            (("start", {}), ("resume", {}), ("open", {}), ("other", {})),
            id="the same, and the case is open",
        ),
        pytest.param(
            {**LATE, "facts_from": "facts", "pause": ["pause", "facts"], "resume": "resume"},
            (("facts", {"k": 1}), ("resume", {}), ("other", {}), ("start", {})),
            id="the facts paused the clock, and it was resumed",
        ),
        pytest.param(
            {**LATE, "only_while": {"since": "since"}, "pause": "since", "resume": "resume"},
            (("since", {}), ("resume", {}), ("other", {}), ("start", {})),
            id="what makes the condition hold paused the clock, and it was resumed",
        ),
        pytest.param(
            {
                **LATE,
                "start": {"all": ["start", "open"]},
                "only_while": {"since": ["since", "start"], "until": "until"},
            },
            (("start", {}), ("until", {}), ("other", {}), ("open", {})),
            id="one of two starts made the condition hold, and it ended",
        ),
        pytest.param(
            {
                **LATE,
                "only_while": {"since": ["since", "pause"], "until": "until"},
                "pause": "pause",
                "resume": "resume",
            },
            (("pause", {}), ("until", {}), ("other", {}), ("start", {})),
            id="the pause made the condition hold, and it ended",
        ),
    ],
)
def test_an_event_kept_for_one_role_has_no_other_again(rule: dict[str, Any], story: Sequence[tuple[str, Any]]) -> None:
    lived([rule], [(f"2026-03-{day:02d}T08:00", *event) for day, event in enumerate(story, 1)])
