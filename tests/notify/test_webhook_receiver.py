"""``gridclock receiver``: it takes what is signed, once, and shows it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from streams.cli import run
from streams.notify.channels.webhook import signature_of
from streams.notify.webhook_receiver import OLDEST_SECONDS, WebhookReceiver
from tests.notify.alerts import alert, id_of

NOW = 1_790_000_000
SECRET = "shared"


def headers(body: bytes, *, secret: str = SECRET, at: int = NOW, key: str = "k") -> dict[str, str]:
    return {
        "Gridclock-Timestamp": str(at),
        "Gridclock-Signature": signature_of(secret.encode(), str(at), body),
        "Idempotency-Key": key,
    }


def served(test: Callable[[aiohttp.ClientSession, str, list[str]], Awaitable[None]], host: str = "127.0.0.1") -> None:
    async def all_of_it() -> None:
        said: list[str] = []
        receiver = WebhookReceiver(SECRET, host, lambda: NOW * 1_000_000, said.append)
        async with receiver.serve(0) as port, aiohttp.ClientSession() as session:
            await test(session, f"http://127.0.0.1:{port}/", said)

    asyncio.run(all_of_it())


BREACH = json.dumps(alert("b1")).encode()
DIGEST = json.dumps([alert("b2"), alert("not-b1", "retraction", retracts="b1")]).encode()


def test_what_is_signed_is_shown_once_and_the_newest_first() -> None:
    async def test(session: aiohttp.ClientSession, url: str, said: list[str]) -> None:
        for body, key in ((BREACH, "k1"), (BREACH, "k1"), (DIGEST, "k2")):
            async with session.post(url, data=body, headers=headers(body, key=key)) as answer:
                assert answer.status == 204
        async with session.get(url) as answer:
            shown = (await answer.text()).splitlines()
        assert shown == said[::-1]
        assert [line.split()[1] for line in shown] == ["retraction", "breach", "breach"]
        assert f"retraction of {id_of('b1')}" in shown[0]
        assert [line.rpartition("[")[2] for line in shown[1:]] == [f"{id_of('b2')}]", f"{id_of('b1')}]"]

    served(test)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (headers(BREACH, secret="another"), 401),
        (headers(BREACH + b" "), 401),
        ({}, 401),
        (headers(BREACH, at=NOW - OLDEST_SECONDS - 1), 401),
        (headers(BREACH, at=NOW + OLDEST_SECONDS + 1), 401),
        (headers(BREACH, at=NOW - OLDEST_SECONDS), 204),
    ],
)
def test_what_is_not_signed_now_and_by_us_is_refused(given: dict[str, str], status: int) -> None:
    async def test(session: aiohttp.ClientSession, url: str, said: list[str]) -> None:
        async with session.post(url, data=BREACH, headers=given) as answer:
            assert answer.status == status
        async with session.get(url) as answer:
            assert ("nothing yet" in await answer.text()) == (status != 204)
        assert said[0].startswith("refused: ") == (status != 204)

    served(test)


@pytest.mark.parametrize("body", [b"{}", b"not JSON", b"[1]", b'{"data": {"kind": "breach"}}'])
def test_what_is_signed_and_no_message_is_refused(body: bytes) -> None:
    async def test(session: aiohttp.ClientSession, url: str, _said: list[str]) -> None:
        async with session.post(url, data=body, headers=headers(body)) as answer:
            assert answer.status == 400

    served(test)


def test_on_loopback_a_foreign_name_is_not_answered() -> None:
    async def test(session: aiohttp.ClientSession, url: str, _said: list[str]) -> None:
        statuses: dict[str, Any] = {}
        for name in ("evil.example:80", "localhost:80", "localhost"):
            async with session.get(url, headers={"Host": name}) as answer:
                statuses[name] = answer.status
        assert statuses == {"evil.example:80": 421, "localhost:80": 200, "localhost": 200}

    served(test)


def test_without_a_secret_it_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GRIDCLOCK_WEBHOOK_SECRET", raising=False)
    assert run(["receiver"]) == 2
    assert "environment variable GRIDCLOCK_WEBHOOK_SECRET is not set" in capsys.readouterr().err
