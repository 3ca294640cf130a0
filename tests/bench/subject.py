"""Many events of one subject against as many subjects with one: ``python -m tests.bench.subject --events 200000``.

For every kind of rule, the same events, in the same order, at the same instants, go through the clocks of one partition
with one rule: once all about one subject, once each about another. A log record holds ``--together`` events, and after
each record the rows that changed are made, as a worker does. Said are the seconds of processor time and their ratio.
Where the work is linear, the ratio does not grow with the number of events; Kafka has no part in it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any

from streams.core.alerts import Subject
from streams.core.event import Event
from streams.core.rulebook import Rulebook
from streams.live.clock_partition import ClockPartition
from streams.wire.state_rows import LogRecord
from tests.property.stories import rule
from tests.stories import shipped, us

BEGIN = us("2026-03-02T09:00")
MINUTE = 60_000_000
KEEP = 90 * 86_400_000_000
SOURCE = "in/0"
STARTED, COMPLETED = "counter.service_started", "counter.service_completed"
TICKET, PAUSED, RESUMED = "counter.ticket_taken", "counter.interrupted", "counter.resumed"


@dataclass(frozen=True)
class Case:
    """A rule, and the types of events that come again and again; ``first`` come once before them."""

    rule: Mapping[str, Any]
    events: Sequence[str]
    first: Sequence[str] = ()


def _deadline(**more: Any) -> dict[str, Any]:
    return {"kind": "deadline", "start": STARTED, "stop": COMPLETED, "limit": "5 min", **more}


PAUSES = {"pause": PAUSED, "resume": RESUMED}
CASES: dict[str, Case] = {
    "deadline": Case(_deadline(**PAUSES), (STARTED, PAUSED, RESUMED, COMPLETED)),
    "deadline, breached each time": Case(_deadline(limit="30 s"), (STARTED, COMPLETED)),
    "deadline, one case open all the while": Case(_deadline(**PAUSES), (PAUSED, RESUMED), (STARTED,)),
    "deadline, a case for each order of an account": Case(
        _deadline(subject="account", only_while={"since": STARTED, "until": PAUSED, "each": "order"}),
        (STARTED, TICKET, COMPLETED),
    ),
    "prerequisite": Case({"kind": "prerequisite", "act": STARTED, "needs": TICKET}, (TICKET, STARTED)),
    "forbidden_while": Case(
        {"kind": "forbidden_while", "act": STARTED, "during": {"since": PAUSED, "until": RESUMED}},
        (PAUSED, STARTED, RESUMED, STARTED),
    ),
    "minimum_notice": Case(
        {"kind": "minimum_notice", "act": STARTED, "notice": TICKET, "limit": "1 min"}, (TICKET, STARTED)
    ),
    "not_before": Case({"kind": "not_before", "act": STARTED, "since": TICKET, "limit": "1 min"}, (TICKET, STARTED)),
    "retention": Case({"kind": "retention", "act": STARTED, "since": TICKET, "limit": "1 day"}, (TICKET, STARTED)),
    "at_most": Case({"kind": "at_most", "act": STARTED, "n": 3, "period": "day"}, (STARTED,)),
    "evidence": Case(
        {"kind": "evidence", "act": STARTED, "needs": {"any": TICKET, "after_start": True}, "by": COMPLETED},
        (STARTED, TICKET, COMPLETED),
    ),
    "evidence, never closed": Case(
        {"kind": "evidence", "act": STARTED, "needs": {"any": TICKET, "after_start": True}, "by": COMPLETED},
        (STARTED, TICKET),
    ),
    "recording_delay": Case({"kind": "recording_delay", "act": STARTED, "limit": "5 min"}, (STARTED,)),
    "sequence": Case({"kind": "sequence", "stages": [TICKET, STARTED, COMPLETED]}, (TICKET, STARTED, COMPLETED)),
    "cadence": Case({"kind": "cadence", "act": STARTED, "every": "1 day"}, (STARTED,)),
    "cadence, by months": Case(
        {"kind": "cadence", "act": STARTED, "every": "1 natural month", "calendar": True}, (STARTED,)
    ),
}


def event_of(case: Case, number: int, subject: Subject) -> Event:
    """The event of that number, a minute after the one before it; of an account, about another order every time."""
    at = BEGIN + number * MINUTE
    first = len(case.first)
    kind = case.first[number] if number < first else case.events[(number - first) % len(case.events)]
    if subject[0] == "order":
        return Event(f"e{number}", kind, at, at, {}, order_id=subject[1])
    order = f"WO{number // len(case.events)}"
    return Event(f"e{number}", kind, at, at, {}, order_id=order, account_id=subject[1])


def measure(case: Case, events: int, together: int, *, one: bool) -> tuple[float, int]:
    """Seconds of processor time for so many events of one subject, or of as many subjects; and the alerts."""
    partition = ClockPartition(0, Rulebook([rule(dict(case.rule))], shipped().rulebook.calendar), keep_for=KEEP)
    alerts = 0
    began = process_time()
    for offset, first in enumerate(range(0, events, together)):
        entries = []
        for number in range(first, min(first + together, events)):
            subject = str(case.rule.get("subject", "order")), "S" if one else f"S{number}"
            entries.append((subject, event_of(case, number, subject), f"{SOURCE}/{number}"))
        applied = partition.apply(LogRecord(entries, {SOURCE: entries[-1][1].at}, {"in": 1}), offset)
        assert applied is not None
        alerts += len(applied.told)
    return process_time() - began, alerts


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[200_000], help="how many; several are compared")
    parser.add_argument("--together", type=int, default=100, help="events in one record of the log")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="these alone")
    chosen = parser.parse_args(arguments)
    print("| kind | events | one subject, s | as many subjects, s | ratio | alerts |")  # noqa: T201
    print("| --- | ---: | ---: | ---: | ---: | ---: |")  # noqa: T201
    for name in chosen.only:
        for events in chosen.events:
            seconds, alerts = measure(CASES[name], events, chosen.together, one=True)
            apart, others = measure(CASES[name], events, chosen.together, one=False)
            row = f"{seconds:.2f} | {apart:.2f} | {seconds / apart:.2f} | {alerts:,} and {others:,}"
            print(f"| {name} | {events:,} | {row} |", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
