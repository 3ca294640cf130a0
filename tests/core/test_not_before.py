"""Kind ``not_before``: rows that comparing two ways of judging found."""

from __future__ import annotations

from tests.stories import judge, shipped


def test_two_beginnings_on_one_day_are_no_difficulty() -> None:
    lines = """
        e1 2026-03-02T09:00 capacity.change_requested WO1 effective_on=2026-03-05
        e2 2026-03-02T10:00 capacity.change_requested WO1 effective_on=2026-03-05
        e3 2026-03-04T09:00 capacity.sealed           WO1
    """
    judged = judge(lines, "2026-03-10T00:00", loaded=shipped("sealed-not-early"))
    assert judged.told() == [("sealed-not-early", "violation", "2026-03-04T09:00:00.000")]
