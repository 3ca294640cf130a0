"""``gridclock status`` on a real installation: well, without a worker, with a backlog, held by one source."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer

from streams.kafka.admin import end_offsets
from tests.integration.live import Children, Live, command, said, until
from tests.integration.status import asked, kinds
from tests.sink.postgres import PASSWORD, Postgres, programs
from tests.stories import wire

pytestmark = pytest.mark.live(partitions=2, embedded_lacks="it does not tell who has which partition")

STORY = """
e1 2025-03-03T09:00 counter.service_started WO1 business=fee
e2 2025-03-03T09:01 counter.service_started WO2 business=fee
"""


def test_before_any_worker_it_says_so(live: Live) -> None:
    done = command("status", "--bootstrap", live.bootstrap, "--name", live.name)
    assert done.returncode == 2
    assert f"no topic {live.name}.log: no worker has begun under this --name" in done.stderr


def test_an_installation_by_day_and_by_night(live: Live) -> None:
    live.make_source(partitions=2)
    live.send(wire(STORY), "--timestamps", "recorded")
    worker = live.worker()
    live.settle("2025-03-03T09:30")
    until(lambda: asked(live)[0] == 0, 60, lambda: f"{asked(live)}{worker.output}")
    _, answer = asked(live)
    assert (answer["healthy"], answer["problems"]) == (True, [])
    assert [one["partition"] for one in answer["partitions"]] == [0, 1]
    assert all(":" in one["owner"] and one["behind_seconds"] < 60 for one in answer["partitions"])
    assert sum(one["end"] for one in answer["sources"]) == sum(
        end_offsets(live.bootstrap, f"{live.name}.events").values()
    )
    assert [one["behind"] for one in answer["sources"]] == [0, 0]
    assert answer["subjects"] >= 2
    assert answer["open_cases"] == 4  # overdue, and not done: two limits of each order
    assert answer["changelog_bytes"] > 0

    # One worker, from its own port; the two agree.
    address = worker.output.partition("metrics http://")[2].partition("/")[0]
    done = command("status", "--worker", address, "--wait", 1, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    own = json.loads(done.stdout)
    assert (own["subjects"], own["open_cases"]) == (answer["subjects"], answer["open_cases"])
    assert own["local_store_bytes"] > 0
    shown = command("status", "--bootstrap", live.bootstrap, "--name", live.name)
    assert "well 正常 · partitions 分区 2 · " in shown.stdout
    assert "partition 分区" in shown.stdout

    # Stopped, not dead: to the brokers it is still there, until its session ends.
    worker.signal(signal.SIGSTOP)
    live.send(wire("e3 2025-03-03T10:00 counter.service_started WO3 business=fee"), "--timestamps", "recorded")
    code, answer = asked(live)
    assert code == 1
    assert kinds(answer) <= {"standing", "stuck", "unread", "no_worker", "no_reader"}
    until(lambda: kinds(asked(live)[1]) == {"no_worker", "unread"}, 60, lambda: str(asked(live)))
    worker.kill()
    shown = command("status", "--bootstrap", live.bootstrap, "--name", live.name)
    assert shown.returncode == 1
    lines = [line for line in shown.stdout.splitlines() if line.startswith("! ")]
    assert lines[0] == "! no worker is at work: no partition of the log has an owner"
    assert lines[1].endswith(": 1 behind, and it is not being read")
    assert "NOT WELL 异常: 2" in shown.stdout
    gone = command("status", "--worker", address)
    assert gone.returncode == 2
    assert f"no answer from http://{address}/healthz" in gone.stderr


def test_another_program_in_the_group_of_the_intake_is_named(live: Live) -> None:
    live.make_source(partitions=2)
    worker = live.worker()
    until(lambda: asked(live)[0] == 0, 60, lambda: f"{asked(live)}{worker.output}")
    group = f"{live.name}-intake"
    other = KafkaConsumer(f"{live.name}.events", bootstrap_servers=live.bootstrap, group_id=group, client_id="other")
    try:
        until(lambda: bool(other.poll(100) or other.assignment()), 60, lambda: worker.output)
        until(lambda: "stranger" in kinds(asked(live)[1]), 30, lambda: str(asked(live)))
        (found,) = [one["text"] for one in asked(live)[1]["problems"] if one["what"] == "stranger"]
    finally:
        other.close()
    assert found.startswith("other/127.0.0.1 is in a consumer group of the workers and is no worker")
    until(lambda: asked(live)[0] == 0, 60, lambda: f"{asked(live)}{worker.output}")


def test_it_says_which_sink_writes_and_how_far_it_is(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if programs() is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    monkeypatch.setenv("GRIDCLOCK_DATABASE_PASSWORD", PASSWORD)
    live.make_source(partitions=1)
    live.send(wire(STORY), "--timestamps", "recorded")
    worker = live.worker(GRIDCLOCK_CASES="true")
    live.settle("2025-03-03T09:30")
    assert asked(live)[1]["sink"] is None
    with Postgres() as database, Children() as running:

        def sink() -> dict[str, Any]:
            return asked(live, "--database", database.address())[1]

        until(lambda: kinds(sink()) == {"no_sink"}, 60, lambda: f"{sink()}{worker.output}")
        words = ("sink", "--bootstrap", live.bootstrap, "--name", live.name, "--database", database.address())
        secret = {"GRIDCLOCK_DATABASE_PASSWORD": PASSWORD}
        child = running.start((*words, "--metrics-port", "0"), tmp_path / "sink.log", secret, "writing")
        until(lambda: not sink()["problems"], 60, lambda: f"{sink()}{child.output()}")
        found = sink()["sink"]
        assert found["writer"] == "127.0.0.1"
        ends = {
            (topic, part): end
            for topic in (f"{live.name}.cases", f"{live.name}.alerts")
            for part, end in end_offsets(live.bootstrap, topic).items()
        }
        assert sum(ends.values()) > 4
        assert {(one["topic"], one["partition"]): one["written"] for one in found["partitions"]} == ends
        shown = said("status", "--bootstrap", live.bootstrap, "--name", live.name, "--database", database.address())[1]
        assert "sink 入库 127.0.0.1 · database 127.0.0.1/results, schema gridclock · behind 积压 0" in shown
        os.kill(child.pid, signal.SIGSTOP)
        live.send(wire("e3 2025-03-03T09:40 counter.service_completed WO1"), "--timestamps", "recorded")
        live.settle("2025-03-03T09:50")
        until(lambda: kinds(sink()) == {"sink_stuck"}, 60, lambda: str(sink()))
        os.kill(child.pid, signal.SIGCONT)
        until(lambda: not sink()["problems"], 60, lambda: f"{sink()}{child.output()}")
        database.stop()
        until(lambda: kinds(sink()) == {"sink_away"}, 60, lambda: str(sink()))


def test_a_worker_whose_time_another_holds_up_is_alive_and_not_ready(live: Live) -> None:
    live.make_source(partitions=4)
    setting = {"GRIDCLOCK_SESSION_S": "60"}  # the brokers hold on to the one that stands still
    one, other = live.worker(ready=False, **setting), live.worker(ready=False, **setting)
    for worker in (one, other):
        worker.wait_ready()
    until(lambda: one.metric("gridclock_subjects") >= 0 and "partition=" in one.metrics(), 60, lambda: one.output)
    port = one.output.partition("metrics http://")[2].partition("/")[0].rpartition(":")[2]

    def ready() -> tuple[int, str]:
        return said("health", "--ready", "--metrics-port", port)

    until(lambda: asked(live)[0] == 0, 90, lambda: f"{asked(live)}{one.output}{other.output}")
    assert ready() == (0, "at work\n")
    other.signal(signal.SIGSTOP)
    until(lambda: "time stands still in partitions" in ready()[1], 50, lambda: str(ready()))
    assert ready()[0] == 1
    assert said("health", "--metrics-port", port) == (0, "alive\n")
    assert "standing" in kinds(asked(live, "--worker", f"127.0.0.1:{port}")[1])
    assert any(
        "held by source" in problem["text"] and problem["what"] == "standing" for problem in asked(live)[1]["problems"]
    )
    other.signal(signal.SIGCONT)
    until(lambda: ready()[0] == 0 or one.exit_code is not None, 90, lambda: str(ready()))
    assert one.exit_code is None, one.output
