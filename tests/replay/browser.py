"""A real browser: Chromium without a window, driven over its own debugging protocol on loopback."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
)  # fmt: skip
_SECONDS = 60


def evaluate(page: Path, scripts: Sequence[str], *, width: int = 1000) -> list[Any]:
    """Open a page in a window so wide, evaluate scripts in it one after the other, and return their values."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium here: the page was not looked at in a browser")
    # its helpers may write to the profile a little longer than it lives itself
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        arguments = [program, *_FLAGS, f"--user-data-dir={profile}", f"--window-size={width},900", page.as_uri()]
        with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                return asyncio.run(_evaluate(_port(Path(profile), process), page.as_uri(), scripts, width))
            finally:
                process.terminate()
                process.wait(_SECONDS)


def _port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    said = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _SECONDS
    while not (said.exists() and said.read_text("utf-8").count("\n")):
        assert process.poll() is None, "the browser ended"
        assert time.monotonic() < deadline, "the browser did not start"
        time.sleep(0.05)
    return int(said.read_text("utf-8").splitlines()[0])


async def _evaluate(port: int, address: str, scripts: Sequence[str], width: int) -> list[Any]:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = await answer.json(content_type=None)
        (target,) = [page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"]
        async with session.ws_connect(target, max_msg_size=0) as socket:

            async def call(method: str, **parameters: Any) -> Any:
                await socket.send_str(json.dumps({"id": 1, "method": method, "params": parameters}))
                while True:
                    message = json.loads((await socket.receive(_SECONDS)).data)
                    if message.get("id") == 1:
                        assert "error" not in message, message
                        return message["result"]

            # a window cannot be made as narrow as a phone; the device it shows can
            await call(
                "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
            )
            await call("Page.navigate", url=address)
            while await _value(call, "document.readyState") != "complete":
                await asyncio.sleep(0.05)
            return [await _value(call, script) for script in scripts]


async def _value(call: Any, script: str) -> Any:
    result = await call("Runtime.evaluate", expression=script, returnByValue=True)
    assert "exceptionDetails" not in result, result
    return result["result"].get("value")
