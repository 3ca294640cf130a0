"""The topic of cases: what compaction leaves of it is what the log gives, whoever was killed or corrected."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from schemas.alerts import CaseEvent
from streams.core.case_changes import is_open
from streams.simulation import simulate
from streams.wire.cloudevents import CloudEvents, encode
from tests.integration.live import Live, until, write_events
from tests.stories import shipped

pytestmark = pytest.mark.broker


def on_the_topic(live: Live) -> dict[str, dict[str, Any]]:
    """The last word on each case."""
    found: dict[str, dict[str, Any]] = {}
    for _, _, key, value in live.topic("cases").records:
        assert key is not None
        if value is None:
            found.pop(key.decode(), None)
        else:
            found[key.decode()] = json.loads(value)
    return found


def from_the_log(live: Live) -> dict[str, tuple[dict[str, Any], bool]]:
    """The cases that the log gives, each with whether its clock still runs."""
    live.replay()
    writer = CloudEvents(shipped().rulebook.calendar)
    return {
        case.case_id: (
            json.loads(encode(writer.case(case, partition.engine.watermark))),
            is_open(case.verdict, partition.engine.watermark),
        )
        for partition in live.log_partitions()
        for case in partition.engine.cases()
    }


def told(event: dict[str, Any], *, is_running: bool) -> dict[str, Any]:
    going_on = {"as_of"} | ({"elapsed", "paused"} if is_running else set())
    return {name: value for name, value in event["data"].items() if name not in going_on}


def differences(live: Live) -> list[object]:
    expected, found = from_the_log(live), on_the_topic(live)
    return [
        *(found.keys() ^ expected.keys()),
        *(
            (told(found[key], is_running=runs), told(event, is_running=runs))
            for key, (event, runs) in expected.items()
            if key in found and told(found[key], is_running=runs) != told(event, is_running=runs)
        ),
    ]


def wait_for_cases(live: Live, count: int) -> None:
    """Until the worker is in the middle of it."""
    until(lambda: len(live.topic("cases").records) >= count, 90, lambda: live.workers[-1].output)


def test_killed_in_the_middle_the_topic_has_every_case_as_the_log_has_it(live: Live, tmp_path: Path) -> None:
    simulation = simulate(orders=400, seed=11, start=date(2025, 3, 3), days=30)
    live.make_source()
    live.send(write_events(tmp_path / "events.jsonl", simulation.events), "--timestamps", "recorded")
    for count in (1, 300, 600):
        worker = live.worker(store="one", GRIDCLOCK_CASES="true", GRIDCLOCK_BATCH="100")
        wait_for_cases(live, count)
        worker.kill()
    last = live.worker(store="one", GRIDCLOCK_CASES="true", GRIDCLOCK_BATCH="100")
    live.settle(simulation.as_of)
    until(lambda: not differences(live), 60, lambda: str(differences(live)[:3]))
    assert len(on_the_topic(live)) > 400
    for event in on_the_topic(live).values():
        CaseEvent.model_validate_json(json.dumps(event))
    assert last.stop() == 0, last.output


def test_a_case_that_a_correction_takes_away_is_a_tombstone_and_a_worker_that_begins_to_write_writes_all(
    live: Live,
) -> None:
    def event(number: int, minute: int, **more: object) -> dict[str, object]:
        at = f"2025-03-03T09:{minute:02d}:00+08:00"
        common = {"order_id": f"WO{number}", "occurred_at": at, "recorded_at": at}
        return {"event_id": f"s{number}", "event_type": "counter.service_started", "business": "fee", **common, **more}

    live.make_source(1)
    live.send([event(1, 0), event(2, 1)], "--timestamps", "recorded")
    silent = live.worker(store="one")
    until(lambda: live.replay() is not None and len(from_the_log(live)) == 4, 60, lambda: silent.output)
    assert silent.stop() == 0
    assert live.topic("cases").records == []
    worker = live.worker(store="one", GRIDCLOCK_CASES="true")
    until(lambda: len(on_the_topic(live)) == 4, 60, lambda: worker.output)
    live.send([event(2, 1, event_id="v2", corrects="s2", void=True)])
    until(lambda: len(on_the_topic(live)) == 2, 60, lambda: worker.output)
    removed = [key for _, _, key, value in live.topic("cases").records if value is None]
    assert len(removed) == 2
    assert differences(live) == []
    assert worker.stop() == 0
