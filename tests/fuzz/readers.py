"""Everything that reads what others wrote, with samples of what it likes: bytes in, a value or the one error out.

``READERS`` is what the Hypothesis test and the atheris target both run through.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from schemas.events import EventCatalogue
from streams.board.messages import ack_from_bytes, alert_from_bytes
from streams.core.engine import Engine
from streams.errors import ConfigError, InputError
from streams.notify.subscription_files import load_subscriptions
from streams.operations.dead_letters import editable, edited_in, letters_in_files
from streams.rulebooks.calendars import load_calendar
from streams.rulebooks.loader import read_rulebook_file
from streams.rulebooks.mapping_files import load_mapping
from streams.wire.cloudevents import CloudEvents, encode
from streams.wire.decoder import Decoder, dead_letter_of
from streams.wire.state_rows import (
    Position,
    StateError,
    entry_to_bytes,
    position_from_bytes,
    position_to_bytes,
    record_from_bytes,
    record_to_bytes,
    snapshot_from_bytes,
    snapshot_to_bytes,
)
from tests.stories import decoded, judge, shipped, us, wire

ROOT = Path(__file__).resolve().parent.parent.parent
STORY = """
e1 2026-03-02T09:00 counter.service_started WO1 business=fee org={"city":"3201"}
e2 +3m counter.interrupted WO1 reason=system_failure
e3 +4m counter.resumed WO1
e4 +20m counter.service_completed WO1 recorded=+30m
"""


@dataclass(frozen=True)
class Reader:
    """``read`` raises nothing but ``error``; ``samples`` are bytes that it takes."""

    name: str
    read: Callable[[bytes], object]
    error: type[Exception]
    samples: tuple[bytes, ...]


def of_file(load: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A reader of files as a reader of bytes."""
    # The reader lives as long as the process, and so does its directory.
    directory = tempfile.TemporaryDirectory(prefix="gridclock-fuzz-")

    def read(raw: bytes) -> object:
        path = Path(directory.name) / "file.yaml"
        path.write_bytes(raw)
        return load(path)

    return read


def _files(*paths: str) -> tuple[bytes, ...]:
    return tuple((ROOT / path).read_bytes() for path in paths)


def _state() -> tuple[bytes, bytes, bytes]:
    engine = Engine(shipped().rulebook)
    events = decoded(wire(STORY))
    for event in events:
        engine.handle(("order", "WO1"), event)
    engine.advance_to(us("2026-03-02T10:00"))
    snapshot = engine.snapshot(("order", "WO1"))
    assert snapshot is not None
    entries = [entry_to_bytes(("order", "WO1"), event, "t/0/1") for event in events]
    return (
        snapshot_to_bytes(snapshot),
        record_to_bytes(entries, {"t/0": 5}, {"t": 1}),
        position_to_bytes(Position(17, us("2026-03-02T10:00"), {"t/0": 5}, {"t": 2})),
    )


@cache
def readers() -> tuple[Reader, ...]:
    """All of them."""
    decoder = Decoder(EventCatalogue.shipped())
    snapshot, record, position = _state()
    events = tuple(encode(event) for event in wire(STORY))
    alerts = judge(STORY, until="2026-03-03T00:00").alerts
    told = tuple(encode(CloudEvents(shipped().rulebook.calendar).alert(alert)) for alert in alerts)
    letter = dead_letter_of(events[0], InputError("bad_field", "x", "y"), source="t/0", position=1)
    ack = b'{"alert_id": "a", "action": "acknowledge", "by": "D1", "at": "2026-03-02T09:00:00+08:00", "note": "n"}'
    own = "deploy/examples/water-berlin"
    return (
        Reader("event", lambda raw: decoder.decode(raw, received=us("2026-03-02T12:00")), InputError, events),
        Reader("state", lambda raw: snapshot_from_bytes(("order", "WO1"), raw), StateError, (snapshot,)),
        Reader("log record", record_from_bytes, StateError, (record,)),
        Reader("position", position_from_bytes, StateError, (position,)),
        Reader("alert", alert_from_bytes, InputError, told),
        Reader("acknowledgement", ack_from_bytes, InputError, (ack,)),
        Reader(
            "dead letters", of_file(lambda path: letters_in_files([str(path)])), ConfigError,
            (letter.model_dump_json().encode(),),
        ),
        Reader("edited letters", of_file(lambda path: list(edited_in(str(path)))), ConfigError, (editable(letter),)),
        Reader("rules", of_file(read_rulebook_file), ConfigError, _files(f"{own}/network.yaml")),
        Reader("calendar", of_file(load_calendar), ConfigError, _files(f"{own}/calendar.yaml")),
        Reader(
            "subscriptions", of_file(load_subscriptions), ConfigError, _files("deploy/subscriptions.example.yaml")
        ),
        Reader("mapping", of_file(load_mapping), ConfigError, _files("tests/replay/logs/made_up/mapping.yaml")),
    )  # fmt: skip


def run(reader: Reader, raw: bytes) -> None:
    """One try: anything raised but the reader's one error is a finding."""
    with contextlib.suppress(reader.error):
        reader.read(raw)
