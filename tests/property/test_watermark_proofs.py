"""Watermarks: the minimum over sources, and that nothing is told which the final history does not support.

The model has source partitions that get records in order, workers that read them, lose them, stand still and die, and
one partition of the log that all write to. Time is told by the proofs of ``streams.live.intake``: what a worker
vouches for it has read itself, or found committed, and has written to the log before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.core.alerts import Alert
from streams.core.driver import Entry
from streams.core.event import Event
from streams.core.watermark import SourceWatermarks
from streams.live.clock_partition import ClockPartition
from streams.wire.state_rows import LogRecord
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

    @rule(
        acts=st.lists(
            st.tuples(
                st.sampled_from([0, 0, 1, 2, 3]),  # the last ones may never get anything
                st.integers(0, 3),
                st.booleans(),
                st.integers(0, GRACE - 1),
                st.sampled_from([0, 1, 30, 200]),
            ),
            min_size=1,
            max_size=5,
        )
    )
    def things_happen(self, acts: list[tuple[int, int, bool, int, int]]) -> None:
        """Events enter their sources within the grace, and some time passes after each."""
        for partition, order, stop, delay, seconds in acts:
            kind = "counter.service_completed" if stop else "counter.service_started"
            at = self.now - delay
            event = Event(f"e{len(self.events)}", kind, at, at, {"business": "fee"}, order_id=f"WO{order}")
            self.events.append(event)
            self.sources[partition % len(self.sources)].append((self.now, event))
            self.now += 1 + seconds * SECOND  # broker timestamps of one partition never go back

    @rule(data=st.data(), what=st.sampled_from(["join", "die", "stand still", "a partition is added"]))
    def trouble(self, data: st.DataObject, what: str) -> None:
        {
            "join": self.join,
            "die": lambda: self.die(data),
            "stand still": lambda: self.stand_still(data),
            "a partition is added": self.add_partition,
        }[what]()

    def add_partition(self) -> None:
        if len(self.sources) < 4:
            self.sources.append([])
            self.committed.append(0)
            self.owner.append(None)
            self.rebalance()
            # Every worker's metadata are read anew before anything enters the new partition.
            self.write(LogRecord([], {}, {"in": len(self.sources)}))

    # -- workers

    def join(self) -> None:
        if len(self.workers) < 3:
            self.workers[self.born] = Worker({})
            self.born += 1
            self.rebalance()

    def die(self, data: st.DataObject) -> None:
        """Killed: what it had read and not written is gone, what it had written is not."""
        if len(self.workers) > 1:
            del self.workers[data.draw(st.sampled_from(sorted(self.workers)))]
            self.rebalance()

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

    @rule(
        counts=st.lists(st.integers(0, 5), min_size=1, max_size=3), end=st.sampled_from(["", "", "", "log", "commit"])
    )
    def work(self, counts: list[int], end: str) -> None:
        """A step of each worker's intake, as a whole or cut off before the log, or before the commit."""
        for name, count in zip(sorted(self.workers), counts, strict=False):
            self.step(name, count, end)

    def step(self, name: int, count: int, end: str) -> None:
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
        if end == "log" and len(self.workers) > 1:
            del self.workers[name]
            self.rebalance()
            return
        self.write(LogRecord(entries, watermarks, {"in": len(self.sources)}))
        if end != "commit":
            for number, position in worker.positions.items():
                if self.owner[number] == name:
                    self.committed[number] = position

    def write(self, record: LogRecord) -> None:
        applied = self.clocks.apply(record, self.offset)
        assert applied is not None
        self.offset += 1
        self.told += [(alert, len(self.events)) for alert in applied.alerts]

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
        assert _ids(alert for alert, _ in self.told) == _ids(applied.alerts)


def _ids(alerts: Any) -> list[str]:
    return sorted(alert.alert_id for alert in alerts if alert.kind != "warning")


TestFeeds = Feeds.TestCase
TestFeeds.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
