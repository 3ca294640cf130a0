"""Sums of cases: exact quantiles, and parts summed up apart."""

from __future__ import annotations

import json
from math import ceil
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.replay.quantiles import RUN, Quantiles
from streams.replay.summary import Summary
from streams.wire.cloudevents import ReportedCase
from tests.replay import orders
from tests.replay.runs import Runner, records_of

VALUES = st.lists(st.floats(0, 1e9) | st.sampled_from([0.0, 1.0, 1.0000000000000002, 362.5]), max_size=60)


@given(st.lists(VALUES, max_size=5), st.floats(0, 1))
def test_quantiles_are_those_of_all_values_sorted(parts: list[list[float]], share: float) -> None:
    spread = Quantiles()
    for part in parts:
        spread += Quantiles(part)
    ordered = sorted(value for part in parts for value in part)
    expected = ordered[max(ceil(share * len(ordered)) - 1, 0)] if ordered else None
    assert spread.quantiles(share) == [expected]
    assert len(spread) == len(ordered)


def test_quantiles_of_many_values() -> None:
    count = 3 * RUN + 17
    spread = Quantiles()
    for number in range(count):
        spread.add(float(number * 7919 % count))
    assert spread.quantiles(0.5, 0.95, 1) == [ceil(0.5 * count) - 1, ceil(0.95 * count) - 1, count - 1]


def test_parts_summed_up_apart_are_the_whole(gridclock: Runner) -> None:
    cases = gridclock.path / "cases.jsonl"
    gridclock("replay", gridclock.file("events.jsonl", orders.text(90)), "--cases", cases, "--quiet")
    told = [ReportedCase(event, None) for event in records_of(cases)]
    whole, merged = Summary(), Summary()
    whole.add_all(told)
    for first in range(3):
        part = Summary()
        part.add_all(told[first::3])
        merged.merge(Summary.from_state(json.loads(json.dumps(part.to_state()))))
    assert figures(merged) == figures(whole)
    assert len(whole.worst) == 20


def figures(summary: Summary) -> dict[str, Any]:
    state = summary.to_state()
    rules = {
        name: [
            rule.title,
            rule.clause,
            dict(rule.outcomes),
            rule.quantiles(0, 0.3, 0.5, 0.95, 1),
            rule.used,
            rule.by_day,
        ]
        for name, rule in summary.rules.items()
    }
    worst = {"worst": summary.worst, "worst_by_rule": summary.worst_by_rule}
    return {**state, "rules": rules, "orgs": summary.orgs, "week": summary.week, **worst}
