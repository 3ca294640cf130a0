"""``gridclock receiver``: it takes what is signed, once, and shows it."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.cli import run
from streams.errors import ConfigError
from streams.notify.channels.webhook import key_of, signature_of
from streams.notify.webhook_receiver import OLDEST_SECONDS, WebhookReceiver
from tests.notify.alerts import alert, id_of

NOW = 1_790_000_000
SECRET = "shared"


def headers(body: bytes, *, secret: str = SECRET, at: int = NOW, key: str = "k") -> dict[str, str]:
    return {
        "webhook-id": key,
        "webhook-timestamp": str(at),
        "webhook-signature": signature_of(secret.encode(), key, str(at), body),
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


NO_MESSAGES = [
    b"", b"{}", b"null", b"not JSON", b"\xff", b"[1]", b"[[]]", b'"text"', b"[" * 100_000, b'{"data": null}',
    b'{"data": []}', b'{"data": {"kind": "breach"}}', json.dumps({**alert("b1"), "data": None}).encode(),
    json.dumps([alert("b1"), None]).encode(),
    json.dumps({**alert("b1"), "data": {**alert("b1")["data"], "subject": None}}).encode(),
    json.dumps({**alert("b1"), "data": {**alert("b1")["data"], "explanation": {"zh": 5}}}).encode(),
]  # fmt: skip


@pytest.mark.parametrize("body", NO_MESSAGES)
def test_what_is_signed_and_no_message_is_refused(body: bytes) -> None:
    async def test(session: aiohttp.ClientSession, url: str, _said: list[str]) -> None:
        async with session.post(url, data=body, headers=headers(body)) as answer:
            assert answer.status == 400

    served(test)


def test_a_captured_message_cannot_be_sent_under_another_id() -> None:
    """It would make the receiver drop the alert whose id that is."""

    async def test(session: aiohttp.ClientSession, url: str, said: list[str]) -> None:
        captured = headers(BREACH, key="k1")
        async with session.post(url, data=BREACH, headers={**captured, "webhook-id": "k2"}) as answer:
            assert answer.status == 401
        async with session.post(url, data=DIGEST, headers=headers(DIGEST, key="k2")) as answer:
            assert answer.status == 204
        assert [line.split()[1] for line in said[1:]] == ["breach", "retraction"]

    served(test)


def test_part_of_the_id_cannot_pass_for_part_of_the_time() -> None:
    signed = headers(BREACH)
    moved = {**signed, "webhook-id": f"k.{NOW}", "webhook-timestamp": ""}
    whole = {**signed, "webhook-id": f"{signed['webhook-id']}.{str(NOW)[:5]}", "webhook-timestamp": str(NOW)[5:]}

    async def test(session: aiohttp.ClientSession, url: str, _said: list[str]) -> None:
        for one in (moved, whole):
            async with session.post(url, data=BREACH, headers=one) as answer:
                assert answer.status == 401

    served(test)


def test_the_headers_of_0_1_alone_are_not_enough() -> None:
    async def test(session: aiohttp.ClientSession, url: str, _said: list[str]) -> None:
        old = hmac.digest(SECRET.encode(), str(NOW).encode() + b"." + BREACH, "sha256").hex()
        old_headers = {
            "Gridclock-Timestamp": str(NOW),
            "Gridclock-Signature": f"v1={old}",
            "Idempotency-Key": "k",
        }
        async with session.post(url, data=BREACH, headers=old_headers) as answer:
            assert answer.status == 401

    served(test)


@pytest.mark.parametrize("secret", ["shared", "whsec_" + base64.b64encode(b"24 bytes of a random key").decode()])
def test_the_example_of_the_standard_holds_for_text_and_encoded_secrets(secret: str) -> None:
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    expected = base64.b64encode(hmac.new(key, b"msg_1.1674087231." + BREACH, "sha256").digest()).decode()
    assert signature_of(key_of(secret, key="secret"), "msg_1", "1674087231", BREACH) == f"v1,{expected}"


def test_an_encoded_secret_that_is_not_base64_is_a_mistake_of_the_file() -> None:
    with pytest.raises(ConfigError, match="not base64"):
        key_of("whsec_~~", key="secret")


async def raw_answer(url: str, head: bytes, body: bytes) -> bytes:
    """The status line for a request whose headers are bytes as they are."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2].strip("/")))
    length = f"Content-Length: {len(body)}\r\nConnection: close\r\n".encode()
    writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\n" + length + head + b"\r\n" + body)
    status = await asyncio.wait_for(reader.readline(), 30)
    writer.close()
    return status


HEADER = st.binary(max_size=80).map(lambda value: bytes(byte for byte in value if byte not in b"\r\n\0"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(HEADER, HEADER, HEADER), min_size=1, max_size=10))
@example([(b"k", str(NOW).encode(), b"v1,\xff\xfe"), (b"\xff", b"\xd9\xa3", b""), (b"k", b"9" * 80, b"v1,")])
def test_no_bytes_in_the_headers_end_in_an_error_of_the_server(found: list[tuple[bytes, bytes, bytes]]) -> None:
    async def test(_session: aiohttp.ClientSession, url: str, said: list[str]) -> None:
        for message_id, stamp, signature in found:
            head = b"webhook-id: %b\r\nwebhook-timestamp: %b\r\nwebhook-signature: %b\r\n"
            status = await raw_answer(url, head % (message_id, stamp, signature), BREACH)
            assert status.split()[1] in (b"400", b"401")
        assert all("\n" not in line for line in said)

    served(test)


def test_a_line_of_an_alert_cannot_forge_another_nor_move_the_cursor() -> None:
    event = alert("b1")
    event["data"]["explanation"]["zh"] = "one\ntwo \x1b[2J \u202e"
    body = json.dumps(event).encode()

    async def test(session: aiohttp.ClientSession, url: str, said: list[str]) -> None:
        async with session.post(url, data=body, headers=headers(body)) as answer:
            assert answer.status == 204
        (line,) = said
        assert line.isprintable()
        async with session.get(url) as answer:
            assert (await answer.text()).splitlines() == [line]

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
