"""What the notifier wrote of a case: who was sent what through which channel, and when; read when a page asks."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import ValidationError

from schemas.deliveries import ROW_VERSION, CaseRow, DeliveryRow
from streams.board.rows import RowReader, Rows

logger = logging.getLogger(__name__)

_CASE: Final = b"case/"
_DELIVERY: Final = b"delivery/"
_PARTITION: Final = 0
_MOST_UNDER_WAY: Final = 20_000
"""Messages under way that are noted; of more, the oldest count as sent."""


class Deliveries:
    """The rows of the deliveries topic. The cases' are read on demand; of messages under way the ids are kept."""

    def __init__(self, reader: RowReader) -> None:
        self.rows = Rows(reader)
        self._under_way: dict[bytes, tuple[str, frozenset[str]]] = {}

    def restart(self, partitions: int) -> None:
        """The topic is read from its beginning again."""
        self.rows.restart(partitions)
        self._under_way = {}

    def take(self, key: bytes, value: bytes | None, partition: int, offset: int) -> None:
        """A row, as it comes."""
        if key.startswith(_CASE):
            self.rows.note(key, partition, offset, is_deleted=value is None)
        elif key.startswith(_DELIVERY):
            self._under_way.pop(key, None)
            if value is not None:
                self._note_message(key, value)

    def _note_message(self, key: bytes, value: bytes) -> None:
        try:
            row = DeliveryRow.model_validate_json(value)
        except ValidationError as error:
            logger.warning("row %s of the deliveries topic is passed over: %s", key, error.errors()[0]["msg"])
            return
        ids = [event["data"]["alert_id"] for event in row.events if isinstance(event.get("data"), dict)]
        self._under_way[key] = row.channel, frozenset(ids)
        while len(self._under_way) > _MOST_UNDER_WAY:
            del self._under_way[next(iter(self._under_way))]

    async def of(self, case_ids: Iterable[str]) -> Mapping[str, CaseRow]:
        """What was sent of some cases, by case id; nothing was sent of those that are left out.

        Raises:
            BrokerError: where the topic cannot be read.
        """
        keys = {_CASE + case_id.encode(): case_id for case_id in case_ids}
        if not keys or not self.rows.partitions:
            return {}
        found = await self.rows.several(dict.fromkeys(keys, (_PARTITION, None)))
        rows = {}
        for key, value in found.items():
            try:
                rows[keys[key]] = CaseRow.model_validate_json(value)
            except ValidationError as error:
                logger.warning(
                    "row %s of the deliveries topic is not of format %d: %s", key, ROW_VERSION, error.errors()[0]["msg"]
                )
        return rows

    def under_way(self) -> set[tuple[str, str]]:
        """Channel and alert id of what was planned and is not yet confirmed."""
        return {(channel, alert_id) for channel, ids in self._under_way.values() for alert_id in ids}
