"""Watermarks: the minimum over sources, and that nothing is told which the final history does not support.

The model has source partitions that get records in order, workers that read them, lose them, stand still and die, and
one partition of the log that all write to. Time is told by the proofs of ``streams.adapters.intake``: what a worker
vouches for it has read itself, or found committed, and has written to the log before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.adapters.clocks import ClockPartition
from streams.adapters.driver import Entry
from streams.adapters.state import LogRecord
from streams.core.alerts import Alert
from streams.core.event import Event
from streams.core.watermark import SourceWatermarks
from tests.stories import shipped, us

GRACE = 5_000_000
SECOND = 1_000_000
START = us("2026-03-02T09:00")


# --- the minimum --------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(["a/0", "a/1", "b/0"]), st.integers(0, 100)), max_size=40))
def test_time_never_goes_back(updates: list[tuple[str, int]]) -> None:
    marks = SourceWatermarks()
    marks.expect(["a/0", "a/1", "b/0"])
    highest: dict[str, int] = {}
    last: int | None = None
    for source, at in updates:
        highest[source] = max(at, highest.get(source, at))
        found = marks.update({source: at})
        assert found == (min(highest.values()) if len(highest) == 3 else None)
        assert last is None or (found is not None and found >= last)
        last = found


# --- the model ----------------------------------------------------------------------------------------------


@dataclass
class Worker:
    """One intake: its positions, and what it has read but not yet written."""

    positions: dict[int, int]
    last_read: dict[int, int] = field(default_factory=dict)


class Feeds(RuleBasedStateMachine):
    """Source partitions, workers and one log partition; the clocks read the log as it grows."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.sources: list[list[tuple[int, Event]]] = [[], []]
        self.committed = [0, 0]
        self.owner: list[int | None] = [None, None]
        self.workers: dict[int, Worker] = {}
        self.born = 0
        self.clocks = ClockPartition(0, shipped().rulebook, keep_for=None)
        self.offset = 0
        self.events: list[Event] = []
        self.told: list[tuple[Alert, int]] = []

    @initialize()
    def first_worker(self) -> None:
        self.join()

    # -- the world

    @rule(seconds=st.integers(1, 120))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(
        partition=st.integers(0, 9),
        order=st.integers(0, 3),
        stop=st.booleans(),
        delay=st.integers(0, GRACE - 1),
    )
    def something_happens(self, partition: int, order: int, stop: bool, delay: int) -> None:
        """An event enters its source within the grace; one partition may get nothing for ever."""
        partition = (partition * partition) % len(self.sources)
        kind = "counter.service_completed" if stop else "counter.service_started"
        at = self.now - delay
        event = Event(f"e{len(self.events)}", kind, at, at, {"business": "fee"}, order_id=f"WO{order}")
        self.events.append(event)
        self.sources[partition].append((self.now, event))
        self.now += 1  # broker timestamps of one partition never go back

    @rule()
    def a_partition_is_added(self) -> None:
        if len(self.sources) < 4:
            self.sources.append([])
            self.committed.append(0)
            self.owner.append(None)
            self.rebalance()
            # Every worker's metadata are read anew before anything enters the new partition.
            self.write(LogRecord([], {}, {"in": len(self.sources)}))

    # -- workers

    @rule()
    def join(self) -> None:
        if len(self.workers) < 3:
            self.workers[self.born] = Worker({})
            self.born += 1
            self.rebalance()

    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        """Killed: what it had read and not written is gone, what it had written is not."""
        if len(self.workers) > 1:
            del self.workers[data.draw(st.sampled_from(sorted(self.workers)))]
            self.rebalance()

    @rule(data=st.data())
    def stand_still(self, data: st.DataObject) -> None:
        """The group takes its partitions away, and it does not know: it goes on from its own positions."""
        alive = sorted(self.workers)
        sleeper = data.draw(st.sampled_from(alive))
        if len(alive) > 1:
            self.rebalance(without=sleeper)

    def rebalance(self, without: int | None = None) -> None:
        able = [name for name in sorted(self.workers) if name != without]
        for name in able:
            self.workers[name] = Worker({})
        for number in range(len(self.sources)):
            name = able[number % len(able)]
            self.owner[number] = name
            self.workers[name].positions[number] = self.committed[number]

    @rule(data=st.data(), count=st.integers(0, 5), commits=st.booleans(), writes=st.booleans())
    def work(self, data: st.DataObject, count: int, commits: bool, writes: bool) -> None:
        """One step of the intake, as a whole or cut off before the log, or before the commit."""
        name = data.draw(st.sampled_from(sorted(self.workers)))
        worker = self.workers[name]
        entries: list[Entry] = []
        for number, position in sorted(worker.positions.items()):
            batch = self.sources[number][position : position + count]
            for stamp, event in batch:
                entries.append((("order", str(event.order_id)), event, f"in/{number}/0"))
                worker.last_read[number] = stamp
            worker.positions[number] = position + len(batch)
        watermarks: dict[str, int] = {}
        now = self.now  # read before the ends are asked for
        for number, position in worker.positions.items():
            if position >= len(self.sources[number]):
                watermarks[f"in/{number}"] = now - GRACE
            elif number in worker.last_read:
                watermarks[f"in/{number}"] = min(worker.last_read[number], now) - GRACE
        if not writes and len(self.workers) > 1:
            del self.workers[name]
            self.rebalance()
            return
        self.write(LogRecord(entries, watermarks, {"in": len(self.sources)}))
        if commits:
            for number, position in worker.positions.items():
                if self.owner[number] == name:
                    self.committed[number] = position

    def write(self, record: LogRecord) -> None:
        applied = self.clocks.apply(record, self.offset)
        assert applied is not None
        self.offset += 1
        self.told += [(alert, len(self.events)) for alert in applied.step.alerts]

    # -- what must hold

    @invariant()
    def time_is_behind_everything_still_to_come(self) -> None:
        """No event that the log lacks is at or before the watermark."""
        at = self.clocks.watermark
        if at is None:
            return
        assert at <= self.now - GRACE
        known = {event.event_id for event in self._history()}
        assert all(event.at > at for event in self.events if event.event_id not in known)

    @invariant()
    def nothing_told_is_ever_withdrawn(self) -> None:
        """Sources that deliver in time: what was said was true when it was said, and stays so."""
        assert [alert for alert, _ in self.told if alert.kind == "retraction"] == []

    def _history(self) -> list[Event]:
        snapshots = [self.clocks.engine.snapshot(subject) for subject in self.clocks.engine.subjects()]
        return [event for snapshot in snapshots if snapshot is not None for event in snapshot.events]

    def teardown(self) -> None:
        """One worker reads all that is left: no miss is missed, and what was told is what the whole history says."""
        self.now += 3600 * SECOND
        last = Worker(dict(enumerate(self.committed)))
        entries: list[Entry] = []
        for number, position in last.positions.items():
            for _, event in self.sources[number][position:]:
                entries.append((("order", str(event.order_id)), event, f"in/{number}/0"))
        watermarks = {f"in/{number}": self.now - GRACE for number in range(len(self.sources))}
        self.write(LogRecord(entries, watermarks, {"in": len(self.sources)}))
        whole = ClockPartition(0, shipped().rulebook, keep_for=None)
        everything = [(("order", str(event.order_id)), event, "in/0/0") for event in self.events]
        applied = whole.apply(LogRecord(everything, {"in/0": self.now - GRACE}, {"in": 1}), 0)
        assert applied is not None
        assert _ids(alert for alert, _ in self.told) == _ids(applied.step.alerts)


def _ids(alerts: Any) -> list[str]:
    return sorted(alert.alert_id for alert in alerts if alert.kind != "warning")


TestFeeds = Feeds.TestCase
TestFeeds.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
