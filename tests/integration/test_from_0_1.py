"""From version 0.1 with open cases and back again, on a real broker.

Version 0.1 is run from its last commit in the history, by this environment's libraries, whose versions are those that
it was locked to (more have come since).
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.snapshots import FIRST_VERSION, PRUNED_VERSION
from streams.core.pruning import MOST_EVENTS
from tests.integration import watchful_worker
from tests.integration.live import ROOT, Live, Topic, Worker, standing, until
from tests.integration.status import asked
from tests.stories import moment, wire

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(900),
    pytest.mark.live(partitions=2, embedded_lacks="version 0.1 and this one are tried on Apache Kafka"),
]

VERSION_0_1 = "cf58d6d84f56c4ccd6fd76227a25fe7eef4e42a9"
"""The last commit of version 0.1.0."""

AT = "2025-03-03T12:00"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of 0.1."""
    archive = ("git", "archive", "--format=tar", VERSION_0_1, "streams", "schemas")
    done = subprocess.run(archive, cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"version 0.1 is not in this history: {done.stderr.decode().strip()}")
    path = tmp_path_factory.mktemp("version-0-1")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tree:
        tree.extractall(path, filter="data")
    return path


@pytest.fixture
def live(live: Live) -> Live:
    live.make_source(2)
    return live


def of_0_1(live: Live, old: Path, store: str) -> Worker:
    """A worker of version 0.1."""
    return live.worker(store=store, PYTHONPATH=str(old), PYTHONSAFEPATH="1")


def begun(word: str) -> list[dict[str, Any]]:
    """Orders in every partition whose services begin, to be ended by another version, or never."""
    lines = [f"{word}{n}-1 2025-03-03T09:00 counter.service_started {word}{n} business=fee" for n in range(8)]
    return wire("\n".join(lines))


def ended(word: str) -> list[dict[str, Any]]:
    """Some in time, some late; the last two never."""
    late = [(n, "09:04" if n < 3 else "09:30") for n in range(6)]
    return wire("\n".join(f"{word}{n}-2 2025-03-03T{at} counter.service_completed {word}{n}" for n, at in late))


def long_history() -> Iterator[dict[str, Any]]:
    """More events of one order than a pruned history keeps: its first services are over."""
    at = moment("2025-03-01T08:00")
    for number in range(MOST_EVENTS + 200):
        at += timedelta(seconds=20)
        kind = "counter.service_completed" if number % 2 else "counter.service_started"
        when = at.isoformat(timespec="milliseconds")
        yield {
            "event_id": f"h{number}", "event_type": kind, "occurred_at": when, "order_id": "LONG", "business": "fee",
        }  # fmt: skip


def breaches(live: Live) -> list[tuple[str, str]]:
    """What stands, of all but warnings; each is there once."""
    alerts = standing(live.sent().values(), f"{AT}:00+08:00")
    found = [(one["subject"]["id"], one["kind"]) for one in alerts if one["rule"] == "fee-5-minutes"]
    assert len(set(found)) == len(found)
    return sorted(found)


def expected(*words: str) -> list[tuple[str, str]]:
    late = [(f"{word}{n}", kind) for word in words for n in (3, 4, 5) for kind in ("breach", "late_completion")]
    return sorted(late + [(f"{word}{n}", "breach") for word in words for n in (6, 7)])


def formats(live: Live) -> set[int]:
    """Of all rows of the state."""
    topic = Topic(live.bootstrap, f"{live.name}-state-changelog")
    try:
        return {json.loads(value)["v"] for *_, value in topic.update() if value is not None}
    finally:
        topic.close()


def is_read(live: Live, worker: Worker) -> None:
    until(
        lambda: (
            (found := asked(live)[1])["sources"] != []
            and all(one["behind"] == 0 for one in found["sources"])
            and all(one["log_behind"] == 0 and one["owner"] for one in found["partitions"])
        ),
        120,
        lambda: f"{asked(live)}{worker.output}",
    )


def test_a_rolling_upgrade_with_open_cases(live: Live, old: Path) -> None:
    """No history is pruned while a worker of 0.1, which could not read it, is there; then it is."""
    first, second = of_0_1(live, old, "one"), of_0_1(live, old, "two")
    live.send([*begun("A"), *long_history()])
    is_read(live, first)

    assert first.stop() == 0, first.output
    first = live.worker(store="one", module=watchful_worker.MODULE)
    live.send([*ended("A"), *begun("B")])
    more = wire("x 2025-03-03T09:00 counter.service_started LONG business=fee")
    live.send(more)  # read by old and new: its history is long enough to be pruned
    is_read(live, first)
    assert (first.exit_code, second.exit_code) == (None, None), first.output + second.output
    assert formats(live) == {FIRST_VERSION}

    assert second.stop() == 0, second.output
    second = live.worker(store="two", module=watchful_worker.MODULE)
    live.send(ended("B"))
    live.settle(f"{AT}:00+08:00")
    assert breaches(live) == sorted([*expected("A", "B"), ("LONG", "breach")])
    number = iter(range(10**6))

    def pruned() -> bool:  # looked at with the subject's next event
        at = f"2025-03-03T09:{10 + next(number) % 50}"
        live.send(wire(f"y{next(number)} {at} counter.ticket_taken LONG"))
        return PRUNED_VERSION in formats(live)

    until(pruned, 180, lambda: first.output + second.output)
    live.settle(f"{AT}:00+08:00")
    assert breaches(live) == sorted([*expected("A", "B"), ("LONG", "breach")])


def test_the_way_back(live: Live, old: Path) -> None:
    """With ``GRIDCLOCK_STATE_FORMAT=1`` nothing is written that a worker of 0.1 could not go on from."""
    worker = of_0_1(live, old, "one")
    live.send([*begun("A"), *long_history()])
    is_read(live, worker)
    assert worker.stop() == 0, worker.output

    worker = live.worker(store="one", GRIDCLOCK_STATE_FORMAT="1")
    live.send([*ended("A"), *begun("B"), *wire("x 2025-03-03T09:00 counter.service_started LONG business=fee")])
    is_read(live, worker)
    until(lambda: ("A6", "breach") in breaches(live), 60, lambda: worker.output)
    assert worker.stop() == 0, worker.output
    assert formats(live) == {FIRST_VERSION}

    for store in ("one", "three"):  # from the local copy that the newer one left, and from the topic alone
        worker = of_0_1(live, old, store)
        live.send([*(ended("B") if store == "one" else ended("C")), *(begun("C") if store == "one" else ())])
        is_read(live, worker)
        assert worker.stop() == 0, worker.output
    worker = live.worker(store="one", GRIDCLOCK_STATE_FORMAT="1")  # and forward again
    live.settle(f"{AT}:00+08:00")
    assert breaches(live) == sorted([*expected("A", "B", "C"), ("LONG", "breach")])
    assert worker.exit_code is None
