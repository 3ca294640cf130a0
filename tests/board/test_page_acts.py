"""Acting on alerts from the page, in a real browser: one click, what shows at once, and who may only look."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from schemas.acknowledgements import Acknowledgement
from streams.board.acts import Acts
from streams.board.login import Login
from streams.board.messages import ack_from_bytes
from streams.errors import BrokerError
from tests.board.test_page import CONTRAST, NOW, SMALL, looking
from tests.boards import MINUTE, Served, Writes, alert
from tests.browser import PHONE, WALL, Page

ALERT = "a" * 32
BY_NAME = Login("X-Forwarded-User")
LIN = {"X-Forwarded-User": "lin"}
PANEL = "document.querySelector('#case-acts')"
FIRST = "document.querySelector('#case-acts .first')"
SAID = "document.querySelector('#case-acts .said').textContent"
MARKS = "document.querySelector('#alerts .marks').textContent"
ENTRIES = "document.querySelector('#clocks').textContent"


@dataclass
class Acting:
    page: Page
    site: Served
    written: list[Acknowledgement]
    failing: list[BrokerError]

    async def fill(self, name: str, value: str) -> None:
        await self.page.js(f"document.querySelector('#case-acts [name={name}]').value = {json.dumps(value)}")

    async def press(self, group: str) -> None:
        await self.page.js(f"document.querySelector('#case-acts .{group} button').click()")

    async def open_alert(self) -> None:
        await self.page.until("document.querySelectorAll('#alerts li').length == 1")
        await self.page.js("document.querySelector('#alerts .row').click()")
        await self.page.until(
            f"location.pathname == '/case/{ALERT}' && document.querySelector('#case-acts')?.checkVisibility()"
        )

    async def go_back(self) -> None:
        await self.page.back()
        await self.page.until("document.querySelectorAll('#alerts li').length == 1")


@asynccontextmanager
async def acting(
    chrome: str,
    login: Login | None = BY_NAME,
    *,
    query: str = "?lang=en",
    size: tuple[int, int] = WALL,
) -> AsyncIterator[Acting]:
    """A page on a board with one breach, opened by somebody whom a proxy has logged in."""
    writes = Writes()

    async with looking(
        chrome,
        alerts=(alert(ALERT, NOW - MINUTE),),
        query=query,
        size=size,
        acts=lambda hub: Acts(hub, login, writes),
        headers=LIN,
    ) as (page, site):
        yield Acting(page, site, writes.written, writes.failing)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_an_open_alert_is_acknowledged_with_one_click(chrome: str) -> None:
    async def test() -> None:
        async with acting(chrome) as one:
            page = one.page
            await page.until("document.querySelector('#tiles').innerText.includes('1 to acknowledge')")
            await one.open_alert()
            await page.until(f"{FIRST}.checkVisibility()")
            assert "You act as lin" in await page.js("document.querySelector('#case-acts').innerText")
            await page.js(f"{FIRST}.click()")
            await page.until(f"{SAID} == 'Acknowledged.'")
            (made,) = one.written
            assert (made.alert_id, made.action, made.by, made.note) == (ALERT, "acknowledge", "lin", None)
            # On the page without a reload, in the list and in the figures.
            await page.until(f"{ENTRIES}.includes('Acknowledged2026-03-02 10:00:')")
            await one.go_back()
            await page.until(f"{MARKS}.includes('Acknowledged lin')")
            await page.until("!document.querySelector('#tiles').innerText.includes('to acknowledge')")

    run(test())


QUICK = "document.querySelector('#alerts .quick')"


def test_an_alert_is_acknowledged_in_the_list_with_one_click(chrome: str) -> None:
    async def test() -> None:
        async with acting(chrome) as one:
            page = one.page
            said = "document.querySelector('#alerts-said').textContent"
            await page.until(QUICK)
            assert await page.js(f"[{QUICK}.textContent, {QUICK}.ariaLabel]") == [
                "Acknowledge",
                "Acknowledge Order WO1",
            ]
            assert await page.js(CONTRAST) == []
            one.failing.append(BrokerError("topic gridclock.acks did not confirm it (KafkaTimeoutError)"))
            await page.js(f"{QUICK}.click()")
            await page.until(f"{said}.startsWith('Order WO1: Not confirmed')")
            page.problems.clear()  # the browser's own line about the 503
            one.failing.clear()
            # By the keyboard: the row is the list's one stop, its button the next, and afterwards the row is there.
            await page.js("document.querySelector('#alerts .row').focus()")
            await page.press("Tab")
            assert await page.js(f"document.activeElement === {QUICK}") is True
            await page.press("Enter")
            await page.until(f"{said} == 'Order WO1: Acknowledged.'")
            await page.until(f"!{QUICK} && {MARKS}.includes('Acknowledged lin')")
            assert await page.js("document.activeElement === document.querySelector('#alerts .row')") is True
            assert [(made.alert_id, made.action, made.by) for made in one.written] == [(ALERT, "acknowledge", "lin")]

    run(test())


def test_the_list_has_no_buttons_for_whom_may_not_act_and_for_what_was_withdrawn(chrome: str) -> None:
    async def test() -> None:
        async with acting(chrome, None) as one:
            await one.page.until("document.querySelectorAll('#alerts li').length == 1")
            await one.page.js("fetch('/api/me').then((answer) => answer.json())")  # the page has asked before
            assert await one.page.js(f"{QUICK}") is None
        async with acting(chrome) as one:
            await one.page.until(QUICK)
            one.site.board.take_alert(alert("c" * 32, NOW, kind="retraction", retracts=ALERT))
            await one.page.until(f"!{QUICK} && document.querySelector('#alerts .row').dataset.state == 'retracted'")

    run(test())


def test_notes_assignments_and_silences(chrome: str) -> None:
    async def test() -> None:
        async with acting(chrome) as one:
            page = one.page
            await one.open_alert()
            await page.until(f"{FIRST}.checkVisibility()")
            await one.press("noting")
            await page.until(f"{SAID} == 'Write the note first.'")
            assert await page.js("document.activeElement.name") == "note"
            await one.press("assigning")
            await page.until(f"{SAID} == 'Write the staff number or role first.'")
            assert one.written == []
            await one.fill("note", "rang <b>them</b>")
            await one.press("noting")
            await page.until(f"{SAID} == 'Note.' && {ENTRIES}.includes('rang <b>them</b>')")  # as text
            assert await page.js("document.querySelector('#case-acts [name=note]').value") == ""
            await one.fill("to", "D7")
            await one.press("assigning")
            await page.until(f"{SAID} == 'Assigned.' && {ENTRIES}.includes('→ D7')")
            end = "[...document.querySelectorAll('#case-acts .silencing button')].pop()"
            assert await page.js(f"{end}.hidden") is True
            await page.js("document.querySelector('#case-acts [name=minutes]').value = '120'")
            await one.press("silencing")
            await page.until(f"{SAID} == 'Silenced.' && {ENTRIES}.includes('until 2026-03-02 12:00:')")
            await page.until(f"!{end}.hidden")
            await one.go_back()
            await page.until(
                f"['Note', 'Assigned → D7', 'Silenced until 03-02 12:00:'].every((mark) => {MARKS}.includes(mark))"
            )
            await one.open_alert()
            await page.until(f"!{end}.hidden")
            await page.js(f"{end}.click()")
            await page.until(f"{SAID} == 'Silence ended.' && {end}.hidden")
            await one.go_back()
            await page.until(f"!{MARKS}.includes('Silenced')")
            assert [(made.action, made.note, made.to) for made in one.written] == [
                ("annotate", "rang <b>them</b>", None),
                ("assign", None, "D7"),
                ("silence", None, None),
                ("silence", None, None),
            ]
            lengths = [made.until - made.at for made in one.written[2:] if made.until is not None]
            assert [length.total_seconds() for length in lengths] == [7200, 0]

    run(test())


def test_what_others_did_is_there_when_the_page_is_looked_at_again(chrome: str) -> None:
    async def test() -> None:
        async with acting(chrome, None, query="") as one:
            await one.open_alert()
            said = Acknowledgement.model_validate(
                {"alert_id": ALERT, "action": "assign", "by": "wu", "at": "2026-03-02T10:00:00+08:00", "to": "D7"}
            )
            one.site.board.take_ack(*ack_from_bytes(said.to_bytes()))
            await one.page.js("document.dispatchEvent(new Event('visibilitychange'))")
            await one.page.until(f"{ENTRIES}.includes('已指派2026-03-02 10:00:00  wu  → D7')")

    run(test())


def test_who_may_not_act_reads_why_and_sees_no_buttons(chrome: str) -> None:
    async def test() -> None:
        for login, chinese, english in (
            (None, "本看板只读", "This board is read-only"),
            (Login("Remote-User"), "未登录", "Nobody is logged in"),
            (
                Login("X-Forwarded-User", "X-Forwarded-Groups", frozenset({"desk"})),
                "不在可处置的用户组",
                "none of the groups",
            ),
        ):
            async with acting(chrome, login, query="") as one:
                await one.open_alert()
                reason = "document.querySelector('#case-acts .reason').innerText"
                await one.page.until(f"{reason}.includes('{chinese}')")
                assert await one.page.js(f"{FIRST}.checkVisibility()") is False
                await one.page.js("document.querySelector('#lang').click()")
                await one.page.until(f"{reason}.includes('{english}')")

    run(test())


def test_what_went_wrong_is_said_and_what_was_typed_is_kept(chrome: str) -> None:
    async def test() -> None:
        async with acting(chrome) as one:
            page = one.page
            await one.open_alert()
            await page.until(f"{FIRST}.checkVisibility()")
            await one.fill("note", "crew on site")
            one.failing.append(BrokerError("topic gridclock.acks did not confirm it (KafkaTimeoutError)"))
            await page.js(f"{FIRST}.click()")
            await page.until(f"{SAID}.startsWith('Not confirmed')")
            assert await page.js("document.querySelector('#case-acts [name=note]').value") == "crew on site"
            assert "Acknowledged2026" not in await page.js(ENTRIES)
            one.failing.clear()
            page.problems.clear()  # the browser's own line about the 503
            await page.js(f"{FIRST}.click(), {FIRST}.click()")  # twice by mistake
            await page.until(f"{SAID} == 'Acknowledged.'")
            assert [made.note for made in one.written] == ["crew on site"]

    run(test())


def test_the_keyboard_reaches_every_act(chrome: str) -> None:
    async def test() -> None:
        async with acting(chrome) as one:
            page = one.page
            await one.open_alert()
            await page.until(f"{FIRST}.checkVisibility()")
            await page.js("document.querySelector('#case-clocks').focus()")
            reached: list[str] = []
            while "Silence" not in reached:
                assert len(reached) < 40, reached
                await page.press("Tab")
                reached.append(await page.js("document.activeElement.name || document.activeElement.textContent"))
            wanted = ["Acknowledge", "note", "Add note", "to", "Assign", "minutes", "Silence"]
            assert [name for name in reached if name in wanted][: len(wanted)] == wanted
            await page.js(f"{FIRST}.focus()")
            await page.press("Enter")
            await page.until(f"{SAID} == 'Acknowledged.'")
            assert await page.js(f"document.activeElement === {FIRST}") is True
            assert await page.js("document.querySelector('#case-acts .said').role") == "status"

    run(test())


def test_the_panel_can_be_read_on_a_wall_and_on_a_phone(chrome: str) -> None:
    async def test() -> None:
        for size in (WALL, PHONE):
            async with acting(chrome, size=size) as one:
                await one.open_alert()
                await one.page.until(f"{FIRST}.checkVisibility()")
                assert await one.page.js(CONTRAST) == []
                assert await one.page.js(SMALL) == 0
                wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                assert await one.page.js(wide) == 0
                unnamed = (
                    "[...document.querySelectorAll('#case-acts input, #case-acts select')]"
                    ".filter((control) => !control.labels[0]?.innerText.trim()).length"
                )
                assert await one.page.js(unnamed) == 0

    run(test())


KEYS = """
const files = ['texts', 'case_texts', 'trend_texts'];
Promise.all(files.map((name) => import(`/board/${name}.js`))).then(([board, cases, trends]) => {
  const keys = (one, path) => Object.entries(one).flatMap(([key, value]) =>
    value !== null && typeof value === 'object' ? keys(value, `${path}${key}.`) : [`${path}${key}: ${typeof value}`]);
  return ["zh", "en"].map((language) =>
    [...keys(board.TEXTS[language], ''), ...keys(cases.CASE_TEXTS[language], 'case.'),
    ...keys(trends.TREND_TEXTS[language], 'trend.')].sort());
})
"""


def test_both_languages_have_every_key(chrome: str) -> None:
    async def test() -> None:
        async with acting(chrome) as one:
            chinese, english = await one.page.js(KEYS)
            assert chinese == english
            assert {"mayNot.not_in_group: string", "case.evidence: string"} <= set(chinese)

    run(test())
