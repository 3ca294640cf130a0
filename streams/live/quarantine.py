"""What of an exception may be said: a record or subject that fails twice is set aside, with the reason.

The text of an exception often quotes the data, which may name a person. So its class and its place in the program stand
for it, in log lines, dead letters and everywhere else.
"""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Final

from schemas.dead_letters import DeadLetter
from streams.errors import InputError
from streams.wire.decoder import dead_letter_of

MAX_PAYLOAD: Final = 200_000
"""Bytes kept of a dead letter's original."""

logger = logging.getLogger(__name__)


def cause_of(error: BaseException) -> str:
    """The class of an exception, and the innermost place in the program that it passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "streams" in Path(frame.filename).parts] or frames
    name = type(error).__name__
    if not own:
        return name
    last = own[-1]
    return f"{name} in {Path(last.filename).name}:{last.lineno} ({last.name})"


def quarantined(cause: str) -> InputError:
    """The error of a record or subject that is set aside."""
    return InputError("quarantined", None, f"failed twice and is set aside: {cause}")


def letter_of(raw: bytes, error: InputError, *, source: str, position: int) -> DeadLetter:
    """The dead letter of a record; without its bytes where they can be the fault of making it, too."""
    try:
        return dead_letter_of(raw, error, source=source, position=position, max_payload=MAX_PAYLOAD)
    except Exception as second:
        logger.warning("%s/%d: the dead letter is written without its payload: %s", source, position, cause_of(second))
        letter = dead_letter_of(b"", error, source=source, position=position)
        return letter.model_copy(update={"size": len(raw), "truncated": True})
