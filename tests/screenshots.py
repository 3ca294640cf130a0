"""The pictures of the README, made anew: ``python -m tests.screenshots``.

Simulated orders, judged by the shipped rulebook, on the board as of a Friday morning and in the report of a replay;
both looked at with chromium. The same orders each time, so a picture changes only when what it shows does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine
from datetime import date
from pathlib import Path
from typing import Any

from streams.board.feed import StateReader
from streams.board.messages import alert_from_bytes
from streams.cli import run as gridclock
from streams.core.board import Board
from streams.core.driver import Driver, Step
from streams.core.engine import Engine
from streams.simulation import simulate
from streams.wall_clock import WallClock
from streams.wire.cloudevents import CloudEvents, encode
from tests.boards import served
from tests.browser import browser, page_of
from tests.stories import decoded, shipped, us

PICTURES = Path(__file__).parents[1] / "deploy" / "screenshots"
NOW = us("2026-03-06T10:30")
BOARD_SIZE, REPORT_SIZE = (1366, 520), (1100, 480)


def orders() -> list[dict[str, Any]]:
    return list(simulate(orders=1500, seed=7, start=date(2026, 3, 2), days=5).events)


def made_board() -> tuple[StateReader, Board]:
    """The board of all orders up to now."""
    loaded = shipped()
    engine, step, writer = Engine(loaded.rulebook), Step(), CloudEvents(loaded.rulebook.calendar)
    driver = Driver(engine, stepwise=True)
    for event in sorted(decoded(orders(), loaded), key=lambda event: event.order):
        if event.at < NOW:
            driver.advance(event.at - 1, step)
            driver.feed([(subject, copy, "") for subject, copy in loaded.rulebook.copies_of(event)], step)
    driver.advance(NOW - 1_200_000, step)
    state = StateReader(loaded.rulebook)
    asyncio.run(state.loaded())
    state.partitions = 1
    shown = Board(state.cases, loaded.rulebook.calendar)
    for subject in engine.subjects():
        snapshot = engine.snapshot(subject)
        if snapshot is not None:
            shown.running.put(0, snapshot)
    shown.running.advance(0, NOW - 1_200_000)
    for alert in step.alerts:
        shown.take_alert(alert_from_bytes(encode(writer.alert(alert))))
    return state, shown


async def picture(chrome: str, path: Path, size: tuple[int, int], url: str, ready: str) -> None:
    async with page_of(chrome) as page:
        await page.size(*size)
        await page.open(url)
        await page.until(f"location.href.startsWith('{url}') && document.readyState == 'complete' && ({ready})")
        await page.screenshot(path)


async def of_board(chrome: str, path: Path) -> None:
    state, shown = await asyncio.to_thread(made_board)
    clock = WallClock(anchor=WallClock().now(), origin=NOW)
    async with served(state, shown, clock) as site:
        ready = "document.querySelector('#alerts li') && document.querySelector('#time').textContent != '--:--:--'"
        await picture(chrome, path, BOARD_SIZE, f"{site.url}/board", ready)


async def of_report(chrome: str, path: Path) -> None:
    with tempfile.TemporaryDirectory() as directory, contextlib.chdir(directory):
        Path("orders.jsonl").write_text("".join(json.dumps(one) + "\n" for one in orders()), "utf-8")
        words = ["replay", "orders.jsonl", "--report", "report.html", "--alerts", "alerts.jsonl", "--quiet"]
        if await asyncio.to_thread(gridclock, words):
            raise SystemExit("the replay failed")
        await picture(chrome, path, REPORT_SIZE, Path("report.html").resolve().as_uri(), "true")


def main() -> None:
    fonts = subprocess.run(["fc-list", ":lang=zh"], capture_output=True, text=True, check=False)
    if not fonts.stdout.strip():
        raise SystemExit("no Chinese font here: the pictures would show boxes (Debian: apt install fonts-wqy-microhei)")
    PICTURES.mkdir(exist_ok=True)
    makers: dict[str, Callable[[str, Path], Coroutine[Any, Any, None]]] = {"board": of_board, "report": of_report}
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as chrome:
        for name, make in makers.items():
            path = PICTURES / f"{name}.png"
            asyncio.run(make(chrome, path))
            sys.stdout.write(f"{path.relative_to(PICTURES.parents[1])} {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
