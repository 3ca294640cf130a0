"""The case page in a real browser: how one gets there, what it shows, on every screen and on paper."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest

from schemas.base import Text
from schemas.deliveries import CaseRow, ChannelRow, DeliveryRow, Undelivered
from streams.core.board import Acknowledgement
from streams.wire.state_rows import Aside
from tests.board.test_page import AXE, CONTRAST, FOUND, HOSTILE, NOW, ORDERS, PLACES, SENTENCES, SMALL, a_case, looking
from tests.boards import alert, case_id
from tests.browser import PHONE, WALL, Page

RED = replace(alert("b1", NOW, severity="red_line", org=PLACES[0]), title=Text(zh="红线", en="Red line"))
CLOCK = "document.querySelector('#clocks .case-clock')"
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LARGE, LAPTOP = (3840, 2160), (1366, 768)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


async def opened(page: Page, url: str) -> None:
    """Go to a case page and wait until it shows something."""
    await page.open(url)
    await page.until(f"document.querySelector('body.case') && {CLOCK}")


def test_from_a_red_tile_to_the_evidence_in_two_clicks_and_back(chrome: str) -> None:
    async def test() -> None:
        alerts = (RED, alert("b2", NOW, number="WO2", org=PLACES[0]))
        async with looking(chrome, a_case("WO1", -1), alerts=alerts, query="?lang=en") as (page, _):
            await page.until(f"({SENTENCES}).length == 2")
            await page.js("document.querySelector('[data-key=red_lines_reported_today] button').click()")
            await page.until(f"({SENTENCES}).length == 1")
            assert await page.js("document.activeElement.closest('.panel').className") == "panel alerts"
            await page.js("document.querySelector('#alerts .row').click()")
            await page.until(CLOCK)
            assert await page.js("location.pathname + location.search") == "/case/b1?order=WO1&lang=en"
            shown = await page.js(f"{CLOCK}.innerText")
            for words in (
                "Fee collected within 5 minutes",
                "收费业务5分钟办结",
                "W-S5",
                "营业窗口 严格遵守 第5条",
                "5 min",
            ):
                assert words in shown
            link = f"{CLOCK}.querySelector('.ids a')"
            assert await page.js(f"{link}.textContent") == "WO1-1"
            await page.js(f"{link}.click()")
            assert "counter.service_started" in await page.js("document.querySelector('#line > :target').textContent")
            back = "document.querySelector('#back').getAttribute('href')"
            assert await page.js(back) == "/board?severity=red_line&lang=en"
            await page.back(2)
            await page.until(f"({SENTENCES}).length == 1")
            assert await page.js("location.search") == "?lang=en&severity=red_line"

    run(test())


def test_every_tile_shows_the_list_that_it_counts(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", 60), a_case("WO2", -1), alerts=(RED,)) as (page, _):
            await page.until(f"({ORDERS}).join() == 'WO1'")
            await page.js("document.querySelector('[data-key=overdue] button').click()")
            await page.until(f"({ORDERS}).join() == 'WO2'")
            for key in ("running", "due_today", "due_1_h", "due_15_min"):
                await page.js(f"document.querySelector('[data-key={key}] button').click()")
                await page.until(f"({ORDERS}).join() == 'WO1'")
                await page.js("document.querySelector('[data-key=overdue] button').click()")
                await page.until(f"({ORDERS}).join() == 'WO2'")
            names = await page.js("[...document.querySelectorAll('#tiles button')].map((one) => one.ariaLabel)")
            assert names[0] == "运行中 1"

    run(test())


def test_what_did_not_reach_anybody_is_said(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", -1), alerts=(RED,)) as (page, site):
            sent = {"b1": {"phone": NOW, "mail": NOW}}
            event = {"data": {"alert_id": "b1", "subject": {"type": "order", "id": "WO1"}}}
            row = CaseRow(
                v=1, events={}, retracted=(), told=sent, told_by={}, waiting=(), escalations=(), touched=NOW
            )  # fmt: skip
            site.topics.send(f"case/{case_id('WO1')}", row)
            for channel in ("phone", "mail"):
                way = DeliveryRow(
                    v=1, channel=channel, subscription="all", key="b1", events=(event,), planned_at=NOW, closes=(),
                    opens=(), level=None, follows=(),
                )  # fmt: skip
                site.topics.send(f"delivery/{channel}/b1", way)
            failing = ChannelRow(
                v=1, delivery="phone/b1", reason="server_error", detail="HTTP 503", attempts=3, next_at=NOW + 60_000_000
            )
            site.topics.send("channel/phone", failing)
            letter = Undelivered(
                channel="pager", subscription="all", key="k", reason="refused", detail="HTTP 410", attempts=1,
                at=datetime.fromisoformat("2026-03-02T09:59:30+08:00"), events=(event,),
            )  # fmt: skip
            site.topics.deliveries.take_undelivered(letter.model_dump_json().encode())
            await opened(page, f"{site.url}/case/b1?order=WO1&lang=en")
            said = f"[...{CLOCK}.querySelectorAll('.alerts-of .lines > span')].map((one) => one.innerText)"
            assert await page.js(said) == [
                "2026-03-02 10:00:00 · mail · under way, not confirmed yet",
                "2026-03-02 10:00:00 · phone · not delivered yet, 3 attempts: the receiver's server failed (HTTP 503); "
                "next try 2026-03-02 10:01:00",
                "2026-03-02 09:59:30 · pager · subscription all · given up after 1 attempt: refused (HTTP 410); "
                "inform them another way",
            ]
            assert await page.js(CONTRAST) == []
            await page.js(AXE)
            assert await page.js(FOUND) == []

    run(test())


def test_what_the_lists_do_not_have_is_offered_by_its_page(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", 60), query="?find=WO1") as (page, _):
            links = "[...document.querySelectorAll('#find-pages a')].map((one) => one.getAttribute('href')).join(' ')"
            await page.until(f"({ORDERS}).join() == 'WO1'")
            assert await page.js("document.querySelector('#find-pages').hidden") is True
            find = "document.querySelector('[name=find]')"
            await page.js(f"{find}.value = 'X/7'; {find}.dispatchEvent(new Event('input'))")
            await page.until(f"{links} == '/order/X%2F7 /account/X%2F7 /meter/X%2F7 /batch/X%2F7'")
            assert await page.js(CONTRAST) == []

    run(test())


def test_the_page_follows_what_happens_and_keeps_the_cursor(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", -1), alerts=(RED,)) as (page, site):
            await opened(page, f"{site.url}/order/WO1")
            await page.js(f"{CLOCK}.querySelector('.ids a').focus()")
            site.board.take_ack("b1", Acknowledgement(NOW, "S7", "annotate", "已派人"))
            await page.js("document.dispatchEvent(new Event('visibilitychange'))")
            await page.until(f"{CLOCK}.innerText.includes('已派人')")
            assert await page.js("document.activeElement.textContent") == "WO1-1"

    run(test())


def test_in_english_only_what_stands_beside_is_chinese(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", -1), alerts=(RED,)) as (page, site):
            await opened(page, f"{site.url}/case/b1?order=WO1")
            assert await page.js("[document.documentElement.lang, document.title]") == ["zh-CN", "工单 WO1 · 时限明细"]
            await page.js("document.querySelector('#lang').click()")
            assert await page.js("[document.documentElement.lang, document.title]") == [
                "en",
                "Order WO1 · Time limits in detail",
            ]
            assert await page.js("location.pathname + location.search") == "/case/b1?order=WO1&lang=en"
            await page.js("document.querySelectorAll('[lang=\"zh-CN\"], noscript').forEach((one) => one.remove())")
            left = await page.js("document.body.innerText")
            source = "国家电网营销〔2023〕482号《一线员工供电服务行为规范》营业窗口 严格遵守 第5条（收费业务5分钟）"
            found = left.replace(source, "")
            assert [one for one in found if "\u4e00" <= one <= "\u9fff"] == []
            assert "undefined" not in left

    run(test())


def test_it_says_what_it_does_not_know(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", -1), alerts=(RED,)) as (page, site):
            await page.open(f"{site.url}/order/WO%2F77?lang=en")
            await page.until("document.querySelector('#case-state')?.textContent.startsWith('There is no Order WO/77')")
            assert await page.js("document.querySelector('#case-main').hidden") is True
            page.problems.clear()  # the browser's own line about the 404
            site.state.aside[0] = [Aside(("order", "WO1"), 1, 1, "ValueError in x.py:1 (f)", NOW)]
            await opened(page, f"{site.url}/order/WO1?lang=en")
            notice = await page.js("document.querySelector('#case-notices').innerText")
            assert (
                "set aside since 2026-03-02 10:00:00, and nothing is judged of it: ValueError in x.py:1 (f)" in notice
            )

    run(test())


def test_hostile_values_are_text_on_the_case_page_too(chrome: str) -> None:
    async def test() -> None:
        place = dict.fromkeys(("province", "city", "county", "unit"), HOSTILE)
        bad = replace(alert("b1", NOW, number=HOSTILE, org=place, sentence=HOSTILE), title=Text(zh=HOSTILE, en=HOSTILE))
        async with looking(chrome, a_case(HOSTILE, -1, place), alerts=(bad,)) as (page, site):
            site.board.take_ack("b1", Acknowledgement(NOW, HOSTILE, "acknowledge", HOSTILE))
            await page.until("document.querySelectorAll('#alerts li').length == 1")
            await page.js("document.querySelector('#alerts .row').click()")
            await page.until(f"document.querySelector('body.case') && {CLOCK}")
            assert HOSTILE in await page.js("document.querySelector('#clocks').textContent")
            assert HOSTILE in await page.js("document.querySelector('#case-title').textContent")
            assert await page.js("[window.hacked, document.images.length, document.scripts.length]") == [None, 0, 1]
            await opened(page, f"{site.url}/order/{quote(HOSTILE, safe='')}")
            assert await page.js("[window.hacked, document.images.length, document.scripts.length]") == [None, 0, 1]

    run(test())


ODD_IDS = (
    ".", "..", "...", "/", "a/../b", "//x", "a?b#c", "100%", "%41", "a%2Fb", "a b+c&d=e", "\\", "=cmd|' /C calc'!A0",
    "'\"<b>", "工单1", "😀", "x" * 200,
)  # fmt: skip


@pytest.mark.whole
def test_links_lead_to_every_id_that_an_event_may_have(chrome: str) -> None:
    async def test() -> None:
        alerts = tuple(alert(f"b{index}", NOW, number=number) for index, number in enumerate(ODD_IDS))
        cases = [a_case(number, -1) for number in ODD_IDS]
        async with looking(chrome, *cases, alerts=alerts, query="?lang=en") as (page, site):
            title = "document.querySelector('#case-title').textContent"
            for index, number in enumerate(ODD_IDS):
                await page.open(f"{site.url}/board?lang=en&find={quote(number, safe='')}&alerts=500")
                link = f"document.querySelector('#alerts [data-id=b{index}] .row')"
                await page.until(link)
                await page.js(f"{link}.click()")
                await page.until(f"document.querySelector('body.case') && {CLOCK}")
                assert await page.js(title) == f"Order {number}"
                subject = json.dumps({"type": "order", "id": number})
                of_subject = f"import('/board/format.js').then((one) => one.subjectAddress({subject}))"
                await opened(page, site.url + await page.js(of_subject))
                assert await page.js(title) == f"Order {number}"
                await page.js("document.querySelector('#lang').click()")
                await page.js("location.reload()")
                await page.until(f"{CLOCK} && {title} == {json.dumps(f'工单 {number}')}")

    run(test())


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("/order/100%", "Order 100%"),
        ("/order/99%", "There is no Order 99%:"),
        ("/order/工单9%", "There is no Order 工单9%:"),
        ("/order/%E5", "There is no Order %E5:"),
        ("/case/9%25%", "There is no Case 9%%:"),
        ("/order/?id=9%25", "There is no Order 9%:"),
        ("/order/", "There is no Order :"),
        ("/order/100%25#event-100%", "Order 100%"),
    ],
)
def test_an_address_typed_by_hand_is_read_or_said_not_to_be_there(chrome: str, typed: str, said: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("100%", -1)) as (page, site):
            at, _, mark = typed.partition("#")
            query = f"{'&' if '?' in at else '?'}lang=en"
            await page.open(f"{site.url}{at}{query}{'#' if mark else ''}{mark}")
            shown = "[...document.querySelectorAll('#case-title, #case-state')].filter((one) => one.checkVisibility())"
            await page.until(f"{shown}.some((one) => one.textContent.startsWith({json.dumps(said)}))", 10)
            is_read = f"[!!{CLOCK}, document.querySelector('#case-state').hidden]"
            assert await page.js(is_read) == [said.startswith("Order")] * 2
            page.problems[:] = [one for one in page.problems if "404 (Not Found)" not in one]

    run(test())


async def can_be_read_and_printed(page: Page, *not_printed: str) -> None:
    """Nothing is cut, pale, small or without a name; on paper too, where what only a screen needs is left out."""
    assert await page.js(WIDE) == 0
    assert await page.js(CONTRAST) == []
    assert await page.js(SMALL) == 0
    heads = "[...document.querySelectorAll('h1, h2, h3, h4')].filter((one) => one.checkVisibility())"
    levels = await page.js(f"{heads}.map((one) => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    nameless = "[...document.querySelectorAll('a, button')].filter((one) => !one.innerText.trim()).length"
    assert await page.js(nameless) == 0
    twice = "(() => { const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);"
    assert await page.js(f"{twice} return ids.length - new Set(ids).size; }})()") == 0
    await page.js(AXE)
    assert await page.js(FOUND) == []
    await page.do("Emulation.setEmulatedMedia", media="print")
    await page.size(794, 1123)  # A4
    assert await page.js(WIDE) == 0
    assert await page.js(CONTRAST) == []
    visible = f"{json.dumps(not_printed)}.filter((one) => document.querySelector(one).checkVisibility())"
    assert await page.js(visible) == []


@pytest.mark.parametrize("size", [WALL, LAPTOP, PHONE, LARGE], ids=["wall", "laptop", "phone", "large"])
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.whole
def test_it_can_be_read_on_every_screen_and_on_paper(chrome: str, size: tuple[int, int], language: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", -1, PLACES[0]), alerts=(RED,), size=size) as (page, site):
            site.board.take_ack("b1", Acknowledgement(NOW, "S7", "acknowledge", "w" * 200))
            await opened(page, f"{site.url}/case/{case_id('WO1')}?order=WO1&lang={language}")
            await can_be_read_and_printed(page, "#print", "#back", "#case-acts")

    run(test())
