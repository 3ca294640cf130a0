"""The subjects of a partition that are kept natively between its log records."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Container, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from schemas.snapshots import STATE_VERSION
from streams.core.alerts import Alert, Subject
from streams.core.driver import Entry
from streams.core.event import Event
from streams.core.history import Notice
from streams.core.outcome_counts import ClocksAt, OutcomeCounts, Place
from streams.core.records import Pruned, ReportKey, Snapshot
from streams.engine.written_alerts import WrittenAlert
from streams.wire.decoder import encode_json
from streams.wire.state_rows import event_from_bytes

MOST_EVENTS: Final = 24
"""A subject with more events is decided by Python, which folds only the new ones."""


NOTICES: Final[Mapping[int, Notice]] = {0: "applied", 1: "late", 2: "duplicate"}
"""What has become of an event, by the numbers of ``Taken`` in ``partition.rs``; Python must take others."""

FAILED: Final = 4


class Taken(NamedTuple):
    """What has become of the entries of a record: how many events of each type had which result, and what is left."""

    notices: list[tuple[Notice, str, int]]
    left: list[Entry]


class Step(NamedTuple):
    """What some decisions leave to Python.

    ``reports`` are to be made. ``left`` are subjects that Python must decide, ``at_rest`` those to be loaded first,
    ``to_prune`` those that Python must prune.
    """

    reports: list[WrittenAlert]
    left: list[Subject]
    at_rest: list[Subject]
    to_prune: list[Subject]
    failures: int
    is_done: bool


class Given(NamedTuple):
    """A subject that is given back: as it was decided, if it was, and the events that have come since.

    ``came`` is the earliest event that came with this step.
    """

    snapshot: Snapshot
    pending: list[Event]
    came: int | None
    is_touched: bool
    is_changed: bool
    expires: bool


class Subjects:
    """The subjects of one partition that are kept natively, as far as they are: what it cannot keep stays Python's.

    Where it fails, that is counted and Python goes on with what it gives back.
    """

    def __init__(self, inner: Any, failed: Callable[[str, str], None]) -> None:
        self._inner = inner
        self._failed = failed

    def __len__(self) -> int:
        found: int = self._inner.count()
        return found

    def take(self, subject: Subject, event: Event, watermark: int, keep_for: int | None) -> Notice | None:
        """Take an event; ``None`` where Python must take it."""
        try:
            found: int = self._inner.take(subject, encode_json(event), watermark, keep_for)
        except Exception:
            self._failed("a subject", "takes")
            return None
        if found == FAILED:
            self._failed("a subject", "takes")
        return NOTICES.get(found)

    def take_written(
        self, record: bytes, theirs: Container[Subject], watermark: int, keep_for: int | None
    ) -> Taken | None:
        """Take the entries of a record of the log, but not those for ``theirs``; ``None`` where all are Python's.

        Raises:
            StateError: where an event that is left cannot be read.
        """
        try:
            found = self._inner.take_written(record, theirs, watermark, keep_for)
        except Exception:
            self._failed("a subject", "takes")
            return None
        if found is None:
            return None
        counts, left, failures = found
        for _ in range(failures):
            self._failed("a subject", "takes")
        return Taken(
            [(NOTICES[number], event_type, count) for number, event_type, count in counts],
            [((kind, name), event_from_bytes(event), origin) for kind, name, origin, event in left],
        )

    def decide(self, watermark: int, keep_for: int | None, prunes: int | None, at_most: int) -> Step:
        """Decide some of the subjects with new events or whose time has come; ``prunes``: see ``partition.rs``."""
        try:
            reports, subjects, *rest = self._inner.decide(watermark, keep_for, prunes, at_most)
            step = Step(reports, *subjects, *rest)
        except Exception:
            self._failed("a subject", "decides")
            return Step([], self._inner.concerned(watermark, False), [], [], 0, True)
        for _ in range(step.failures):
            self._failed("a subject", "decides")
        return step

    def forget(self, watermark: int, keep_for: int | None) -> tuple[list[Subject], list[Subject]]:
        """Drop the subjects whose time is over; those of which Python must tell, and those to be loaded first.

        Where there are some to be loaded, it is to be called again.
        """
        found: tuple[list[Subject], list[Subject]] = self._inner.forget(watermark, keep_for)
        return found

    def count(self, tally: OutcomeCounts | None) -> None:
        """Count what has changed since this was last called."""
        (ended, reopened), clocks = self._inner.take_counts()
        if tally is None:
            return
        tally.clocks += clocks
        for counts, found in (tally.ended, ended), (tally.reopened, reopened):
            for ending, count in found:
                counts[ending] += count

    def rows(self, judged_by: str, prefix: bytes) -> tuple[list[tuple[bytes, bytes | None]], list[Subject]]:
        """The changed rows, ``None`` where a subject was dropped, and the subjects whose row Python must make."""
        found: tuple[list[tuple[bytes, bytes | None]], list[Subject]]
        found = self._inner.rows(encode_json(judged_by), prefix)
        return found

    def row(self, subject: Subject, judged_by: str) -> bytes | None:
        """Its row; ``None`` where it has none without Python."""
        found: bytes | None = self._inner.row(subject, encode_json(judged_by))
        return found

    def load(self, snapshot: Snapshot, due: int | None = None, expires: int | None = None) -> bool:
        """Keep a subject of this state, where that can be; or one at rest, of which it is known when it is due."""
        pruned = snapshot.pruned
        if snapshot.cases or snapshot.lacks is not None or not snapshot.events:
            return False
        if pruned.saved or len(snapshot.events) > MOST_EVENTS:
            return False
        reported, withdrawn = snapshot.reported, snapshot.withdrawn
        told = encode_json(reported)[1:-1], [key for key, _ in reported], encode_json(withdrawn)[1:-1], withdrawn
        events = [encode_json(event) for event in snapshot.events]
        decided = snapshot.decided_at, pruned.looked_at, due
        try:
            only = pruned.until, pruned.only, encode_json(pruned.only)[1:-1]
            found: bool = self._inner.load(snapshot.subject, events, told, decided, only, expires)
        except Exception:
            self._failed("a subject", "loads")
            return False
        return found

    def add_rows(
        self, rows: list[tuple[bytes, bytes]], prefix: bytes, judged_by: str, watermark: int, keep_for: int | None
    ) -> list[tuple[bytes, bytes]]:
        """Have the subjects of rows, which lie elsewhere, at rest; the rows for which Python must do something else."""
        found: list[tuple[bytes, bytes]]
        found = self._inner.add_rows(rows, prefix, judged_by, STATE_VERSION, watermark, keep_for)
        return found

    def is_at_rest(self, subject: Subject) -> bool:
        """Whether it must be loaded before anything happens to it."""
        found: bool = self._inner.is_at_rest(subject)
        return found

    def remove_resting(self, subject: Subject) -> bool:
        """Take out a subject that is at rest; whether it has an expiry."""
        expires: bool = self._inner.remove_resting(subject)
        return expires

    def rest(self, at_most: int) -> None:
        """Have those at rest to which nothing happened for long, until the others need at most so many bytes."""
        self._inner.rest(at_most)

    def touch(self, subject: Subject) -> None:
        """Have it decided at the next step."""
        self._inner.touch(subject)

    def remove(self, subject: Subject) -> Given | None:
        """Give a subject back, where it is kept."""
        found = self._inner.remove(subject)
        if found is None:
            return None
        events, (told, withdrawn), (decided_at, looked_at, until, only), pending, came, marks = found
        reports = _read_reports(b"[%b]" % told), _read_withdrawn(b"[%b]" % withdrawn)
        pruned = Pruned(until, looked_at, _read_only(b"[%b]" % only))
        snapshot = Snapshot(subject, _read_events(events), *reports, decided_at, (), pruned)
        return Given(snapshot, [event_from_bytes(event) for event in pending], came, *marks)

    def subjects(self) -> list[Subject]:
        """All of them, in any order."""
        found: list[Subject] = self._inner.subjects()
        return found

    def concerned(self, at: int) -> list[Subject]:
        """The subjects that a step to that watermark decides or may drop."""
        found: list[Subject] = self._inner.concerned(at, True)
        return found

    @property
    def next_due(self) -> int | None:
        """The next instant at which time alone changes a verdict."""
        found: int | None = self._inner.next_due()
        return found

    def running(self) -> list[ClocksAt]:
        """All running clocks; also from another thread."""
        places = self._inner.all_places()
        return [
            ClocksAt(Place(*places[number]), array("q", started), array("q", deadlines), others)
            for number, started, deadlines, others in self._inner.running()
        ]


_read_events = msgspec.json.Decoder(tuple[Event, ...], float_hook=Decimal).decode
_read_only = msgspec.json.Decoder(tuple[tuple[str, tuple[str, ...]], ...]).decode
_read_reports = msgspec.json.Decoder(tuple[tuple[ReportKey, Alert], ...], float_hook=Decimal).decode
_read_withdrawn = msgspec.json.Decoder(tuple[tuple[ReportKey, int], ...]).decode
