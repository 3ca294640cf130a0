"""Rows of the changelog and records of the log, to bytes and back.

The contract is ``schemas.snapshots``; a test checks the output against it. A row of an unknown version is refused with
its name, because a wrong guess at the state would give wrong verdicts.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any, Final, TypeVar

import msgspec

from schemas.snapshots import FIRST_VERSION, PRUNED_VERSION, STATE_VERSION
from streams.core.alerts import Alert, Subject
from streams.core.driver import Entry
from streams.core.event import Event
from streams.core.outcome_counts import Place, Running
from streams.core.records import UNPRUNED, Pruned, Snapshot
from streams.core.standing import Standing
from streams.errors import GridclockError
from streams.wire.decoder import decode_json, encode_json


class StateError(GridclockError):
    """State was written by a newer version of this program, or does not fit the log."""


class DamagedError(StateError):
    """A row or a record cannot be read."""


_UNREADABLE: Final = (
    msgspec.DecodeError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip
"""What damaged bytes give; the last one where they are nested too deep."""


@contextmanager
def _reading(raw: bytes, what: str) -> Iterator[dict[str, Any]]:
    """The row as JSON; any error while it or its parts are read becomes a ``StateError``."""
    try:
        yield _read(raw, what)
    except _UNREADABLE as error:
        raise DamagedError(f"{what} is damaged") from error


ReportKey = tuple[str, str, str, str]


class _SubjectRow(msgspec.Struct, gc=False):
    v: int
    events: tuple[Event, ...]
    told: tuple[tuple[ReportKey, Alert], ...]
    withdrawn: tuple[tuple[ReportKey, int], ...]
    decided_at: int
    cases: tuple[tuple[str, str, str], ...] = ()
    pruned: Pruned = UNPRUNED
    lacks: int | None = None


class _LogHead(msgspec.Struct, gc=False):
    v: int
    watermarks: dict[str, int]
    sources: dict[str, int]
    aside: tuple[tuple[str, str, int, str], ...] = ()
    released: tuple[tuple[str, str, int], ...] = ()
    skipped: tuple[tuple[int, str], ...] = ()
    lost_before: int | None = None
    prunes: bool = False
    refused: tuple[tuple[str, str, int], ...] = ()


class _LogRow(_LogHead, kw_only=True, gc=False):
    entries: list[tuple[str, str, str, Event]]


R = TypeVar("R", _SubjectRow, _LogHead, _LogRow)


def _decoded(decode: Callable[[bytes], R], raw: bytes, what: str) -> R:
    """A row decoded as its type; any error becomes a ``StateError``."""
    try:
        found = decode(raw)
        if found.v <= STATE_VERSION:
            return found
        reason = None
    except _UNREADABLE as error:
        reason = error
    with _reading(raw, what):  # a row of a newer version, which may differ completely, is refused with its name
        raise DamagedError(f"{what} is damaged") from reason


def _read(raw: bytes, what: str) -> dict[str, Any]:
    state = decode_json(raw)
    if not isinstance(state, dict) or "v" not in state:
        raise DamagedError(f"{what} is damaged")
    if state["v"] > STATE_VERSION:
        raise StateError(
            f"{what} was written in format {state['v']}; this program knows formats up to {STATE_VERSION}: "
            "use the newer program, or start a new one from the log"
        )
    return state


_A_RECORD: Final = "a record of the log"
_BEGINNING: Final = b'{"v":%d,"entries":[' % FIRST_VERSION

_decode_subject_row = msgspec.json.Decoder(_SubjectRow, float_hook=Decimal).decode
_decode_log_row = msgspec.json.Decoder(_LogRow, float_hook=Decimal).decode
_decode_event = msgspec.json.Decoder(Event, float_hook=Decimal).decode
_decode_log_head = msgspec.json.Decoder(_LogHead).decode


@dataclass(slots=True)
class LogRecord:
    """One record of the ordered log; see ``schemas.snapshots.LogRecord``."""

    entries: list[Entry] = field(default_factory=list)
    watermarks: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)
    checksum: int | None = None
    """CRC-32 of its bytes; ``None`` where it was not read from bytes."""
    aside: Sequence[tuple[Subject, int, str]] = ()
    """Subjects set aside, with the first offset and the reason."""
    released: Mapping[Subject, int] = field(default_factory=dict)
    """Subjects released, if no entry of them is held beyond that offset."""
    skipped: Mapping[int, str] = field(default_factory=dict)
    """Offsets of records that cannot be read, with the reason."""
    lost_before: int | None = None
    """Records appended up to this instant (microseconds) were removed from a source before they were read."""
    prunes: bool = False
    """From this record on, histories of its partition are pruned: every worker reads such rows."""
    refused: Sequence[tuple[Subject, int]] = ()
    """Subjects named by records that became dead letters, and when what they say happened (microseconds)."""
    unread: bytes | None = None
    """Itself, where its entries are not read yet."""

    def read(self) -> None:
        """Have its entries read.

        Raises:
            StateError: where they are damaged.
        """
        if self.unread is not None:
            self.entries, self.unread = _entries_of(_decoded(_decode_log_row, self.unread, _A_RECORD)), None

    @property
    def is_control(self) -> bool:
        """Whether it sets aside or releases: then it has no watermarks and sources."""
        return bool(self.aside or self.released or self.skipped)


CONTROL_KEY: Final = b"control"
"""The Kafka key of control records, by which they are found without reading all others; other records have no key."""


def entry_to_bytes(subject: Subject, event: Event, origin: str) -> bytes:
    """One entry of a record, encoded beforehand so that its size is known."""
    return encode_json((*subject, origin, event))


def record_to_bytes(
    entries: Sequence[bytes],
    watermarks: Mapping[str, int],
    sources: Mapping[str, int],
    lost_before: int | None = None,
    *,
    prunes: bool = False,
    refused: Sequence[tuple[str, str, int]] = (),
) -> bytes:
    """A record from entries already encoded."""
    return b'%s%s],"watermarks":%s,"sources":%s%s%s%s}' % (
        _BEGINNING,
        b",".join(entries),
        encode_json(dict(watermarks)),
        encode_json(dict(sources)),
        b"" if lost_before is None else b',"lost_before":%d' % lost_before,
        b',"prunes":true' if prunes else b"",
        b',"refused":%s' % encode_json(refused) if refused else b"",
    )


def control_to_bytes(control: LogRecord) -> bytes:
    """A record that sets aside or releases. ``sources`` must be those of its partition: 0.1 uses them."""
    parts = {
        "aside": [(*subject, since, reason) for subject, since, reason in control.aside],
        "released": [(*subject, up_to) for subject, up_to in control.released.items()],
        "skipped": list(control.skipped.items()),
    }
    plain = record_to_bytes([entry_to_bytes(*entry) for entry in control.entries], {}, control.sources)
    return plain[:-1] + b"," + encode_json({name: value for name, value in parts.items() if value})[1:]


def record_from_bytes(raw: bytes, *, unread: bool = False) -> LogRecord:
    """The record that ``record_to_bytes`` wrote; ``unread``: without its entries, until these are asked for.

    Raises:
        StateError: where a newer version wrote it, or it is damaged.
    """
    row: _LogHead
    if unread:
        row, entries = _decoded(_decode_log_head, _without_entries(raw), _A_RECORD), []
    else:
        row = whole = _decoded(_decode_log_row, raw, _A_RECORD)
        entries = _entries_of(whole)
    return LogRecord(
        entries,
        row.watermarks,
        row.sources,
        checksum_of(raw),
        [((kind, number), since, reason) for kind, number, since, reason in row.aside],
        {(kind, number): up_to for kind, number, up_to in row.released},
        dict(row.skipped),
        row.lost_before,
        row.prunes,
        [((kind, number), at) for kind, number, at in row.refused],
        raw if unread else None,
    )


def _without_entries(raw: bytes) -> bytes:
    """A record with no entries, where ``record_to_bytes`` wrote it: its decoder would look at each byte of them."""
    # What follows them has quotation marks in its texts only behind a backslash, so the last such place is the end.
    end = raw.rfind(b'],"watermarks":{') if raw.startswith(_BEGINNING) else -1
    return raw if end < 0 else _BEGINNING + raw[end:]


def event_from_bytes(raw: bytes) -> Event:
    """The event of an entry.

    Raises:
        DamagedError: where it is none.
    """
    try:
        return _decode_event(raw)
    except _UNREADABLE as error:
        raise DamagedError(f"{_A_RECORD} is damaged") from error


def _entries_of(row: _LogRow) -> list[Entry]:
    return [((kind, number), event, origin) for kind, number, origin, event in row.entries]


def checksum_of(raw: bytes) -> int:
    """The checksum that a position keeps of the last record applied."""
    return zlib.crc32(raw)


def sources_of(counts: Mapping[str, int]) -> Iterable[str]:
    """Every source partition by name, from the number of partitions of each topic."""
    return (f"{topic}/{partition}" for topic, count in counts.items() for partition in range(count))


def snapshot_to_bytes(
    snapshot: Snapshot, standing: Standing | None = None, judged_by: str = "", events: bytes | None = None
) -> bytes:
    """A subject's row, with its standing under a rulebook; ``events`` are its events where they are encoded already."""
    ahead: dict[str, Any] = {} if standing is None else {"standing": _standing_to_state(standing, judged_by)}
    cases = {"cases": snapshot.cases} if snapshot.cases else {}
    pruned = snapshot.pruned
    if pruned != UNPRUNED:
        saved = [pruned.saved] if pruned.saved else []
        ahead["pruned"] = [pruned.until, pruned.looked_at, pruned.only, *saved]
    if snapshot.lacks is not None:
        ahead["lacks"] = snapshot.lacks
    return encode_json(
        {
            "v": _version_of(snapshot),
            **ahead,
            "events": snapshot.events if events is None else msgspec.Raw(events),
            "told": snapshot.reported,
            "withdrawn": snapshot.withdrawn,
            "decided_at": snapshot.decided_at,
            **cases,
        }
    )


