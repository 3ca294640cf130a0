"""Dates, half days and null words of mappings: what is read is what was written, or it is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from schemas.mappings import HALF_DAYS, TimeForm
from streams.wire.cells import Cells, ConversionError, id_of, text_of
from streams.wire.values import converter, times

ZONE = "Asia/Shanghai"
LATE = datetime(2026, 3, 15, 16, tzinfo=UTC)
"""Midnight in Shanghai: the 16th there."""


def on(value: Any, *forms: str, zone: str | None = ZONE, is_wall: bool = False) -> Any:
    return converter("date", TimeForm(formats=forms, zone=zone), ";", is_wall=is_wall)(value)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("2026-03-15T16:00:00Z", "iso"),
        ("2026-03-15 16:00:00.000+00:00", "iso"),
        ("2026-03-16T00:00:00+08:00", "iso"),
        ("2026-03-15T18:00:00+02:00", "iso"),
        ("2026-03-15 16:00 +0000", "%Y-%m-%d %H:%M %z"),
        (1773590400, "epoch_s"),
        (1773590400000, "epoch_ms"),
        ("1773590400000", "epoch_ms"),
        (1773590400000000, "epoch_us"),
        (1773590400000000000, "epoch_ns"),
        (LATE, "iso"),
    ],
)
def test_the_day_of_an_instant_is_that_of_the_zone(value: Any, form: str) -> None:
    assert on(value, form) == "2026-03-16"
    assert on(value, form, zone="UTC") == "2026-03-15"
    with pytest.raises(ConversionError, match=r"time\.zone is not set") as raised:
        on(value, form, zone=None)
    assert raised.value.key == "/time.zone"


@pytest.mark.parametrize("zone", [ZONE, "America/New_York", None])
@pytest.mark.parametrize(
    ("value", "forms"),
    [
        ("2026-03-02", ()),
        (" 2026-03-02 ", ()),
        ("2026-03-02Z", ()),
        ("20260302", ()),
        ("2026-03-02T23:59:59.999", ()),
        ("2026-03-02 00:00:00", ()),
        ("2026-03-02", ("epoch_ms", "iso")),
        ("2026/3/2", ("%Y/%m/%d",)),
        ("2026年3月2日 23:50", ("%Y年%m月%d日 %H:%M",)),
        (46083, ("excel",)),
        (46083.99, ("iso", "excel")),
        (date(2026, 3, 2), ("%Y/%m/%d",)),
        (datetime(2026, 3, 2, 23, 50), ("%Y/%m/%d",)),  # noqa: DTZ001 (a spreadsheet's)
    ],
)
def test_a_date_without_an_offset_is_kept(value: Any, forms: tuple[str, ...], zone: str | None) -> None:
    assert on(value, *forms, zone=zone) == "2026-03-02"


def test_days_and_local_times_of_debezium_are_kept() -> None:
    for value in (20514, 1772495940000, "2026-03-02Z", "2026-03-02"):  # the second is 23:59 of that day
        assert on(value, "iso", "epoch_ms", is_wall=True) == "2026-03-02"
    assert on("2026-03-01T16:00:00Z", is_wall=True) == "2026-03-02"  # of a column with a zone


NINE_ON_THE_WALL = 1_772_442_000_000  # counted as if clocks in China showed UTC


@pytest.mark.parametrize("is_debezium", [False, True])
@pytest.mark.parametrize(
    ("value", "wall", "read"),
    [
        (NINE_ON_THE_WALL, True, "2026-03-02T09:00:00+08:00"),
        (str(NINE_ON_THE_WALL), True, "2026-03-02T09:00:00+08:00"),
        (Decimal(NINE_ON_THE_WALL), True, "2026-03-02T09:00:00+08:00"),
        (NINE_ON_THE_WALL, False, "2026-03-02T09:00:00+00:00"),
        (str(NINE_ON_THE_WALL), None, "2026-03-02T09:00:00+00:00"),
        ("2026-03-02T09:00:00Z", True, "2026-03-02T09:00:00+00:00"),
        ("2026-03-02T09:00:00", False, "2026-03-02T09:00:00+08:00"),
    ],
)
def test_a_mapping_may_say_whose_clocks_numbers_count(
    value: Any, wall: bool | None, read: str, is_debezium: bool
) -> None:
    form = TimeForm(formats=("iso", "epoch_ms"), zone="Asia/Shanghai", wall=wall)
    assert times(form, is_wall=is_debezium)(value) == read
    late = TimeForm(formats=("iso", "epoch_ms"), zone="Asia/Shanghai", wall=wall)
    on_day = converter("date", late, ";", is_wall=is_debezium)
    evening = NINE_ON_THE_WALL + 12 * 3_600_000  # 21:00, and in UTC the next morning in China
    if value == NINE_ON_THE_WALL:
        assert on_day(evening) == ("2026-03-02" if wall else "2026-03-03")
    if wall or is_debezium:
        assert on_day(20514) == "2026-03-02"


def test_without_a_word_numbers_are_on_the_wall_in_debeziums_envelopes_only() -> None:
    form = TimeForm(format="epoch_ms", zone="Asia/Shanghai")
    assert times(form, is_wall=True)(NINE_ON_THE_WALL) == "2026-03-02T09:00:00+08:00"
    assert times(form)(NINE_ON_THE_WALL) == "2026-03-02T09:00:00+00:00"
    with pytest.raises(ValueError, match="wall: true needs a zone"):
        TimeForm(format="epoch_ms", wall=True)


@pytest.mark.parametrize(
    "value",
    ["2026-03-02 garbage", "2026-03-02T25:61", "2026-03-02T", "2026-02-30", "2026-03-02T24:00", "2026-03-02ZZ"],
)  # fmt: skip
def test_what_is_no_date_is_refused(value: str) -> None:
    for is_wall in (False, True):
        with pytest.raises(ConversionError, match="fits none of the forms tried"):
            on(value, is_wall=is_wall)


@pytest.mark.parametrize("value", ["9999-12-31T23:00:00Z", datetime(9999, 12, 31, 23, tzinfo=UTC)])
def test_a_day_behind_the_end_of_the_calendar_is_refused(value: Any) -> None:
    with pytest.raises(ConversionError, match="end of the calendar") as raised:
        on(value)
    assert raised.value.key == "/null_values"


@pytest.mark.parametrize(
    ("value", "zone"), [("0001-01-01T00:00:00", ZONE), ("9999-12-31T23:59:59", "America/New_York")]
)
def test_a_time_at_an_end_of_the_calendar_is_refused(value: str, zone: str) -> None:
    with pytest.raises(ConversionError, match="end of the calendar"):
        times(TimeForm(zone=zone))(value)


# --- half days ------------------------------------------------------------------------------------------

NO = None
READ = {
    #        1   2   3   4   5   6   7   8   9   10  11  12
    "上午": (1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 0),
    "凌晨": (1,  2,  3,  4,  5,  6,  NO, NO, NO, NO, NO, 0),
    "早上": (1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, NO),
    "中午": (13, 14, NO, NO, NO, NO, NO, NO, NO, 10, 11, 12),
    "下午": (13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 12),
    "晚上": (NO, NO, NO, NO, 17, 18, 19, 20, 21, 22, 23, NO),
    "AM":   (1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 0),
    "PM":   (13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 12),
}  # fmt: skip


@pytest.mark.parametrize("word", READ)
@pytest.mark.parametrize("hour", range(24))
def test_every_word_at_every_hour(word: str, hour: int) -> None:
    expected = READ[word][hour - 1] if 1 <= hour <= 12 else NO
    for form, text in (
        ("%Y/%m/%d %p %I:%M", f"2026/3/2 {word} {hour}:10"),
        ("%Y/%m/%d %p%I:%M", f"2026/3/2 {word}{hour:02}:10"),
        ("%d-%b-%y %I.%M.%S.%f %p", f"02-3月 -26 {hour}.10.00.000000000 {word}"),
    ):
        read = times(TimeForm(format=form, zone=ZONE))
        if expected is not None:
            assert read(text) == f"2026-03-02T{expected:02}:10:00+08:00"
            continue
        with pytest.raises(ConversionError) as raised:
            read(text)
        assert (raised.value.reason, raised.value.key) == ("impossible_time", "/time")
        if 1 <= hour <= 12:
            assert f"{word} {hour} " in raised.value.detail
            assert ("the next day's" in raised.value.detail) == (word == "晚上")


def test_all_words_are_in_the_table() -> None:
    assert {*HALF_DAYS, "AM", "PM"} == READ.keys()


# --- patterns without separators ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "whole", "lacking"),
    [
        ("%Y%m%d", "20260302", ("2026312", "202632", "202603021")),
        ("%d%m%Y", "02032026", ("2032026",)),
        ("%Y%m%d%H%M%S", "20260302011500", ("2026030211500", "202603020115")),
        ("%Y%m%d%H%M%S%f", "20260302011500123", ("20260302011500",)),
        ("%Y/%m/%d %H%M", "2026/3/2 0115", ("2026/3/2 115",)),
        ("%Y%m%d %H:%M:%S", "20260302 1:15:00", ("2026302 1:15:00",)),
    ],
)
def test_a_digit_that_is_missing_is_not_guessed(form: str, whole: str, lacking: tuple[str, ...]) -> None:
    assert on(whole, form) == "2026-03-02"
    for text in lacking:
        with pytest.raises(ConversionError, match="fits none"):
            on(text, form)


# --- null words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "null", "kept"),
    [
        ("9999-12-31T00:00:00.000000", datetime(9999, 12, 31), datetime(9999, 12, 31, 1)),  # noqa: DTZ001
        ("9999-12-31 00:00:00", datetime(9999, 12, 31), datetime(9999, 12, 31, tzinfo=UTC)),  # noqa: DTZ001
        ("9999-12-31T00:00:00Z", datetime(9999, 12, 31, tzinfo=UTC), datetime(9999, 12, 31)),  # noqa: DTZ001
        ("9999-12-31", date(9999, 12, 31), date(9999, 12, 30)),
        ("-1", -1, 1),
        ("-1", -1.0, -1.5),
        ("0", Decimal("0.00"), Decimal("0.01")),
        ("无", "无", "无效"),
    ],
)
def test_null_words_hold_for_typed_cells(word: str, null: Any, kept: Any) -> None:
    cells = Cells(["NULL", word], strip=True)
    assert cells.clean(null) is None
    assert cells.clean(kept) == kept
    assert Cells([], strip=True).clean(null) == null


HUGE = (
    Decimal("1e400000"), Decimal("-1e999999"), Decimal("1e-999999"), 10**5000, "1e999999", "1e-999999",
    Decimal("NaN"), Decimal("Infinity"), float("inf"), float("nan"),
)  # fmt: skip


@pytest.mark.parametrize("kind", ["text", "integer", "number", "amount"])
@pytest.mark.parametrize("value", HUGE, ids=map(str, range(len(HUGE))))
def test_numbers_of_any_size_are_read_or_refused(kind: Any, value: Any) -> None:
    """1e400 as an id ended a replay with a traceback; the text of others is a million characters long."""
    read = converter(kind, TimeForm(zone="Asia/Shanghai"), ";")
    for convert in (read, id_of, partial(id_of, is_text=True), text_of):
        try:
            assert len(str(convert(value))) < 1000
        except ConversionError:
            continue


@pytest.mark.parametrize(
    "text", ["2026-03-01+08:00", "2026-03-01晚08:30", "2026-03-01P08:30", "2026030191530", "20260301915"]
)
def test_an_iso_time_has_a_known_character_before_its_hour(text: str) -> None:
    with pytest.raises(ConversionError):
        times(TimeForm(zone=ZONE))(text)


@pytest.mark.parametrize("text", ["2026-03-01T08:30", "2026-03-01t08:30", "2026-03-01\xa008:30", "20260301/0830"])
def test_iso_times_of_other_programs_are_read(text: str) -> None:
    assert times(TimeForm(zone=ZONE))(text) == "2026-03-01T08:30:00+08:00"
    assert on("2026-03-01+08:00", "iso") == on(text, "iso") == "2026-03-01"


def test_bytes_are_text_for_null_words_and_blanks() -> None:
    clean = Cells(("NULL",), strip=True).clean
    assert [clean(value) for value in (b"W1  ", b"NULL", b"", b"\xff ")] == ["W1", None, None, b"\xff "]
