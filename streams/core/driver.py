"""One loop for live and replay: entries and a watermark into the engine, a Step out.

A file replay and a Faust worker differ only in where their entries and watermarks come from. Everything that a
verdict depends on passes through here, so a difference between the two would be a bug in this file.
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
"""What becomes of an event that a person must look at."""

Entry = tuple[Subject, Event, str]
"""One copy of an event for one subject, with its origin (``topic/partition/offset`` or ``file:line``)."""


@dataclass(slots=True)
class Step:
    """What came of some entries and a watermark, for sinks and metrics."""

    alerts: list[Alert] = field(default_factory=list)
    notices: Counter[tuple[Notice, str]] = field(default_factory=Counter)
    refused: list[tuple[Entry, Notice]] = field(default_factory=list)

    def note(self, entry: Entry, notice: Notice) -> None:
        """Note what became of an entry."""
        self.notices[notice, entry[1].type] += 1
        if notice in REFUSED:
            self.refused.append((entry, notice))


class Driver:
    """Feeds one engine. ``stepwise`` stops at every due instant on the way to a watermark.

    A file has no clock of its own: stepwise, a breach is detected at its deadline and warnings are told, as an
    undisturbed live run would have done. A log carries the watermarks that live had, and they are taken as
    they are.
    """

    def __init__(self, engine: Engine, *, stepwise: bool) -> None:
        self.engine = engine
        self._stepwise = stepwise

    def feed(self, entries: Iterable[Entry], step: Step) -> None:
        """Store the entries of one record; what became of each is noted in the step.

        Which of them came first must not matter: after a crash the rows of the whole record may be there already.
        So an old one is refused only where none of the others has made its subject known.
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
        """Move time to a watermark and collect what is to be told."""
        engine = self.engine
        if self._stepwise:
            step.alerts += engine.advance_to(engine.watermark)  # what was fed may be due before anything else
            while (due := engine.next_due) is not None and due <= watermark:
                step.alerts += engine.advance_to(due)
        step.alerts += engine.advance_to(watermark)
