"""Pseudonyms: the same everywhere under one key, in every place where a number stands, and nowhere else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from schemas.alerts import AlertEvent, CaseEvent
from streams.board.messages import BoardWire
from streams.cli import run
from streams.core.open_cases import OpenCase
from streams.wire.cloudevents import CloudEvents, encode
from streams.wire.pseudonyms import Pseudonyms, cloud_events
from tests.stories import Judged, judge, shipped, wire

KEY = b"a key of tests, not of anybody"
ACCOUNT, METER = "3200000123456", "M0077123"
# A disconnection without notice (account), a meter put in without its photo (meter), an order of the account.
STORY = f"""
a1 2026-03-02T09:00 disconnection.performed - account={ACCOUNT} cause=arrears
m1 +2h meter.replaced - meter={METER} planned=batch
o1 +3h counter.service_started WO1 account={ACCOUNT} business=fee
o2 +4h counter.service_completed WO1 account={ACCOUNT} business=fee
"""


@pytest.fixture(scope="module")
def judged() -> Judged:
    return judge(STORY, until="2026-04-20T00:00")


def written(judged: Judged, key: bytes | None) -> list[dict[str, Any]]:
    writer = cloud_events(shipped().rulebook.calendar, key)
    alerts = [json.loads(encode(writer.alert(alert))) for alert in judged.alerts]
    return [*alerts, *(json.loads(encode(writer.case(case, 0))) for case in judged.cases)]


def test_no_number_is_left_and_all_else_is(judged: Judged) -> None:
    plain, hidden = written(judged, None), written(judged, KEY)
    assert {event["data"]["subject"]["type"] for event in plain} >= {"order", "account", "meter"}
    assert not re.search(f"{ACCOUNT}|{METER}", json.dumps(hidden))
    names = Pseudonyms(KEY)
    numbers = {ACCOUNT: names.number("account", ACCOUNT), METER: names.number("meter", METER)}
    ids = {event["id"]: names.id(event["id"]) for event in plain}
    ids |= {event["subject"]: names.id(event["subject"]) for event in plain}
    text = json.dumps(plain, ensure_ascii=False)
    for real, shown in {**numbers, **ids}.items():
        text = text.replace(real, shown)
    assert json.loads(text) == hidden


def test_what_is_written_keeps_its_contract(judged: Judged) -> None:
    for event in written(judged, KEY):
        (CaseEvent if event["type"] == "gridclock.case" else AlertEvent).model_validate_json(json.dumps(event))


def test_retractions_too() -> None:
    found = judge(
        f"""
        a1 2026-03-02T09:00 disconnection.performed - account={ACCOUNT} cause=arrears
        a2 +1d disconnection.performed - account={ACCOUNT} cause=arrears corrects=a1 void=true
        """,
        until="2026-03-05T00:00",
        arrival=True,
    )
    hidden = [event for event in written(found, KEY) if event["type"] == "gridclock.alert.retraction"]
    assert hidden
    reported = {event["id"] for event in written(found, KEY)}
    assert {event["data"]["retracts"] for event in hidden} <= reported
    assert ACCOUNT not in json.dumps(hidden)


def test_pseudonyms_hang_on_the_key_the_type_and_the_number() -> None:
    names, others = Pseudonyms(KEY), Pseudonyms(KEY + b"!")
    assert names.number("account", "1") == Pseudonyms(KEY).number("account", "1")
    assert re.fullmatch(r"~[0-9a-f]{20}", names.number("account", "1"))
    found = {
        names.number("account", "1"), names.number("meter", "1"), names.number("account", "2"),
        others.number("account", "1"), others.number("meter", "1"),
    }  # fmt: skip
    assert len(found) == 5
    assert (names.number("order", "WO1"), names.number("batch", "B1")) == ("WO1", "B1")
    assert names.id("x") != others.id("x")


def test_pseudonyms_are_those_of_last_year() -> None:
    """Pinned: who has a list of them must find it right in every version."""
    assert Pseudonyms(KEY).number("account", ACCOUNT) == "~0f8459c9c204c351c223"


def test_the_board_shows_a_case_as_its_alert_does(judged: Judged) -> None:
    calendar = shipped().rulebook.calendar
    names = Pseudonyms(KEY)
    case = next(item for item in judged.cases if item.subject == ("account", ACCOUNT))
    verdict = case.verdict
    shown = OpenCase(
        case_id=case.case_id, rule=verdict.rule.id, clause=verdict.rule.clause, severity=verdict.rule.severity,
        title=verdict.rule.title, subject=case.subject, place=(None, None, None, None), started_at=verdict.started_at,
        deadline=verdict.deadline, outcome="running", limit=None, provisional=False, paused=False,
    )  # fmt: skip
    reported = cloud_events(calendar, KEY).case(case, 0)["data"]
    found = BoardWire(calendar, names).case(shown)
    assert (found["case_id"], found["subject"]) == (reported["case_id"], reported["subject"])
    assert found["subject"]["id"] == names.number("account", ACCOUNT)
    assert BoardWire(calendar).case(shown)["subject"]["id"] == ACCOUNT


def test_replayed_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    key, events = tmp_path / "key", tmp_path / "events.jsonl"
    key.write_bytes(KEY + b"\n")
    events.write_text("".join(json.dumps(event) + "\n" for event in wire(STORY)), "utf-8")
    out = [tmp_path / "alerts.jsonl", tmp_path / "cases.jsonl"]
    until = "2026-04-20T00:00:00+08:00"
    options = ("--until", until, "--pseudonym-key-file", key, "--alerts", out[0], "--cases", out[1])
    assert run(["replay", str(events), *map(str, options)]) == 0
    text = "".join(path.read_text("utf-8") for path in out) + "".join(capfd.readouterr())
    assert Pseudonyms(KEY).number("account", ACCOUNT) in text
    assert Pseudonyms(KEY).number("meter", METER) in text
    assert not re.search(f"{ACCOUNT}|{METER}", text)


def test_without_a_key_nothing_is_changed(judged: Judged) -> None:
    assert type(cloud_events(shipped().rulebook.calendar, None)) is CloudEvents
