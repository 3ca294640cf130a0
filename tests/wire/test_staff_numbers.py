"""Staff numbers are hashed as they come in, where a key is set; what came in before says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.event import Event
from streams.core.history import History
from streams.errors import ConfigError
from streams.rulebooks.decoding import decoder_of
from streams.rulebooks.loader import load_rulebook
from streams.wire.pseudonyms import Pseudonyms, is_pseudonym
from tests.stories import FEE_RULES, shipped, us

LIMIT = "[{when: {staff_id: NUMBER}, is: 5 min}, {is: 10 min}]"
KEY = b"a key of tests, not of anybody"
STARTED = {
    "event_id": "e1", "event_type": "counter.service_started", "occurred_at": "2026-03-02T09:00:00+08:00",
    "order_id": "WO1", "business": "fee", "staff_id": "D1024",
}  # fmt: skip


def decoded(key: bytes | None, *, by_model: bool = False, **fields: Any) -> Event:
    decoder = decoder_of(shipped(), key)
    decode = decoder.decode_by_model if by_model else decoder.decode
    return decode(json.dumps({**STARTED, **fields}).encode(), received=us("2026-03-02T12:00"))


@pytest.mark.parametrize("by_model", [False, True])
def test_with_a_key_only_the_hash_comes_in(by_model: bool) -> None:
    event = decoded(KEY, by_model=by_model)
    assert event.data["staff_id"] == Pseudonyms(KEY).staff("D1024")
    assert is_pseudonym(event.data["staff_id"])
    assert decoded(None, by_model=by_model).data["staff_id"] == "D1024"
    assert decoded(b"another key of tests", by_model=by_model).data["staff_id"] != event.data["staff_id"]


@pytest.mark.parametrize("by_model", [False, True])
def test_inside_account_and_meter_numbers_are_replaced_as_alerts_show_them(by_model: bool) -> None:
    names = Pseudonyms(KEY)
    notice = {
        "event_id": "n1", "event_type": "meter.batch_notice_posted", "occurred_at": "2026-03-02T09:00:00+08:00",
        "batch_id": "B1", "account_id": "A1", "meter_id": "M1", "meters": ["M1", "M2"],
    }  # fmt: skip
    decoder = decoder_of(shipped(), KEY, inside=True)
    decode = decoder.decode_by_model if by_model else decoder.decode
    event = decode(json.dumps(notice).encode(), received=us("2026-03-02T12:00"))
    first, second = names.number("meter", "M1"), names.number("meter", "M2")
    assert (event.account_id, event.meter_id) == (names.number("account", "A1"), first)
    assert (event.data["meters"], event.batch_id) == ([first, second], "B1")
    assert {one for one, _ in shipped().rulebook.copies_of(event)} >= {("meter", first), ("meter", second)}
    assert names.number("meter", first) == first  # an alert shows it as it is
    assert decoded(KEY, account_id="A1").account_id == "A1"  # otherwise they stay real inside
    with pytest.raises(ConfigError, match="needs a pseudonym key"):
        decoder_of(shipped(), None, inside=True)


@given(st.text(min_size=1, max_size=30))
def test_a_hash_stays_what_it_is(number: str) -> None:
    names = Pseudonyms(KEY)
    assert names.staff(names.staff(number)) == names.staff(number)


def test_a_staff_number_is_not_told_from_an_account_number_by_its_hash() -> None:
    assert Pseudonyms(KEY).staff("1234567890") != Pseudonyms(KEY).number("account", "1234567890")


def test_a_repetition_of_an_event_that_came_in_before_the_key_is_no_conflict() -> None:
    before, after = decoded(None), decoded(KEY)
    assert History([before]).add(after) == "duplicate"
    assert History([after]).add(before) == "duplicate"
    assert History([before]).add(decoded(None, staff_id="D7")) == "conflict"
    assert History([after]).add(decoded(KEY, staff_id="D7")) == "conflict"
    assert History([before]).add(decoded(KEY, business="power")) == "conflict"
    assert History([before]).add(decoded(KEY, staff_id=None)) == "conflict"


@pytest.mark.parametrize(
    ("number", "key", "refused"),
    [
        ("D1024", KEY, True),
        ("[D7, D1024]", KEY, True),
        ("D1024", None, False),
        (f'"{Pseudonyms(KEY).staff("D1024")}"', KEY, False),
    ],
)
def test_a_rule_that_names_a_staff_number_is_refused_where_numbers_are_hashed(
    tmp_path: Path, number: str, key: bytes | None, refused: bool
) -> None:
    (tmp_path / "rule.yaml").write_text(FEE_RULES.replace("LIMIT", LIMIT.replace("NUMBER", number)), "utf-8")
    loaded = load_rulebook(only=tmp_path)
    if refused:
        with pytest.raises(ConfigError, match="rule fee compares staff_id with 'D"):
            decoder_of(loaded, key)
    else:
        decoder_of(loaded, key)
