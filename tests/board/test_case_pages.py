"""The case page's values: what is found under which id, what it says of it, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from typing import Any
from unittest.mock import ANY

import aiohttp
import pytest
from msgspec import structs

from schemas import acknowledgements
from schemas.deliveries import CaseRow, ChannelRow, DeliveryRow, EscalationRow, Undelivered, WaitingRow
from streams.board.acts import MARK, Acts
from streams.board.case_pages import MOST_CLOCKS
from streams.board.feed import StateReader
from streams.board.hub import Hub
from streams.board.login import Login
from streams.board.messages import BoardWire, alert_from_bytes
from streams.board.rows import Row, Rows
from streams.core.alerts import Alert, case_id_of
from streams.core.board import Acknowledgement, Board
from streams.core.driver import Driver, Step
from streams.core.engine import Engine
from streams.core.records import Pruned, Snapshot
from streams.errors import BrokerError, InputError
from streams.wall_clock import WallClock
from streams.wire.cloudevents import CloudEvents, encode
from streams.wire.pseudonyms import Pseudonyms, cloud_events
from streams.wire.state_rows import Aside
from streams.wire.time_line import TimeLine
from tests.boards import ListedRows, Served, Topics, served
from tests.stories import decoded, judge, shipped, us, wire

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
d1 2026-03-09T10:00 disconnection.performed   D1 account=A2 meter=M7 cause=arrears
"""


async def written(_made: acknowledgements.Acknowledgement) -> None:
    """Nothing is kept of acts here but what the board does."""


class Site:
    """A board beside an engine that judged a story, and who asks it."""

    def __init__(self, served: Served, alerts: list[Alert], snapshots: list[Snapshot], writer: CloudEvents) -> None:
        self.served = served
        self.alerts = alerts
        self.snapshots = snapshots
        self.loaded = shipped()
        self._writer = writer

    def written(self, alert: Alert) -> dict[str, Any]:
        return self._writer.alert(alert)

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
    snapshots = [one for subject in engine.subjects() for one in [engine.snapshot(subject)] if one is not None]
    for snapshot in snapshots:
        topics.keep(board, snapshot)
    board.running.advance(0, UNTIL)
    writer = cloud_events(loaded.rulebook.calendar, key)
    for alert in step.alerts:
        board.take_alert(alert_from_bytes(encode(writer.alert(alert))))
    clock = WallClock(anchor=WallClock().now(), origin=UNTIL, speed=Fraction(1, 10**12))

    def acts(hub: Hub) -> Acts:
        return Acts(hub, Login("X-Forwarded-User"), written)

    async with served(state, board, clock, topics=topics, loaded=loaded, wire=board_wire, acts=acts) as site:
        yield Site(site, step.alerts, snapshots, writer)


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


async def _pauses_are_part_of_the_arithmetic() -> None:
    async with judged() as site:
        found = await site.page("/api/order/WO2")
        fee = next(clock for clock in found["clocks"] if clock["rule"] == "fee-5-minutes")
        assert fee["arithmetic"]["pauses"] == [{"from": "2026-03-10 09:01:00", "to": "2026-03-10 09:11:00"}]
        assert (fee["outcome"], fee["elapsed"], fee["paused"]) == ("met", "PT240S", "PT600S")
        assert fee["sentence"] == {
            "zh": "2026-03-10 09:00:00 起算，时限5分钟，应于 2026-03-10 09:15:00 前完成，2026-03-10 09:14:00 完成",
            "en": "started 2026-03-10 09:00:00, limit 5 min, due 2026-03-10 09:15:00, done 2026-03-10 09:14:00",
        }
        assert found["asked"] is None
        kinds = [(one["kind"], one["at"]["text"][11:]) for one in found["time_line"]]
        assert kinds[:2] == [("event", "09:00:00"), ("event", "09:01:00")]
        assert found["time_line"][1]["title"] == {"zh": "办理中断", "en": "service interrupted"}
        assert found["time_line"][1]["fields"] == {"reason": "system_failure"}


def test_pauses_are_part_of_the_arithmetic() -> None:
    asyncio.run(_pauses_are_part_of_the_arithmetic())


