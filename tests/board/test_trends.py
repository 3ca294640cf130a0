"""Trends: decided cases by day, rule and place, in numbers worked out by hand, on the page and as JSON."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import aiohttp
import pytest
from python_calamine import CalamineWorkbook

from schemas.base import Text
from schemas.organisations import Organisation
from streams.board.trends import MOST_ROWS, SourceError, TrendPages, TrendSource, days_of
from streams.core.event import Event
from streams.core.filters import Filter
from streams.core.open_cases import OpenCases
from streams.core.records import BEGINNING, Pruned, Snapshot
from streams.core.trends import Days, DecidedCases, Figures, Trends
from streams.errors import InputError
from streams.wall_clock import WallClock
from tests.board.test_page_cases import can_be_read_and_printed
from tests.boards import COUNTER, KEEP_FOR, MINUTE, Served, board, served
from tests.browser import LAPTOP, PHONE, WALL, Page, page_of
from tests.decided import END, expected_of, simulated
from tests.stories import shipped, us

NOW = us("2026-03-02T10:00")
NANJING, WUXI = {"province": "32", "city": "3201", "county": "320101"}, {"province": "32", "city": "3202"}
EVERYTHING = Filter()
DAY = 24 * 60 * MINUTE


def day(text: str) -> int:
    return date.fromisoformat(text).toordinal()


LAST_WEEK = Days(day("2026-02-24"), day("2026-03-02"))


def order(number: str, start: str, minutes: float | None, org: dict[str, Any], business: str = "fee") -> Snapshot:
    """A fee (due in 5 minutes) or an application (``power``: 20), completed so long after its start."""
    at = us(start)
    events = [Event(f"{number}-1", "counter.service_started", at, at, {"business": business, "org": org}, number)]
    if minutes is not None:
        end = at + int(minutes * MINUTE)
        data = {"business": business, "org": org}
        events.append(Event(f"{number}-2", "counter.service_completed", end, end, data, number))
    return Snapshot(("order", number), tuple(events), (), (), BEGINNING)


ORDERS = [
    order("WO1", "2026-02-28T09:00", 4, NANJING),  # met on the 28th
    order("WO2", "2026-02-28T09:00", 10, NANJING),  # breached at 9:05 of the 28th, and met late
    order("WO3", "2026-02-28T23:57", 10, WUXI),  # breached at 0:02 of the 1st, and met late
    order("WO4", "2026-03-01T09:00", None, NANJING),  # breached on the 1st, and still open
    order("WO5", "2026-03-01T09:00", 5, NANJING),  # met at the deadline itself
    order("WO6", "2026-03-01T09:00", 19, WUXI, "power"),  # met on the 1st
    order("WO7", "2026-03-02T09:58", None, NANJING),  # runs
    order("WO8", "2026-02-28T23:55", 5, {}),  # met at the deadline, 24:00 of the 28th; of no place
]
BY_DAY = {day("2026-02-28"): Figures(3, 2, 1, 0, 0), day("2026-03-01"): Figures(4, 2, 2, 0, 0)}
BY_PLACE = {"3201": Figures(4, 2, 2, 0, 0), "3202": Figures(2, 1, 1, 0, 0), "": Figures(1, 1, 0, 0, 0)}
BY_RULE = {"fee-5-minutes": Figures(6, 3, 3, 0, 0), "power-20-minutes": Figures(1, 1, 0, 0, 0)}


def counted(*orders: Snapshot, **options: Any) -> tuple[DecidedCases, OpenCases]:
    decided = DecidedCases(COUNTER.rulebook.calendar, **{"keep_for": KEEP_FOR, **options})
    cases = OpenCases(COUNTER.rulebook, decided.take)
    cases.advance(0, NOW)
    for one in orders:
        cases.put(0, one)
    return decided, cases


def test_decided_cases_by_day_rule_and_place() -> None:
    decided, _ = counted(*ORDERS)
    found = decided.trends(EVERYTHING, LAST_WEEK, NOW)
    assert (found.days, found.places, found.rules) == (BY_DAY, BY_PLACE, BY_RULE)
    assert (found.first, found.last) == (day("2025-12-03"), day("2026-03-02"))
    assert found.choices["city"] == ("3201", "3202")


@pytest.mark.parametrize(
    ("wanted", "days", "expected"),
    [
        (Filter(city="3201"), LAST_WEEK, {"320101": Figures(4, 2, 2, 0, 0)}),
        (Filter(rule="power-20-minutes"), LAST_WEEK, {"3202": Figures(1, 1, 0, 0, 0)}),
        (Filter(chapter="W"), LAST_WEEK, BY_PLACE),
        (Filter(chapter="R"), LAST_WEEK, {}),
        (Filter(severity="red_line"), LAST_WEEK, {}),
        (
            EVERYTHING,
            Days(day("2026-02-28"), day("2026-02-28")),
            {"3201": Figures(2, 1, 1, 0, 0), "": Figures(1, 1, 0, 0, 0)},
        ),
    ],
)
def test_a_filter_leaves_out_the_rest(wanted: Filter, days: Days, expected: dict[str, Figures]) -> None:
    assert counted(*ORDERS)[0].trends(wanted, days, NOW).places == expected


def test_a_row_written_again_replaces_what_was_counted() -> None:
    decided, cases = counted(order("WO1", "2026-03-01T09:00", 10, NANJING))
    assert decided.trends(EVERYTHING, LAST_WEEK, NOW).days == {day("2026-03-01"): Figures(1, 0, 1, 0, 0)}
    cases.put(0, order("WO1", "2026-03-01T09:00", 3, WUXI))
    assert decided.trends(EVERYTHING, LAST_WEEK, NOW).places == {"3202": Figures(1, 1, 0, 0, 0)}
    cases.drop(("order", "WO1"))
    assert decided.trends(EVERYTHING, LAST_WEEK, NOW).days == {}
    assert len(decided) == 0


def test_time_alone_decides_a_case() -> None:
    decided, cases = counted(order("WO1", "2026-03-02T09:58", None, NANJING))
    assert decided.trends(EVERYTHING, LAST_WEEK, NOW).days == {}
    cases.advance(0, us("2026-03-02T10:03"))
    assert decided.trends(EVERYTHING, LAST_WEEK, NOW).days == {day("2026-03-02"): Figures(1, 0, 1, 0, 0)}


def test_of_too_many_subjects_whole_days_are_forgotten() -> None:
    decided, cases = counted(*ORDERS, most=3)
    found = decided.trends(EVERYTHING, LAST_WEEK, NOW)
    assert found.first == day("2026-03-02")  # four are of the 1st: that is more than three
    assert found.days == {}
    cases.put(0, order("WO9", "2026-03-01T09:00", 4, NANJING))  # of a day that is forgotten
    cases.put(0, order("WO10", "2026-03-02T09:00", 4, NANJING))
    assert decided.trends(EVERYTHING, LAST_WEEK, NOW).days == {day("2026-03-02"): Figures(1, 1, 0, 0, 0)}
    assert len(decided) == 1


def test_days_that_the_state_no_longer_holds_whole_are_left_out() -> None:
    decided, _ = counted(*ORDERS, keep_for=2 * DAY)
    found = decided.trends(EVERYTHING, LAST_WEEK, NOW)  # of the 28th, what was over before ten o'clock may be gone
    assert (found.first, found.last, found.days) == (
        day("2026-03-01"), day("2026-03-02"), {day("2026-03-01"): BY_DAY[day("2026-03-01")]},
    )  # fmt: skip
    assert decided.trends(EVERYTHING, LAST_WEEK, None) == Trends(None, None)


def test_what_was_over_when_a_history_was_pruned_is_not_counted() -> None:
    _, cases = counted()
    seen: list[str] = []
    follower = OpenCases(COUNTER.rulebook, lambda _subject, verdicts: seen.extend(one.outcome for one in verdicts))
    follower.advance(0, NOW)
    one = order("WO1", "2026-02-28T09:00", 4, NANJING)
    pruned = Pruned(us("2026-02-28T09:05"))
    follower.put(0, Snapshot(one.subject, one.events, (), (), BEGINNING, pruned=pruned))
    assert seen == []
    assert cases.cases == follower.cases == {}


def test_the_days_are_those_of_the_sink() -> None:
    """By day, rule and city the same numbers as the rows that the sink writes of the same cases."""
    decided = DecidedCases(shipped().rulebook.calendar, keep_for=KEEP_FOR)
    by_subject: dict[Any, list[Any]] = {}
    for _, case in simulated():
        by_subject.setdefault(case.subject, []).append(case.verdict)
    for subject, verdicts in by_subject.items():
        decided.take(subject, verdicts)
    found = decided.trends(EVERYTHING, Days(day("2026-01-01"), day("2026-03-07")), us(END))
    rows = [row for row, _ in simulated()]
    assert found.days == expected_of(rows, lambda row: day(row["decided_on"]))
    assert found.rules == expected_of(rows, lambda row: str(row["rule"]))
    assert found.places == expected_of(rows, lambda row: row["city"] or "")
    total = [sum(column) for column in zip(*found.days.values(), strict=True)]
    assert min(total) > 0, total  # of each kind some


# -- as JSON -----------------------------------------------------------------------------------------------


class Listed:
    """A source of figures made up; or of an error."""

    name = "database"

    def __init__(self, found: Trends | str) -> None:
        self.found = found

    async def trends(self, wanted: Filter, days: Days) -> Trends:
        if isinstance(self.found, str):
            raise SourceError(self.found)
        return self.found


async def values(source: TrendSource, query: dict[str, str]) -> dict[str, Any]:
    return await TrendPages(source, COUNTER.rulebook.calendar).values(EVERYTHING, query, NOW)


def test_days_that_are_not_known_have_no_figures_and_no_rate_is_made_of_nothing() -> None:
    found = Trends(day("2026-02-28"), day("2026-03-01"), {day("2026-02-28"): Figures(4, 3, 1, 0, 1)})
    got = asyncio.run(values(Listed(found), {"days": "4"}))
    unknown = dict.fromkeys(("decided", "on_time", "breaches", "violations", "red_lines", "rate"))
    one = {"decided": 4, "on_time": 3, "breaches": 1, "violations": 0, "red_lines": 1, "rate": 0.75}
    none = {**dict.fromkeys(("decided", "on_time", "breaches", "violations", "red_lines"), 0), "rate": None}
    assert got["days"] == [
        {"day": "2026-02-27", **unknown}, {"day": "2026-02-28", **one}, {"day": "2026-03-01", **none},
        {"day": "2026-03-02", **unknown},
    ]  # fmt: skip
    assert got["total"] == one
    assert (got["known"], got["today"]) == ({"first": "2026-02-28", "last": "2026-03-01"}, "2026-03-02")


def test_the_worst_come_first_and_those_left_out_are_counted() -> None:
    places = {f"{number:04d}": Figures(9, 9 - number % 3, number % 3, 0, int(number == 7)) for number in range(120)}
    got = asyncio.run(values(Listed(Trends(1, 2, {}, {}, places)), {}))
    assert [row["code"] for row in got["places"]][:3] == ["0007", "0002", "0005"]
    assert (len(got["places"]), got["omitted"]) == (MOST_ROWS, {"rules": 0, "places": 20})


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"days": "0"}, "days"), ({"days": "367"}, "days"), ({"days": "1e2"}, "days"), ({"days": "\u0664"}, "days"),
        ({"until": "2026-02-30"}, "until"), ({"until": "yesterday"}, "until"), ({"until": "0001-01-01"}, "until"),
    ],
)  # fmt: skip
def test_days_that_cannot_be_are_refused(query: dict[str, str], field: str) -> None:
    with pytest.raises(InputError) as caught:
        days_of(query, day("2026-03-02"))
    assert caught.value.field == field


def test_days_end_today_or_where_one_says() -> None:
    assert days_of({}, day("2026-03-02")) == Days(day("2026-02-01"), day("2026-03-02"))
    assert days_of({"days": "1", "until": "2025-12-31"}, 0) == Days(day("2025-12-31"), day("2025-12-31"))


async def _files() -> None:
    state, shown = await asyncio.to_thread(board)
    figures = Figures(8, 6, 1, 1, 2)
    names = {"3201": Organisation(code="3201", name=Text(zh="南京", en="Nanjing"))}
    found = Trends(day("2026-03-01"), day("2026-03-01"), {day("2026-03-01"): figures}, {"fee-5-minutes": figures})
    source = Listed(replace(found, places={"3201": figures, "=1+1": Figures(2, 2, 0, 0, 0)}))
    clock, loaded = WallClock(anchor=WallClock().now(), origin=NOW), replace(COUNTER, organisations=names)
    async with served(state, shown, clock, source=source, loaded=loaded) as site, aiohttp.ClientSession() as session:
        async with session.get(f"{site.url}/api/trends.csv?days=7") as answer:
            assert answer.headers["Content-Disposition"] == 'attachment; filename="trends.csv"'
            lines = (await answer.read()).decode("utf-8-sig").splitlines()
        async with session.get(f"{site.url}/api/trends.xlsx?days=7") as answer:
            book = CalamineWorkbook.from_filelike(io.BytesIO(await answer.read()))
        async with session.get(f"{site.url}/api/trends.csv?days=0") as answer:
            assert answer.status == 400
    assert lines == [
        "by,code,name.zh,name.en,decided,on_time,breaches,violations,red_lines,rate",
        "day,2026-03-01,,,8,6,1,1,2,0.75",
        "rule,fee-5-minutes,收费业务5分钟办结,Fee collected within 5 minutes,8,6,1,1,2,0.75",
        "city,3201,南京,Nanjing,8,6,1,1,2,0.75",
        "city,'=1+1,,,2,2,0,0,0,1.0",
    ]
    sheet = book.get_sheet_by_index(0).to_python()
    assert sheet[1] == ["day", "2026-03-01", "", "", 8, 6, 1, 1, 2, 0.75]  # numbers to calculate with
    assert sheet[4][1] == "=1+1"


def test_the_figures_come_as_files() -> None:
    asyncio.run(_files())


# -- the page ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def looking(
    chrome: str,
    query: str = "",
    *,
    size: tuple[int, int] = WALL,
    source: TrendSource | None = None,
    path: str = "/trends",
) -> AsyncIterator[tuple[Page, Served]]:
    """The page of trends of ``ORDERS`` at ten o'clock."""
    state, shown = await asyncio.to_thread(board)
    state.partitions = 1
    for one in ORDERS:
        shown.running.put(0, one)
    shown.running.advance(0, NOW - 1_000_000)
    clock = WallClock(anchor=WallClock().now(), origin=NOW, speed=Fraction(1, 10**6))
    async with served(state, shown, clock, source=source) as site, page_of(chrome) as page:
        await page.size(*size)
        await page.open(f"{site.url}{path}{query}")
        yield page, site
        assert page.problems == []


