"""What a sentence calls an event that is missing: one of its type may well be there, with other fields."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from schemas.base import Text
from schemas.patterns import Pattern
from streams.core.kinds.patterns import label_of

TITLES = {"notice": Text(zh="送达通知", en="notice delivered")}
_PATTERN: TypeAdapter[Pattern] = TypeAdapter(Pattern)


@pytest.mark.parametrize(
    ("where", "zh", "en", "key"),
    [
        ({}, "送达通知", "notice delivered", "notice"),
        ({"cause": "arrears"}, "送达通知（欠费）", "notice delivered (arrears)", "notice arrears"),
        (
            {"proof_ref": {"present": True}, "cause": "arrears"},
            "送达通知（欠费，有 proof_ref）",
            "notice delivered (arrears, with proof_ref)",
            "notice arrears",
        ),
        ({"reply": {"present": False}}, "送达通知（无 reply）", "notice delivered (without reply)", "notice"),
        ({"signed": True}, "送达通知（signed=true）", "notice delivered (signed=true)", "notice"),
        (
            {"method": {"not": ["estimated", "none"]}},
            "送达通知（method≠estimated/none）",
            "notice delivered (method≠estimated/none)",
            "notice",
        ),
        ({"days": {"at_least": 7}}, "送达通知（days≥7）", "notice delivered (days≥7)", "notice"),
        ({"days": {"at_most": 30}}, "送达通知（days≤30）", "notice delivered (days≤30)", "notice"),
    ],
)
def test_all_that_is_required_is_said_and_the_key_stays_as_it_was(
    where: dict[str, Any], zh: str, en: str, key: str
) -> None:
    label = label_of([_PATTERN.validate_python({"type": "notice", "where": where})], TITLES)
    assert (label.zh, label.en, label.key) == (zh, en, key)
