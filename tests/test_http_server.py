"""The board's server against clients that are slow, silent, or too many: real sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from streams.http_server import ConnectionLimits

LARGE = b"x" * 30_000_000


@asynccontextmanager
async def served(limits: ConnectionLimits) -> AsyncIterator[int]:
    app = web.Application()

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def large(_request: web.Request) -> web.Response:
        return web.Response(body=LARGE)

    async def stream(request: web.Request) -> web.StreamResponse:
        limits.keep(request.transport)
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"first\n")
        await asyncio.Event().wait()
        return answer

    app.router.add_get("/", hello)
    app.router.add_get("/large", large)
    app.router.add_get("/stream", stream)
    async with limits.serve(app, "127.0.0.1", 0, shutdown=0.1) as port:
        yield port


async def connected(port: int, said: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    await writer.drain()
    return reader, writer


async def is_cut(reader: asyncio.StreamReader) -> bool:
    """Waits until it is; fails after twenty seconds."""
    async with asyncio.timeout(20):
        try:
            return await reader.read(1) == b""
        except ConnectionError:
            return True


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not claim():
            await asyncio.sleep(0.01)


async def hello(port: int) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as answer:
        return await answer.text()


async def _headers() -> None:
    limits = ConnectionLimits(8, request=0.5)
    async with served(limits) as port:
        slow = [await connected(port, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ") for _ in range(4)]
        silent = [await connected(port) for _ in range(4)]
        assert await hello(port) == "hello"
        dripping = True

        async def drip() -> None:
            while dripping:
                for _, writer in slow:
                    if not writer.is_closing():
                        writer.write(b"x")
                await asyncio.sleep(0.05)

        dropping = asyncio.create_task(drip())
        assert all([await is_cut(reader) for reader, _ in slow + silent])
        dripping = False
        await dropping
        await until(lambda: len(limits) == 0)
        for _, writer in slow + silent:
            writer.close()


async def _many() -> None:
    limits = ConnectionLimits(16)
    async with served(limits) as port:
        crowd = [await connected(port, b"GET / HTTP/1.1\r\n") for _ in range(200)]
        for _ in range(5):
            assert await hello(port) == "hello"
        assert len(limits) <= 16
        assert all([await is_cut(reader) for reader, _ in crowd[:100]])
        for _, writer in crowd:
            writer.close()


async def _deaf() -> None:
    limits = ConnectionLimits(8, silent=0.5)
    async with served(limits) as port:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.to_thread(deaf.connect, ("127.0.0.1", port))
            deaf.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until(lambda: len(limits) == 1)
            await until(lambda: len(limits) == 0)  # although twenty-odd megabytes are still to be written
            assert await hello(port) == "hello"


async def _streams() -> None:
    limits = ConnectionLimits(4, request=0.2, silent=0.2)
    async with served(limits) as port:
        reader, writer = await connected(port, b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not (await reader.readline()).startswith(b"first"):
            pass
        assert len(limits) == 0
        crowd = [await connected(port) for _ in range(20)]
        assert all([await is_cut(other) for other, _ in crowd])
        with pytest.raises(TimeoutError):  # the stream goes on, and says nothing
            await asyncio.wait_for(reader.readexactly(100), 0.3)
        assert not reader.at_eof()
        for _, one in (*crowd, (reader, writer)):
            one.close()


@pytest.mark.parametrize("case", [_headers, _many, _deaf, _streams])
def test_doors(case: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(case())


REQUESTS = [
    b"GET /order/\xe5\xb7\xa5 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /?city=\xe9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /?find=" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: secret\x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization secret\r\n\r\n",
]


async def _not_http() -> list[bytes]:
    async with served(ConnectionLimits(8)) as port:
        found = []
        for request in REQUESTS:
            reader, writer = await connected(port, request)
            found.append((await asyncio.wait_for(reader.read(), 20)).split(b"\r\n")[0])
            writer.close()
        return found


def test_a_request_that_is_not_http_is_one_line_of_the_log_and_no_secret_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = asyncio.run(_not_http())
    assert all(b" 400 " in answer for answer in answers)
    assert len(caplog.records) == len(REQUESTS)
    for record in caplog.records:
        assert (record.levelno, record.exc_info) == (logging.WARNING, None)
        assert "127.0.0.1: answered with 400" in record.getMessage()
    assert "secret" not in caplog.text


async def _broken() -> None:
    limits, app = ConnectionLimits(8), web.Application()

    async def broken(_request: web.Request) -> web.Response:
        raise RuntimeError("a fault of the program")

    app.router.add_get("/", broken)
    async with limits.serve(app, "127.0.0.1", 0, shutdown=0.1) as port:
        assert "500" in await hello(port)


def test_a_fault_of_the_program_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(_broken())
    assert [(record.levelno, record.exc_info is not None) for record in caplog.records] == [(logging.ERROR, True)]
