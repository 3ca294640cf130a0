"""What a channel does, and how it says that it could not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from schemas.deliveries import UndeliveredReason
from streams.core.delivery import Delivery, Event
from streams.errors import GridclockError


class NotDelivered(GridclockError):
    """A message was not taken. ``reason`` is fit for a label; ``detail`` holds no address and no secret.

    ``again`` says whether trying again may help, ``wait_us`` how long the receiver asked to be left alone.
    """

    def __init__(self, reason: UndeliveredReason, detail: str, *, again: bool, wait_us: int = 0) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: UndeliveredReason = reason
        self.detail = detail
        self.again = again
        self.wait_us = wait_us


class Channel(Protocol):
    """One place that messages go to. Calls come one after the other."""

    async def deliver(self, delivery: Delivery, *, test: bool = False) -> None:
        """Returns when the receiver has it.

        Raises:
            NotDelivered: where it has not, as far as can be told.
        """

    async def close(self) -> None:
        """Give back what it holds."""


class Refreshing(Channel, Protocol):
    """A channel that forgets what it is not reminded of."""

    @property
    def refresh_us(self) -> int:
        """How often to remind it."""

    @property
    def holds_us(self) -> Mapping[str, int]:
        """How long after it was reported, by kind of alert; of other kinds it is not reminded."""

    async def remind(self, standing: Sequence[tuple[Event, str]]) -> None:
        """These alerts, told before by these subscriptions, still stand.

        Raises:
            NotDelivered: where the receiver did not take it.
        """