ROWS = "[...document.querySelectorAll('#%s-rows tr')].map((row) => [...row.children].map((one) => one.innerText))"
CHART = "document.querySelector('#%s-chart svg')"
SHOWN = "document.querySelectorAll('#day-rows tr').length"


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_the_page_shows_figures_charts_and_their_words(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, "?days=7&lang=en") as (page, _):
            await page.until(f"{SHOWN} == 7")
            assert (await page.js(ROWS % "day"))[:3] == [
                ["2026-03-02 (so far)", "none decided", "0", "0", "0"],
                ["2026-03-01", "50.0% of 4 decided", "2", "0", "0"],
                ["2026-02-28", "66.7% of 3 decided", "1", "0", "0"],
            ]
            assert await page.js(ROWS % "place") == [
                ["3201", "50.0% of 4 decided", "2", "0", "0"],
                ["3202", "50.0% of 2 decided", "1", "0", "0"],
                ["not given", "100.0% of 1 decided", "0", "0", "0"],
            ]
            tiles = "[...document.querySelectorAll('#totals dd')].map((one) => one.innerText)"
            assert await page.js(tiles) == ["57.1%", "of 7 decided", "3", "0", "0"]
            assert await page.js(f"{CHART % 'rate'}.getAttribute('aria-label')") == (
                "Line chart of the on-time rate: 57.1%, of 7 decided in total; highest 66.7% (2026-02-28); lowest "
                "50.0% (2026-03-01). The table has the figure of each day."
            )
            assert await page.js(f"{CHART % 'missed'}.getAttribute('aria-label')") == (
                "Bar chart of what was missed: 3 in total, 0 of them red lines; most 2 (2026-03-01). The table has the "
                "figure of each day."
            )
            # The axis of rates begins at 50 %: of 174 pixels two thirds are a third from below, 50 % none.
            points = f"[...{CHART % 'rate'}.querySelectorAll('circle')].map((one) => Number(one.getAttribute('cy')))"
            assert await page.js(points) == [126.0, 184.0]
            bars = (
                f"[...{CHART % 'missed'}.querySelectorAll('.missed')].map((one) => Number(one.getAttribute('height')))"
            )
            assert await page.js(bars) == [87, 174]
            notices = await page.js("document.querySelector('#notices').innerText")
            assert "whole from 2025-12-03 to 2026-03-02" in notices
            await page.js("document.querySelector('#lang').click()")
            await page.until("document.querySelector('h1').textContent == '时限趋势'")
            assert (await page.js(ROWS % "day"))[1] == ["2026-03-01", "50.0% 共判定 4", "2", "0", "0"]
            assert await page.js("location.search") == "?days=7"

    run(test())


