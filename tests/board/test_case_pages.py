"""The case page's values: what is found under which id, what it says of it, and what it says when it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import aiohttp

from schemas.acknowledgements import Acknowledgement
from streams.board.acts import MARK, Acts
from streams.board.feed import StateReader
from streams.board.hub import Hub
from streams.board.login import Login
from streams.board.messages import BoardWire, alert_from_bytes
from streams.core.alerts import Alert
from streams.core.board import Board
from streams.core.driver import Driver, Step
from streams.core.engine import Engine
from streams.rulebooks.loader import LoadedRulebook
from streams.wall_clock import WallClock
from streams.wire.cloudevents import encode
from streams.wire.pseudonyms import Pseudonyms, cloud_events
from tests.boards import Served, Topics, served
from tests.stories import decoded, shipped, us, wire

UNTIL = us("2026-03-10T18:00")
KEY = b"0123456789abcdef0123456789abcdef"
# A scheme is owed in three working days (until Friday the sixth at 24:00), and a fee in five minutes less a pause.
STORY = """
a1 2026-03-03T10:00 application.accepted      WO1 account=A1 category=residential
a2 2026-03-09T09:00 scheme.replied            WO1 account=A1
f1 2026-03-10T09:00 counter.service_started   WO2 business=fee
f2 2026-03-10T09:01 counter.interrupted       WO2 reason=system_failure
f3 2026-03-10T09:11 counter.resumed           WO2
f4 2026-03-10T09:14 counter.service_completed WO2
d1 2026-03-09T10:00 disconnection.performed  account=A2 meter=M7 cause=arrears
"""


async def written(_made: Acknowledgement) -> None:
    """Nothing is kept of acts here but what the board does."""


class Site:
    """A board beside an engine that judged a story, and who asks it."""

    def __init__(self, served: Served, alerts: list[Alert], loaded: LoadedRulebook) -> None:
        self.served = served
        self.alerts = alerts
        self.loaded = loaded

    def alert(self, rule: str, kind: str = "breach") -> Alert:
        return next(one for one in self.alerts if (one.rule, one.kind) == (rule, kind))

    async def get(self, path: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.get(self.served.url + path) as answer:
            return answer.status, await answer.json()

    async def page(self, path: str) -> Any:
        status, found = await self.get(path)
        assert status == 200, found
        return found


@asynccontextmanager
async def judged(story: str = STORY, *, key: bytes | None = None, topics: Topics | None = None) -> AsyncIterator[Site]:
    loaded, topics = shipped(), topics or Topics()
    engine, step = Engine(loaded.rulebook), Step()
    driver = Driver(engine, stepwise=True)
    for event in sorted(decoded(wire(story), loaded), key=lambda event: event.order):
        driver.advance(event.at - 1, step)
        driver.feed([(subject, copy, "") for subject, copy in loaded.rulebook.copies_of(event)], step)
    driver.advance(UNTIL, step)
    state = StateReader(loaded.rulebook)
    await state.loaded()
    state.partitions = 1
    board_wire = BoardWire(loaded.rulebook.calendar, None if key is None else Pseudonyms(key))
    board = Board(state.cases, loaded.rulebook.calendar, ids_of=board_wire.ids_of)
    for subject in engine.subjects():
        snapshot = engine.snapshot(subject)
        assert snapshot is not None
        topics.keep(board, snapshot)
    board.running.advance(0, UNTIL)
    writer = cloud_events(loaded.rulebook.calendar, key)
    for alert in step.alerts:
        board.take_alert(alert_from_bytes(encode(writer.alert(alert))))
    clock = WallClock(anchor=WallClock().now(), origin=UNTIL, speed=Fraction(1, 10**12))

    def acts(hub: Hub) -> Acts:
        return Acts(hub, Login("X-Forwarded-User"), written)

    async with served(state, board, clock, topics=topics, loaded=loaded, wire=board_wire, acts=acts) as site:
        yield Site(site, step.alerts, loaded)


async def _a_breach_with_all_that_is_known_of_it() -> None:
    async with judged() as site:
        breach = site.alert("scheme-reply")
        found = await site.page(f"/api/case/{breach.alert_id}")
        assert found["subject"] == {"type": "order", "id": "WO1"}
        assert found["asked"] == {"case_id": breach.case_id, "alert_id": breach.alert_id}
        assert found["judged_until"]["text"] == "2026-03-10 18:00:00"
        clock = found["clocks"][0]
        assert (clock["case_id"], clock["outcome"], clock["limit_text"]["zh"]) == (
            breach.case_id,
            "met_late",
            "3个工作日",
        )
        assert clock["arithmetic"]["counted_days"] == ["2026-03-04", "2026-03-05", "2026-03-06"]
        assert clock["due"]["text"] == "2026-03-07 00:00:00"
        assert clock["evidence"] == ["a1", "a2"]
        assert clock["outcome_text"] == {"zh": "逾期完成", "en": "met late"}
        rule = clock["rule_text"]
        assert rule["clauses"][0] == {
            "code": "B-R6",
            "place": {"zh": "业扩办电 红线 第6条", "en": "New connections and capacity, red line, item 6"},
        }
        assert rule["source"].startswith("供电监管办法")
        kinds = [alert["kind"] for alert in clock["alerts"]]
        assert kinds == ["warning", "breach", "late_completion"]
        assert [one["event_id"] for one in found["time_line"] if one["kind"] == "event"] == ["a1", "a2"]
        assert {"type": "account", "id": "A1"} in found["related"]


async def _acted_on() -> None:
    async with judged() as site:
        breach = site.alert("scheme-reply")
        site.served.board._told.clear()  # newer ones took its place
        headers = {MARK: "1", "Origin": site.served.url, "X-Forwarded-User": "lin"}
        body = {"alert_id": breach.alert_id, "action": "annotate", "note": "rang them"}
        places: list[tuple[dict[str, str] | None, int]] = [
            (None, 404),
            ({"type": "order", "id": "WO2"}, 404),
            ({"type": "order", "id": "WO1"}, 201),
        ]
        async with aiohttp.ClientSession(headers=headers) as session:
            for subject, status in places:
                async with session.post(f"{site.served.url}/api/acks", json={**body, "subject": subject}) as answer:
                    assert answer.status == status, await answer.text()
        clock = (await site.page(f"/api/case/{breach.alert_id}?order=WO1"))["clocks"][0]
        (found,) = [alert for alert in clock["alerts"] if alert["alert_id"] == breach.alert_id]
        assert [(ack["by"], ack["note"]) for ack in found["acks"]] == [("lin", "rang them")]


def test_an_alert_that_its_page_shows_can_be_acted_on_however_old_it_is() -> None:
    asyncio.run(_acted_on())


def test_a_breach_with_all_that_is_known_of_it() -> None:
    asyncio.run(_a_breach_with_all_that_is_known_of_it())
