"""Removes personal data from refused records.

An accepted event loses its ``personal`` block when it is decoded. A refused record is kept for people to read, and its
sender may have put the block anywhere; so every member called ``personal``, at any depth, is removed where the record
is JSON. Other records are kept unchanged, because personal data cannot be recognised in them. So few people should have
access to the dead-letter topic.
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
    """The record without its ``personal`` members; the same object where it has none or is not JSON."""
    # Also check records with a backslash: a sender may write p\u0065rsonal.
    if NAME.encode() not in raw and b"\\u" not in raw:
        return raw
    try:
        return _exact(raw)
    except (ValueError, ArithmeticError, RecursionError, msgspec.MsgspecError):
        pass
    try:  # the more lenient parser: NaN, lone surrogates
        value = json.loads(raw)
        return json.dumps(value).encode() if _strip(value) else raw
    except (ValueError, RecursionError):
        return raw


def _exact(raw: bytes) -> bytes:
    value = _parse(raw)
    return _encode(value) if _strip(value) else raw


def _strip(value: Any) -> bool:
    """Remove the members in place; true where there were any."""
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
