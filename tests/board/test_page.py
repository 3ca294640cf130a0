"""The board's page in a real browser, on made-up cases: what it shows, how it is used, what it withstands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from fractions import Fraction
from importlib import resources
from typing import Any

import pytest

from schemas.base import Text
from streams.board.acts import Acts
from streams.board.hub import Hub
from streams.core.board import Acknowledgement
from streams.live.source_positions import Loss
from streams.rulebooks.loader import LoadedRulebook
from streams.wall_clock import WallClock
from streams.wire.state_rows import Aside
from tests.boards import COUNTER, MINUTE, Served, Topics, alert, board, case_id, served, started
from tests.browser import LAPTOP, PHONE, WALL, Page, page_of
from tests.stories import us

NOW = us("2026-03-02T10:00")
PLACES = [
    {"province": "32", "city": city, "county": f"{city}{county:02d}", "unit": f"U{unit:03d}"}
    for city in ("3201", "3202", "3205")
    for county in (1, 2)
    for unit in (1, 2)
]
LEFT = "[...document.querySelectorAll('#cases .left')].map((node) => node.textContent)"
SENTENCES = "[...document.querySelectorAll('#alerts .sentence')].map((node) => node.textContent)"
ORDERS = "[...document.querySelectorAll('#cases .about')].map((node) => node.textContent.split(' ')[1])"
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\'"&\u202e'


def a_case(number: str, left_seconds: float, org: dict[str, Any] | None = None) -> Any:
    """An order whose five minutes end so long after ten o'clock."""
    return started(number, NOW + int(left_seconds * 1_000_000) - 5 * MINUTE, PLACES[0] if org is None else org)


@asynccontextmanager
async def looking(
    chrome: str,
    *cases: Any,
    alerts: tuple[Any, ...] = (),
    query: str = "",
    size: tuple[int, int] = WALL,
    behind: int = 1_000_000,
    acts: Callable[[Hub], Acts] = Acts,
    headers: Mapping[str, str] | None = None,
    loaded: LoadedRulebook = COUNTER,
) -> AsyncIterator[tuple[Page, Served]]:
    """A page on a board whose clock stands at ten o'clock, its data ``behind`` (microseconds).

    ``headers`` go with all that the page asks for, as if a proxy had added them.
    """
    clock = WallClock(anchor=WallClock().now(), origin=NOW, speed=Fraction(1, 1000))
    state, shown = await asyncio.to_thread(board, loaded)
    state.partitions = 1
    topics = Topics()
    for case in cases:
        topics.keep(shown, case)
    shown.running.advance(0, NOW - behind)
    for one in alerts:
        shown.take_alert(one)
    async with served(state, shown, clock, topics=topics, acts=acts, loaded=loaded) as site, page_of(chrome) as page:
        await page.size(*size)
        if headers is not None:
            await page.do("Network.enable")
            await page.do("Network.setExtraHTTPHeaders", headers=headers)
        await page.open(f"{site.url}/board{query}")
        await page.until("document.querySelector('#status')?.dataset.level")
        yield page, site
        assert page.problems == []


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


@pytest.mark.whole
def test_ten_thousand_cases_stay_a_page_of_bounded_size_that_follows_without_reload(chrome: str) -> None:
    async def test() -> None:
        cases = [a_case(f"WO{index:05d}", 10 + index / 40, PLACES[index % len(PLACES)]) for index in range(10_000)]
        async with looking(chrome, *cases) as (page, site):
            await page.until("document.querySelectorAll('#cases li').length == 60")
            await page.js("window.same = true")
            assert await page.js("document.querySelector('[data-key=running] .figure').textContent") == "10,000"
            assert await page.js("document.querySelector('#cases-count').textContent") == "最近 60 条，共 10,000 条"
            assert (await page.js(ORDERS))[:3] == ["WO00000", "WO00001", "WO00002"]
            nodes = await page.js("document.querySelectorAll('*').length")
            assert nodes < 1500
            for index in range(0, 9_000):
                site.board.running.drop(("order", f"WO{index:05d}"))
            site.board.take_alert(alert("b1", NOW, number="WO00000", org=PLACES[0]))
            await page.until(f"({ORDERS})[0] == 'WO09000' && ({SENTENCES}).length == 1")
            assert await page.js("document.querySelector('[data-key=running] .figure').textContent") == "1,000"
            assert await page.js(SENTENCES) == ["工单 WO00000 超时。"]
            assert await page.js("document.querySelector('#live').textContent") == "新告警：工单 WO00000 超时。"
            assert await page.js("document.body.classList.contains('flashing')") is False  # nobody asked for it
            assert await page.js("window.same") is True
            assert await page.js("document.querySelectorAll('*').length") < nodes + 100

    run(test)


