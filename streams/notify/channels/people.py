"""Group chats and mail, through ``apprise``: WeCom, DingTalk, Feishu, SMTP and a hundred others, each by its URL.

``apprise`` returns only success or failure, so every failure is retried. It has no idempotency key: after a crash
between sending and recording, people may get one message twice. A text that is too long for a service is split.
"""

from __future__ import annotations

import asyncio
import logging

import apprise
from pydantic import SecretStr

from schemas.subscriptions import Subscription
from streams.core.delivery_message import Delivery
from streams.core.notices import NO_NAMES, Names, message_of
from streams.errors import ConfigError
from streams.notify.channels.contract import NotDelivered
from streams.notify.channels.robots import prepare

for _name in ("apprise", "urllib3", "requests"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)  # their warnings quote addresses, which contain keys

_FORMAT = apprise.NotifyFormat.TEXT


class People:
    """One address of ``apprise``."""

    def __init__(
        self,
        url: SecretStr,
        subscriptions: dict[str, Subscription],
        timeout_us: int,
        *,
        names: Names = NO_NAMES,
        key: str,
    ) -> None:
        self._names = names
        self._subscriptions = subscriptions
        self._timeout = timeout_us / 1e6
        self._apprise = apprise.Apprise()
        if not self._apprise.add(url.get_secret_value()):
            raise ConfigError("is not an address that apprise supports", key=key)
        for service in self._apprise:
            # A digest may be longer than a service accepts; without splitting most refuse it or cut it off.
            service.overflow_mode = apprise.OverflowMode.SPLIT
            prepare(service)

    async def deliver(self, delivery: Delivery, *, test: bool = False) -> None:
        """Send it as one text; see ``Channel``."""
        subscription = self._subscriptions[delivery.subscription]
        alerts = [event["data"] for event in delivery.events]
        title, body = message_of(alerts, subscription, delivery.level, names=self._names, test=test)
        urgent = any(alert["kind"] in ("breach", "violation") for alert in alerts)
        kind = apprise.NotifyType.WARNING if urgent else apprise.NotifyType.INFO
        seconds = self._patience(len(title) + len(body))
        try:
            async with asyncio.timeout(seconds):
                sent = await self._apprise.async_notify(title=title, body=body, notify_type=kind, body_format=_FORMAT)
        except TimeoutError as error:
            raise NotDelivered("timeout", f"no answer in {seconds:g} s", again=True) from error
        except Exception as error:  # a fault in one of a hundred plug-ins must not stop the other channels
            raise NotDelivered("bad_answer", type(error).__name__, again=True) from error
        if not sent:
            raise NotDelivered("refused", "the service refused it or could not be reached", again=True)

    def _patience(self, length: int) -> float:
        """The timeout, and the pauses that ``apprise`` makes before each part of a text of so many characters.

        It cuts at ends of words and lines, so a part may be half as long as it might be.
        """
        pauses = [
            (1 + 2 * length // max(1, service.body_maxlen)) * service.request_rate_per_sec for service in self._apprise
        ]
        return self._timeout + max(pauses)

    async def close(self) -> None:
        """Nothing to release."""