def _version_of(snapshot: Snapshot) -> int:
    """The oldest format that has what is to be written.

    A program that ignores the pruning would start finished cases again, or forget their pauses; version 0.1 knows no
    row without an event.
    """
    pruned = snapshot.pruned
    if pruned.saved:
        return STATE_VERSION
    return PRUNED_VERSION if pruned.until is not None or not snapshot.events else FIRST_VERSION


def snapshot_from_bytes(subject: Subject, raw: bytes) -> Snapshot:
    """The snapshot that ``snapshot_to_bytes`` wrote.

    Raises:
        StateError: where a newer version wrote it, or it is damaged.
    """
    row = _decoded(_decode_subject_row, raw, f"the state of {subject[0]} {subject[1]}")
    return Snapshot(subject, row.events, row.told, row.withdrawn, row.decided_at, row.cases, row.pruned, row.lacks)


def _standing_to_state(standing: Standing, judged_by: str) -> list[Any]:
    running = [(*clock.place, clock.started_at, clock.deadline) for clock in standing.running]
    return [judged_by, standing.due, standing.open_cases, running]


class _StandingRow(msgspec.Struct, gc=False):
    """The part of a subject's row needed by a restart."""

    v: int
    decided_at: int
    standing: (
        tuple[
            str,
            int | None,
            tuple[tuple[str, str | None], ...],
            list[tuple[str, str | None, str | None, int, int | None]],
        ]
        | None
    ) = None