def test_time_alone_makes_no_breach_and_a_delay_is_said(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", 90), a_case("WO2", -20), behind=30_000_000) as (page, site):
            await page.until("document.querySelectorAll('#cases li').length == 2")
            first, second = await page.js(LEFT)
            assert first.startswith("待确认00:00:2")
            assert second.startswith("00:01:")
            await page.until("document.querySelector('[data-key=overdue] .figure').textContent == '0'")
            # Thirty seconds of this clock are eight hours of the real one.
            assert (await page.js("document.querySelector('#status').textContent")).startswith("数据延迟 8.3 小时")
            assert await page.js("document.querySelector('#status').dataset.level") == "bad"
            site.board.running.advance(0, NOW)
            await page.until("document.querySelectorAll('#cases li').length == 1")
            assert await page.js("document.querySelector('[data-key=overdue] .figure').textContent") == "1"
            await page.js("document.querySelector('[data-state=overdue]').click()")
            await page.until(f"({ORDERS}).join() == 'WO2'")
            assert (await page.js(LEFT))[0].startswith("已超时00:00:2")

    run(test)


def test_an_alert_that_may_be_wrong_is_marked(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome) as (page, site):
            site.board.take_alert(alert("b1", NOW - MINUTE, number="WO1"))
            site.board.take_alert(alert("b2", NOW, number="WO2", incomplete=True))
            marks = (
                "[...document.querySelectorAll('#alerts .marks')].map((one) => one.textContent.includes('数据不全'))"
            )
            await page.until(f"JSON.stringify({marks}) == '[true,false]'")

    run(test)


def test_the_head_says_since_when_and_of_what_verdicts_may_be_incomplete(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", 60)) as (page, site):
            site.state.lost = {"in/0": [Loss(3, 1002, NOW - MINUTE)]}
            site.state.aside = {0: [Aside(("order", "<b>"), 5, 5, "KeyError", NOW)]}
            told = "document.querySelector('#notice').textContent"
            words = "判定可能不全：来源 in/0 至多 1,000 条记录未读即被清除；order <b> 已隔离，不作判定。"
            await page.until(f"{told}.includes('{words}')")
            assert "自 03-02 09:59:00 起" in str(await page.js(told))
            await page.js("document.querySelector('#lang').click()")
            words = "09:59:00 verdicts may be incomplete: up to 1,000 records of source in/0 were removed before"
            await page.until(f"{told}.includes('{words}') && {told}.includes('read; order <b> is set aside')")
            site.state.lost, site.state.aside = {}, {}
            await page.until("document.querySelector('#notice').hidden")

    run(test)


def test_a_board_with_another_rulebook_than_the_workers_says_so(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", 60), query="?lang=en") as (page, site):
            assert await page.js("document.querySelector('#notice').hidden") is True
            site.board.take_alert(alert("b1", NOW, rule="not-ours"))
            await page.until("document.querySelector('#notice').textContent.includes('not-ours')")
            assert await page.js("document.querySelector('#notice').checkVisibility()") is True

    run(test)


def test_filters_go_into_the_address_and_come_back_from_it(chrome: str) -> None:
    async def test() -> None:
        cases = [a_case(f"WO{index}", 60 + index, place) for index, place in enumerate(PLACES)]
        alerts = (
            alert("b1", NOW - MINUTE, org=PLACES[0], sentence="南京"),
            alert("b2", NOW - MINUTE, org=PLACES[-1], sentence="苏州", rule="repair-arrival", clause="F-R1",
                  severity="red_line"),
        )  # fmt: skip
        async with looking(chrome, *cases, alerts=alerts) as (page, site):

            async def choose(name: str, value: str) -> None:
                await page.until(
                    f"[...document.querySelector('[name={name}]').options].some((o) => o.value == '{value}')"
                )
                await page.js(
                    f"(() => {{ const select = document.querySelector('[name={name}]'); select.value = '{value}';"
                    " select.dispatchEvent(new Event('change', {bubbles: true})); })()"
                )

            await choose("city", "3205")
            await page.until(f"({ORDERS}).join() == 'WO8,WO9,WO10,WO11' && ({SENTENCES}).join() == '苏州'")
            await choose("county", "320502")
            await page.until(f"({ORDERS}).join() == 'WO10,WO11'")
            await choose("chapter", "W")
            await choose("severity", "norm")
            await page.until(f"({SENTENCES}).length == 0")
            assert await page.js("location.search") == "?city=3205&county=320502&chapter=W&severity=norm"
            assert (
                await page.js("document.querySelector('#scope').textContent") == "3205 / 320502 · 营业窗口 · 严格遵守"
            )
            await choose("city", "3201")  # the county was one of another city
            await page.until(f"({ORDERS}).join() == 'WO0,WO1,WO2,WO3'")
            assert await page.js("location.search") == "?city=3201&chapter=W&severity=norm"

            await page.open(f"{site.url}/board?severity=red_line&lang=en&flash=1&alerts=5")
            await page.until(f"({SENTENCES}).join() == '苏州'")
            chosen = "[...document.querySelector('[name=severity]').selectedOptions][0].textContent"
            assert await page.js(chosen) == "Red line"
            assert await page.js("document.querySelector('#flash').getAttribute('aria-pressed')") == "true"
            site.board.take_alert(replace(alerts[1], alert_id="b3", detected_at=NOW))
            await page.until("document.body.classList.contains('flashing')")
            await page.js("document.querySelector('#clear').click()")
            await page.until(f"({SENTENCES}).length == 3")
            assert await page.js("location.search") == "?lang=en&flash=1&alerts=5"

    run(test)


def test_an_id_is_found_by_how_it_begins_and_the_lists_come_as_files(chrome: str) -> None:
    async def test() -> None:
        cases = [a_case("WO17", 60), a_case("WO18", 120), a_case("XX1", 30), a_case("WO170", -60)]
        alerts = (alert("b1", NOW - MINUTE, number="WO170", sentence="甲"), alert("b2", NOW - MINUTE, number="XX1"))
        async with looking(chrome, *cases, alerts=alerts) as (page, _):
            await page.until(f"({SENTENCES}).length == 2")
            await page.js(
                "(() => { const field = document.querySelector('[name=find]'); field.focus(); field.value = ' wo17';"
                " field.dispatchEvent(new Event('input', {bubbles: true})); })()"
            )
            await page.until(f"({ORDERS}).join() == 'WO170,WO17' && ({SENTENCES}).join() == '甲'")
            assert await page.js("location.search") == "?find=wo17"
            assert await page.js("document.querySelector('#cases-title').textContent") == "查到的时限"
            links = await page.js("[...document.querySelectorAll('.files a')].map((a) => a.getAttribute('href'))")
            assert links == [
                f"/api/{name}.{form}?find=wo17" for name in ("cases", "alerts") for form in ("csv", "xlsx")
            ]
            table = await page.js(f"fetch('{links[0]}').then((answer) => answer.text())")
            assert [row.split(",")[0] for row in table.splitlines()] == ["case_id", case_id("WO170"), case_id("WO17")]
            await page.js("document.querySelector('#clear').click()")
            await page.until(f"({SENTENCES}).length == 2 && document.querySelector('[name=find]').value == ''")

    run(test)


def test_the_keyboard_reaches_everything(chrome: str) -> None:
    async def test() -> None:
        cases = [a_case(f"WO{index}", 60 + index) for index in range(5)]
        async with looking(chrome, *cases, alerts=(alert("b1", NOW - MINUTE),)) as (page, site):
            await page.until("document.querySelectorAll('#cases li').length == 5")
            focus = "document.activeElement.id || document.activeElement.name || document.activeElement.ariaLabel"
            seen = []
            for _ in range(40):
                await page.press("Tab")
                seen.append(await page.js(f"document.activeElement === document.body ? 'end' : ({focus})"))
                if str(seen[-1]).startswith("工单 WO0"):
                    break
            assert seen[:13] == [None, "trends", "lang", "sound", "flash", "province", "city", "county", "unit",
                                 "chapter", "rule", "severity", "find"]  # fmt: skip
            await page.press("ArrowDown")
            await page.press("ArrowDown")
            assert str(await page.js(focus)).startswith("工单 WO2，") or str(await page.js(focus)).startswith(
                "工单 WO2、"
            )
            # The row under the cursor goes: its place is kept, and so is the way on.
            site.board.running.drop(("order", "WO2"))
            await page.until("document.querySelectorAll('#cases li').length == 4")
            assert str(await page.js(focus)).startswith("工单 WO3")
            await page.press("End")
            assert str(await page.js(focus)).startswith("工单 WO4")
            await page.press("Enter")
            await page.until(f"location.pathname == '/case/{case_id('WO4')}'")
            await page.back()
            await page.until("document.querySelectorAll('#cases li').length == 4")
            for _ in range(40):
                await page.press("Tab")
                if str(await page.js(focus)).startswith("工单"):
                    break
            for _ in range(3):  # one stop a list: on to the alerts, by the two files that they come as
                await page.press("Tab")
            assert await page.js("document.activeElement.closest('ul').id") == "alerts"

    run(test)


def test_both_languages_say_everything(chrome: str) -> None:
    async def test() -> None:
        one = replace(alert("b1", NOW - MINUTE), sentence=Text(zh="工单 WO1 超时。", en="Order WO1 breached."))
        async with looking(chrome, a_case("WO1", 60), alerts=(one,)) as (page, site):
            site.board.take_ack("b1", Acknowledgement(NOW, "S1", "acknowledge", ""))
            await page.until(
                f"({SENTENCES}).join() == '工单 WO1 超时。' && document.querySelector('[data-tone=blue].badge')"
            )
            assert await page.js("[document.documentElement.lang, document.title]") == ["zh-CN", "供电服务时限看板"]
            chinese = await page.js("document.body.innerText")
            assert "已签收 S1" in chinese
            await page.js("document.querySelector('#lang').click()")
            await page.until(f"({SENTENCES}).join() == 'Order WO1 breached.'")
            assert await page.js("[document.documentElement.lang, document.title]") == ["en", "Service time limits"]
            assert await page.js("location.search") == "?lang=en"
            english = await page.js("document.body.innerText")
            left = [
                line for line in english.splitlines() if any("\u4e00" <= character <= "\u9fff" for character in line)
            ]
            assert left == ["中文"]
            assert "undefined" not in chinese + english
            await page.js("document.querySelector('#lang').click()")
            await page.until(f"({SENTENCES}).join() == '工单 WO1 超时。'")
            assert await page.js("location.search") == ""

    run(test)


def test_hostile_values_are_text(chrome: str) -> None:
    async def test() -> None:
        place = dict.fromkeys(("province", "city", "county", "unit"), HOSTILE)
        bad = replace(
            alert("b1", NOW - MINUTE, number=HOSTILE, rule=HOSTILE, org=place, sentence=HOSTILE),
            title=Text(zh=HOSTILE, en=HOSTILE),
        )
        async with looking(chrome, a_case(HOSTILE, 60, place), alerts=(bad,)) as (page, site):
            site.board.take_ack("b1", Acknowledgement(NOW, HOSTILE, "acknowledge", HOSTILE))
            await page.until("document.querySelector('[data-tone=blue].badge')")
            assert HOSTILE in (await page.js(SENTENCES))[0]
            await page.js("document.querySelector('#places button').click()")  # into the address, and on from there
            await page.until("new URLSearchParams(location.search).get('city') !== null")
            await page.until("document.querySelectorAll('#cases li').length == 1")
            assert await page.js("[window.hacked, document.images.length, document.scripts.length]") == [None, 0, 1]

    run(test)


CONTRAST = r"""
(() => {
  const parse = (text) => {
    const found = text.match(/[\d.]+/g).map(Number);
    return found.length > 3 ? found : [...found, 1];
  };
  const part = (c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * part(r / 255) + 0.7152 * part(g / 255) + 0.0722 * part(b / 255);
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility()) continue;
    if (element.closest('.hidden, .skip, noscript, :disabled')) continue;
    let back = element;
    while (back && parse(getComputedStyle(back).backgroundColor)[3] === 0) back = back.parentElement;
    const behind = getComputedStyle(back || document.documentElement).backgroundColor;
    const [a, b] = [getComputedStyle(element).color, behind].map(parse).map(light).sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push([node.data.trim(), (a + 0.05) / (b + 0.05)]);
  }
  return poor;
})()
"""
SMALL = (
    "[...document.querySelectorAll('button, select')].filter((n) => n.checkVisibility() && n.offsetHeight < 24).length"
)


@pytest.mark.parametrize("size", [WALL, PHONE], ids=["wall", "phone"])
def test_a_wall_and_a_phone_can_show_and_read_it(chrome: str, size: tuple[int, int]) -> None:
    async def test() -> None:
        cases = [a_case(f"WO{index}", 10 + 30 * index, PLACES[index % 12]) for index in range(9)]
        cases.append(a_case("WO99", -30, PLACES[1]))
        alerts = [alert(f"b{index}", NOW - MINUTE, number=f"WO{index}", org=PLACES[index]) for index in range(4)]
        alerts.append(replace(alerts[0], alert_id="r", severity="red_line", kind="violation"))
        alerts.append(alert("l1", NOW, kind="late_completion", number="WO1"))
        alerts.append(alert("x2", NOW, kind="retraction", number="WO2", retracts="b2"))
        async with looking(chrome, *cases, alerts=tuple(alerts), size=size) as (page, _):
            await page.until("document.querySelectorAll('#cases li').length == 9")
            assert await page.js(CONTRAST) == []
            # Nothing sticks out to the right, and on the wall the whole page is on the screen.
            width, height = await page.js(
                "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
            )
            assert width == size[0]
            if size == WALL:
                assert height == size[1]
            assert await page.js("document.querySelector('#filter-box').open") is (size == WALL)
            assert await page.js(SMALL) == 0  # WCAG 2.5.8
            tree = (await page.do("Accessibility.getFullAXTree"))["nodes"]
            seen = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if "role" in node]
            roles = {role for role, _ in seen}
            assert {"banner", "main", "contentinfo", "status", "log"} <= roles
            regions = {name for role, name in seen if role == "region"}
            assert {"总览", "即将到期", "最新超时与违规", "各地市", "各规则"} <= regions
            nameless = [
                role for role, name in seen if role in ("button", "combobox", "link", "list", "table") and not name
            ]
            assert nameless == []

    run(test)


def test_who_wants_no_motion_gets_none(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", 60), query="?flash=1") as (page, site):
            await page.media({"prefers-reduced-motion": "reduce"})
            await page.until("document.querySelectorAll('#cases li').length == 1")
            site.board.take_alert(alert("b1", NOW))
            await page.until("document.body.classList.contains('flashing')")
            style = "getComputedStyle(document.body, '::after')"
            assert await page.js(f"[{style}.animationName, {style}.borderTopStyle]") == ["none", "solid"]

    run(test)


def test_a_lost_connection_is_said_and_mended(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", 60)) as (page, site):
            await page.until("document.querySelectorAll('#cases li').length == 1")
            await page.js("document.querySelector('#status').dataset.level")
            for client in list(site.hub._homes):
                client.drop()
            await page.until("document.querySelector('#status').dataset.level == 'bad'")
            site.board.running.put(0, a_case("WO2", 90))
            await page.until(f"({ORDERS}).join() == 'WO1,WO2'")  # by itself, with a whole view
            page.problems.clear()  # the browser says that the connection broke, as it should

    run(test)


def test_a_local_time_that_occurs_twice_has_its_offset(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome) as (page, _):
            script = """(async () => {
              const { page } = await import("/board/state.js"), { full, stamp } = await import("/board/format.js");
              page.meta.zone = "Europe/Berlin";
              return [full("2026-10-25T02:45:00.000+02:00"), full("2026-10-25T02:15:00.000+01:00"),
                      stamp("2026-10-25T02:45:00+02:00"), full("2026-10-25T01:59:59+02:00"),
                      full("2026-10-25T03:00:00+01:00")];
            })()"""
            assert await page.js(script) == [
                "2026-10-25 02:45:00 +02:00",
                "2026-10-25 02:15:00 +01:00",
                "10-25 02:45:00 +02:00",
                "2026-10-25 01:59:59",
                "2026-10-25 03:00:00",
            ]

    run(test)


def test_organisations_have_their_names_and_the_others_their_codes(chrome: str) -> None:
    async def test() -> None:
        org = {"province": "32", "city": "3201", "county": "320101", "unit": "U001"}
        async with looking(chrome, a_case("WO1", 60, org)) as (page, _):
            await page.until("document.querySelectorAll('#cases li').length == 1")
            await page.js(
                """(async () => {
              const { announce, page } = await import("/board/state.js");
              page.meta.organisations = {
                "3201": { zh: "南京", en: "Nanjing" },
                "U001": { zh: "<i>一</i>", en: "One" },
              };
              announce("meta");
            })()"""
            )
            # They may come after the rows: those are written anew.
            await page.until(
                "document.querySelector('#cases .about').textContent.includes('南京 / 320101 / <i>一</i>')"
            )
            script = """(async () => {
              const { place } = await import("/board/format.js");
              return place({ province: "32", city: "3201", county: "320101", unit: "U001" });
            })()"""
            assert await page.js(script) == "南京 / 320101 / <i>一</i>"
            options = (
                "[...document.querySelector('#filters').elements.city.options].map((one) => [one.value, one.text])"
            )
            assert await page.js(options) == [["", "全部"], ["3201", "南京"]]

    run(test)


@pytest.mark.parametrize("query", ["?severity=black", "?lang=en&city=" + 101 * "1", "?city=3201&state=late"])
def test_a_wrong_bookmark_shows_the_servers_reason_and_no_figures(chrome: str, query: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", 60), query=query) as (page, _):
            await page.until("document.querySelector('#status').dataset.level == 'bad'")
            await page.until("document.querySelector('#cases-empty').textContent.includes(' is ')")
            shown = await page.js("document.querySelector('#status-text').textContent")
            name = query.rpartition("=")[0].rpartition("&")[2].removeprefix("?")
            assert f"{name} is " in shown  # the server's own words
            figures = "[...document.querySelectorAll('#tiles .figure')].map((node) => node.textContent)"
            assert set(await page.js(figures)) == {"—"}
            assert await page.js("document.querySelector('#cases-count').textContent") == ""
            page.problems.clear()  # the browser says that it was refused, as it should
            await page.js("document.querySelector('#clear').click()")
            await page.until("document.querySelectorAll('#cases li').length == 1")

    run(test)


def test_a_partition_that_is_missing_is_on_the_wall(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", 60), behind=0) as (page, site):
            status = "document.querySelector('#status')"

            def current(*partitions: int) -> None:
                for partition in partitions:
                    site.state.cases.advance(partition, site.hub.clock.now())

            await page.until("document.querySelectorAll('#cases li').length == 1")
            site.state.partitions = 8
            current(*range(7))  # one has never said anything: how far the data are is not known
            await page.until(f"{status}.textContent.includes('8 个分区仅 7 个正常')")
            assert await page.js(f"{status}.dataset.level") == "slow"
            site.state.cases.advance(7, NOW - 120 * MINUTE)  # and one whose worker has gone
            await page.until(f"{status}.dataset.level == 'bad'")
            await page.js("document.querySelector('#lang').click()")
            await page.until(f"{status}.textContent.includes('7 of 8 partitions current')")
            current(*range(8))
            await page.until(f"!{status}.textContent.includes('partitions')")
            assert await page.js(f"{status}.dataset.level") != "bad"

    run(test)


def test_every_word_is_there_in_both_languages(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome) as (page, _):
            script = """(async () => {
              const { TEXTS } = await import("/board/texts.js");
              const keys = (value, path) => typeof value !== "object" ? [`${path}: ${typeof value}`]
                : Object.entries(value).flatMap(([key, one]) => keys(one, `${path}.${key}`));
              const asked = [...document.querySelectorAll("[data-text]")].map((node) => node.dataset.text)
                .concat([...document.querySelectorAll("[data-label]")].map((node) => node.dataset.label));
              return [keys(TEXTS.zh, "").sort(), keys(TEXTS.en, "").sort(),
                      asked.filter((key) => typeof TEXTS.zh[key] !== "string")];
            })()"""
            zh, en, missing = await page.js(script)
            assert zh == en
            assert len(zh) > 100
            assert missing == []

    run(test)


def test_overdue_and_next_due_stand_side_by_side(chrome: str) -> None:
    async def test() -> None:
        cases = [a_case(f"WO{index}", 60 * (index - 2) + 30) for index in range(5)]  # two are over
        async with looking(chrome, *cases, query="?state=beside", size=LAPTOP) as (page, _):
            await page.until("document.querySelectorAll('#cases li').length == 3")
            orders = "[...document.querySelectorAll('#%s .about')].map((node) => node.textContent.split(' ')[1])"
            assert await page.js(orders % "cases") == ["WO2", "WO3", "WO4"]
            assert await page.js(orders % "late") == ["WO0", "WO1"]
            boxes = "['cases', 'late'].map((id) => document.getElementById(id).getBoundingClientRect().toJSON())"
            left, right = await page.js(boxes)
            assert left["right"] <= right["left"]
            assert left["top"] < right["bottom"]
            assert right["top"] < left["bottom"]
            await page.js("document.querySelector('[data-state=running]').click()")
            await page.until("document.querySelector('#late-panel').hidden")

    run(test)


AXE = (resources.files("axe_core_python") / "axe.min.js").read_text("utf-8")
FOUND = """axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
    .then((found) => found.violations.map((one) => [one.id, one.nodes.map((node) => node.html).slice(0, 3)]))"""


@pytest.mark.parametrize("size", [LAPTOP, WALL, PHONE], ids=["laptop", "wall", "phone"])
@pytest.mark.parametrize("query", ["?lang=en", "?state=beside"])
@pytest.mark.whole
def test_axe_finds_nothing_and_the_tables_are_whole(chrome: str, size: tuple[int, int], query: str) -> None:
    async def test() -> None:
        cases = [a_case(f"WO{index}", 40 * (index - 3), PLACES[index % 12]) for index in range(12)]
        alerts = [alert(f"b{index}", NOW - index * MINUTE, number=f"WO{index}", severity="red_line",
                        org=PLACES[index % 12]) for index in range(5)]  # fmt: skip
        async with looking(chrome, *cases, alerts=tuple(alerts), query=query, size=size) as (page, _):
            await page.until("document.querySelectorAll('#cases li').length > 5")
            await page.js(AXE)
            assert await page.js(FOUND) == []
            # No text is cut: neither names of rules and units nor a cell or head of the tables.
            texts = "'.title, .about, .due, .left, #places td, #places th, #rules td, thead th'"
            cut = (
                f"[...document.querySelectorAll({texts})].filter((node) => node.checkVisibility()"
                " && node.scrollWidth > node.clientWidth + 1).map((node) => node.textContent)"
            )
            assert await page.js(cut) == []
            places = "document.querySelector('#places').closest('.scroll')"
            assert await page.js(f"{places}.scrollHeight - {places}.clientHeight") <= 0

    run(test)


def test_a_row_says_how_much_time_is_left_or_overdue(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, a_case("WO1", 95), a_case("WO2", -1000), query="?state=beside&lang=en") as (page, _):
            await page.until("document.querySelectorAll('#cases li, #late li').length == 2")
            labels = (
                "[...document.querySelectorAll('#cases .row, #late .row')].map((row) => row.getAttribute('aria-label'))"
            )
            left, late = await page.js(labels)
            assert "1.0 min left" in left
            assert "overdue by 16 min" in late
            await page.js("document.querySelector('#lang').click()")
            await page.until(f"({labels})[0].startsWith('工单')")
            left, late = await page.js(labels)
            assert "还剩 1.0 分钟" in left
            assert "已超时 16 分钟" in late

    run(test)


def test_printed_the_page_is_dark_on_white_and_whole(chrome: str) -> None:
    async def test() -> None:
        cases = [a_case(f"WO{index}", 10 + 7 * index) for index in range(40)]
        async with looking(chrome, *cases) as (page, _):
            await page.until("document.querySelectorAll('#cases li').length == 40")
            await page.do("Emulation.setEmulatedMedia", media="print")
            assert await page.js("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
            assert await page.js("document.querySelector('.switches').checkVisibility()") is False
            rows = "document.querySelector('#cases')"
            assert await page.js(f"{rows}.scrollHeight - {rows}.clientHeight") <= 0
            assert await page.js(CONTRAST) == []

    run(test)


def test_a_hand_over_shows_the_next_shift_beside_what_is_overdue(chrome: str) -> None:
    async def test() -> None:
        cases = [a_case("WO1", -30), a_case("WO2", 60), a_case("WO3", 200)]
        async with looking(chrome, *cases, query="?shift=4", size=LAPTOP) as (page, _):
            await page.until("document.querySelectorAll('#cases li').length == 2")
            await page.js("document.querySelector('[data-state=handover]').click()")
            await page.until("document.querySelectorAll('#late li').length == 1")
            assert await page.js("document.querySelector('#cases-title').textContent") == "下一班（4 小时）到期"
            assert await page.js("document.querySelector('#cases-count').textContent") == "共 2 条"
            assert "state=handover" in await page.js("location.search")  # a bookmark keeps it
            assert await page.js("document.documentElement.scrollWidth") == LAPTOP[0]

    run(test)


FLASHED = "window.flashed.join()"


async def watch_news(page: Page) -> None:
    """Note in ``FLASHED`` what the page reads out, and count its flashes."""
    await page.js(
        "window.flashed = []; new MutationObserver(() => flashed.push(document.querySelector('#live').textContent))"
        ".observe(document.querySelector('#live'), {childList: true})"
    )


async def has_read_all(page: Page) -> None:
    """Wait until the page knows that its board has read everything."""
    while await page.js("import('/board/state.js').then((one) => one.page.loading)"):
        await asyncio.sleep(0.05)


def old_and_new(count: int) -> list[Any]:
    return [alert(f"b{index:02d}", NOW - (60 - index) * MINUTE, number=f"WO{index}") for index in range(count)]


def test_what_a_board_reads_at_its_start_is_no_news(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome) as (page, site):
            site.board.is_reading = True
            await page.open(f"{site.url}/board?flash=1")
            await page.until("document.querySelector('#status')?.dataset.level")
            await watch_news(page)
            for one in old_and_new(3):
                site.board.take_alert(one)
            await page.until(f"({SENTENCES}).length == 3")
            site.board.is_reading = False
            await has_read_all(page)
            site.board.take_alert(alert("new", NOW, number="NEW"))
            await page.until(f"{FLASHED} == '新告警：工单 NEW 超时。'", 10)

    run(test)


def test_after_a_restart_of_the_board_only_what_came_meanwhile_is_news(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, alerts=tuple(old_and_new(50)), query="?flash=1") as (page, site):
            await page.until(f"({SENTENCES}).length == 40")
            await has_read_all(page)
            await watch_news(page)
            _, fresh = await asyncio.to_thread(board)
            fresh.is_reading = True
            fresh.running = site.board.running
            site.hub.board = fresh
            site.hub.close()
            await page.until(f"({SENTENCES}).length == 0")
            # First old ones that the page did not show before, then those that it did and one that came meanwhile.
            for one in old_and_new(8):
                fresh.take_alert(one)
            await page.until(f"({SENTENCES}).length == 8")
            for one in old_and_new(50):
                fresh.take_alert(one)
            fresh.take_alert(alert("new", NOW, number="NEW"))
            fresh.is_reading = False
            await page.until(f"({SENTENCES}).length == 40 && {FLASHED} == '新告警：工单 NEW 超时。'", 20)
            fresh.take_alert(alert("newer", NOW, number="NEWER"))
            await page.until(f"{FLASHED}.endsWith('新告警：工单 NEWER 超时。')", 20)

    run(test)
