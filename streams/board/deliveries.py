"""What the notifier wrote: who was sent what through which channel, when, and what did not reach its receiver.

The rows of cases are read when a page asks. Kept are messages on their way, channels that fail, and the newest messages
that were given up, as the undelivered topic has them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from schemas.deliveries import ROW_VERSION, CaseRow, ChannelRow, DeliveryRow, Undelivered
from streams.board.rows import RowReader, Rows
from streams.core.instants import instant_us
from streams.errors import InputError

logger = logging.getLogger(__name__)

RowModel = TypeVar("RowModel", CaseRow, ChannelRow, DeliveryRow)

_CASE: Final = b"case/"
_DELIVERY: Final = b"delivery/"
_PARTITION: Final = 0
_CHANNEL: Final = b"channel/"
_MOST_UNDER_WAY: Final = 20_000
"""Messages under way that are noted; of more, the oldest count as sent."""

MOST_GIVEN_UP: Final = 20_000
"""Alerts of which it is kept that a message was given up."""

_OF_ONE: Final = 20


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A message that is not confirmed. ``trouble`` is that of its channel; ``is_tried`` says that it is its own."""

    trouble: ChannelRow | None = None
    is_tried: bool = False


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A message that a channel did not take in any attempt; ``at`` in microseconds."""

    channel: str
    subscription: str | None
    reason: str
    detail: str
    attempts: int
    at: int


class Deliveries:
    """The rows of the deliveries topic, and the messages that were given up."""

    def __init__(self, reader: RowReader) -> None:
        self.rows = Rows(reader)
        self._under_way: dict[bytes, tuple[str, frozenset[str]]] = {}
        self._troubles: dict[str, ChannelRow] = {}
        self._given_up: dict[str, set[GivenUp]] = {}

    def restart(self, partitions: int) -> None:
        """The topic is read from its beginning again."""
        self.rows.restart(partitions)
        self._under_way, self._troubles = {}, {}

    def take(self, key: bytes, value: bytes | None, partition: int, offset: int) -> None:
        """A row, as it comes."""
        if key.startswith(_CASE):
            self.rows.note(key, partition, offset, is_deleted=value is None)
        elif key.startswith(_DELIVERY):
            self._under_way.pop(key, None)
            if value is not None:
                self._note_message(key, value)
        elif key.startswith(_CHANNEL):
            self._note_trouble(key, value)

    def _note_message(self, key: bytes, value: bytes) -> None:
        row = _row(DeliveryRow, key, value)
        if row is None:
            return
        self._under_way[key] = row.channel, frozenset(_alert_ids(row.events))
        while len(self._under_way) > _MOST_UNDER_WAY:
            del self._under_way[next(iter(self._under_way))]

    def _note_trouble(self, key: bytes, value: bytes | None) -> None:
        channel = key.removeprefix(_CHANNEL).decode()
        row = None if value is None else _row(ChannelRow, key, value)
        if row is None:
            self._troubles.pop(channel, None)
        else:
            self._troubles[channel] = row

    def take_undelivered(self, value: bytes) -> None:
        """A record of the undelivered topic; one that comes twice counts once.

        Raises:
            InputError: where it is none.
        """
        try:
            letter = Undelivered.model_validate_json(value)
        except ValidationError as error:
            raise InputError("not_undelivered", None, str(error.errors()[0]["msg"])) from error
        if letter.channel is None:
            return  # a record that is no alert
        at = instant_us(letter.at)
        made = GivenUp(letter.channel, letter.subscription, letter.reason, letter.detail, letter.attempts, at)
        for alert_id in _alert_ids(letter.events):
            known = self._given_up.setdefault(alert_id, set())
            known.add(made)
            if len(known) > _OF_ONE:
                known.remove(min(known, key=lambda one: one.at))
        while len(self._given_up) > MOST_GIVEN_UP:
            del self._given_up[next(iter(self._given_up))]

    def given_up(self, alert_id: str) -> list[GivenUp]:
        """The messages of an alert that were given up, oldest first."""
        return sorted(self._given_up.get(alert_id, ()), key=lambda one: (one.at, one.channel))

    async def of(self, case_ids: Iterable[str]) -> Mapping[str, CaseRow]:
        """What was sent of some cases, by case id; nothing was sent of those that are left out.

        Raises:
            BrokerError: where the topic cannot be read.
        """
        keys = {_CASE + case_id.encode(): case_id for case_id in case_ids}
        if not keys or not self.rows.partitions:
            return {}
        found = await self.rows.several(dict.fromkeys(keys, (_PARTITION, None)))
        rows = {keys[key]: _row(CaseRow, key, value) for key, value in found.items()}
        return {case_id: row for case_id, row in rows.items() if row is not None}

    def under_way(self) -> dict[tuple[str, str], UnderWay]:
        """What was planned and is not yet confirmed, by channel and alert id."""
        found: dict[tuple[str, str], UnderWay] = {}
        for key, (channel, ids) in self._under_way.items():
            trouble = self._troubles.get(channel)
            is_tried = trouble is not None and key == _DELIVERY + trouble.delivery.encode()
            for alert_id in ids:
                # Of several messages of an alert to a channel, an escalation for example, the one that is tried.
                if is_tried or (channel, alert_id) not in found:
                    found[channel, alert_id] = UnderWay(trouble, is_tried)
        return found


def _alert_ids(events: Iterable[Mapping[str, Any]]) -> list[str]:
    return [event["data"]["alert_id"] for event in events if isinstance(event.get("data"), dict)]


def _row(model: type[RowModel], key: bytes, value: bytes) -> RowModel | None:
    try:
        return model.model_validate_json(value)
    except ValidationError as error:
        logger.warning(
            "row %s of the deliveries topic is not of format %d: %s", key, ROW_VERSION, error.errors()[0]["msg"]
        )
        return None