async def _it_is_the_story_that_explain_tells() -> None:
    async with judged() as site:
        found = await site.page("/api/order/WO1")
        (snapshot,) = [one for one in site.snapshots if one.subject == ("order", "WO1")]
        expected = judge([event for event in wire(STORY) if event.get("order_id") == "WO1"], "2026-03-10T18:00")
        own = [case for case in expected.cases if case.subject == ("order", "WO1")]
        assert {(clock["case_id"], clock["outcome"]) for clock in found["clocks"]} == {
            (case.case_id, case.verdict.outcome) for case in own
        }
        shown = TimeLine(site.loaded.rulebook, snapshot.subject, snapshot.events, own, (), UNTIL)
        assert {clock["case_id"]: clock["sentence"] for clock in found["clocks"]} == {
            case.case_id: shown.sentence(case).model_dump() for case in own
        }
        assert [rule["id"] for rule in found["never_started"]] == shown.never_started()


def test_it_is_the_story_that_explain_tells() -> None:
    asyncio.run(_it_is_the_story_that_explain_tells())


async def _deliveries_and_acknowledgements() -> None:
    async with judged() as site:
        breach, sent_at = site.alert("scheme-reply"), us("2026-03-07T00:00:05")
        site.served.topics.send(
            f"case/{breach.case_id}",
            CaseRow(
                v=1,
                events={breach.alert_id: site.written(breach)},
                retracted=(),
                told={breach.alert_id: {"phone": sent_at + 1_000_000, "desk": sent_at}},
                told_by={breach.alert_id: {"phone": "all", "desk": "red-lines"}},
                waiting=(WaitingRow(subscription="digest", alert_id=breach.alert_id, due=sent_at + 3, held=True),),
                escalations=(
                    EscalationRow(
                        subscription="up", alert_id=breach.alert_id, told_at=sent_at, step=0, due=sent_at + 2
                    ),
                    EscalationRow(subscription="done", alert_id=breach.alert_id, told_at=sent_at, step=1, due=None),
                ),
                touched=sent_at,
            ),
        )
        site.served.topics.send(
            f"delivery/phone/{breach.alert_id}",
            DeliveryRow(
                v=1, channel="phone", subscription="all", key=breach.alert_id, events=(site.written(breach),),
                planned_at=sent_at, closes=(), opens=(), level=None, follows=(),
            ),
        )  # fmt: skip
        for minute in range(7):  # more than the lists show
            site.served.board.take_ack(
                breach.alert_id, Acknowledgement(sent_at + minute, "S1", "annotate", f"n{minute}")
            )
        clock = (await site.page(f"/api/case/{breach.case_id}"))["clocks"][0]
        alert = next(one for one in clock["alerts"] if one["kind"] == "breach")
        assert [
            (one["channel"], one["subscription"], one["at"]["text"], one["is_under_way"]) for one in alert["sent"]
        ] == [
            ("desk", "red-lines", "2026-03-07 00:00:05", False),
            ("phone", "all", "2026-03-07 00:00:06", True),
        ]
        assert [ack["note"] for ack in alert["acks"]] == [f"n{minute}" for minute in range(7)]
        assert [(one["subscription"], one["kind"]) for one in clock["to_send"]] == [
            ("up", "escalates"),
            ("digest", "waits"),
        ]
        assert [one["sent"] for one in clock["alerts"] if one["kind"] != "breach"] == [[], []]


def test_deliveries_and_acknowledgements() -> None:
    asyncio.run(_deliveries_and_acknowledgements())


