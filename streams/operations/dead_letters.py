"""Dead letters read from their topic or from files, corrected, and sent again.

A letter that was sent again is marked on the dead-letter topic: a record without a value under the letter's key, with
a header that names topic, partition and offset of the new record. The mark is kept at least as long as the letter. A
crash between sending and marking may send a letter twice; that does no harm, since the same event under the same id
counts once. Looking for the header in the source topic instead would read all of it, and its retention may be shorter.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from kafka.errors import KafkaError

from schemas.dead_letters import DeadLetter
from streams.core.event import Event
from streams.errors import BrokerError, ConfigError, InputError
from streams.files import read_lines
from streams.kafka.admin import meaning_of
from streams.kafka.threaded_producer import ThreadedProducer
from streams.kafka.topic_reader import from_beginning
from streams.wire.decoder import Decoder, decode_json, encode_json

RETRY_OF: Final = "gridclock-retry-of"
"""Header of a record that was sent again: the id of its dead letter."""

RETRIED_TO: Final = "gridclock-retried-to"
"""Header of the mark on the dead-letter topic: the topic, partition and offset that it went to."""

OF_A_NEWER_VERSION: Final = "one of a newer version of gridclock: read it with that version"
"""What else a record may be that this version cannot read, and the remedy."""


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A dead letter and what is known of it. ``at`` is when it was written (microseconds; ``None`` in files)."""

    letter: DeadLetter
    at: int | None = None
    retried_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EditedLetter:
    """The record to send for a dead letter, as bytes, edited by a person or unchanged."""

    id: str
    raw: bytes


class Letters:
    """Distinct letters by id, in order; one that was written twice after a crash counts once."""

    def __init__(self) -> None:
        self.by_id: dict[str, StoredLetter] = {}
        self.unreadable: list[str] = []
        """Places of the records that are no letters for this version."""

    def add(self, raw: bytes, at: int | None, place: str) -> None:
        """Add a letter, given as its bytes and the place that it was read from."""
        try:
            letter = DeadLetter.model_validate_json(raw)
            letter.original()
        except ValueError:  # from pydantic or base64
            self.unreadable.append(place)
            return
        known = self.by_id.get(letter.id)
        self.by_id[letter.id] = StoredLetter(letter, at, known.retried_to if known else ())

    def mark(self, letter_id: str, to: str) -> None:
        """Mark a letter as sent again."""
        if letter_id in self.by_id:
            stored = self.by_id[letter_id]
            self.by_id[letter_id] = StoredLetter(stored.letter, stored.at, (*stored.retried_to, to))


def letters_in_files(names: Sequence[str]) -> Letters:
    """The letters that ``gridclock replay --dead-letters`` wrote.

    Raises:
        ConfigError: where a file cannot be read, or a line is not a dead letter.
    """
    found = Letters()
    for name in names:
        for number, line in read_lines(name):
            found.add(line, None, f"{name}/{number}")
            if found.unreadable:
                raise ConfigError(f"is not a dead letter, or {OF_A_NEWER_VERSION}", path=name, line=number)
    return found


def letters_on_topic(options: dict[str, Any], topic: str) -> Letters:
    """The letters on a topic up to its present end.

    Raises:
        BrokerError: where it cannot be read.
    """
    found = Letters()
    missing = f"no topic {topic}, or it may not be read"
    more: dict[str, Any] = {"max_partition_fetch_bytes": 4 * 1024 * 1024}
    with from_beginning(topic, topic, missing=missing, **options, **more) as (consumer, parts):
        ends = consumer.end_offsets(parts)
        while any(consumer.position(part) < ends[part] for part in parts):
            for records in consumer.poll(timeout_ms=500).values():
                for record in records:
                    _take(found, record)
    return found


def _take(found: Letters, record: Any) -> None:
    if record.value is not None:
        found.add(record.value, record.timestamp * 1000, f"{record.topic}/{record.partition}/{record.offset}")
        return
    to = dict(record.headers).get(RETRIED_TO, b"").decode("utf-8", "replace")
    if record.key is not None and to:
        found.mark(record.key.decode("utf-8", "replace"), to)


