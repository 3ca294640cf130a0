"""Releases subjects that were set aside: a control record in the log releases one, with its held entries.

The held entries are dead letters. A worker accepts the record only if it includes all entries held so far; otherwise
the letters are read again. So entries that arrive meanwhile are not lost, and the subject is judged once it is
complete.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kafka.errors import KafkaError

from schemas.dead_letters import DeadLetter
from streams.core.alerts import Subject
from streams.core.driver import Entry
from streams.errors import BrokerError, InputError
from streams.kafka.admin import meaning_of
from streams.kafka.threaded_producer import ThreadedProducer
from streams.kafka.topics import MAX_REQUEST
from streams.operations.dead_letters import EditedLetter, Letters, StoredLetter, retried_mark
from streams.operations.installation import position_of
from streams.settings import Settings
from streams.wall_clock import monotonic
from streams.wire.decoder import decode_json, event_of
from streams.wire.state_rows import CONTROL_KEY, LogRecord, Position, control_to_bytes, record_from_bytes

ROUNDS: Final = 5
"""Most readings of the letters, if more is held meanwhile each time."""

WAIT_SECONDS: Final = 60.0
"""Seconds for a worker to apply the control record."""

POLL_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True)
class Released:
    """A subject released by the control record at a place in the log, with its letters."""

    place: str
    letters: Sequence[StoredLetter]


def held_of(letters: Letters, subject: Subject) -> list[StoredLetter]:
    """The letters of a subject not released yet, in the order of the log."""
    found = [one for one in letters.by_id.values() if one.letter.subject == subject and not one.retried_to]
    return sorted(found, key=lambda one: (one.letter.position, one.letter.entry or 0))


def entries_of(held: Sequence[StoredLetter], edited: Mapping[str, EditedLetter]) -> list[Entry]:
    """The entries for the control record; an edited event of ``null`` is left out.

    Raises:
        InputError: where one cannot be read, or was kept only in part.
    """
    entries: list[Entry] = []
    for one in held:
        letter = one.letter
        if letter.subject is None or not letter.size:
            continue  # it only records that the subject was set aside
        if letter.truncated:
            raise InputError("too_large", None, f"{letter.id}: only the beginning of its {letter.size} bytes was kept")
        raw = edited[letter.id].raw if letter.id in edited else letter.original()
        if raw.strip() != b"null":
            entries.append((letter.subject, event_of(decode_json(raw)), letter.origin or letter.id))
    return entries


class Releasing:
    """Releases subjects and marks their letters. Close it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        try:
            self._producer = ThreadedProducer(**settings.kafka_python(), max_request_size=MAX_REQUEST)
        except KafkaError as error:
            raise BrokerError(meaning_of(error)) from error

    def bring_back(self, subject: Subject, edited: Mapping[str, EditedLetter], read: Callable[[], Letters]) -> Released:
        """Release a subject; ``read`` reads the letters again.

        Raises:
            BrokerError: where no worker applies the record, the program fails at the subject again, or more is held
                each time.
            InputError: where a letter cannot be read.
        """
        name = f"{subject[0]} {subject[1]}"
        for _ in range(ROUNDS):
            held = held_of(read(), subject)
            if not held:
                raise BrokerError(f"{name}: nothing of it is held any more")
            number = int(held[0].letter.source.rpartition("/")[2])
            position = position_of(self._settings, number)
            control = LogRecord(
                entries_of(held, edited), {}, {} if position is None else position.sources,
                released={subject: held[-1].letter.position},
            )  # fmt: skip
            offset = self._send(self._settings.log_topic, control_to_bytes(control), CONTROL_KEY, partition=number)
            place = f"{self._settings.log_topic}/{number}/{offset}"
            reached = self._reached(number, offset, f"{name}: {place}")
            aside = next((one for one in reached.aside if one.subject == subject), None)
            if aside is None:
                for one in held:
                    self._mark(one.letter.id, place)
                return Released(place, held)
            if aside.since == offset:
                raise BrokerError(f"{name}: the program fails at it again, at {place}: {aside.reason}")
        raise BrokerError(f"{name}: more was held each time, {ROUNDS} times: it is still set aside; try again")

    def send_record(self, letter: DeadLetter) -> str:
        """Put a record of the log that could not be read into its partition again; returns its place.

        Its watermarks are still valid, and events that are already there count once.

        Raises:
            BrokerError: where the broker refuses it.
            InputError: where it was kept only in part.
            StateError: where it still cannot be read.
        """
        if letter.truncated:
            raise InputError("too_large", None, f"only the beginning of its {letter.size} bytes was kept")
        raw = letter.original()
        record_from_bytes(raw)
        topic, _, number = letter.source.rpartition("/")
        place = f"{letter.source}/{self._send(topic, raw, None, partition=int(number))}"
        self._mark(letter.id, place)
        return place

    def _reached(self, number: int, offset: int, what: str) -> Position:
        until = monotonic() + WAIT_SECONDS
        while monotonic() < until:
            position = position_of(self._settings, number)
            if position is not None and position.offset >= offset:
                return position
            time.sleep(POLL_SECONDS)
        raise BrokerError(
            f"{what}: no worker has taken it for {WAIT_SECONDS:.0f} s; see gridclock status, and retry again then"
        )

    def _send(self, topic: str, value: bytes | None, key: bytes | None, **options: Any) -> int:
        try:
            offset: int = self._producer.send(topic, value, key=key, **options).get(timeout=30).offset
        except KafkaError as error:
            raise BrokerError(f"{topic}: {meaning_of(error)}") from error
        return offset

    def _mark(self, letter_id: str, place: str) -> None:
        self._send(self._settings.dead_letters_topic, **retried_mark(letter_id, place))

    def close(self) -> None:
        """Close the connection."""
        self._producer.close(timeout=30)