async def _what_did_not_go_through() -> None:
    async with judged() as site:
        breach, at = site.alert("scheme-reply"), us("2026-03-07T00:00:05")
        topics, event = site.served.topics, site.written(breach)
        told = {breach.alert_id: {"desk": at, "phone": at, "mail": at}}
        row = CaseRow(
            v=1, events={breach.alert_id: event}, retracted=(), told=told, told_by={}, waiting=(), escalations=(),
            touched=at,
        )  # fmt: skip
        topics.send(f"case/{breach.case_id}", row)

        def under_way(channel: str, key: str, *events: dict[str, Any]) -> None:
            made = DeliveryRow(
                v=1, channel=channel, subscription="all", key=key, events=events, planned_at=at, closes=(), opens=(),
                level=None, follows=(),
            )  # fmt: skip
            topics.send(f"delivery/{channel}/{key}", made)

        under_way("phone", breach.alert_id, event)
        under_way("mail", "another", {**event, "data": {**event["data"], "alert_id": "another"}})
        under_way("mail", breach.alert_id, event)
        failing = ChannelRow(
            v=1, delivery=f"phone/{breach.alert_id}", reason="server_error", detail="HTTP 503", attempts=3,
            next_at=at + 60_000_000,
        )  # fmt: skip
        topics.send("channel/phone", failing)
        topics.send("channel/mail", failing.model_copy(update={"delivery": "mail/another", "reason": "timeout"}))
        letter = Undelivered(
            channel="pager", subscription="all", key="k", reason="refused", detail="HTTP 410", attempts=1,
            at=datetime.fromisoformat("2026-03-07T00:01:00+08:00"), events=(event,),
        )  # fmt: skip
        for _ in range(2):  # the same once more, as after a reconnection
            topics.deliveries.take_undelivered(letter.model_dump_json().encode())
        nobodys = letter.model_copy(update={"channel": None, "reason": "not_an_alert", "events": ()})
        topics.deliveries.take_undelivered(nobodys.model_dump_json().encode())
        with pytest.raises(InputError, match="not_undelivered"):
            topics.deliveries.take_undelivered(b"{}")

        async def shown() -> dict[str, Any]:
            clock = (await site.page(f"/api/case/{breach.case_id}"))["clocks"][0]
            found: dict[str, Any] = next(one for one in clock["alerts"] if one["kind"] == "breach")
            return found

        found = await shown()
        sent = {one["channel"]: (one["is_under_way"], one["trouble"]) for one in found["sent"]}
        trouble = {"detail": "HTTP 503", "attempts": 3, "next": {"iso": ANY, "text": "2026-03-07 00:01:05"}}
        assert sent == {
            "desk": (False, None),
            "phone": (True, {**trouble, "reason": "server_error", "is_own": True}),
            "mail": (True, {**trouble, "reason": "timeout", "is_own": False}),
        }
        (given_up,) = found["undelivered"]
        assert {**given_up, "at": given_up["at"]["text"]} == {
            "channel": "pager", "subscription": "all", "at": "2026-03-07 00:01:00", "reason": "refused",
            "detail": "HTTP 410", "attempts": 1,
        }  # fmt: skip
        topics.deliveries.take(b"channel/phone", None, 0, 99)
        topics.deliveries.take(b"delivery/mail/" + breach.alert_id.encode(), None, 0, 100)
        sent = {one["channel"]: (one["is_under_way"], one["trouble"]) for one in (await shown())["sent"]}
        assert sent == {"desk": (False, None), "phone": (True, None), "mail": (False, None)}


def test_what_did_not_go_through_is_named_with_its_reason() -> None:
    asyncio.run(_what_did_not_go_through())


async def _what_is_not_there_is_not_found() -> None:
    async with judged() as site:
        for path in ("case/none", f"case/{'0' * 32}?order=WO1", "order/WO3", "account/WO1", "order/wo1", "batch/A1"):
            status, found = await site.get(f"/api/{path}")
            assert (status, "there is no" in found["error"]) == (404, True), path
        assert site.served.topics.states.scans == 0  # all keys are noted: nothing has to be read through
        breach = site.alert("scheme-reply")
        # A wrong subject in a link does not hide what is found without it.
        assert (await site.page(f"/api/case/{breach.alert_id}?order=WO2"))["subject"]["id"] == "WO1"


def test_what_is_not_there_is_not_found() -> None:
    asyncio.run(_what_is_not_there_is_not_found())


async def _a_case_that_is_over_is_found_by_its_link() -> None:
    async with judged() as site:
        met = next(clock for clock in (await site.page("/api/order/WO2"))["clocks"] if clock["outcome"] == "met")
        assert (await site.get(f"/api/case/{met['case_id']}"))[0] == 404  # no alert, and nothing open
        found = await site.page(f"/api/case/{met['case_id']}?order=WO2")
        assert found["asked"] == {"case_id": met["case_id"], "alert_id": None}
        assert found["clocks"][0]["case_id"] == met["case_id"]


def test_a_case_that_is_over_is_found_by_its_link() -> None:
    asyncio.run(_a_case_that_is_over_is_found_by_its_link())


