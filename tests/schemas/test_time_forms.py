"""Patterns of times that would throw away what they read are refused, with the remedy."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.mappings import HALF_DAYS, TimeForm


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("%Y-%m-%d %H:%M:%S %Z", "use %z"),
        ("%Y-%m-%dT%H:%M:%SZ", "the offset Z would be ignored; write %z"),
        ("%Y-%m-%dT%H:%M:%S+08:00", "the offset +08:00 would be ignored"),
        ("%Y-%m-%d %H:%M:%S.%f +0000", "the offset +0000 would be ignored"),
        ("%Y-%m-%d %H:%M:%S UTC", "set zone: UTC"),
        ("%Y-%m-%d %H:%M:%SGMT", "set zone: UTC"),
        ("%Y-%m-%d %I:%M", "needs %p"),
        ("%Y-%m-%d %H:%M %p", "needs %I"),
        ("%Y-%m-%d %M:%S", "minutes need their hour"),
        ("%c", "depends on the machine"),
        ("%x %H:%M", "depends on the machine"),
        ("%Y-%m-%d %X", "depends on the machine"),
        ("%m-%d %H:%M", "a day needs its year"),
        ("%Y-%m", "a day needs its year"),
        ("%j %H:%M", "a day needs its year"),
        ("%Y %W", "a day needs its year"),
        ("%Y %U %H:%M", "a day needs its year"),
        ("%H:%M", "a day needs its year"),
        ("%Y-%m-%d %Y", "is not a pattern that can be read"),
        ("%Y-%m-%d %Q", "is not a pattern that can be read"),
        *((f"%Y-%m-%d {word} %H:%M", f"the word {word} would be ignored; write %p") for word in HALF_DAYS),
    ],
)
def test_a_pattern_that_loses_something_is_refused(form: str, said: str) -> None:
    for given in ({"format": form}, {"formats": ["iso", form]}):
        with pytest.raises(ValidationError) as raised:
            TimeForm.model_validate({**given, "zone": "Asia/Shanghai"})
        assert said in str(raised.value)
        assert repr(form) in str(raised.value)


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d", "%d.%m.%y", "%Y年%m月%d日", "%Y%m%d", "%Y-%m-%d %H", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S%z",
        "%d-%b-%y %I.%M.%S.%f %p", "%a, %d %B %Y %H:%M", "%Y %j", "%Y %W %a %H:%M", "%G-W%V-%u", "%Y/%m/%d %p%I:%M:%S",
        "%Y-%m-%d %H:%M:%S CST",
    ],
)  # fmt: skip
def test_other_patterns_are_taken(form: str) -> None:
    assert TimeForm(format=form, zone="Asia/Shanghai").forms == (form,)


def test_a_word_for_utc_is_taken_where_the_zone_is_utc() -> None:
    assert TimeForm(format="%Y-%m-%d %H:%M:%S UTC", zone="UTC").zone == "UTC"
