"""The interface of a channel, and its error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from schemas.deliveries import UndeliveredReason
from streams.core.delivery_case import Event
from streams.core.delivery_message import Delivery
from streams.errors import GridclockError


class NotDelivered(GridclockError):
    """The receiver did not accept a message. ``reason`` is a label's value; ``detail`` holds no address and no secret.

    ``again`` says whether another attempt may succeed, ``wait_us`` how long the receiver asked to wait.
    """

    def __init__(self, reason: UndeliveredReason, detail: str, *, again: bool, wait_us: int = 0) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: UndeliveredReason = reason
        self.detail = detail
        self.again = again
        self.wait_us = wait_us


class Channel(Protocol):
    """One receiver of messages. Its methods are called one after the other."""

    async def deliver(self, delivery: Delivery, *, test: bool = False) -> None:
        """Send a message; returns when the receiver has confirmed it.

        Raises:
            NotDelivered: where there was no confirmation.
        """

    async def close(self) -> None:
        """Release connections."""


class Refreshing(Channel, Protocol):
    """A channel whose alerts lapse unless they are refreshed."""

    @property
    def refresh_us(self) -> int:
        """How often to refresh."""

    @property
    def holds_us(self) -> Mapping[str, int]:
        """How long alerts are refreshed after they were sent, by kind; other kinds are not."""

    async def remind(self, standing: Sequence[tuple[Event, str]]) -> None:
        """Refresh alerts that were sent before by these subscriptions and still hold.

        Raises: NotDelivered: where the receiver did not accept it.
        """
