"""Every reader of others' bytes, under changes of what it likes and under bytes of any kind."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.readers import Reader, readers, run

READERS = readers()
IDS = [reader.name for reader in READERS]
PIECES = st.sampled_from(
    [
        b"", b"\x00", b"\xff", b'"', b"{", b"}", b"[", b"]", b",", b":", b"- ", b"\n", b"  ", b"null", b"true", b"-1",
        b"1e999",
        b"5E" + b"5" * 40,
        b"9" * 30, b"NaN", b"2026-02-30", b"99999-01-01", b"!!python/object:os.system", b"!!set", b"&a [*a]", b"<<: 1",
        b"0x", b"\xe2\x80\xae", b'"\\ud800"', b"[" * 2000, b"{a: " * 300, b"? ", b"|", b"%YAML 9", b"---\n",
        b"[a]: 1", b"{[b]: c}", b"? [a]\n: 1\n",
    ]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, reader: Reader) -> bytes:
    """A sample with a few pieces of it replaced, doubled or cut out."""
    raw = bytearray(draw(st.sampled_from(reader.samples)))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(raw)))
        end = min(len(raw), begin + draw(st.integers(0, 12)))
        piece = draw(PIECES | st.binary(max_size=6))
        if draw(st.booleans()) and end > begin:
            piece = bytes(raw[begin:end]) * draw(st.integers(0, 3))
        raw[begin:end] = piece
    return bytes(raw)


@st.composite
def reshaped(draw: st.DrawFn, reader: Reader) -> bytes:
    """A JSON sample with a value somewhere replaced by one of another shape."""
    try:
        value = json.loads(draw(st.sampled_from(reader.samples)))
    except ValueError:
        return draw(damaged(reader))
    other: Any = draw(
        st.sampled_from(
            [None, True, -1, 2**70, 1.5, "", "x", "\x00", [], {}, [[]], {"v": {}}, ["a", 1], "9999-12-31T23:59:59Z"]
        )
    )
    place: Any = None
    key: Any = None
    inner = value
    while isinstance(inner, dict | list) and inner:
        place = inner
        key = draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        inner = inner[key]
        if draw(st.integers(0, 3)) == 0:
            break
    if place is not None:
        place[key] = other
    return json.dumps(value).encode()


@pytest.mark.parametrize("reader", READERS, ids=IDS)
def test_samples_are_taken(reader: Reader) -> None:
    for raw in reader.samples:
        reader.read(raw)


@pytest.mark.parametrize("reader", READERS, ids=IDS)
@settings(max_examples=max(20, settings().max_examples // 8))
@given(data=st.data())
def test_damage_gives_a_value_or_the_one_error(reader: Reader, data: st.DataObject) -> None:
    run(reader, data.draw(damaged(reader) | reshaped(reader) | st.binary(max_size=80)))