async def _only_ids_that_are_shown_are_found_under_a_key() -> None:
    async with judged(key=KEY) as site:
        names = Pseudonyms(KEY)
        shown = names.number("account", "A2")
        real = next(one for one in site.alerts if (one.subject, one.kind) == (("account", "A2"), "violation"))
        for path in ("account/A2", "meter/M7", f"case/{real.alert_id}", f"case/{real.case_id}?account=A2"):
            assert (await site.get(f"/api/{path}"))[0] == 404, path
        by_account = await site.page(f"/api/account/{shown}")
        by_alert = await site.page(f"/api/case/{names.id(real.alert_id)}")
        assert by_account["subject"] == by_alert["subject"] == {"type": "account", "id": shown}
        assert by_alert["asked"] == {"case_id": names.id(real.case_id), "alert_id": names.id(real.alert_id)}
        by_order = await site.page("/api/order/WO1")
        assert {"type": "account", "id": names.number("account", "A1")} in by_order["related"]
        for name in ("A1", "A2", "M7"):
            assert f'"{name}"' not in json.dumps([by_account, by_alert, by_order]), name
        for sentence in by_alert["clocks"][0]["sentence"].values():
            assert shown in sentence


async def _a_pseudonym_is_looked_for_among_rows_that_are_not_noted() -> None:
    async with judged(key=KEY, topics=Topics(most=1)) as site:
        shown = Pseudonyms(KEY).number("account", "A2")
        site.served.board.running.drop(("account", "A2"))
        assert (await site.page(f"/api/account/{shown}"))["subject"]["id"] == shown
        assert site.served.topics.states.scans == 1
        assert (await site.get("/api/account/~" + "0" * 20))[0] == 404


def test_a_pseudonym_is_looked_for_among_rows_that_are_not_noted() -> None:
    asyncio.run(_a_pseudonym_is_looked_for_among_rows_that_are_not_noted())


def test_only_ids_that_are_shown_are_found_under_a_key() -> None:
    asyncio.run(_only_ids_that_are_shown_are_found_under_a_key())


async def _fields_named_after_accounts_and_meters_are_replaced() -> None:
    names = Pseudonyms(KEY)
    found = names.fields(
        {"meters": ["M1", "M2"], "old_meter": {"no": "M1"}, "to_account_id": "A1", "stage": "M1", "n": 1}
    )
    assert found == {
        "meters": [names.number("meter", "M1"), names.number("meter", "M2")],
        "old_meter": {"no": names.number("meter", "M1")},
        "to_account_id": names.number("account", "A1"),
        "stage": "M1",
        "n": 1,
    }


def test_fields_named_after_accounts_and_meters_are_replaced() -> None:
    asyncio.run(_fields_named_after_accounts_and_meters_are_replaced())


async def _a_subject_set_aside_says_so() -> None:
    async with judged() as site:
        site.served.state.aside[0] = [Aside(("order", "WO1"), 7, 9, "ValueError: bad", us("2026-03-10T17:00"))]
        found = await site.page("/api/order/WO1")
        assert found["notices"]["quarantined"]["reason"] == "ValueError: bad"
        assert found["notices"]["quarantined"]["since"]["text"] == "2026-03-10 17:00:00"
        assert [one["event_id"] for one in found["time_line"] if one["kind"] == "event"] == ["a1", "a2"]
        assert (await site.page("/api/order/WO2"))["notices"]["quarantined"] is None


def test_a_subject_set_aside_says_so() -> None:
    asyncio.run(_a_subject_set_aside_says_so())


async def _a_pruned_history_says_so() -> None:
    async with judged() as site:
        (snapshot,) = [one for one in site.snapshots if one.subject == ("order", "WO1")]
        until = us("2026-03-09T12:00")
        site.served.topics.keep(site.served.board, structs.replace(snapshot, events=(), pruned=Pruned(until, 2)))
        found = await site.page(f"/api/case/{site.alert('scheme-reply').case_id}")
        assert found["notices"]["pruned_until"]["text"] == "2026-03-09 12:00:00"
        # Its alerts stand, with what they carry.
        clock = found["clocks"][0]
        assert (clock["outcome"], clock["evidence"], clock["limit"]) == (None, ["a1", "a2"], "3 working days")
        assert clock["due"]["text"] == "2026-03-07 00:00:00"
        assert [alert["kind"] for alert in clock["alerts"]] == ["warning", "breach", "late_completion"]


