"""Personal data in what is kept of a refused record: gone wherever the record can be read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letters import DeadLetter
from streams.errors import InputError
from streams.wire.decoder import dead_letter_of
from streams.wire.personal import without_personal


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b'{"a": 1, "b":2}', b'{"a": 1, "b":2}'),  # nothing to take out: not a byte is changed
        (b'{"impersonal": 1}', b'{"impersonal": 1}'),
        (b'{"a": 1, "personal": {"name": "X"}}', b'{"a":1}'),
        (b'{"a": 1, "personal": null}', b'{"a":1}'),
        (b'{"a": 1, "personal": "X, Y street"}', b'{"a":1}'),
        (b'{"p\\u0065rsonal": "X", "a": 1}', b'{"a":1}'),
        (b'{"personal": 1, "a": 1, "personal": 2}', b'{"a":1}'),
        (b'{"id": "1", "data": {"personal": {"n": 1}, "a": 1.10}}', b'{"id":"1","data":{"a":1.10}}'),
        (b'[{"b": [{"personal": 1}]}, 2]', b'[{"b":[{}]},2]'),
        (b'{"personal": 1, "n": 123456789012345678901234567890}', b'{"n":123456789012345678901234567890}'),
        (b'{"personal": 1, "n": [NaN, "\\ud800"]}', b'{"n": [NaN, "\\ud800"]}'),
        (b'{"personal": 1, "n": 5E55555555555555555555555}', b'{"n": Infinity}'),
        (b'{"personal": "X", ', b'{"personal": "X", '),  # cannot be read, so nobody can tell
        (b'{"personal": "\xff"}', b'{"personal": "\xff"}'),
        (b"[" * 9000 + b'"personal"' + b"]" * 9000, b"[" * 9000 + b'"personal"' + b"]" * 9000),
    ],
)  # fmt: skip
def test_personal_members_are_taken_out(raw: bytes, kept: bytes) -> None:
    assert without_personal(raw) == kept


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("personal"), inner),
    max_leaves=20,
)


def expected(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: expected(member) for key, member in value.items() if key != "personal"}
    return [expected(member) for member in value] if isinstance(value, list) else value


@given(JSON, st.booleans())
def test_all_else_stays_what_it_was(value: Any, is_ascii: bool) -> None:
    try:
        raw = json.dumps(value, ensure_ascii=is_ascii).encode()
    except UnicodeEncodeError:  # half a character
        return
    assert json.loads(without_personal(raw)) == expected(value)


@given(st.binary())
def test_bytes_of_any_kind_do_no_harm(raw: bytes) -> None:
    without_personal(raw + b'"personal"')


def letter_of(raw: bytes, most: int | None = None) -> DeadLetter:
    return dead_letter_of(raw, InputError("bad_field", "personal", "x"), source="t/0", position=1, max_payload=most)


def test_a_dead_letter_says_that_something_was_taken_out() -> None:
    raw = b'{"personal": "X", "a": 1}'
    letter = letter_of(raw)
    assert (letter.payload, letter.personal_removed, letter.size, letter.truncated) == ('{"a":1}', True, 25, False)
    letter = letter_of(raw, most=4)
    assert (letter.payload, letter.personal_removed, letter.size, letter.truncated) == ('{"a"', True, 25, True)
    letter = letter_of(b'{"a": 1}')
    assert (letter.payload, letter.personal_removed, letter.size, letter.truncated) == ('{"a": 1}', False, 8, False)


def test_older_dead_letters_are_read() -> None:
    old = json.loads(letter_of(b"{").model_dump_json())
    del old["personal_removed"]
    assert DeadLetter.model_validate(old) == letter_of(b"{")