def editable(letter: DeadLetter) -> bytes:
    """A letter as one line of the file that a person edits: ``event`` where it is a JSON object, else ``payload``."""
    head = {"id": letter.id, "reason": letter.reason, "field": letter.field, "detail": letter.detail}
    raw = letter.original()
    try:
        value = decode_json(raw)
        if isinstance(value, dict):
            return encode_json({**head, "event": value})
    except (ValueError, ArithmeticError, RecursionError, msgspec.MsgspecError):
        pass
    name = "payload" if letter.encoding == "utf-8" else "payload_base64"
    return encode_json({**head, name: letter.payload})


def edited_in(name: str) -> Iterator[EditedLetter]:
    """The lines of a file that a person has edited.

    Raises:
        ConfigError: naming a line in another form.
    """
    for number, line in read_lines(name):
        try:
            fields = decode_json(line)
            letter_id = fields["id"]
            if not isinstance(letter_id, str):
                raise TypeError
            if "event" in fields:
                yield EditedLetter(letter_id, encode_json(fields["event"]))
            elif "payload" in fields:
                yield EditedLetter(letter_id, fields["payload"].encode())
            elif "payload_base64" in fields:
                yield EditedLetter(letter_id, base64.b64decode(fields["payload_base64"], validate=True))
            else:
                raise KeyError("event")
        except (ValueError, ArithmeticError, RecursionError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                "is not a line of a file made by --out: it needs id and event (or payload, or payload_base64)",
                path=name,
                line=number,
            ) from error


def one_line(raw: bytes) -> bytes:
    """A JSON record on one line, unchanged if it is on one already."""
    return raw if b"\n" not in raw and b"\r" not in raw else encode_json(decode_json(raw))


def check(edited: EditedLetter, stored: StoredLetter, decoder: Decoder, now: int) -> Event:
    """The event in an edited letter.

    Raises:
        InputError: where it would be refused again, or only its beginning was stored.
    """
    if stored.letter.truncated:
        raise InputError("too_large", None, f"only the beginning of its {stored.letter.size} bytes was kept")
    return decoder.decode(edited.raw, received=now)


def topic_of(letter: DeadLetter) -> str | None:
    """The topic that it came from; ``None`` where its source is a file."""
    topic, separator, partition = letter.source.rpartition("/")
    return topic if separator and topic and "/" not in topic and partition.isascii() and partition.isdigit() else None


def retried_mark(letter_id: str, place: str) -> dict[str, Any]:
    """The mark on the dead-letter topic of a sent letter, as arguments of a producer's ``send``."""
    return {"value": None, "key": letter_id.encode(), "headers": [(RETRIED_TO, place.encode())]}


class Retry:
    """Sends letters to their topics and marks them; ``send`` returns topic, partition and offset."""

    def __init__(self, options: dict[str, Any], dead_letters_topic: str) -> None:
        self._topic = dead_letters_topic
        try:
            self._producer = ThreadedProducer(**options)
        except KafkaError as error:
            raise BrokerError(meaning_of(error)) from error

    def send(self, edited: EditedLetter, event: Event, topic: str) -> str:
        """Send it, wait for the acknowledgement, mark it.

        Raises:
            BrokerError: where the broker refuses it.
        """
        key = event.subjects()[0][1].encode()
        try:
            sent = self._producer.send(
                topic, edited.raw, key=key, headers=[(RETRY_OF, edited.id.encode())]
            ).get(timeout=30)  # fmt: skip
            to = f"{topic}/{sent.partition}/{sent.offset}"
            self._producer.send(self._topic, **retried_mark(edited.id, to)).get(timeout=30)
        except KafkaError as error:
            raise BrokerError(f"{topic}: {edited.id}: {meaning_of(error)}") from error
        return to

    def close(self) -> None:
        """Close the connection."""
        self._producer.close(timeout=30)


def as_json(stored: StoredLetter, at: str | None) -> str:
    """A letter as one line of ASCII JSON, safe for a terminal."""
    fields = {
        "id": stored.letter.id,
        "at": at,
        "retried_to": list(stored.retried_to),
        **stored.letter.model_dump(mode="json"),
    }
    return json.dumps(fields, ensure_ascii=True)


def as_unedited(letters: Iterable[StoredLetter]) -> list[EditedLetter]:
    """Letters unchanged, for a retry without editing after the rulebook or a clock was corrected."""
    return [EditedLetter(stored.letter.id, stored.letter.original()) for stored in letters]
