"""From two looks at an installation to the lines that a person reads at night."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.live.source_positions import Loss
from streams.operations.diagnosis import holder, length, problems
from streams.operations.installation import Observation, Partition, Source
from streams.wire.state_rows import Aside

S = 1_000_000
T = 1_800_000_000 * S
WELL = (
    Partition(0, "a:1/h", 90, 90, T - S, {"in/0": T - S, "in/1": T - S}, (), 7, 3),
    Partition(1, "a:1/h", 80, 81, T - S, {"in/0": T - S, "in/1": T - S}, (), 5, 0),
)
SOURCES = (Source("in/0", "a:1/h", 100, 100), Source("in/1", "a:1/h", 50, 60))


def later(seen: Observation, seconds: float = 3, *, read: int = 10) -> Observation:
    """The same some time on: time has moved, everything was read on, and as much came in."""
    by = int(seconds * S)
    partitions = [
        replace(
            one,
            applied=None if one.applied is None else one.applied + 12,
            end=None if one.end is None else one.end + 12,
            watermark=None if one.watermark is None else one.watermark + by,
            by_source={source: at + by for source, at in one.by_source.items()},
        )
        for one in seen.partitions
    ]
    sources = [
        replace(one, read=(one.read or 0) + read, end=(one.end or 0) + read) for one in seen.sources
    ]  # fmt: skip
    return replace(seen, at=seen.at + by, partitions=partitions, sources=sources)


FIRST = Observation(T, WELL, SOURCES)
SECOND = later(FIRST)


def told(before: Observation, after: Observation, late: float = 60) -> list[str]:
    return [problem.text for problem in problems(before, after, late=late)]


def with_partitions(seen: Observation, **changes: object) -> Observation:
    return replace(seen, partitions=[replace(one, **changes) for one in seen.partitions])  # type: ignore[arg-type]


def with_source(seen: Observation, number: int, **changes: object) -> Observation:
    sources = list(seen.sources)
    sources[number] = replace(sources[number], **changes)  # type: ignore[arg-type]
    return replace(seen, sources=sources)


def test_all_is_well() -> None:
    assert told(FIRST, SECOND) == []


def test_a_partition_without_an_owner() -> None:
    after = replace(SECOND, partitions=[SECOND.partitions[0], replace(SECOND.partitions[1], owner=None)])
    assert told(FIRST, after) == ["partition 1: no owner"]


def test_another_program_that_takes_the_records_of_a_source_is_named() -> None:
    """What it commits as read no worker reads: silence, which is a breach, and nothing said so."""
    before, after = (replace(with_source(seen, 1, owner="other/h"), strangers=("other/h",)) for seen in (FIRST, SECOND))
    assert told(before, after) == [
        "other/h is in a consumer group of the workers and is no worker: what it reads (in/1) is judged by nobody; "
        "end it, and send these events again"
    ]


def test_no_worker_is_one_line_and_its_sources_wait() -> None:
    gone = with_partitions(FIRST, owner=None)
    gone = replace(gone, sources=[replace(one, owner=None) for one in gone.sources])
    after = replace(gone, at=T + 3 * S)
    assert told(gone, after) == [
        "no worker is at work: no partition of the log has an owner",
        "source in/1: 10 behind, and it is not being read",
    ]


def test_workers_that_share_out_are_not_gone() -> None:
    after = replace(with_partitions(SECOND, owner=None), sharing=["city"])
    assert told(FIRST, after)[0] == "group city is sharing out its partitions (rebalance)"
    assert "no worker is at work: no partition of the log has an owner" not in told(FIRST, after)


def test_a_source_that_nobody_reads_while_others_are_read() -> None:
    assert told(FIRST, with_source(SECOND, 0, owner=None)) == ["source in/0: no worker reads it"]


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ((0, 12_345), (0, 12_345), "source in/1: 12,345 behind, and its reader finished nothing of it within 3.0 s"),
        ((0, 13_000), (1500, 13_000), "source in/1: 11,500 behind, read at 500/s, about 23 s to go"),
        ((0, 13_000), (1500, 15_000), "source in/1: 13,500 behind, read at 500/s, and it grows"),
        ((0, 13_000), (13_000, 13_000), None),
        ((0, 13_000), (13_000, 14_000), None),  # another thousand, since then
        ((13_000, 13_000), (13_000, 14_000), None),
    ],
)
def test_backlogs(before: tuple[int, int], after: tuple[int, int], line: str | None) -> None:
    first = with_source(FIRST, 1, read=before[0], end=before[1])
    second = with_source(SECOND, 1, read=after[0], end=after[1])
    assert told(first, second) == ([] if line is None else [line])


def test_time_that_stands_still_is_told_once_with_the_source_that_holds_it() -> None:
    held = {"in/0": T - 400 * S, "in/1": T}
    first = with_partitions(FIRST, watermark=T - 400 * S, by_source=held)
    second = with_source(with_partitions(SECOND, watermark=T - 400 * S, by_source=held), 0, read=100, end=140)
    assert told(first, second) == [
        "partitions 0, 1: time stands still, 7 min behind: held by source in/0 (40 behind)"
    ]  # fmt: skip


def test_time_that_an_open_transaction_holds() -> None:
    held = {"in/0": T - 400 * S, "in/1": T}
    first = with_partitions(FIRST, watermark=T - 400 * S, by_source=held)
    second = with_partitions(SECOND, watermark=T - 400 * S, by_source=held)
    assert told(first, with_source(second, 0, read=110, end=110, held=4)) == [
        "partitions 0, 1: time stands still, 7 min behind: held by source in/0 "
        "(an open transaction holds back offsets from 110 on)"
    ]
    assert told(FIRST, with_source(SECOND, 0, held=4)) == [], "transactions come and go, and time moves"


def test_a_source_topic_that_is_gone_is_one_line() -> None:
    first = with_partitions(FIRST, by_source={"in/0": T - 400 * S, "in/1": T - 400 * S})
    after = replace(with_partitions(first, owner="a:1/h"), at=T + 3 * S, sources=(), absent=["in"])
    assert told(first, after) == [
        "source topic in does not exist, and time waits for it: create it, or correct --source"
    ]


def test_workers_with_different_rulebooks_are_one_line() -> None:
    def with_rulebooks(*rulebooks: str | None) -> list[str]:
        parts = [replace(one, rulebook=rulebook) for one, rulebook in zip(SECOND.partitions, rulebooks, strict=True)]
        return told(FIRST, replace(SECOND, partitions=[parts[0], replace(parts[1], owner="b:1/h")]))

    assert with_rulebooks("ab12", "ab12") == with_rulebooks("ab12", None) == []  # 0.1 names none
    assert with_rulebooks("ef34", "ab12") == [
        "the workers judge by different rulebooks: partition 0 by ef34 (a:1/h); partition 1 by ab12 (b:1/h): give all "
        "of them the same rules, calendar and version, and restart them"
    ]


def test_records_removed_unread_are_a_line_a_source() -> None:
    losses = [Loss(10, 10, T - 9 * S), Loss(1_000, 2_999, T)]
    assert told(FIRST, with_source(SECOND, 1, lost=losses)) == [
        "source in/1: up to 2,001 records, offsets 10 to 2999, were removed by the topic's retention before they were "
        "read, noticed at 2027-01-15T08:00:00.000+00:00: verdicts may be wrong"
    ]


def test_time_that_comes_late_and_moves() -> None:
    behind = {"in/0": T - 7200 * S, "in/1": T}
    first = with_partitions(FIRST, watermark=T - 7200 * S, by_source=behind)
    second = with_partitions(SECOND, watermark=T - 7150 * S, by_source=behind)
    assert told(first, second) == ["partitions 0, 1: time is 2 h behind: held by source in/0"]
    assert told(first, second, late=8000) == []


def test_time_that_has_not_begun() -> None:
    first = with_partitions(FIRST, watermark=None, by_source={"in/0": T}, awaited=("in/1",))
    assert told(first, later(first)) == ["partitions 0, 1: time has not begun: held by source in/1"]


def test_a_log_that_is_not_applied() -> None:
    stuck = replace(SECOND.partitions[1], applied=80, end=93, watermark=FIRST.partitions[1].watermark)
    after = replace(SECOND, partitions=[SECOND.partitions[0], stuck])
    assert told(FIRST, after) == ["partition 1: 13 records of the log lie there and none is applied"]


def test_what_a_worker_says_of_itself_comes_first() -> None:
    assert told(FIRST, replace(SECOND, trouble=["worker a:1: starting"])) == ["worker a:1: starting"]


def test_the_holder_is_whoever_has_not_spoken_else_the_slowest() -> None:
    assert holder(replace(WELL[0], awaited=("in/7",))) == "in/7"
    assert holder(replace(WELL[0], by_source={"in/0": 5, "in/1": 4})) == "in/1"
    assert holder(replace(WELL[0], by_source={})) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.26, "1.3 s"), (89, "89 s"), (90, "2 min"), (5400, "2 h"), (172_800, "2 days")],
)  # fmt: skip
def test_lengths(seconds: float, text: str) -> None:
    assert length(seconds) == text


def test_subjects_that_are_set_aside_are_named_with_the_cause() -> None:
    aside = [Aside(("order", f"WO{number}"), 5, 5, "KeyError in x.py:1 (f)", T, True) for number in range(22)]
    found = told(FIRST, replace(SECOND, partitions=[replace(SECOND.partitions[0], aside=aside), SECOND.partitions[1]]))
    assert len(found) == 21
    assert found[0].startswith("order WO0: set aside since 2027-01-15")
    assert "KeyError in x.py:1 (f); after a repair gridclock dead-letters retry" in found[0]
    assert found[-1] == "2 more subjects are set aside: see gridclock status"


def test_a_worker_says_how_many_are_set_aside() -> None:
    seen = with_partitions(SECOND, quarantined=2)
    assert told(FIRST, seen) == ["4 subjects are set aside: see gridclock status"]
