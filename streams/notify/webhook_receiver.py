"""A webhook receiver for trials of subscriptions: checks messages as a receiver must, and shows them.

    POST /     a message: its signature and its age are checked, a ``webhook-id`` seen before is not shown again
    GET /      the newest alerts as text, the newest first
    /healthz   200

It keeps nothing when it ends. On loopback it answers only requests for loopback names, as the board does: otherwise a
page of another site could read its content.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from zoneinfo import ZoneInfo

from aiohttp import web

from schemas.alerts import AlertEvent
from streams.core.instants import format_us
from streams.http_server import ConnectionLimits
from streams.log_lines import printable
from streams.loopback import NAMES, is_loopback, name_of
from streams.notify.channels.webhook import key_of, signature_of
from streams.wire.decoder import decode_json

OLDEST_SECONDS: Final = 300
SHOWN: Final = 500
REMEMBERED: Final = 100_000
_CONNECTIONS: Final = 64
_BODY_SECONDS: Final = 30.0
_ID: Final = re.compile(r"[!-\-/-~]{1,256}")  # no dot: it separates the signed parts
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_SHANGHAI: Final = ZoneInfo("Asia/Shanghai")


class WebhookReceiver:
    """Takes messages signed with ``secret``; ``now`` gives real time in microseconds, ``say`` gets every line."""

    def __init__(self, secret: str, host: str, now: Callable[[], int], say: Callable[[str], None]) -> None:
        self._key = key_of(secret, key="secret")
        self._host = host
        self._now = now
        self._say = say
        self._lines: deque[str] = deque(maxlen=SHOWN)
        self._seen: OrderedDict[str, None] = OrderedDict()

    @asynccontextmanager
    async def serve(self, port: int) -> AsyncIterator[int]:
        """Serve while the block runs; yields the port, chosen by the system where ``port`` is 0.

        Raises:
            OSError: where the address is taken.
        """
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/", self._take)
        app.router.add_get("/", self._show)
        app.router.add_get("/healthz", self._health)
        async with ConnectionLimits(_CONNECTIONS).serve(app, self._host, port, shutdown=1.0) as bound:
            yield bound

    async def _take(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        if (reason := self._refused(request, body)) is not None:
            self._say(f"refused: {reason}")
            return web.Response(status=401, text=f"{reason}\n")
        key = request.headers["webhook-id"]
        if key not in self._seen:
            try:
                found = decode_json(body)
                lines = [_line(event) for event in (found if isinstance(found, list) else [found])]
            except (ValueError, RecursionError):  # pydantic's and msgspec's errors are ValueErrors
                self._say("refused: not a message of gridclock")
                return web.Response(status=400, text="not a message of gridclock\n")
            self._seen[key] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            for line in lines:
                self._lines.append(f"{format_us(self._now(), _SHANGHAI)} {line}")
                self._say(self._lines[-1])
        return web.Response(status=204)

    def _refused(self, request: web.Request, body: bytes) -> str | None:
        key, timestamp, given = (
            request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")
        )
        if not _ID.fullmatch(key) or not _TIMESTAMP.fullmatch(timestamp):
            return "webhook-id or webhook-timestamp is missing or malformed"
        expected = signature_of(self._key, key, timestamp, body).encode()
        # There may be several signatures, separated by blanks. A header may contain any bytes.
        if not any(hmac.compare_digest(one.encode("utf-8", "surrogateescape"), expected) for one in given.split(" ")):
            return "the signature is not that of this secret"
        if abs(self._now() / 1e6 - int(timestamp)) > OLDEST_SECONDS:
            return f"signed more than {OLDEST_SECONDS} s ago"
        return None

    async def _show(self, request: web.Request) -> web.Response:
        if is_loopback(self._host) and name_of(request.host) not in NAMES:
            return web.Response(status=421, text="this receiver does not answer to that name\n")
        text = "\n".join(reversed(self._lines)) or "nothing yet 暂无"
        return web.Response(
            text=f"{text}\n", headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        )

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")


def _line(event: Any) -> str:
    """One line for an alert.

    Raises:
        ValueError: where the record is not an alert.
    """
    alert = AlertEvent.model_validate(event).data
    withdraws = f" of {alert.retracts}" if alert.retracts else ""
    subject = f"{alert.subject.type} {alert.subject.id}"
    return printable(f"{alert.kind}{withdraws} {alert.rule} {subject}: {alert.explanation.zh} [{alert.alert_id}]")
