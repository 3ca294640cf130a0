"""Robots of group chats, in whose answers with HTTP 200 the body says whether the message was accepted."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from schemas.subscriptions import Subscription
from streams.core.delivery_message import Delivery
from streams.notify.channels.contract import NotDelivered
from streams.notify.channels.people import People
from tests.notify.alerts import START, alert
from tests.notify.receiver import Receiver, receiver

KEY = "0123456789abcdef"
ALL = Subscription.model_validate({"name": "all", "channels": "team"})


def answered(monkeypatch: pytest.MonkeyPatch, scheme: str, said: bytes, status: int = 200) -> NotDelivered | None:
    """The failure of a message to a robot that answers so; its service's address leads to a server on loopback."""
    with receiver([status]) as hook:
        hook.said = said
        _lead_to(hook, monkeypatch)
        people = People(SecretStr(f"{scheme}://{KEY}"), {"all": ALL}, 5_000_000, key="url")
        try:
            asyncio.run(people.deliver(Delivery("team", "all", "k", (alert("b1"),), START)))
        except NotDelivered as problem:
            return problem
        finally:
            assert len(hook.received) == 1
    return None


def _lead_to(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    post = requests.Session().post

    def local(_url: str, *, data: Any, timeout: Any, **_options: Any) -> Any:
        return post(hook.url, data=data, timeout=timeout)

    monkeypatch.setattr("requests.post", local)


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("wecombot", b'{"errcode":45009,"errmsg":"api freq out of limit 0123456789abcdef"}'),
        ("dingtalk", b'{"errcode":310000,"errmsg":"keywords not in content 0123456789abcdef"}'),
        ("schan", b'{"code":40001,"message":"bad pushtoken 0123456789abcdef"}'),
        ("feishu", b'{"code":9499,"msg":"Bad Request 0123456789abcdef","data":{}}'),
        ("wecombot", b"<html>please log in</html>"),
        ("dingtalk", b"[]"),
        ("dingtalk", b'{"errcode":'),
    ],
)
def test_a_message_that_a_robot_refuses_in_an_answer_with_200_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, scheme: str, said: bytes
) -> None:
    caplog.set_level(logging.DEBUG, logger="streams")
    problem = answered(monkeypatch, scheme, said)
    assert problem is not None
    assert problem.again
    told = [record.getMessage() for record in caplog.records if record.name.startswith("streams")]
    assert KEY not in str(problem) + "".join(told)
    if b"45009" in said:
        assert told == ["wecombot refused a message: HTTP 200 with errcode 45009 in its answer"]


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("wecombot", b'{"errcode":0,"errmsg":"ok"}'),
        ("dingtalk", b'{"errcode":0,"errmsg":"ok"}'),
        ("schan", b'{"code":0,"message":"","data":{"errno":0}}'),
        ("feishu", b'{"code":0,"msg":"success","data":{}}'),
    ],
)
def test_a_message_that_a_robot_accepts_is_sent(monkeypatch: pytest.MonkeyPatch, scheme: str, said: bytes) -> None:
    assert answered(monkeypatch, scheme, said) is None
    refused = answered(monkeypatch, scheme, said, status=500)
    assert refused is not None


@pytest.mark.parametrize(
    ("scheme", "said", "most", "text"),
    [
        ("wecombot", b'{"errcode":0}', 2_048, "text"),
        ("dingtalk", b'{"errcode":0}', 20_000, ""),
        ("feishu", b'{"code":0}', 20_000, ""),
        ("lark", b'{"code":0}', 20_000, ""),
    ],
)
def test_a_long_chinese_digest_goes_in_parts_that_the_robot_takes_with_pauses_beyond_the_timeout(
    monkeypatch: pytest.MonkeyPatch, scheme: str, said: bytes, most: int, text: str
) -> None:
    count = 25 if scheme == "wecombot" else 100
    orders = [f"WO{number:03d}" for number in range(count)]
    events = tuple(alert(order, case=order, subject=("order", order + "超" * 100)) for order in orders)
    with receiver() as hook:
        hook.said = said
        _lead_to(hook, monkeypatch)
        people = People(SecretStr(f"{scheme}://{KEY}"), {"all": ALL}, 1_000_000, key="url")
        for service in people._apprise:
            service.request_rate_per_sec = 0.5
        asyncio.run(people.deliver(Delivery("team", "all", "k", events, START)))
    assert len(hook.received) > 2
    parts = [json.loads(one.body) for one in hook.received]
    sizes = [
        len(part[text]["content"].encode()) if text else len(one.body)
        for part, one in zip(parts, hook.received, strict=True)
    ]
    assert max(sizes) <= most
    everything = json.dumps(parts)
    assert [order for order in orders if order not in everything] == []
