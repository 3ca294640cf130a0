"""Personal data taken out of what is kept of a record that was refused.

An event that is taken loses its ``personal`` block when it is decoded. A record that is refused is kept for people to
look at, with whatever its sender put where; so every member called ``personal``, at any depth, is taken out wherever
the record can be read as JSON. What cannot be read stays as it is: nobody can tell what part of it is about a person.
That is why the dead-letter topic is for few eyes.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final

import msgspec

NAME: Final = "personal"

_parse: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def without_personal(raw: bytes) -> bytes:
    """The record without its ``personal`` members; the very same object where it has none or is no JSON."""
    # A backslash, because a sender may write p\u0065rsonal.
    if NAME.encode() not in raw and b"\\u" not in raw:
        return raw
    try:
        return _exact(raw)
    except (ValueError, ArithmeticError, RecursionError, msgspec.MsgspecError):
        pass
    try:  # the laxer parser: NaN, half a character
        value = json.loads(raw)
        return json.dumps(value).encode() if _strip(value) else raw
    except (ValueError, RecursionError):
        return raw


def _exact(raw: bytes) -> bytes:
    value = _parse(raw)
    return _encode(value) if _strip(value) else raw


def _strip(value: Any) -> bool:
    """Take the members out in place; whether there were any."""
    found, waiting = False, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if NAME in one:
                del one[NAME]
                found = True
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return found
