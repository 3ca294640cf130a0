"""A signed webhook: CloudEvents over HTTP, structured for one alert, batched for a digest.

The receiver checks ``Gridclock-Signature`` (``v1=`` and the hexadecimal HMAC-SHA256, under the shared secret, of the
timestamp's digits, a dot, and the body), refuses a ``Gridclock-Timestamp`` (seconds since 1970) that is old, and
ignores an ``Idempotency-Key`` that it has seen: for one alert that is its ``alert_id``.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from pydantic import SecretStr

from streams.core.delivery import Delivery
from streams.notify.channels.http import Http
from streams.wire.decoder import encode_json


def signature_of(secret: bytes, timestamp: str, body: bytes) -> str:
    """The value of ``Gridclock-Signature``."""
    return "v1=" + hmac.digest(secret, timestamp.encode() + b"." + body, "sha256").hex()


class Webhook:
    """One endpoint; ``real_now`` gives real time in microseconds, whatever clock the alerts go by."""

    def __init__(self, http: Http, secret: SecretStr, real_now: Callable[[], int]) -> None:
        self._http = http
        self._secret = secret
        self._real_now = real_now

    async def deliver(self, delivery: Delivery, *, test: bool = False) -> None:
        """Post it; see ``Channel``."""
        single = len(delivery.events) == 1
        body = encode_json(delivery.events[0] if single else delivery.events)
        timestamp = str(self._real_now() // 1_000_000)
        headers = {
            "Content-Type": f"application/cloudevents{'' if single else '-batch'}+json; charset=utf-8",
            "Idempotency-Key": delivery.key,
            "Gridclock-Timestamp": timestamp,
            "Gridclock-Signature": signature_of(self._secret.get_secret_value().encode(), timestamp, body),
            "Gridclock-Subscription": delivery.subscription,
        }
        if delivery.level:
            headers["Gridclock-Escalated-To"] = delivery.level
        if test:
            headers["Gridclock-Test"] = "true"
        await self._http.post("", body, headers)

    async def close(self) -> None:
        """Close its connections."""
        await self._http.close()
