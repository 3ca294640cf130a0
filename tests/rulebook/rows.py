"""Rows of the rulebook's tests: one rule, a few events with real times, and what must come of them.

    row("survey-before-acceptance/just-broken",
        "s 03-02T09:59:59.999 survey.performed W1; a 10:00 application.accepted W1",
        "violated", "violation 03-02T09:59:59.999")

The id names the rule, which runs alone (a disabled one is enabled for it). Events are those of ``tests.stories``, with
``;`` between them; a time without a year is of 2026, one without a date is of the day that the time before it had. A
story that says ``recorded=`` is told in the order written, each event arriving when it was recorded.

Expected are first the outcomes of the cases, in order, with the deadline where it has one; then what was told, in
order, each with the instant that it is about. Warnings are left out. Both were worked out by hand from the standard.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from streams.rulebooks.loader import LoadedRulebook
from tests.stories import judge, local, shipped, us

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

SIX = ("met", "just-met", "just-broken", "never", "late", "correction")
"""The rows that every rule has, at the least."""

END = "2026-12-31T00:00"
_TOLD = ("breach", "late_completion", "violation", "retraction")
_TIME = re.compile(r"(?<![^\s;])(recorded=|)(?:(\d{4})-)?(?:(\d\d-\d\d)T)?(\d\d:\d\d[\d:.]*)(?=\s|;|$)")


def dated(text: str) -> str:
    """The text with the year and the date wherever a time leaves them out."""
    day = ""

    def full(found: re.Match[str]) -> str:
        nonlocal day
        if found[3]:
            day = f"{found[2] or 2026}-{found[3]}"
        assert day, f"{found[0]}: of which day?"
        return f"{found[1]}{day}T{found[4]}"

    return _TIME.sub(full, text).replace(";", "\n")


def row(name: str, story: str, *expected: str, until: str = END, **more: Any) -> ParameterSet:
    """One row; ``name`` is ``rule-id/what``, and its rule is judged until the instant."""
    full = [dated(text) for text in expected]
    outcomes = [text for text in full if not text.startswith(_TOLD) or text.startswith("breached")]
    told = [text for text in full if text not in outcomes]
    return pytest.param(name.split("/")[0], dated(story), dated(until), outcomes, told, id=name, **more)


def clock(rule: str, start: str, stop: str, *, met: str, deadline: str, broken: str) -> list[ParameterSet]:
    """The six rows of a deadline, and one of the last instant before it; ``stop`` has ``{}`` for its time.

    ``broken`` is one millisecond after the deadline.
    """
    assert us(dated(broken)) == us(dated(deadline)) + 1000, rule
    in_time, late = f"met {deadline}", f"met_late {deadline}"
    told = (f"breach {deadline}", f"late_completion {broken}")
    begun, last = start + "; ", local(us(dated(deadline)) - 1000)
    return [
        row(f"{rule}/met", begun + stop.format(met), in_time),
        row(f"{rule}/just-met", begun + stop.format(deadline), in_time),
        row(f"{rule}/just-broken", begun + stop.format(broken), late, *told),
        row(f"{rule}/not-yet", start, f"running {deadline}", until=last),
        row(f"{rule}/never", start, f"breached {deadline}", told[0]),
        # Done in time, and entered after the breach had been told.
        row(f"{rule}/late", f"{begun}{stop.format(met)} recorded={broken}", in_time, told[0], f"retraction {deadline}"),
        # Entered with a wrong time: a millisecond late, when it was done in time.
        row(
            f"{rule}/correction",
            f"{begun}{stop.format(broken)}; k{stop[1:].format(met)} corrects={stop.split()[0]} recorded=12-30T09:00",
            in_time,
            *told,
            f"retraction {deadline}",
            f"retraction {broken}",
        ),
    ]


def check(rule: str, story: str, until: str, outcomes: list[str], told: list[str]) -> None:
    """Judge the row and compare everything."""
    loaded = shipped(rule)
    found = _judged(loaded, story, until)
    assert found[0] == [_exact(text) for text in outcomes]
    assert found[1] == [_exact(text) for text in told]
    # What stands in the end is what would stand had everything come in order.
    assert found[2] == judge(story, until, loaded=loaded).net()


def judged_as_expected(loaded: LoadedRulebook, story: str, until: str, outcomes: list[str], told: list[str]) -> bool:
    """Whether the row comes out as expected under another rulebook."""
    found = _judged(loaded, story, until)
    return found[:2] == ([_exact(text) for text in outcomes], [_exact(text) for text in told])


def _judged(loaded: LoadedRulebook, story: str, until: str) -> tuple[list[str], list[str], set[str]]:
    judged = judge(story, until, loaded=loaded, arrival=bool(re.search(r"recorded=\d", story)))
    outcomes = [outcome if at is None else f"{outcome} {at}" for outcome, at in judged.outcomes()]
    return outcomes, [f"{kind} {at}" for _, kind, at in judged.told()], judged.net()


def _exact(text: str) -> str:
    """``met 2026-03-02T09:05`` to the millisecond."""
    kind, _, at = text.partition(" ")
    return f"{kind} {local(us(at))}" if at else kind
