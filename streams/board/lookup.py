"""Finds the subject that an id shown on the board stands for, and reads what its state holds.

With a pseudonym key the ids shown of accounts, meters, cases and alerts are not the real ones; then only those shown
are found.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from streams.board.deliveries import Deliveries
from streams.board.feed import StateReader
from streams.board.messages import BoardWire
from streams.board.rows import Rows
from streams.core.alerts import Subject
from streams.core.board import Board
from streams.core.records import BEGINNING, Snapshot
from streams.live.clock_partition import subject_key, subject_of_key
from streams.live.quarantine import cause_of
from streams.live.routing import partition_of
from streams.wire.pseudonyms import REPLACED
from streams.wire.state_rows import Aside, StateError, snapshot_from_bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a subject, under the ids that are ``shown``.

    ``subject`` has its real id; it is that shown where there is no state of it. ``as_of`` is the time (microseconds)
    up to which it is judged, ``None`` where that is not known. ``problem`` is why its state cannot be read.
    """

    shown: Subject
    subject: Subject
    snapshot: Snapshot | None = None
    aside: Aside | None = None
    as_of: int | None = None
    problem: str | None = None


class Lookup:
    """Looks into what the board follows."""

    def __init__(
        self, board: Board, state: StateReader, wire: BoardWire, *, rows: Rows, deliveries: Deliveries
    ) -> None:
        self._board = board
        self._state = state
        self._wire = wire
        self._rows = rows
        self._deliveries = deliveries

    async def subject(self, shown: Subject) -> Found:
        """What the state holds of a subject.

        Raises:
            BrokerError: where the state's topic cannot be read.
        """
        real, raw = await self._row(shown)
        if real is None or raw is None:
            return Found(shown, shown)
        partition = partition_of(real, self._rows.partitions)
        aside = next((one for one in self._state.aside.get(partition, ()) if one.subject == real), None)
        try:
            snapshot = snapshot_from_bytes(real, raw)
        except StateError as error:
            return Found(shown, real, aside=aside, problem=cause_of(error))
        watermark = self._state.cases.watermarks.get(partition, BEGINNING)
        return Found(shown, real, snapshot, aside, max(snapshot.decided_at, watermark))

    async def _row(self, shown: Subject) -> tuple[Subject | None, bytes | None]:
        """The real subject and its row; of a pseudonym each key has to be tried."""
        if not self._rows.partitions:
            return None, None
        if self._wire.pseudonyms is not None and shown[0] in REPLACED:
            real = await self._of_open(shown)
            if real is None:
                found = await self._rows.matching(lambda key: self._is_shown(key, shown))
                key, raw = next(iter(found.items()), (None, None))
                return (None, None) if key is None else (subject_of_key(key), raw)
        else:
            real = shown
        partition = partition_of(real, self._rows.partitions)
        return real, await self._rows.one(subject_key(partition, real), partition, self._state.cases.offset_of(real))

    async def _of_open(self, shown: Subject) -> Subject | None:
        subjects = [one for one in self._state.cases.subjects() if one[0] == shown[0]]
        return await asyncio.to_thread(
            lambda: next((one for one in subjects if self._wire.subject(one)["id"] == shown[1]), None)
        )

    def _is_shown(self, key: bytes, shown: Subject) -> bool:
        kind, number = shown
        # Most keys are of other types: those cost no hash.
        if key.split(b"/", 2)[1:2] != [kind.encode()]:
            return False
        subject = subject_of_key(key)
        return subject is not None and self._wire.subject(subject)["id"] == number

    async def of_case(self, number: str) -> Subject | None:
        """The subject, as shown, of the case or the alert with an id: an open case, or one of which alerts are known.

        Raises:
            BrokerError: where the deliveries topic cannot be read.
        """
        alerts = self._board.alerts_of(lambda alert: number in (alert.alert_id, alert.case_id))
        if alerts:
            return alerts[0].subject
        cases = list(self._board.running.cases.values())
        case = await asyncio.to_thread(
            lambda: next((one for one in cases if self._wire.case_id(one.case_id) == number), None)
        )
        if case is not None:
            return shown_subject(self._wire.subject(case.subject))
        sent = (await self._deliveries.of([number])).get(number)
        for event in () if sent is None else sent.events.values():
            return shown_subject(event["data"]["subject"])
        return None


def shown_subject(subject: dict[str, Any]) -> Subject:
    """A subject from its JSON values."""
    return subject["type"], subject["id"]