def test_a_pruned_history_says_so() -> None:
    asyncio.run(_a_pruned_history_says_so())


async def _alerts_outlive_the_history() -> None:
    async with judged() as site:
        breach = site.alert("scheme-reply")
        site.served.topics.forget(site.served.board, ("order", "WO1"))
        found = await site.page(f"/api/case/{breach.alert_id}")
        assert found["notices"]["has_history"] is False
        assert [(clock["rule"], clock["outcome"]) for clock in found["clocks"]] == [("scheme-reply", None)]
        assert found["clocks"][0]["rule_text"]["source"].startswith("供电监管办法")
        assert [one["kind"] for one in found["time_line"]] == ["alert", "alert"]  # warnings are not kept


def test_alerts_outlive_the_history() -> None:
    asyncio.run(_alerts_outlive_the_history())


async def _an_alert_that_may_be_wrong_says_so() -> None:
    async with judged() as site:
        breach = site.alert("scheme-reply")
        assert (await site.page("/api/order/WO1"))["notices"]["incomplete"] is False
        again = alert_from_bytes(encode(site.written(replace(breach, incomplete=True, alert_id="f" * 32))))
        site.served.board.take_alert(again)
        found = await site.page(f"/api/case/{breach.case_id}")
        assert found["notices"]["incomplete"] is True
        assert [one["incomplete"] for one in found["clocks"][0]["alerts"]].count(True) == 1


def test_an_alert_that_may_be_wrong_says_so() -> None:
    asyncio.run(_an_alert_that_may_be_wrong_says_so())


async def _a_rule_that_the_board_lacks() -> None:
    async with judged() as site:
        other = replace(site.alert("scheme-reply"), rule="ours", clause="X-1", alert_id="e" * 32, case_id="d" * 32)
        site.served.board.take_alert(alert_from_bytes(encode(site.written(other))))
        found = await site.page(f"/api/case/{other.alert_id}")
        assert found["notices"]["unknown_rules"] == ["ours"]
        assert found["clocks"][0]["rule_text"]["clauses"] == [{"code": "X-1", "place": None}]


def test_a_rule_that_the_board_lacks() -> None:
    asyncio.run(_a_rule_that_the_board_lacks())


async def _a_row_that_cannot_be_read_says_so() -> None:
    async with judged() as site:
        topics = site.served.topics
        topics.rows.note(b"0/order/WO1", 0, topics.states.append(0, b"0/order/WO1", b"{"), is_deleted=False)
        found = await site.page("/api/order/WO1")
        assert "DamagedError" in found["notices"]["problem"]
        assert found["clocks"]  # by its alerts


def test_a_row_that_cannot_be_read_says_so() -> None:
    asyncio.run(_a_row_that_cannot_be_read_says_so())


class _Away(ListedRows):
    async def at(self, places: Sequence[tuple[int, int]]) -> list[Row]:
        raise BrokerError("away")

    async def newest(self, partitions: Iterable[int], wanted: Callable[[bytes], bool]) -> dict[bytes, bytes]:
        raise BrokerError("away")


async def _brokers_that_are_away_are_no_404() -> None:
    async with judged() as site:
        topics = site.served.topics
        topics.rows._reader = _Away()
        topics.rows.restart(1)
        status, found = await site.get("/api/order/WO1")
        assert (status, "cannot be read now" in found["error"]) == (503, True)
        site.served.state.restart(1)
        status, found = await site.get("/api/order/WO1")
        assert (status, "being read" in found["error"]) == (503, True)


def test_brokers_that_are_away_are_no_404() -> None:
    asyncio.run(_brokers_that_are_away_are_no_404())


# -- rows -------------------------------------------------------------------------------------------------


