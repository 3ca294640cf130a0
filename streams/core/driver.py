"""One loop for live and replay: entries and a watermark into the engine, a Step out.

A file replay and a Faust worker differ only in the source of their entries and watermarks. All input of a verdict
passes through here, so a difference between the two would be a bug in this file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from streams.core.alerts import Alert, Subject
from streams.core.engine import Engine
from streams.core.event import Event
from streams.core.history import Notice

REFUSED: frozenset[Notice] = frozenset({"conflict", "too_old"})
"""The results of an event that a person must look at."""

Entry = tuple[Subject, Event, str]
"""One copy of an event for one subject, with its origin (``topic/partition/offset`` or ``file:line``)."""


@dataclass(slots=True)
class Step:
    """The result of some entries and a watermark, for sinks and metrics."""

    alerts: list[Alert] = field(default_factory=list)
    notices: Counter[tuple[Notice, str]] = field(default_factory=Counter)
    refused: list[tuple[Entry, Notice]] = field(default_factory=list)

    def note(self, entry: Entry, notice: Notice) -> None:
        """Record the result of an entry."""
        self.notices[notice, entry[1].type] += 1
        if notice in REFUSED:
            self.refused.append((entry, notice))


class Driver:
    """Feeds one engine. ``stepwise`` stops at every due instant on the way to a watermark.

    A file has no clock: stepwise, a breach is detected at its deadline and warnings are reported, as in an undisturbed
    live run. A log carries the watermarks of the live run, which are used unchanged.
    """

    def __init__(self, engine: Engine, *, stepwise: bool) -> None:
        self.engine = engine
        self._stepwise = stepwise

    def feed(self, entries: Iterable[Entry], step: Step) -> None:
        """Store the entries of one record; the result of each is recorded in the step.

        Their order must not matter: after a crash the rows of the whole record may exist already. So an old entry is
        refused only where no other entry of the record has made its subject known.
        """
        handle = self.engine.handle
        doubtful: list[Entry] = []
        for entry in entries:
            subject, event, _ = entry
            notice = handle(subject, event)
            if notice == "too_old":
                doubtful.append(entry)
            else:
                step.note(entry, notice)
        for entry in doubtful:
            subject, event, _ = entry
            step.note(entry, handle(subject, event))

    def advance(self, watermark: int, step: Step) -> None:
        """Advance to a watermark and collect the alerts."""
        engine = self.engine
        if self._stepwise:
            step.alerts += engine.advance_to(engine.watermark)  # the new events may fall due first
            while (due := engine.next_due) is not None and due <= watermark:
                step.alerts += engine.advance_to(due)
        step.alerts += engine.advance_to(watermark)
