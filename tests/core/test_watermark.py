"""Watermarks: the minimum over all that must speak, never back; and on which side the boundary lies."""

from __future__ import annotations

import pytest

from streams.core.watermark import SourceWatermarks, is_due


@pytest.mark.parametrize(("due", "watermark", "certain"), [(5, 4, False), (5, 5, True), (5, 6, True)])
def test_something_is_due_from_its_instant_on(due: int, watermark: int, certain: bool) -> None:
    assert is_due(due, watermark) is certain


@pytest.mark.parametrize(
    ("expected", "updates", "whole"),
    [
        ((), [], []),
        ((), [{"a": 5}], [None]),  # a source that nobody expects says nothing
        (("a", "b"), [{"a": 5}, {"b": 3}, {"b": 9}], [None, 3, 5]),  # nothing before all have spoken
        (("a",), [{"a": 5}, {"a": 3}, {"a": 6}], [5, 5, 6]),  # a source never goes back
        (("a",), [{"a": 5}, {"b": 1}, {"a": 7}], [5, 5, 7]),
        (("a", "b"), [{"a": -3, "b": 0}], [-3]),  # before 1970
        (("a", "b"), [{"a": 5}, {}, {"b": 5}], [None, None, 5]),
    ],
)
def test_the_watermark_of_the_whole(
    expected: tuple[str, ...], updates: list[dict[str, int]], whole: list[int | None]
) -> None:
    watermarks = SourceWatermarks()
    watermarks.expect(expected)
    assert [watermarks.update(update) for update in updates] == whole
    assert watermarks.at == (whole[-1] if whole else None)


def test_a_source_newly_expected_holds_time_until_it_has_spoken() -> None:
    watermarks = SourceWatermarks()
    watermarks.expect(["a"])
    watermarks.update({"a": 5})
    watermarks.expect(["a", "b"])
    assert watermarks.update({"a": 9}) == 5
    assert watermarks.update({"b": 3}) == 5  # nor does the whole go back when one joins behind
    assert watermarks.update({"b": 7}) == 7
    assert watermarks.by_source == {"a": 9, "b": 7}


def test_a_source_no_longer_expected_is_forgotten() -> None:
    watermarks = SourceWatermarks()
    watermarks.expect(["a", "b"])
    watermarks.update({"a": 9, "b": 3})
    watermarks.expect(["a"])
    assert watermarks.update({}) == 9
    assert watermarks.by_source == {"a": 9}


def test_restored_it_goes_on_where_it_was() -> None:
    watermarks = SourceWatermarks({"a": 9, "b": 7}, at=7)
    watermarks.expect(["a", "b", "c"])
    assert watermarks.at == 7
    assert watermarks.update({"a": 12, "b": 12}) == 7  # c has not spoken
    assert watermarks.update({"c": 10}) == 10