def test_from_the_board_in_one_click_with_its_place_and_narrower_by_a_row(chrome: str) -> None:
    async def test() -> None:
        async with looking(chrome, "?province=32&state=overdue", path="/board") as (page, site):
            await page.until("document.querySelector('#trends')?.search.includes('province')")
            await page.js("document.querySelector('#trends').click()")
            await page.until(f"location.pathname == '/trends' && {SHOWN} == 30")
            assert await page.js("document.querySelector('#scope').textContent") == "32"
            assert len(await page.js(ROWS % "place")) == 2
            file = "document.querySelector('.files a').getAttribute('href')"
            assert await page.js(file) == "/api/trends.csv?province=32"
            await page.js("document.querySelector('#place-rows button').click()")
            await page.until("document.querySelector('#places-title').textContent == '各区县'")
            assert await page.js(ROWS % "place") == [["320101", "50.0% 共判定 4", "2", "0", "0"]]
            assert await page.js("location.search") == "?province=32&city=3201"
            back = "document.querySelector('#back').getAttribute('href')"
            assert await page.js(back) == "/board?province=32&state=overdue&city=3201"
            await page.open(f"{site.url}/trends?city=3202&days=3")  # as a link that was kept
            await page.until(f"{SHOWN} == 3 && document.querySelector('#scope')?.textContent == '3202'")
            assert await page.js("document.querySelector('#filters').elements.days.value") == "3"

    run(test())


