"""The map of cities on the board, in a real browser: where they lie, what their circles say, what a click does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from schemas.base import Text
from schemas.organisations import Organisation
from tests.board.test_page import AXE, CONTRAST, FOUND, NOW, ORDERS, PLACES, SMALL, a_case, looking
from tests.board.test_page_cases import WIDE
from tests.boards import COUNTER, MINUTE, alert
from tests.browser import LAPTOP, PHONE, WALL, Page

POSITIONS = {"3201": (118.80, 32.06), "3202": (120.31, 31.49), "3205": (120.58, 31.30), "3299": (119.0, 33.0)}
NAMES = {
    "3201": ("南京", "Nanjing"),
    "3202": ("无锡", "Wuxi"),
    "3205": ("苏州", "Suzhou"),
    "3299": ("无数据", "No data"),
}
PLACED = replace(
    COUNTER,
    organisations={
        code: Organisation(code=code, name=Text(zh=NAMES[code][0], en=NAMES[code][1]), position=position)
        for code, position in POSITIONS.items()
    },
)
OVERDUE = {"WO2": 4, "WO3": 4, "WO4": 4, "WO5": 4, "WO6": 8}
"""Orders and their places: four are overdue in Wuxi, one in Suzhou."""
CASES = [a_case("WO1", 60, PLACES[0]), *(a_case(number, -60, PLACES[place]) for number, place in OVERDUE.items())]
ALERTS = (alert("b1", NOW - MINUTE, number="WO2", org=PLACES[4]),)
CITIES = """Object.fromEntries([...document.querySelectorAll('#map .city')].map((one) => {
  const spot = one.querySelector('.spot'), [x, y, r] = ['cx', 'cy', 'r'].map((name) => Number(spot.getAttribute(name)));
  return [one.dataset.code, { x, y, r, tone: spot.dataset.tone, said: one.querySelector('title').textContent }];
}))"""


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


async def click(page: Page, code: str) -> None:
    await page.js(f"document.querySelector('#map [data-code=\\'{code}\\']').dispatchEvent(new MouseEvent('click'))")


def test_a_city_lies_where_it_is_and_its_circle_says_what_is_wrong(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, *CASES, alerts=ALERTS, loaded=PLACED, query="?lang=en") as (page, _):
            await page.until("document.querySelectorAll('#map .city').length == 3")
            found = await page.js(CITIES)
            nanjing, wuxi, suzhou = found["3201"], found["3202"], found["3205"]
            assert nanjing["x"] < wuxi["x"] < suzhou["x"]  # from west to east
            assert nanjing["y"] < wuxi["y"] < suzhou["y"]  # from north to south
            # A degree of longitude is cos(31.6°) = 0.85 of one of latitude: 1.29 degrees east, 0.57 south to Wuxi.
            across, down = wuxi["x"] - nanjing["x"], wuxi["y"] - nanjing["y"]
            assert across / down == pytest.approx(1.51 * 0.8516 / 0.57, rel=0.001)
            # Four are overdue in Wuxi, one in Suzhou, none in Nanjing: areas grow with the number.
            assert [one["r"] for one in (nanjing, suzhou, wuxi)] == [4, 11, 18]
            assert [one["tone"] for one in (nanjing, wuxi, suzhou)] == ["blue", "red", "blue"]
            assert wuxi["said"] == "Wuxi: Overdue, open 4, Breaches reported today 1, Red lines reported today 0"
            labels = "[...document.querySelectorAll('#map text')].map((one) => one.textContent)"
            assert await page.js(labels) == ["Wuxi", "Suzhou", "Nanjing"]

    run(test())


def test_a_click_shows_that_city_and_another_one_all(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, *CASES, alerts=ALERTS, loaded=PLACED) as (page, _):
            await page.until("document.querySelectorAll('#map .city').length == 3")
            await click(page, "3205")
            await page.until("document.querySelector('#map [data-selected]') && location.search == '?city=3205'")
            await page.until("document.querySelector('[data-key=overdue] .figure').textContent == '1'")
            assert (await page.js(CITIES))["3202"]["r"] == 18  # the others are still there
            await click(page, "3205")
            await page.until("!document.querySelector('#map [data-selected]') && location.search == ''")
            await page.until(f"({ORDERS}).join() == 'WO1'")

    run(test())


def test_without_positions_there_is_no_map(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, *CASES) as (page, _):
            await page.until(f"({ORDERS}).join() == 'WO1'")
            assert await page.js("document.querySelector('#map-panel').checkVisibility()") is False

    run(test())


@pytest.mark.parametrize("size", [LAPTOP, WALL, PHONE], ids=["laptop", "wall", "phone"])
@pytest.mark.whole
def test_it_fits_on_every_screen(chrome: str, size: tuple[int, int]) -> None:
    async def test() -> None:
        async with looking(chrome, *CASES, alerts=ALERTS, loaded=PLACED, size=size) as (page, _):
            await page.until("document.querySelectorAll('#map .city').length == 3")
            assert await page.js(WIDE) == 0
            await page.js("window.box = document.querySelector('#map-panel').getBoundingClientRect()")
            outside = """[...document.querySelectorAll('#map svg, #map .spot, #map text')].filter((one) => {
              const { left, right, top, bottom } = one.getBoundingClientRect();
              return left < box.left || right > box.right || top < box.top || bottom > box.bottom;
            }).length"""
            assert await page.js(outside) == 0
            places = "document.querySelector('#places').closest('.scroll')"
            assert await page.js(f"{places}.scrollHeight - {places}.clientHeight") <= 0
            assert await page.js(SMALL) == 0
            assert await page.js(CONTRAST) == []
            await page.js(AXE)
            assert await page.js(FOUND) == []

    run(test())
