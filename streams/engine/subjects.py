"""The subjects of a partition that are kept natively between its log records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from streams.core.alerts import Alert, Subject
from streams.core.event import Event
from streams.core.outcome_counts import Ending, Running
from streams.core.records import Pruned, ReportKey, Snapshot
from streams.wire.decoder import encode_json

MOST_EVENTS: Final = 24
"""A subject with more events is decided by Python, which folds only the new ones."""

Made = tuple[ReportKey, bytes, tuple[int, int | None, int, int | None], tuple[int, int]]
"""A report: its key, the alert as it is written, when it was started, its deadline, when it was due and stopped, and
how long it was running and paused."""


class Change(NamedTuple):
    """What a decision on a subject that is kept natively changes.

    ``due`` is the next instant at which time alone changes a verdict. ``open`` (rule id and city) and ``running`` are
    all open cases and running clocks, where these have changed. ``reports`` are to be made, in this order.
    ``is_to_prune``: Python must prune it.
    """

    due: int | None
    ended: list[Ending]
    reopened: list[Ending]
    open: list[tuple[str, str | None]] | None
    running: list[Running] | None
    reports: list[Made]
    is_to_prune: bool


class Subjects:
    """The subjects of one partition that are kept natively, as far as they are: what it cannot keep stays Python's.

    Where it fails, that is counted and Python goes on with what it gives back.
    """

    def __init__(self, inner: Any, failed: Callable[[str, str], None]) -> None:
        self._inner = inner
        self._failed = failed

    def add(self, subject: Subject, event: Event) -> bool | None:
        """Take an event; whether it was known. ``None`` where Python must take it."""
        try:
            found: bool | None = self._inner.add(subject, encode_json(event))
        except Exception:
            self._failed("a subject", "takes")
            return None
        return found

    def decide(self, subject: Subject, watermark: int, prunes: tuple[int, int | None] | None) -> Change | None:
        """A decision; ``None`` where Python must make it. ``prunes``: see ``kept.rs``."""
        try:
            found = self._inner.decide(subject, watermark, prunes)
        except Exception:
            self._failed("a subject", "decides")
            return None
        return None if isinstance(found, str) else Change(*found)

    def add_reports(self, subject: Subject, reports: Iterable[tuple[ReportKey, Alert]]) -> None:
        """Add to the reports that were made."""
        self._inner.add_reports(subject, b",".join([encode_json(report) for report in reports]))

    def load(self, snapshot: Snapshot) -> bool:
        """Keep a subject of this state, where that can be."""
        pruned = snapshot.pruned
        if snapshot.withdrawn or snapshot.cases or snapshot.lacks is not None or not snapshot.events:
            return False
        if pruned != Pruned(None, pruned.looked_at) or len(snapshot.events) > MOST_EVENTS:
            return False
        told = encode_json(snapshot.reported)[1:-1], [key for key, _ in snapshot.reported]
        events = [encode_json(event) for event in snapshot.events]
        try:
            found: bool = self._inner.load(snapshot.subject, events, told, (snapshot.decided_at, pruned.looked_at))
        except Exception:
            self._failed("a subject", "loads")
            return False
        return found

    def row(self, subject: Subject, judged_by: str, due: int | None) -> bytes | None:
        """Its row; ``None`` where it has none without Python."""
        found: bytes | None = self._inner.row(subject, encode_json(judged_by), due)
        return found

    def last_at(self, subject: Subject) -> int:
        """The instant of its last event."""
        found: int = self._inner.last_at(subject)
        return found

    def is_idle(self, subject: Subject) -> bool | None:
        """Whether it may be dropped; ``None`` where Python must tell."""
        try:
            found = self._inner.is_idle(subject)
        except Exception:
            self._failed("a subject", "looks at")
            return None
        return found if isinstance(found, bool) else None

    def remove(self, subject: Subject, decided_at: int) -> tuple[Snapshot, list[Event]] | None:
        """Give a subject back: as it was decided at that watermark, and the events that have come since."""
        found = self._inner.remove(subject)
        if found is None:
            return None
        events, told, looked_at, pending = found
        reported = _read_reports(b"[%b]" % told)
        snapshot = Snapshot(subject, _read_events(events), reported, (), decided_at, (), Pruned(None, looked_at))
        return snapshot, [_read_event(event) for event in pending]


_read_events = msgspec.json.Decoder(tuple[Event, ...], float_hook=Decimal).decode
_read_event = msgspec.json.Decoder(Event, float_hook=Decimal).decode
_read_reports = msgspec.json.Decoder(tuple[tuple[ReportKey, Alert], ...], float_hook=Decimal).decode