async def _rows_are_found_whether_noted_or_not() -> None:
    topic = ListedRows()
    rows = Rows(topic, most=2)
    rows.restart(1)
    for number in (1, 2, 3, 1):
        key = b"k%d" % number
        rows.note(key, 0, topic.append(0, key, b"v%d" % len(topic.records)), is_deleted=False)
    rows.is_loading = False
    wanted: dict[bytes, tuple[int, int | None]] = {b"k%d" % number: (0, None) for number in (1, 2, 3, 4)}
    assert await rows.several({b"k1": (0, None), b"k3": (0, None)}) == {b"k1": b"v3", b"k3": b"v2"}
    assert topic.scans == 0
    assert await rows.several(wanted) == {b"k1": b"v3", b"k2": b"v1", b"k3": b"v2"}
    assert topic.scans == 1  # one for all that is missing
    assert await rows.one(b"k2", 0, 1) == b"v1"  # the place is known to who asks
    assert topic.scans == 1
    # Written again since it was noted: what lies at the place is of another key, or older.
    assert await rows.one(b"k2", 0, 0) == b"v1"
    assert topic.scans == 2


def test_rows_are_found_whether_noted_or_not() -> None:
    asyncio.run(_rows_are_found_whether_noted_or_not())


async def _deleted_rows_are_not_there() -> None:
    topic = ListedRows()
    rows = Rows(topic)
    rows.restart(1)
    rows.is_loading = False
    rows.note(b"k", 0, topic.append(0, b"k", b"v"), is_deleted=False)
    rows.note(b"k", 0, topic.append(0, b"k", None), is_deleted=True)
    assert await rows.one(b"k", 0) is None
    assert await rows.one(b"k", 0, 1) is None
    assert await rows.matching(lambda _key: True) == {}
    assert topic.scans == 0


def test_deleted_rows_are_not_there() -> None:
    asyncio.run(_deleted_rows_are_not_there())


async def _long_histories_are_bounded() -> None:
    with_fees = "\n".join(
        f"s{number} 2026-03-10T{9 + number // 60:02}:{number % 60:02} counter.service_started WO9 business=fee\n"
        f"e{number} 2026-03-10T{9 + number // 60:02}:{number % 60:02}:30 counter.service_completed WO9"
        for number in range(240)
    )
    async with judged(with_fees) as site:
        found = await site.page("/api/order/WO9")
        total = len(found["clocks"]) + found["omitted"]["clocks"]
        assert (len(found["clocks"]), found["omitted"]["moments"]) == (MOST_CLOCKS, 0)
        assert total >= 240
        starts = [clock["started_at"] for clock in found["clocks"] if clock["outcome"] == "met"]
        assert starts
        assert starts == sorted(starts, reverse=True)
        oldest = case_id_of("fee-5-minutes", ("order", "WO9"), "s0")
        asked = await site.page(f"/api/case/{oldest}?order=WO9")
        assert (asked["clocks"][0]["case_id"], len(asked["clocks"])) == (oldest, MOST_CLOCKS)


def test_long_histories_are_bounded() -> None:
    asyncio.run(_long_histories_are_bounded())


async def _open_clocks_come_first() -> None:
    async with judged("a 2026-03-10T09:00 application.accepted WO5 category=residential") as site:
        clocks = (await site.page("/api/order/WO5"))["clocks"]
        outcomes = [clock["outcome"] for clock in clocks]
        assert outcomes == sorted(outcomes, key=lambda one: one != "running")
        due = [clock["deadline"] or clock["started_at"] for clock in clocks if clock["outcome"] == "running"]
        assert due == sorted(due)
        assert len(due) > 1


def test_open_clocks_come_first() -> None:
    asyncio.run(_open_clocks_come_first())


async def _a_case_cancelled_after_its_deadline_is_over() -> None:
    story = """
    a1 2026-03-02T10:00 application.accepted  WO1 account=A1 category=residential
    w1 2026-03-09T09:00 application.withdrawn WO1 account=A1
    a2 2026-03-10T09:00 application.accepted  WO1 account=A1 category=residential
    """
    async with judged(story) as site:
        clocks = (await site.page("/api/order/WO1"))["clocks"]
        replies = [clock["outcome"] for clock in clocks if clock["rule"] == "scheme-reply"]
        assert replies == ["running", "breached"]  # open ones first
        outcomes = [clock["outcome"] for clock in clocks]
        assert "running" not in outcomes[outcomes.index("breached") :]


def test_a_case_cancelled_after_its_deadline_is_over() -> None:
    asyncio.run(_a_case_cancelled_after_its_deadline_is_over())