def test_what_cannot_be_read_says_why_and_comes_by_itself(chrome: str) -> None:
    async def test() -> None:
        source = Listed("the database is away")
        async with looking(chrome, source=source) as (page, site):
            await page.until("document.querySelector('#state')?.textContent.includes('the database is away')")
            source.found = Trends(None, None)
            await page.until("!document.querySelector('#figures').hidden")
            assert "还没有已判定的时限" in await page.js("document.querySelector('#notices').innerText")
            assert await page.js(f"{CHART % 'rate'}.getAttribute('aria-label')") == "所选期间没有判定，图中无数据。"
            await page.open(f"{site.url}/trends?days=400")
            await page.until("document.querySelector('#state')?.textContent.includes('days is a whole number')")
            page.problems.clear()  # the console lists answers of 4xx and 5xx, which this test asks for

    run(test())


@pytest.mark.parametrize(
    ("size", "language"),
    [(LAPTOP, "zh"), (WALL, "en"), (PHONE, "zh"), (PHONE, "en")],
    ids=["laptop", "wall", "phone", "phone-en"],
)
@pytest.mark.whole
def test_it_can_be_read_on_every_screen_and_on_paper(chrome: str, size: tuple[int, int], language: str) -> None:
    async def test() -> None:
        red = {
            day("2026-03-01"): Figures(9_999, 9_000, 900, 99, 60),
            day("2026-03-02"): Figures(10_000, 9_999, 1, 0, 1),
        }
        source = Listed(
            Trends(1, day("2026-03-02"), red, {"fee-5-minutes": red[day("2026-03-01")]}, {"3201": Figures(2)})
        )
        async with looking(chrome, f"?lang={language}", size=size, source=source) as (page, _):
            await page.until(f"{SHOWN} == 30 && document.querySelector('#filters').elements.rule.length > 2")
            assert "99.9%" in (await page.js(ROWS % "day"))[0][1]  # not all: never 100.0
            texts = "document.querySelectorAll('th, td, dt, dd, figcaption')"
            cut = f"[...{texts}].filter((one) => one.scrollWidth > one.clientWidth + 1).length"
            assert await page.js(cut) == 0
            # The arrow of a select takes some of its width; the longest period must fit beside it.
            period = "document.querySelector('#filters').elements.days"
            await page.js("document.querySelector('#filter-box').open = true")
            assert await page.js(f"{period}.offsetWidth") >= 120
            await can_be_read_and_printed(page, "#print", "#back", "#filters")

    run(test())
