"""A signed webhook: CloudEvents over HTTP, structured for one alert, batched for a digest.

Signed by Standard Webhooks (standardwebhooks.com): ``webhook-signature`` is ``v1,`` and the base64 HMAC-SHA256, under
the shared secret, of ``webhook-id``, a dot, ``webhook-timestamp`` (seconds since 1970), a dot, and the body. A receiver
refuses an old timestamp and ignores an id that it has seen: for one alert that is its ``alert_id``.

The headers of 0.1 (``Gridclock-Signature``, ``Gridclock-Timestamp``, ``Idempotency-Key``) are sent as well for one more
version. That signature does not cover the key, so whoever captures a message can send it under another key.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import Final

from pydantic import SecretStr

from streams.core.delivery_message import Delivery
from streams.errors import ConfigError
from streams.notify.channels.http import Http
from streams.wire.decoder import encode_json

ENCODED: Final = "whsec_"
"""A secret that begins so is base64 of the key's bytes; any other secret is the key itself, as UTF-8."""


def key_of(secret: str, *, key: str) -> bytes:
    """The key bytes of a secret; ``key`` is its place in the file, for the error.

    Raises:
        ConfigError: where it begins with ``whsec_`` and no base64 follows.
    """
    if not secret.startswith(ENCODED):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(ENCODED), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(f"begins with {ENCODED}, but what follows is not base64", key=key) from None


def signature_of(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The value of ``webhook-signature``."""
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def _signature_0_1(key: bytes, timestamp: str, body: bytes) -> str:
    return "v1=" + hmac.digest(key, timestamp.encode() + b"." + body, "sha256").hex()


class Webhook:
    """One endpoint; ``real_now`` gives real time in microseconds, also where alerts use a scaled clock."""

    def __init__(self, http: Http, secret: SecretStr, real_now: Callable[[], int], *, key: str) -> None:
        self._http = http
        self._key_0_1 = secret.get_secret_value().encode()
        self._key = key_of(secret.get_secret_value(), key=key)
        self._real_now = real_now

    async def deliver(self, delivery: Delivery, *, test: bool = False) -> None:
        """Post it; see ``Channel``."""
        single = len(delivery.events) == 1
        body = encode_json(delivery.events[0] if single else delivery.events)
        timestamp = str(self._real_now() // 1_000_000)
        headers = {
            "Content-Type": f"application/cloudevents{'' if single else '-batch'}+json; charset=utf-8",
            "webhook-id": delivery.key,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature_of(self._key, delivery.key, timestamp, body),
            "Idempotency-Key": delivery.key,
            "Gridclock-Timestamp": timestamp,
            "Gridclock-Signature": _signature_0_1(self._key_0_1, timestamp, body),
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
