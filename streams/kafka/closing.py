"""The end of aiokafka's clients."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def closed(closing: Coroutine[Any, Any, None]) -> None:
    """Wait until a client is closed, also when the caller is cancelled meanwhile.

    In a task of its own, because aiokafka (0.14) awaits what it has cancelled itself and passes over the cancellation:
    it would pass over the caller's too, and the caller would go on as if nobody had asked it to end.
    """
    ending = asyncio.ensure_future(closing)
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await asyncio.wait([ending])
        raise