_read_ahead = msgspec.json.Decoder(_StandingRow).decode


def standing_from_bytes(raw: bytes, *judged_by: str) -> Standing | None:
    """The standing in a subject's row; ``None`` where there is none, or one under none of these rulebooks.

    Errors in the row are reported by ``snapshot_from_bytes``.
    """
    try:
        ahead = _read_ahead(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if ahead.v > STATE_VERSION or ahead.standing is None or ahead.standing[0] not in judged_by:
        return None
    _, due, open_cases, clocks = ahead.standing
    running = tuple(
        [Running(_place(rule, city, county), start, deadline) for rule, city, county, start, deadline in clocks]
    )
    return Standing(ahead.decided_at, due, open_cases, running)


_place = cache(Place)  # few distinct values, each in the rows of many subjects


@dataclass(frozen=True, slots=True)
class Aside:
    """A subject that is set aside: its row does not change, and its events are held as dead letters.

    ``since`` is its first offset in the log, inclusive; ``held`` the last offset with a held entry, or the one before
    ``since``; ``at`` the partition's watermark then (microseconds). ``is_logged`` once its control record was read in
    the log.
    """

    subject: Subject
    since: int
    held: int
    reason: str
    at: int | None
    is_logged: bool = False


@dataclass(frozen=True, slots=True)
class Suspect:
    """A trial about to begin: if it is still in the row at a start, the process died during it.

    ``offset`` is that of the record of the log; ``tries`` the number of consecutive trials of it; ``subjects`` those
    being tried, ``None`` for all of the record, empty where the record is only read.
    """

    offset: int
    tries: int = 1
    subjects: Sequence[Subject] | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """A partition's row: the last log offset applied, and the watermarks after it.

    ``rulebook`` is the fingerprint of its worker's rulebook; ``None`` where version 0.1 wrote it. ``lost_before`` is
    the latest of the log records so far. ``reads`` is the newest format of rows that its worker reads; ``prunes``
    whether histories of the partition may be pruned; ``hashed_by`` the mark of the key where account and meter numbers
    inside are pseudonyms, empty where an older program wrote it.
    """

    offset: int
    at: int | None
    watermarks: Mapping[str, int]
    sources: Mapping[str, int]
    judged_by: str = ""
    subjects: int | None = None
    open_cases: int | None = None
    checksum: int | None = None
    aside: Sequence[Aside] = ()
    rulebook: str | None = None
    lost_before: int | None = None
    suspect: Suspect | None = None
    reads: int = STATE_VERSION
    prunes: bool = False
    hashed_by: str | None = None


def position_to_bytes(position: Position) -> bytes:
    """A partition's row."""
    suspect = position.suspect
    aside = [
        (*one.subject, one.since, one.held, one.reason, one.at, one.is_logged)
        for one in sorted(position.aside, key=lambda one: one.subject)
    ]
    return encode_json(
        {
            "v": FIRST_VERSION,
            "offset": position.offset,
            "at": position.at,
            "watermarks": dict(position.watermarks),
            "sources": dict(position.sources),
            "judged_by": position.judged_by,
            "subjects": position.subjects,
            "open_cases": position.open_cases,
            "checksum": position.checksum,
            "rulebook": position.rulebook,
            "reads": position.reads,
            **({"prunes": True} if position.prunes else {}),
            **({} if position.hashed_by is None else {"hashed": True, "key": position.hashed_by}),
            **({"aside": aside} if aside else {}),
            **({} if position.lost_before is None else {"lost_before": position.lost_before}),
            **({} if suspect is None else {"suspect": (suspect.offset, suspect.tries, suspect.subjects)}),
        }
    )


def position_from_bytes(raw: bytes) -> Position:
    """The position that ``position_to_bytes`` wrote.

    Raises:
        StateError: where a newer version wrote it, or it is damaged.
    """
    with _reading(raw, "the position in the log") as state:
        return Position(
            state["offset"],
            state["at"],
            state["watermarks"],
            state["sources"],
            state.get("judged_by", ""),
            state.get("subjects"),
            state.get("open_cases"),
            state.get("checksum"),
            tuple(Aside((kind, number), *rest) for kind, number, *rest in state.get("aside", ())),
            state.get("rulebook"),
            state.get("lost_before"),
            _suspect_of(state.get("suspect")),
            state.get("reads", FIRST_VERSION),
            state.get("prunes", False),
            state.get("key", "") if state.get("hashed", False) else None,
        )


def check_numbers(partition: int, position: Position, *, hashed_by: str | None) -> None:
    """Refuse a state whose account and meter numbers are in another form than the settings say.

    Raises:
        StateError: both would be in one state, and one customer would be two subjects.
    """
    if (position.hashed_by is None) != (hashed_by is None):
        there, wanted = ("real numbers", "true") if position.hashed_by is None else ("pseudonyms", "false")
        raise StateError(
            f"the state of partition {partition} has {there} of accounts and meters inside, and "
            f"GRIDCLOCK_PSEUDONYMS_INSIDE is {wanted}: use another --name, or set it as before"
        )
    if position.hashed_by and position.hashed_by != hashed_by:
        raise StateError(
            f"the state of partition {partition} has pseudonyms of accounts and meters inside, under another key than "
            "GRIDCLOCK_PSEUDONYM_KEY: use another --name, or set the key as before"
        )


def _suspect_of(state: Any) -> Suspect | None:
    if state is None:
        return None
    offset, tries, subjects = state
    return Suspect(offset, tries, None if subjects is None else tuple((kind, number) for kind, number in subjects))
