"""The board's server: what it answers, to whom, with which headers, and how it keeps itself small."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from python_calamine import CalamineWorkbook

import streams.board
from streams.board.hub import NAMED, QUEUE, Hub
from streams.board.messages import BoardWire, ack_from_bytes, alert_from_bytes, filter_of
from streams.board.web import HEADERS
from streams.core.board import Acknowledgement, BoardAlert
from streams.core.filters import Filter
from streams.errors import InputError
from streams.live.source_positions import Loss
from streams.wall_clock import WallClock
from streams.wire.cloudevents import CloudEvents, encode
from streams.wire.state_rows import Aside
from tests.boards import MINUTE, Served, alert, board, case_id, served, started
from tests.stories import judge, shipped, us

NOW = us("2026-03-02T10:00")
STANDING = WallClock(anchor=WallClock().now(), origin=NOW, speed=Fraction(1, 10**12))
"""As good as standing still."""
NANJING = {"province": "32", "city": "3201", "county": "320101", "unit": "U1"}


@asynccontextmanager
async def serving(*, most: int = 8, host: str = "127.0.0.1", clock: WallClock = STANDING) -> AsyncIterator[Served]:
    """Two cases and an alert at 10:00, the data one second behind."""
    state, shown = await asyncio.to_thread(board)
    state.partitions = 1
    shown.running.put(0, started("WO1", NOW - 4 * MINUTE, NANJING))
    shown.running.put(0, started("WO2", NOW - 2 * MINUTE, {"city": "3202"}))
    shown.running.advance(0, NOW - 1_000_000)
    shown.take_alert(alert("b1", NOW - MINUTE, number="WO9", org=NANJING))
    async with served(state, shown, clock, most=most, host=host) as found:
        yield found


async def get(url: str, **options: Any) -> tuple[int, Mapping[str, str], Any]:
    async with aiohttp.ClientSession() as session, session.get(url, allow_redirects=False, **options) as answer:
        body = await answer.read()
        return answer.status, answer.headers, json.loads(body) if answer.content_type == "application/json" else body


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not claim():
            await asyncio.sleep(0.02)


async def messages(answer: aiohttp.ClientResponse, count: int) -> list[tuple[str, Any]]:
    """So many server-sent events."""
    found: list[tuple[str, Any]] = []
    name = ""
    while len(found) < count:
        line = (await asyncio.wait_for(answer.content.readline(), 20)).decode().strip()
        key, _, value = line.partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            found.append((name, json.loads(value)))
    return found


SCRIPTS = [f"/board/{path.name}" for path in Path(streams.board.__file__).with_name("page").glob("*.js")]
PATHS = {
    "/": 302,
    **dict.fromkeys(["/board", "/board/board.css", "/board/icon.svg", *SCRIPTS], 200),
    **dict.fromkeys(["/api/cases.csv", "/api/alerts.xlsx"], 200),
    **dict.fromkeys(["/api/cases", "/api/alerts", "/api/meta", "/healthz", "/trends", "/api/trends"], 200),
    "/nowhere": 404,
    "/api/cases?severity=loud": 400,
    "/api/trends?days=0": 400,
}


async def _every_answer_has_the_headers() -> None:
    async with serving() as site:
        assert len(SCRIPTS) > 10
        for path, expected in PATHS.items():
            status, headers, _ = await get(site.url + path)
            assert status == expected, path
            assert {name: headers.get(name) for name in HEADERS} == HEADERS, path
        async with aiohttp.ClientSession() as session, session.get(site.url + "/api/stream") as answer:
            assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
            assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        async with aiohttp.ClientSession() as session:
            for method in ("POST", "PUT", "DELETE"):
                async with session.request(method, site.url + "/api/cases") as refused:
                    assert refused.status == 405


def test_every_answer_has_the_headers() -> None:
    asyncio.run(_every_answer_has_the_headers())


def test_the_policy_leaves_no_room_for_foreign_or_inline_code() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not any(word in policy for word in ("unsafe", "data:", "http", "*"))


async def _lists_as_files() -> None:
    async with serving() as site:
        site.board.running.put(0, started("=WO1", NOW - 3 * MINUTE, NANJING))
        site.board.take_ack("b1", Acknowledgement(NOW, "S1", "acknowledge", ""))
        status, headers, body = await get(site.url + "/api/cases.csv?city=3201&cases=1")
        assert (status, headers["Content-Type"]) == (200, "text/csv")
        assert headers["Content-Disposition"] == 'attachment; filename="cases.csv"'
        rows = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"))))
        assert [row["subject.id"] for row in rows] == ["WO1", "'=WO1"]  # all, not one; and no formula
        assert (rows[0]["org.county"], rows[0]["deadline"]) == ("320101", "2026-03-02T10:01:00.000+08:00")
        _, _, body = await get(site.url + "/api/alerts.csv")
        (row,) = csv.DictReader(io.StringIO(body.decode("utf-8-sig")))
        assert (row["alert_id"], row["acknowledged.by"], row["incomplete"]) == ("b1", "S1", "false")
        _, _, body = await get(site.url + "/api/cases.xlsx?city=3202")
        cells = CalamineWorkbook.from_filelike(io.BytesIO(body)).get_sheet_by_index(0).to_python()
        assert [line[cells[0].index("subject.id")] for line in cells] == ["subject.id", "WO2"]
        assert (await get(site.url + "/api/cases.csv?severity=loud"))[0] == 400
        assert (await get(site.url + "/api/cases.pdf"))[0] == 404
        # A board that starts has read a part, or nothing: such a file looked like a day without a breach.
        for is_read_again in (False, True):
            site.board.is_reading = not is_read_again
            if is_read_again:
                site.state.restart(1)
            for path in ("cases.csv", "cases.xlsx", "alerts.csv", "alerts.xlsx"):
                status, headers, body = await get(f"{site.url}/api/{path}")
                assert (status, headers["Retry-After"], "try again" in body["error"]) == (503, "10", True), path
        status, _, body = await get(site.url + "/api/alerts")
        assert (status, body["loading"]) == (200, True)


def test_lists_come_as_files_through_the_filter() -> None:
    asyncio.run(_lists_as_files())


async def _json_api() -> None:
    async with serving() as site:
        _, _, cases = await get(site.url + "/api/cases?city=3201&cases=5")
        (case,) = cases.pop("cases")
        assert case == {
            "case_id": case_id("WO1"),
            "rule": "fee-5-minutes",
            "clause": "W-S5",
            "chapter": "W",
            "severity": "norm",
            "title": {"zh": "收费业务5分钟办结", "en": "Fee collected within 5 minutes"},
            "subject": {"type": "order", "id": "WO1"},
            "org": NANJING,
            "started_at": "2026-03-02T09:56:00.000+08:00",
            "deadline": "2026-03-02T10:01:00.000+08:00",
            "outcome": "running",
            "limit": {"zh": "5分钟", "en": "5 min"},
            "paused": False,
            "calendar_provisional": False,
        }
        counts = cases.pop("counts")
        assert (counts["running"], counts["breaches_reported_today"]) == (1, 1)
        assert cases == {
            "now": "2026-03-02T10:00:00.000+08:00",
            "as_of": "2026-03-02T09:59:59.000+08:00",
            "delay_seconds": 1e12,  # in real seconds, and this clock hardly moves
            "speed": 1e-12,
            "loading": False,
            "partitions": {"current": 0, "count": 1},  # by real seconds, likewise
            "unknown_rules": [],
            "quarantined": {"count": 0, "subjects": []},
            "incomplete": {"since": None, "count": 0, "causes": []},
        }
        _, _, alerts = await get(site.url + "/api/alerts?chapter=W")
        assert alerts["alerts"] == [
            {
                "alert_id": "b1",
                "case_id": case_id("WO9"),
                "kind": "breach",
                "rule": "fee-5-minutes",
                "clause": "W-S5",
                "chapter": "W",
                "severity": "norm",
                "title": {"zh": "收费业务5分钟办结", "en": "Fee in 5 min"},
                "subject": {"type": "order", "id": "WO9"},
                "org": NANJING,
                "due_at": "2026-03-02T09:59:00.000+08:00",
                "detected_at": "2026-03-02T09:59:00.000+08:00",
                "explanation": {"zh": "工单 WO9 超时。", "en": "Order WO9 breached."},
                "state": "open",
                "ending": None,
                "incomplete": False,
                "acks": [],
            }
        ]
        _, _, meta = await get(site.url + "/api/meta")
        assert {"id": "W", "title": {"zh": "营业窗口", "en": "Counter service"}} in meta["chapters"]
        assert [rule["id"] for rule in meta["rules"]] == sorted(
            {rule.id for rule in shipped().rulebook.rules if rule.enabled}
        )


def test_json_api() -> None:
    asyncio.run(_json_api())


async def _incomplete() -> None:
    async with serving() as site:
        site.state.lost = {"in/0": [Loss(3, 5, NOW - 2 * MINUTE)]}
        site.state.aside = {0: [Aside(("order", f"WO{n}"), 5, 5, "KeyError", NOW) for n in range(NAMED)]}
        _, _, meta = await get(site.url + "/api/meta")
        first = {
            "cause": "lost",
            "since": "2026-03-02T09:58:00.000+08:00",
            "source": "in/0",
            "subject": None,
            "count": 3,
        }
        found = meta["incomplete"]
        assert (found["since"], found["count"], found["causes"][0]) == (first["since"], NAMED + 1, first)
        assert found["causes"][NAMED] == {
            "cause": "quarantined", "since": "2026-03-02T10:00:00.000+08:00", "source": None,
            "subject": {"type": "order", "id": f"WO{NAMED - 1}"}, "count": 0,
        }  # fmt: skip
        _, _, cases = await get(site.url + "/api/cases")
        assert cases["incomplete"] == {**found, "causes": found["causes"][:NAMED]}


def test_it_says_since_when_verdicts_may_be_incomplete() -> None:
    asyncio.run(_incomplete())


async def _health() -> None:
    async with serving() as site:
        status, _, found = await get(site.url + "/healthz")
        assert (status, found["status"], found["open_cases"]) == (200, "ok", 2)
        site.state.restart(1)
        status, _, found = await get(site.url + "/healthz")
        assert (status, found["status"]) == (503, "loading")


def test_health() -> None:
    asyncio.run(_health())


@pytest.mark.parametrize(
    ("host", "name", "status"),
    [
        ("127.0.0.1", "127.0.0.1:9465", 200),
        ("127.0.0.1", "LOCALHOST", 200),
        ("127.0.0.1", "[::1]:80", 200),
        ("127.0.0.1", "evil.example", 421),
        ("127.0.0.1", "127.0.0.1.evil.example:9465", 421),
        ("0.0.0.0", "board.example", 200),
    ],
)
def test_a_board_on_loopback_answers_to_loopback_names_only(host: str, name: str, status: int) -> None:
    async def ask() -> int:
        async with serving(host=host) as site:
            return (await get(site.url + "/healthz", headers={"Host": name}))[0]

    assert asyncio.run(ask()) == status


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, Filter()),
        ({"city": "", "unknown": "x"}, Filter()),
        ({"city": "3201", "rule": "r", "chapter": "W", "severity": "red_line", "state": "overdue", "cases": "500",
          "alerts": "1"}, Filter(city="3201", rule="r", chapter="W", severity="red_line", state="overdue", cases=500,
                                 alerts=1)),
        ({"cases": "0"}, "cases"),
        ({"cases": "501"}, "cases"),
        ({"cases": "٣"}, "cases"),
        ({"alerts": "-1"}, "alerts"),
        ({"severity": "loud"}, "severity"),
        ({"state": "met"}, "state"),
        ({"unit": "x" * 101}, "unit"),
        ({"find": "x" * 201}, "find"),
        ({"city": "3201\0"}, "city"),
        ({"find": "\0"}, "find"),
        ({"rule": "\udce9"}, "rule"),
    ],
)  # fmt: skip
def test_queries(query: dict[str, str], expected: Filter | str) -> None:
    if isinstance(expected, Filter):
        assert filter_of(query) == expected
    else:
        with pytest.raises(InputError) as error:
            filter_of(query)
        assert error.value.field == expected


async def _stream() -> None:
    async with serving() as site, aiohttp.ClientSession() as session:
        async with session.get(site.url + "/api/stream?city=3201") as answer:
            ((kind, first),) = await messages(answer, 1)
            assert (kind, [case["subject"]["id"] for case in first["cases"]]) == ("snapshot", ["WO1"])
            site.board.running.put(0, started("WO3", NOW - MINUTE, {"city": "3202"}))  # not of this filter
            site.board.running.put(0, started("WO4", NOW - MINUTE, NANJING))
            site.board.running.drop(("order", "WO1"))
            while (found := (await messages(answer, 1))[0])[0] != "change":
                assert found[0] == "time"
            change = found[1]
            assert change["cases_gone"] == [case_id("WO1")]
            assert [case["subject"]["id"] for case in change["cases"]] == ["WO4"]
            assert "alerts" not in change
        await until(lambda: site.hub.clients == 0)
        assert (site.hub.clients, site.hub._channels) == (0, {})


def test_a_stream_begins_with_the_whole_and_goes_on_with_differences() -> None:
    asyncio.run(_stream())


async def _too_many() -> None:
    async with serving(most=2) as site, aiohttp.ClientSession() as session:
        first, second = [await session.get(site.url + "/api/stream") for _ in range(2)]
        status, headers, found = await get(site.url + "/api/stream")
        assert (status, headers["Retry-After"], found) == (
            503,
            "10",
            {"error": "too many pages are open; see GRIDCLOCK_BOARD_CLIENTS"},
        )
        first.close()
        await until(lambda: site.hub.clients == 1)
        async with session.get(site.url + "/api/stream") as third:
            assert third.status == 200
        second.close()


def test_no_more_pages_than_allowed() -> None:
    asyncio.run(_too_many())


async def _slow() -> None:
    async with serving() as site:
        host, _, port = site.url.removeprefix("http://").partition(":")
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.to_thread(deaf.connect, (host, int(port)))
            deaf.sendall(b"GET /api/stream?alerts=500 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until(lambda: site.hub.clients == 1)
            for number in range(100):
                # Every round tells 500 alerts of a kilobyte anew, and nobody reads.
                for index in range(500):
                    one = alert(f"{number}-{index}", NOW + number * 1000 + index, sentence="长" * 300)
                    site.board.take_alert(one)
                site.hub.round()
                await asyncio.sleep(0)
                if site.hub.dropped:
                    break
            assert (site.hub.dropped, site.hub.clients) == (1, 0)
        async with aiohttp.ClientSession() as session, session.get(site.url + "/api/stream?alerts=1") as answer:
            assert (await messages(answer, 1))[0][0] == "snapshot"


def test_a_page_that_does_not_read_is_dropped() -> None:
    asyncio.run(_slow())


async def _queue() -> None:
    state, shown = await asyncio.to_thread(board)
    hub = Hub(shown, state, BoardWire(shipped().rulebook.calendar), STANDING, most=8)
    broken: list[str] = []
    slow = hub.join(Filter(), lambda: broken.append("slow"))
    quick = hub.join(Filter(), lambda: broken.append("quick"))
    for _ in range(QUEUE):
        hub.send_time()
        quick.queue.get_nowait()
    assert (broken, hub.clients, hub.dropped, slow.queue.qsize()) == (["slow"], 1, 1, QUEUE)
    hub.leave(slow)  # its handler ends later; that is no harm
    hub.close()
    assert hub.clients == 0


def test_a_full_queue_drops_its_page_and_no_other() -> None:
    asyncio.run(_queue())


async def _many_filters() -> None:
    async with serving(most=8) as site, aiohttp.ClientSession() as session:
        answers = [await session.get(f"{site.url}/api/stream?city={city}") for city in ("3201", "3202", "3201")]
        for answer in answers:
            await messages(answer, 1)
        assert len(site.hub._channels) == 2
        for answer in answers:
            answer.close()


def test_pages_with_one_filter_share_its_work() -> None:
    asyncio.run(_many_filters())


# -- what comes in -----------------------------------------------------------------------------------------


def test_alerts_are_read_as_they_are_written() -> None:
    alerts = judge("e1 2026-03-02T09:00 counter.service_started WO1 business=fee", "2026-03-02T10:00").alerts
    (breach,) = [one for one in alerts if one.kind == "breach"]
    found = alert_from_bytes(encode(CloudEvents(shipped().rulebook.calendar).alert(breach)))
    assert found == BoardAlert(
        breach.alert_id, breach.case_id, "breach", "fee-5-minutes", "W-S5", "norm", shipped_title(), ("order", "WO1"),
        (None, None, None, None), breach.started_at, breach.due_at, breach.detected_at, found.sentence,
    )  # fmt: skip
    assert found.sentence.zh == breach.explanation.zh
    doubtful = alert_from_bytes(
        encode(CloudEvents(shipped().rulebook.calendar).alert(replace(breach, incomplete=True)))
    )
    assert doubtful == replace(found, incomplete=True)


def shipped_title() -> Any:
    return next(rule.title for rule in shipped().rulebook.rules if rule.id == "fee-5-minutes")


def test_acknowledgements_are_read() -> None:
    raw = {"alert_id": "b1", "action": "acknowledge", "by": "S1", "at": "2026-03-02T10:00:00+08:00", "note": None}
    said = Acknowledgement(NOW, "S1", "acknowledge", "")
    assert ack_from_bytes(json.dumps(raw).encode()) == ("b1", said)
    assert ack_from_bytes(json.dumps({**raw, "more": 1}).encode()) == ("b1", said)


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff", b'{"alert_id":"b1","action":"a","by":"S1","at":"2026-03-02"}'])
def test_what_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(InputError):
        ack_from_bytes(raw)
    with pytest.raises(InputError):
        alert_from_bytes(raw)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00"])
def test_what_was_done_at_an_instant_that_no_page_can_show_is_no_acknowledgement(at: str) -> None:
    raw = {"alert_id": "0" * 32, "action": "silence", "by": "D7", "at": "2026-03-02T09:00:00+08:00", "until": at}
    with pytest.raises(InputError):
        ack_from_bytes(json.dumps(raw).encode())
    with pytest.raises(InputError):
        ack_from_bytes(json.dumps({**raw, "action": "acknowledge", "at": at, "until": None}).encode())
