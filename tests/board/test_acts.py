"""Acting on alerts through the board's server: who may, what is written, and what attacks meet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from schemas.acknowledgements import Acknowledgement
from streams.board.acts import MARK, MOST_BYTES, Acts
from streams.board.login import Login, MayNotAct, login_of
from streams.board.web import HEADERS
from streams.cli import run
from streams.errors import BrokerError, ConfigError
from streams.settings import load_settings
from streams.wall_clock import WallClock
from streams.wire.pseudonyms import Pseudonyms
from tests.boards import MINUTE, Served, Writes, alert, board, served
from tests.stories import us

NOW = us("2026-03-02T10:00")
STANDING = WallClock(anchor=WallClock().now(), origin=NOW, speed=Fraction(1, 10**12))
ALERT = "a" * 32
ACKNOWLEDGE = {"alert_id": ALERT, "action": "acknowledge"}
DESK = Login("X-Forwarded-User", "X-Forwarded-Groups", frozenset({"desk", "centre"}))
LIN = {"X-Forwarded-User": "lin", "X-Forwarded-Groups": "all, desk"}


@dataclass
class Desk:
    site: Served
    written: list[Acknowledgement]
    failing: list[BrokerError]

    async def post(
        self, body: Any, headers: Mapping[str, str | None] | None = None, **more: Any
    ) -> tuple[int, Mapping[str, str], Any]:
        """As the page does it, with headers changed, or left out where they are ``None``."""
        own = {
            "Content-Type": "application/json",
            MARK: "1",
            "Origin": self.site.url,
            "Sec-Fetch-Site": "same-origin",
            **LIN,
            **(headers or {}),
        }
        kept = [(name, value) for name, value in own.items() if value is not None] + more.pop("also", [])
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"{self.site.url}/api/acks"
        async with aiohttp.ClientSession() as session, session.post(url, data=raw, headers=kept, **more) as answer:
            return answer.status, answer.headers, await answer.json()

    async def get(self, path: str, headers: Mapping[str, str] = LIN) -> Any:
        async with aiohttp.ClientSession() as session, session.get(self.site.url + path, headers=headers) as answer:
            return await answer.json()


@asynccontextmanager
async def desk(login: Login | None = DESK, *, host: str = "127.0.0.1", key: bytes | None = None) -> AsyncIterator[Desk]:
    """A board with one breach, and what is written to its topic of acknowledgements."""
    state, shown = await asyncio.to_thread(board)
    state.partitions = 1
    shown.take_alert(alert(ALERT, NOW - MINUTE))
    writes = Writes()

    staff = Pseudonyms(key).staff if key else str
    async with served(state, shown, STANDING, host=host, acts=lambda hub: Acts(hub, login, writes, staff)) as site:
        yield Desk(site, writes.written, writes.failing)


def at_the_desk(test: Coroutine[None, None, None]) -> None:
    asyncio.run(test)


async def _each_act() -> None:
    async with desk() as one:
        at = datetime.fromisoformat("2026-03-02T10:00:00+08:00")
        for body, expected in (
            ({"action": "acknowledge", "note": " crew on site 已到场 "}, {"note": "crew on site 已到场"}),
            ({"action": "acknowledge", "note": "  "}, {}),
            ({"action": "annotate", "note": "rang them"}, {"note": "rang them"}),
            ({"action": "assign", "to": " D7 "}, {"to": "D7"}),
            ({"action": "silence", "minutes": 90}, {"until": datetime.fromisoformat("2026-03-02T11:30:00+08:00")}),
            ({"action": "silence", "minutes": 0}, {"until": at}),
        ):
            status, headers, found = await one.post({"alert_id": ALERT, **body})
            assert status == 201, found
            assert {name: headers.get(name) for name in HEADERS} == HEADERS
            made = one.written[-1]
            given = {name: value for name, value in made.model_dump().items() if value is not None}
            assert abs((given.pop("at") - at).total_seconds()) < 1e-3
            until = expected.pop("until", None)
            if until is not None:
                assert abs((given.pop("until") - until).total_seconds()) < 1e-3
            assert given == {"alert_id": ALERT, "action": body["action"], "by": "lin", **expected}
            # It is on the board at once, and reading the record from the topic changes nothing.
            (shown,) = (await one.get("/api/alerts"))["alerts"]
            assert found["ack"] in shown["acks"]
        counts = (await one.get("/api/alerts"))["counts"]
        assert counts["unacknowledged_today"] == 0
        assert len(one.written) == 6


def test_each_act_is_written_with_who_and_when_and_shown_at_once() -> None:
    at_the_desk(_each_act())


async def _with_a_key() -> None:
    key = b"sixteen characters and more"
    async with desk(key=key) as one:
        _, _, found = await one.post({"alert_id": ALERT, "action": "assign", "to": "D7"})
        staff = Pseudonyms(key).staff
        assert (one.written[0].by, one.written[0].to) == (staff("lin"), staff("D7"))
        assert (found["ack"]["by"], found["ack"]["to"]) == (staff("lin"), staff("D7"))
        assert (await one.get("/api/me"))["user"] == staff("lin")


def test_with_a_key_people_are_pseudonyms_everywhere() -> None:
    at_the_desk(_with_a_key())


NOT_DESK = {**LIN, "X-Forwarded-Groups": "all"}


@pytest.mark.parametrize(
    ("login", "person", "reason"),
    [
        (None, LIN, "off"),
        (DESK, {}, "no_user"),
        (DESK, {"X-Forwarded-Groups": "desk"}, "no_user"),
        (DESK, {**LIN, "X-Forwarded-User": " "}, "no_user"),
        (DESK, {**LIN, "X-Forwarded-User": "x" * 101}, "bad_header"),
        (DESK, {**LIN, "X-Forwarded-User": "l\x9bn"}, "bad_header"),
        (DESK, {"X-Forwarded-User": "lin"}, "not_in_group"),
        (DESK, NOT_DESK, "not_in_group"),
        (DESK, {**LIN, "X-Forwarded-Groups": "desks,Desk"}, "not_in_group"),
        (Login("X-Forwarded-User", proxies=(ip_network("10.0.0.0/8"),)), LIN, "not_the_proxy"),
        (Login("Remote-User"), LIN, "no_user"),
        (DESK, LIN, None),
        (Login("X-Forwarded-User"), NOT_DESK, None),
        (Login("X-Forwarded-User"), {"X-Forwarded-User": "林"}, None),
    ],
)
def test_who_may_act(login: Login | None, person: dict[str, str], reason: str | None) -> None:
    async def test() -> None:
        async with desk(login) as one:
            headers = {**dict.fromkeys(LIN), **person}
            status, _, found = await one.post(ACKNOWLEDGE, headers)
            me = await one.get("/api/me", {name: value for name, value in headers.items() if value is not None})
            assert (me["may_act"], me["reason"]) == (reason is None, reason)
            if reason is None:
                assert status == 201
                assert me["user"] == person["X-Forwarded-User"]
            else:
                assert (status, found["reason"]) == (403, reason)
                assert found["error"] == me["error"]
                assert one.written == []

    asyncio.run(test())


@pytest.mark.parametrize("name", sorted(LIN))
def test_a_header_that_stands_twice_is_believed_by_nobody(name: str) -> None:
    async def test() -> None:
        async with desk() as one:
            status, _, found = await one.post(ACKNOWLEDGE, also=[(name, "centre")])
            assert (status, found.get("reason"), one.written) == (403, "bad_header", []), found

    asyncio.run(test())


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({MARK: None}, "other_site"),
        ({MARK: "0"}, "other_site"),
        ({"Origin": None}, "other_site"),
        ({"Origin": "null"}, "other_site"),
        ({"Origin": ""}, "other_site"),
        ({"Origin": "https://evil.example"}, "other_site"),
        ({"Origin": "http://[::1"}, "other_site"),  # was a traceback, and 500
        ({"Origin": "http://127.0.0.1"}, "other_site"),  # another port is another site
        ({"Origin": "http://127.0.0.1:1@evil.example"}, "other_site"),
        ({"Sec-Fetch-Site": "cross-site"}, "other_site"),
        ({"Sec-Fetch-Site": "same-site"}, "other_site"),
        ({"Sec-Fetch-Site": "none"}, "other_site"),
        ({"Content-Type": "text/plain"}, "not_json"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "not_json"),
        ({"Content-Type": "multipart/form-data; boundary=application/json"}, "not_json"),
        ({"Content-Type": "application/jsonp"}, "not_json"),
        ({"Content-Type": None}, "not_json"),
    ],
)
def test_a_page_of_another_site_cannot_act(headers: dict[str, str | None], reason: str) -> None:
    async def test() -> None:
        async with desk() as one:
            status, answer, found = await one.post(
                ACKNOWLEDGE, headers, skip_auto_headers=["Content-Type"] if "Content-Type" in headers else []
            )
            assert (status, found["reason"]) == (415 if reason == "not_json" else 403, reason)
            assert not any(name.lower().startswith("access-control-") for name in answer)
            assert one.written == []

    asyncio.run(test())


async def _preflight() -> None:
    async with desk() as one, aiohttp.ClientSession() as session:
        asked = {
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": f"content-type,{MARK.lower()}",
        }
        async with session.options(f"{one.site.url}/api/acks", headers=asked) as answer:
            assert answer.status == 405
            assert not any(name.lower().startswith("access-control-") for name in answer.headers)
        for method in ("GET", "PUT", "DELETE"):
            async with session.request(method, f"{one.site.url}/api/acks", headers=LIN) as answer:
                assert answer.status == 405


def test_no_preflight_is_answered_and_no_other_method() -> None:
    at_the_desk(_preflight())


async def _behind_a_proxy() -> None:
    async with desk(host="0.0.0.0") as one:
        wall = {"Host": "wall.example", "Origin": "https://wall.example"}
        assert (await one.post(ACKNOWLEDGE, wall))[0] == 201
        assert (await one.post(ACKNOWLEDGE, {**wall, "Sec-Fetch-Site": None}))[0] == 201  # plain http does not send it
        assert (await one.post(ACKNOWLEDGE, {**wall, "Host": "WALL.example"}))[0] == 201
        assert (await one.post(ACKNOWLEDGE, {**wall, "Host": urlsplit(one.site.url).netloc}))[0] == 403
        assert len(one.written) == 3


def test_behind_a_proxy_the_origin_is_the_name_that_was_asked_for() -> None:
    at_the_desk(_behind_a_proxy())


async def _other_name() -> None:
    async with desk() as one:
        status, _, _ = await one.post(ACKNOWLEDGE, {"Host": "evil.example", "Origin": "http://evil.example"})
        assert (status, one.written) == (421, [])


def test_a_name_that_was_bound_anew_is_not_answered() -> None:
    at_the_desk(_other_name())


BAD: list[tuple[Any, int, str]] = [
    (b"", 400, "bad_act"),
    (b"[" * 5000, 400, "bad_act"),
    (b"\xff", 400, "bad_act"),
    (b'"acknowledge"', 400, "bad_act"),
    ({}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "by": "somebody else"}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "at": "2020-01-01T00:00:00Z"}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "alert_id": "A" * 32}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "alert_id": "../" + ALERT}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "action": "delete"}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "note": "x" * 501}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "note": "a\nb"}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "note": "a\u2028b"}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "note": 7}, 400, "bad_act"),
    (b'{"alert_id":"%s","action":"acknowledge","note":"\\ud800"}' % ALERT.encode(), 400, "bad_act"),
    ({**ACKNOWLEDGE, "to": "D7"}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "minutes": 5}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "action": "annotate"}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "action": "annotate", "note": " "}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "action": "assign"}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "action": "assign", "to": " "}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "action": "assign", "to": "x" * 101}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "action": "silence"}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "action": "silence", "minutes": -1}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "action": "silence", "minutes": 7 * 24 * 60 + 1}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "action": "silence", "minutes": 1.5}, 400, "bad_act"),
    ({**ACKNOWLEDGE, "action": "silence", "minutes": True}, 400, "bad_act"),
    (b" " * (MOST_BYTES + 1), 413, "too_large"),
    ({**ACKNOWLEDGE, "alert_id": "b" * 32}, 404, "no_such_alert"),
]


@pytest.mark.parametrize(("body", "status", "reason"), BAD)
def test_what_is_no_act_is_refused(body: Any, status: int, reason: str) -> None:
    async def test() -> None:
        async with desk() as one:
            found = await one.post(body)
            assert (found[0], found[2]["reason"]) == (status, reason), found[2]
            assert {name: found[1].get(name) for name in HEADERS} == HEADERS
            assert "x" * 50 not in json.dumps(found[2])  # what was sent is not sent back
            assert one.written == []

    asyncio.run(test())


async def _longest() -> None:
    async with desk() as one:
        note = "\N{HIGH VOLTAGE SIGN}\N{FIRE}" * 250
        assert len(json.dumps(note)) > 4000  # escaped, as some clients write it
        assert (await one.post({**ACKNOWLEDGE, "note": note}))[0] == 201
        assert one.written[0].note == note


def test_the_longest_note_fits_however_it_is_escaped() -> None:
    at_the_desk(_longest())


async def _brokers_away() -> None:
    async with desk() as one:
        one.failing.append(BrokerError("topic gridclock.acks did not confirm it (KafkaTimeoutError)"))
        status, _, found = await one.post(ACKNOWLEDGE)
        assert (status, found["reason"]) == (503, "not_written")
        assert "gridclock.acks" in found["error"]
        assert (await one.get("/api/alerts"))["alerts"][0]["acks"] == []
        one.failing.clear()
        assert (await one.post(ACKNOWLEDGE))[0] == 201


def test_what_was_not_written_is_not_shown() -> None:
    at_the_desk(_brokers_away())


# -- the addresses of a proxy ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "peer", "is_believed"),
    [
        ((), "127.0.0.1", True),
        ((), "127.9.9.9", True),
        ((), "::1", True),
        ((), "::ffff:127.0.0.1", True),
        ((), "10.0.0.1", False),
        ((), None, False),
        (("10.1.2.3",), "10.1.2.3", True),
        (("10.1.2.3",), "127.0.0.1", False),  # what is named stands instead of loopback
        (("10.1.2.0/24", "fd00::/8"), "10.1.2.255", True),
        (("10.1.2.0/24", "fd00::/8"), "fd00::9", True),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("10.1.2.0/24",), "10.1.3.1", False),
    ],
)
def test_headers_are_believed_from_the_proxy_alone(
    proxies: tuple[str, ...], peer: str | None, is_believed: bool
) -> None:
    login = login_of(load_settings(board_trust_header="X-Forwarded-User", board_trust_proxies=proxies))
    assert login is not None
    if is_believed:
        assert login.person(peer, lambda _name: ["lin"]) == "lin"
    else:
        with pytest.raises(MayNotAct) as refused:
            login.person(peer, lambda _name: ["lin"])
        assert refused.value.reason == "not_the_proxy"


# -- settings ----------------------------------------------------------------------------------------------


def test_without_a_header_nobody_acts() -> None:
    assert login_of(load_settings()) is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--trust-header", "X-Forwarded-User", "--host", "0.0.0.0"], "whoever reaches 0.0.0.0 could send"),
        (["--trust-header", "X-Forwarded-User", "--host", "board.example"], "--trust-proxy"),
        (["--trust-header", "X-Forwarded-User", "--may-act", "desk"], "needs --trust-groups-header"),
        (["--may-act", "desk"], "needs --trust-header"),
        (["--trust-groups-header", "X-Forwarded-Groups"], "needs --trust-header"),
        (["--trust-proxy", "10.0.0.1"], "needs --trust-header"),
        (["--trust-header", "X_Forwarded_User"], "board_trust_header"),
        (["--trust-header", "X-Forwarded-User", "--trust-proxy", "10.0.0.1/8"], "10.1.2.0/24 for a network"),
        (["--trust-header", "X-Forwarded-User", "--trust-proxy", "proxy.example"], "10.1.2.0/24 for a network"),
    ],
)
def test_a_log_in_that_lets_anybody_in_or_cannot_work_is_refused_at_the_start(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["board", "--bootstrap", "127.0.0.1:1", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_the_log_in_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "TRUST_HEADER": "X-Forwarded-User", "TRUST_GROUPS_HEADER": "X-Forwarded-Groups", "MAY_ACT": "desk, centre",
        "TRUST_PROXIES": "10.1.2.3 10.2.0.0/16", "HOST": "0.0.0.0",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"GRIDCLOCK_BOARD_{name}", value)
    proxies = (ip_network("10.1.2.3"), ip_network("10.2.0.0/16"))
    assert login_of(load_settings()) == Login(DESK.header, DESK.groups_header, DESK.may_act, proxies)


def test_a_proxy_is_named_where_the_board_is_not_on_loopback() -> None:
    with pytest.raises(ConfigError, match="--trust-proxy"):
        login_of(load_settings(board_trust_header="X-Forwarded-User", board_host="::"))
