"""Records at given offsets, read without a group."""

from __future__ import annotations

import asyncio

from streams.kafka.range_reader import read_ranges


def test_nothing_is_read_without_a_client() -> None:
    """A client that is stopped at once may raise ``CancelledError``: a worker's first start would end so."""

    async def found() -> list[object]:
        options = {"bootstrap_servers": "127.0.0.1:1"}  # nobody answers there
        return [batch async for batch in read_ranges({}, topic="t", fetch_size=1, options=options)]

    assert asyncio.run(found()) == []
