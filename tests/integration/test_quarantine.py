"""A subject at which a worker fails is set aside: all others get their alerts, the log gives the same ones, and after a
repair it is brought back with all that was held of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.live import LONG, Live, command, standing, until
from tests.stories import wire

pytestmark = pytest.mark.live(partitions=1, embedded_lacks="rows and letters are read on Apache Kafka")

FAULTY = "tests.integration.poisoned_worker"

BEFORE = """
a1 2025-03-03T09:00 counter.service_started WO1 business=fee
"""
POISONED = """
p1 2025-03-03T09:01 counter.service_started POISON business=fee
a2 2025-03-03T09:01 counter.service_completed WO1
b1 2025-03-03T09:02 counter.service_started WO2 business=fee
"""
LATER = """
p2 2025-03-03T09:20 counter.service_completed POISON
c1 2025-03-03T09:21 counter.service_started WO3 business=fee
"""
LAST = """
c2 2025-03-03T09:50 counter.service_completed WO3
"""


@pytest.fixture
def live(live: Live) -> Live:
    live.make_source(partitions=1)
    return live


def by_subject(alerts: list[dict[str, Any]], at: str) -> list[tuple[str, str]]:
    return sorted(
        (alert["subject"]["id"], alert["kind"]) for alert in standing(alerts, at) if alert["rule"] == "fee-5-minutes"
    )


def others(live: Live) -> list[tuple[str, str]]:
    return [found for found in by_subject(list(live.sent().values()), "2025-03-03T09:30") if "WO" in found[0]]


def letters(live: Live) -> list[dict[str, Any]]:
    records = live.topic("dead-letters").records
    return [json.loads(value) for *_, value in records if value is not None]


def from_log(live: Live, path: Path) -> dict[str, dict[str, Any]]:
    """What ``gridclock replay --log`` gives."""
    keep = {"GRIDCLOCK_KEEP_DAYS": f"{LONG:.9f}"}
    where = ("--bootstrap", live.bootstrap, "--name", live.name)
    done = command("replay", "--log", "--alerts", path, *where, environment=keep)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line)["data"] for line in path.read_text("utf-8").splitlines()]
    return {alert["alert_id"]: alert for alert in found}


STEPS = ("handle", "fold", "judge", "render", "encode", "row")
FAULTY_ORDERS = [f"POISON-{step}" for step in STEPS]


def each_faulty(story: str) -> str:
    """The story of POISON once for each step: the program fails at that step of it."""
    return "".join(
        f"{line.replace('POISON', number).replace(' ', f'-{number} ', 1)}\n"
        for line in story.splitlines()
        for number in (FAULTY_ORDERS if "POISON" in line else [""])
        if line
    )


def test_subjects_are_set_aside_and_brought_back_whatever_step_fails(live: Live, tmp_path: Path) -> None:
    live.send(wire(BEFORE))
    faults = ",".join(f"{step}:{number}" for step, number in zip(STEPS, FAULTY_ORDERS, strict=True))
    worker = live.worker(module=FAULTY, TEST_FAULT=faults, store="one")
    live.send(wire(each_faulty(POISONED)))
    live.send(wire(each_faulty(LATER)))

    until(lambda: len(others(live)) == 2, 60, lambda: f"{others(live)} {live.sent()} {worker.output}")
    assert others(live) == [("WO2", "breach"), ("WO3", "breach")]
    assert worker.exit_code is None
    for number in FAULTY_ORDERS:
        assert f"{number} is set aside: ZeroDivisionError" in worker.output
    assert "13800000000" not in worker.output
    until(lambda: len(letters(live)) == 2 * len(STEPS), 60, lambda: f"{letters(live)} {worker.output}")
    held = letters(live)
    assert {letter["reason"] for letter in held} == {"quarantined"}
    assert {tuple(letter["subject"]) for letter in held} == {("order", number) for number in FAULTY_ORDERS}
    assert from_log(live, tmp_path / "aside.jsonl") == live.sent()

    worker.stop()
    worker = live.worker(store="one")  # repaired
    live.send(wire(LAST))
    where = ("--bootstrap", live.bootstrap, "--name", live.name)
    done = command("dead-letters", "retry", "--all", "--reason", "quarantined", *where)
    assert done.returncode == 0, done.stderr + worker.output
    for number in FAULTY_ORDERS:
        assert f"order {number} -> " in done.stdout
    late = {(number, "late_completion") for number in FAULTY_ORDERS}
    until(
        lambda: late <= set(by_subject(list(live.sent().values()), "2025-03-03T09:30")),
        60,
        lambda: f"{live.sent()} {worker.output}",
    )
    assert from_log(live, tmp_path / "back.jsonl") == live.sent()
    assert by_subject(list(live.sent().values()), "2025-03-03T10:00") == [
        *sorted((number, kind) for number in FAULTY_ORDERS for kind in ("breach", "late_completion")),
        ("WO2", "breach"), ("WO3", "breach"), ("WO3", "late_completion"),
    ]  # fmt: skip
    assert command("dead-letters", "list", *where).stdout == ""


def test_a_subject_that_kills_the_process_is_set_aside(live: Live, tmp_path: Path) -> None:
    """It leaves no exception: what was written down before it was tried names it."""
    live.send(wire(BEFORE))
    live.send(wire(POISONED))
    for _ in range(3):  # the record whole, then alone, and once more where it came only after the first one
        worker = live.worker(module=FAULTY, TEST_FAULT="kill", store="one", ready=False)
        until(lambda: worker.exit_code is not None or bool(others(live)), 90, lambda: worker.output)  # noqa: B023
        if worker.exit_code is None:
            break
    else:
        worker = live.worker(module=FAULTY, TEST_FAULT="kill", store="one", ready=False)
    live.send(wire(LATER))
    until(lambda: len(others(live)) == 2, 60, lambda: worker.output)
    assert worker.exit_code is None
    assert [letter["detail"] for letter in letters(live)][:1] == [
        "failed twice and is set aside: the process died at it, 2 times"
    ]
    assert from_log(live, tmp_path / "aside.jsonl") == live.sent()


def test_a_record_of_a_source_that_kills_the_process_is_a_dead_letter_and_is_sent_again(live: Live) -> None:
    live.send(wire(BEFORE))
    worker = live.worker(module=FAULTY, TEST_FAULT="kill_intake", store="one")
    live.send(wire(POISONED.replace("POISON", "KILLS")))
    for _ in range(3):  # mostly nothing was written down; then its batch was, then it alone
        until(lambda: worker.exit_code is not None or bool(letters(live)), 60, lambda: worker.output)  # noqa: B023
        if worker.exit_code is None:
            break
        worker = live.worker(module=FAULTY, TEST_FAULT="kill_intake", store="one", ready=False)
    live.send(wire(LATER.replace("POISON", "WO4")))
    until(lambda: len(others(live)) == 2, 60, lambda: worker.output)
    assert worker.exit_code is None
    (letter,) = letters(live)
    assert (letter["reason"], letter["source"], letter["position"]) == ("quarantined", f"{live.name}.events/0", 1)
    assert letter["detail"] == "failed twice and is set aside: the process died at it, 2 times"

    worker.stop()
    worker = live.worker(store="one")  # repaired
    where = ("--bootstrap", live.bootstrap, "--name", live.name)
    done = command("dead-letters", "retry", "--all", "--reason", "quarantined", *where)
    assert done.returncode == 0, done.stderr
    until(
        lambda: ("KILLS", "breach") in by_subject(list(live.sent().values()), "2025-03-03T10:00"),
        60,
        lambda: worker.output,
    )


def test_a_record_of_the_log_that_cannot_be_read_is_passed_over_and_sent_again(live: Live, tmp_path: Path) -> None:
    worker = live.worker(module=FAULTY, TEST_FAULT="read", store="one")
    live.send(wire(POISONED))
    until(lambda: bool(letters(live)), 60, lambda: worker.output)
    live.send(wire(LATER.replace("POISON", "WO4")))
    until(lambda: len(others(live)) == 1, 60, lambda: worker.output)  # WO2 came with what cannot be read
    (letter,) = letters(live)
    assert (letter["reason"], letter["subject"], letter["source"]) == ("quarantined", None, f"{live.name}.log/0")
    assert from_log(live, tmp_path / "aside.jsonl") == live.sent()

    worker.stop()
    worker = live.worker(store="one")  # repaired
    where = ("--bootstrap", live.bootstrap, "--name", live.name)
    done = command("dead-letters", "retry", "--all", "--reason", "quarantined", *where)
    assert done.returncode == 0, done.stderr
    expected = [("POISON", "breach"), ("WO2", "breach"), ("WO3", "breach")]
    until(lambda: by_subject(list(live.sent().values()), "2025-03-03T10:00") == expected, 60, lambda: worker.output)
    assert from_log(live, tmp_path / "back.jsonl") == live.sent()
