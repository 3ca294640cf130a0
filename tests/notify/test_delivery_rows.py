"""Rows of the notifier's state: what is written fits its contract, and what was written once is read for ever."""

from __future__ import annotations

import json

import pytest

from schemas.deliveries import CaseRow, ChannelRow, DeliveryRow
from schemas.subscriptions import SubscriptionFile
from streams.core.delivery import Planner
from streams.core.delivery_case import CaseState, Escalation, Waiting
from streams.core.delivery_message import Delivery
from streams.notify.channels.contract import NotDelivered
from streams.notify.delivery_rows import (
    case_from_bytes,
    case_to_bytes,
    delivery_from_bytes,
    delivery_to_bytes,
    number_from_bytes,
    number_to_bytes,
    trouble_to_bytes,
)
from streams.notify.sending import Trouble
from streams.wire.state_rows import StateError
from tests.notify.alerts import MINUTE, START, alert, id_of

# Written by version 1. Never changed: a topic out there holds such rows.
CASE_1 = (
    b'{"v":1,"events":{"a1":{"data":{"kind":"breach"}}},"retracted":["a0"],"told":{"a1":{"team":1}},'
    b'"told_by":{"a1":{"team":"all"}},"waiting":[{"subscription":"all","alert_id":"a2","due":5,"held":true,'
    b'"follows":["a1"]}],"escalations":[{"subscription":"all","alert_id":"a1","told_at":1,"step":0,"due":null}],'
    b'"touched":3}'
)
DELIVERY_1 = (
    b'{"v":1,"channel":"team","subscription":"all","key":"k","events":[{"id":"a1"}],"planned_at":1,'
    b'"closes":[{"id":"a0"}],"opens":[],"level":"county","follows":["a0"]}'
)


def test_rows_of_version_1_are_read() -> None:
    assert case_from_bytes("case/c", CASE_1) == CaseState(
        {"a1": {"data": {"kind": "breach"}}},
        {"a0"},
        {"a1": {"team": 1}},
        {"a1": {"team": "all"}},
        [Waiting("all", "a2", 5, True, ("a1",))],
        [Escalation("all", "a1", 1, 0, None)],
        3,
    )
    assert delivery_from_bytes("delivery/team/k", DELIVERY_1) == Delivery(
        "team", "all", "k", ({"id": "a1"},), 1, ({"id": "a0"},), (), "county", ("a0",)
    )
    assert number_from_bytes("position/t/0", b'{"v":1,"at":7}') == 7


def test_what_is_written_fits_the_contract() -> None:
    step = {"after": "30 min", "to": "county", "channels": "county"}
    file = SubscriptionFile.model_validate(
        {
            "channels": {name: {"kind": "kafka", "topic": name} for name in ("team", "county")},
            "subscriptions": [{"name": "all", "channels": "team", "escalate": [step], "digest": "15 min"}],
        }
    )
    planner = Planner(file, keep=60 * MINUTE)
    planner.step(START, [alert("b1")])
    plan = planner.step(START + MINUTE, [alert("l1", "late_completion")])
    case = planner.cases[id_of("c1")]
    assert case.waiting
    CaseRow.model_validate_json(case_to_bytes(case))
    assert case_from_bytes("row", case_to_bytes(case)) == case
    for delivery in plan.deliveries:
        DeliveryRow.model_validate_json(delivery_to_bytes(delivery))
        assert delivery_from_bytes("row", delivery_to_bytes(delivery)) == delivery


@pytest.mark.parametrize(
    ("raw", "says"),
    [(b'{"v":2,"at":7}', "row position/t/0 of the deliveries topic was written in format 2"), (b"[]", "damaged")],
)
def test_a_row_of_a_newer_program_is_refused_by_name(raw: bytes, says: str) -> None:
    with pytest.raises(StateError, match=says):
        number_from_bytes("position/t/0", raw)
    assert json.loads(number_to_bytes(7)) == {"v": 1, "at": 7}


def test_a_failing_channel_fits_its_contract() -> None:
    delivery = Delivery("hook", "all", "k1", (), 1)
    trouble = Trouble(delivery, NotDelivered("timeout", "no answer", again=True), 2, 1_000_000)
    assert ChannelRow.model_validate_json(trouble_to_bytes(trouble, 7)) == ChannelRow(
        v=1, delivery="hook/k1", reason="timeout", detail="no answer", attempts=2, next_at=7
    )
