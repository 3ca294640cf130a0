"""SIGHUP on a live worker: a wrong rulebook changes nothing, a right one is taken up by the same process."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.live import Children, Live, until
from tests.rulebooks.test_loader import HEAD, RULE
from tests.stories import wire

SECOND = RULE.removeprefix("rules:\n").replace("my-rule", "my-second").replace("T-S1", "T-S2")


def breaches(live: Live) -> Counter[tuple[str, str]]:
    """Rule and order of every breach on the topic, however often it is there."""
    told = [json.loads(value)["data"] for *_, value in live.topic("alerts").records]
    return Counter((alert["rule"], alert["subject"]["id"]) for alert in told if alert["kind"] == "breach")


@pytest.fixture
def book(live: Live, tmp_path: Path) -> Path:
    """The directory of the one rule by which the workers of this test judge."""
    found = tmp_path / "rules"
    found.mkdir()
    (found / "own.yaml").write_text(HEAD + RULE, "utf-8")
    live._clock = ("--only", found)
    live.make_source(partitions=1)
    return found


def test_a_changed_rulebook_is_taken_up_and_a_wrong_one_is_not(live: Live, book: Path) -> None:
    live.send(wire("e1 2025-03-03T09:00 counter.service_started WO1 business=fee"), "--timestamps", "recorded")
    worker = live.worker()
    until(lambda: breaches(live) == {("my-rule", "WO1"): 1}, 60, lambda: worker.output)

    (book / "own.yaml").write_text(HEAD + RULE.replace("5 min", "5 mins"), "utf-8")
    worker.signal(signal.SIGHUP)
    until(lambda: "SIGHUP: not restarted: " in worker.output, 30, lambda: worker.output)
    assert f"{book}/own.yaml:13: rule my-rule: limit" in worker.output
    live.send(wire("e2 2025-03-03T10:00 counter.service_started WO2 business=fee"), "--timestamps", "recorded")
    until(lambda: breaches(live)["my-rule", "WO2"] == 1, 60, lambda: worker.output)
    assert worker.output.count("at work on") == 1

    (book / "own.yaml").write_text(HEAD + RULE + SECOND, "utf-8")
    for _ in range(3):  # whoever is impatient does no harm
        worker.signal(signal.SIGHUP)
    until(lambda: worker.output.count("at work on") == 2, 90, lambda: worker.output)
    assert worker.exit_code is None
    assert worker.output.count("restarting with the changed files") == 1
    live.send(wire("e3 2025-03-03T11:00 counter.service_started WO3 business=fee"), "--timestamps", "recorded")
    rules, orders = ("my-rule", "my-second"), ("WO1", "WO2", "WO3")
    # Every kept subject is judged by the new rule too; what had been told is not told again.
    expected = Counter({(rule, order): 1 for rule in rules for order in orders})
    until(lambda: breaches(live) == expected, 60, lambda: f"{breaches(live)}\n{worker.output}")
    assert worker.stop() == 0, worker.output
    assert worker.output.rstrip().endswith("gridclock: stopped in order")


def test_a_rule_that_a_start_would_refuse_ends_no_worker(live: Live, book: Path) -> None:
    """With a pseudonym key a rule on a plain staff number is refused at a start, whatever the file looks like alone."""
    worker = live.worker(GRIDCLOCK_PSEUDONYM_KEY="a key of sixteen characters and more")
    start = "start: {type: counter.service_started, where: {staff_id: S0234}}"
    wrong = RULE.replace("start: counter.service_started", start)
    assert wrong != RULE
    (book / "own.yaml").write_text(HEAD + wrong, "utf-8")
    worker.signal(signal.SIGHUP)
    until(lambda: "SIGHUP: " in worker.output or "restarting" in worker.output, 30, lambda: worker.output)
    assert "SIGHUP: not restarted: staff_id: rule my-rule compares staff_id with 'S0234'" in worker.output
    assert "restarting with the changed files" not in worker.output
    assert worker.stop() == 0, worker.output


def test_a_board_whose_key_is_not_there_any_more_goes_on(live: Live, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a key of sixteen characters and more", "utf-8")
    given = ["board", "--bootstrap", live.bootstrap, "--name", live.name, "--port", "0"]
    live.make_source(partitions=1)
    live.worker()
    with Children() as children:
        board = children.start(given, tmp_path / "log", {"GRIDCLOCK_PSEUDONYM_KEY_FILE": str(key)}, "/board")
        key.unlink()
        os.kill(board.pid, signal.SIGHUP)
        until(lambda: "SIGHUP: " in board.output() or board.exit_code is not None, 30, board.output)
        assert f"SIGHUP: not restarted: {key}: pseudonym_key_file: cannot be read" in board.output()
        assert board.exit_code is None
