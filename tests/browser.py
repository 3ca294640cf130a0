"""A real browser for tests: chromium without a window, driven over its DevTools protocol.

Without chromium the tests that ask for it are skipped and say so.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from streams.errors import ConfigError
from streams.kafka.child_process import ChildProcess
from streams.replay.report.pdf import browser_path

_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
WALL: Final = (1920, 1080)
LAPTOP: Final = (1366, 768)
PHONE: Final = (390, 844)
_SECONDS: Final = 30.0
_NAVIGATED = "Inspected target navigated or closed"
_KEYS: Final = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38, "End": 35, "Home": 36}


def chromium() -> str:
    """The browser's path; skips the test where there is none."""
    try:
        return browser_path()
    except ConfigError:
        pytest.skip("no chromium here: the page was not looked at in a browser")


class NavigatedError(Exception):
    """The page left for another before it answered."""


class Page:
    """One page. ``problems`` collects what the browser complained of: errors, refused resources."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.problems: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for raw in self._socket:
            found = raw.json()
            if "id" in found:
                self._answers.pop(found["id"]).set_result(found)
            elif found["method"] == "Runtime.exceptionThrown":
                self.problems.append(str(found["params"]["exceptionDetails"]))
            elif found["method"] == "Log.entryAdded" and found["params"]["entry"]["level"] == "error":
                self.problems.append(str(found["params"]["entry"]))

    async def close(self) -> None:
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading

    async def do(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol."""
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        found = await asyncio.wait_for(answer, _SECONDS)
        if found.get("error", {}).get("message") == _NAVIGATED:
            raise NavigatedError(method)
        assert "error" not in found, found
        result: dict[str, Any] = found["result"]
        return result

    async def open(self, url: str) -> None:
        await self.do("Page.navigate", url=url)

    async def size(self, width: int, height: int) -> None:
        await self.do(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    async def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        found = await self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, (expression, found)
        return found["result"].get("value")

    async def until(self, expression: str, seconds: float = _SECONDS) -> None:
        """Wait for an expression to become true."""
        deadline = time.monotonic() + seconds
        while not await self._holds(expression):
            assert time.monotonic() < deadline, f"never: {expression}\n{await self.js('document.body.innerText')}"
            await asyncio.sleep(0.05)

    async def _holds(self, expression: str) -> bool:
        try:
            return bool(await self.js(f"!!({expression})"))
        except NavigatedError:  # the page asked has gone, and the next one is still to come
            return False

    async def back(self, steps: int = 1) -> None:
        """Go back in the history; ``until`` is for what must be there then."""
        # At once, the page might be gone before the command is answered.
        await self.js(f"void setTimeout(() => history.go({-steps}))")

    async def press(self, key: str, modifiers: int = 0) -> None:
        code = _KEYS[key]
        more: dict[str, Any] = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self.do(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                modifiers=modifiers, **(more if kind == "keyDown" else {}),
            )  # fmt: skip

    async def media(self, features: Mapping[str, str]) -> None:
        await self.do(
            "Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in features.items()]
        )

    async def screenshot(self, path: Path) -> None:
        found = await self.do("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(found["data"]))


@contextmanager
def browser(directory: Path) -> Iterator[str]:
    """A browser of its own, its profile in ``directory``; gives the address that ``page_of`` asks for pages."""
    process = ChildProcess([chromium(), *_FLAGS, f"--user-data-dir={directory}", "about:blank"], directory / "log")
    try:
        announced = directory / "DevToolsActivePort"
        deadline = time.monotonic() + _SECONDS
        while not (announced.exists() and "\n" in announced.read_text()):
            assert process.exit_code is None, process.last_lines()
            assert time.monotonic() < deadline, process.last_lines()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{announced.read_text().split()[0]}"
    finally:
        process.kill()


@asynccontextmanager
async def page_of(address: str) -> AsyncIterator[Page]:
    """A new empty page of a running browser, closed at the end."""
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{address}/json/new?about:blank") as answer:
            target = await answer.json(content_type=None)
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            page = Page(socket)
            for domain in ("Page", "Runtime", "Log"):
                await page.do(f"{domain}.enable")
            yield page
            await page.close()
        async with session.get(f"{address}/json/close/{target['id']}"):
            pass


def values_in(chrome: str, file: Path, scripts: Sequence[str], *, width: int = 1000) -> list[Any]:
    """Open a file in a window so wide, evaluate scripts in it one after the other, and return their values."""

    async def found() -> list[Any]:
        async with page_of(chrome) as page:
            await page.size(width, 900)
            await page.open(file.as_uri())
            await page.until(f"location.href == {json.dumps(file.as_uri())} && document.readyState == 'complete'")
            return [await page.js(script) for script in scripts]

    return asyncio.run(found())
