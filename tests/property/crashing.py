"""A partition of the clocks that is killed at any point of its work, and what outlives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import note
from hypothesis import strategies as st

from streams.core.alerts import Alert
from streams.core.case_changes import CaseChange, is_open
from streams.core.records import JudgedCase
from streams.live.applied import Applied, Row
from streams.live.clock_partition import ClockPartition, position_key
from streams.wire.cloudevents import CloudEvents
from streams.wire.state_rows import LogRecord
from tests.stories import shipped

MOST_CRASHES = 6
POINTS = ("none", "none", "before alerts", "in alerts", "in cases", "in rows", "before offset")


def case_data(case: JudgedCase, as_of: int) -> dict[str, Any]:
    """What is written of a case, but for what goes on by itself: when that was, and the time of an open clock."""
    data: dict[str, Any] = CloudEvents(shipped().rulebook.calendar).case(case, as_of)["data"]
    going_on = {"as_of"} | ({"elapsed", "paused"} if is_open(case.verdict, as_of) else set())
    return {name: value for name, value in data.items() if name not in going_on}


@dataclass
class World:
    """What outlives a process: the alerts topic, the table, the group's offset. ``fresh`` makes an empty partition."""

    fresh: Callable[[], ClockPartition]
    alerts: list[Alert] = field(default_factory=list)
    table: dict[bytes, bytes] = field(default_factory=dict)
    committed: int = 0
    cases: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The topic of cases as compaction leaves it."""

    def write(self, changes: Sequence[CaseChange]) -> None:
        for change in changes:
            if change.case is None:
                self.cases.pop(change.case_id, None)
            else:
                self.cases[change.case_id] = case_data(change.case, change.as_of)

    def keep(self, rows: Sequence[Row]) -> None:
        for key, value in rows:
            if value is None:
                self.table.pop(key, None)
            else:
                self.table[key] = value

    def restored(self, *, rests: bool = False) -> ClockPartition:
        """A partition as after a start; ``rests``: its subjects rest in the table, where that can be."""
        partition = self.fresh()
        if rests:
            partition.read_rows_by(self.table.get)
        partition.restore(self.table.get(position_key(partition.partition)), self.table.items())
        return partition

    def standing(self) -> set[tuple[str, str, str, str]]:
        """The reports told and not withdrawn, without warnings: rule, case, kind and cause."""
        told = {alert.alert_id: alert for alert in self.alerts}
        withdrawn = {alert.retracts for alert in told.values()}
        return {
            (alert.rule, alert.case_id, alert.kind, alert.cause)
            for alert in told.values()
            if alert.kind not in ("warning", "retraction") and alert.alert_id not in withdrawn
        }

    def takes(self, applied: Applied, data: st.DataObject) -> bool:
        """Bring out what came of a record, in order, as far as it gets. False: the process died."""
        alerts, rows = applied.alerts, applied.rows
        point = data.draw(st.sampled_from(POINTS))
        note(point)
        if point == "before alerts":
            return False
        if point == "in alerts":
            self.alerts += alerts[: data.draw(st.integers(0, len(alerts)))]
            return False
        self.alerts += alerts
        if point == "in cases":
            self.write(applied.cases[: data.draw(st.integers(0, len(applied.cases)))])
            return False
        self.write(applied.cases)
        if point == "in rows":
            self.keep(rows[: data.draw(st.integers(0, len(rows) - 1))])
            return False
        self.keep(rows)
        return str(point) != "before offset"


def undisturbed(log: Sequence[LogRecord], fresh: Callable[[], ClockPartition]) -> World:
    world, partition = World(fresh), fresh()
    for offset, record in enumerate(log):
        applied = partition.apply(record, offset)
        assert applied is not None
        world.alerts += applied.alerts
        world.write(applied.cases)
        world.keep(applied.rows)
        world.committed = offset + 1
    return world


def killed(log: Sequence[LogRecord], world: World, data: st.DataObject) -> World:
    """A log read on with crashes: alerts acknowledged, then rows, the position last, then the offset."""
    partition = world.restored(rests=True)
    offset = world.committed
    crashes = 0
    while offset < len(log):
        applied = partition.apply(log[offset], offset)
        alive = True
        if applied is not None:
            if crashes < MOST_CRASHES:
                alive = world.takes(applied, data)
            else:
                world.alerts += applied.alerts
                world.write(applied.cases)
                world.keep(applied.rows)
        if alive:
            offset += 1
            partition.engine.rest(data.draw(st.sampled_from((1, 5000, 1_000_000))))
            if data.draw(st.booleans()):
                world.committed = offset
        else:
            crashes += 1
            partition = world.restored(rests=True)
            # The group begins at the committed offset; the worker reads on from the position if that is elsewhere.
            offset = min(world.committed, partition.offset + 1)
    return world


def written_over(log: Sequence[LogRecord], world: World, data: st.DataObject) -> World:
    """A log read on by workers that are written over: what a writer before them had under way comes behind their rows.

    They die before they have noticed. So the position goes back, and other rows are ahead of it by some records.
    Nothing may be forgotten meanwhile.
    """
    partition = world.restored()
    written: list[Sequence[Row]] = []
    offset = crashes = 0
    while offset < len(log):
        applied = partition.apply(log[offset], offset)
        assert applied is not None
        world.alerts += applied.alerts
        world.write(applied.cases)
        world.keep(applied.rows)
        written = [*written[:offset], applied.rows]
        offset += 1
        if crashes < MOST_CRASHES and data.draw(st.booleans()):
            crashes += 1
            world.keep(data.draw(st.sampled_from(written)))
            partition = world.restored()
            offset = partition.offset + 1
    return world


def assert_same(found: World, expected: World) -> None:
    by_id = {alert.alert_id: alert for alert in expected.alerts}
    assert {alert.alert_id for alert in found.alerts} == by_id.keys()
    for alert in found.alerts:  # sent twice, it is the same to the last word
        assert alert == by_id[alert.alert_id]
    assert found.table == expected.table
    assert found.cases == expected.cases
