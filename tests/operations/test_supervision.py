"""What ends by itself is started again, with one line for each end."""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from pathlib import Path

from streams.kafka.child_process import ChildProcess
from streams.operations.supervision import LONGEST_PAUSE, STAYED, Supervisor


class Ending:
    """A process that ends when the test says so."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.starts = 1

    def restart(self) -> None:
        self.exit_code = None
        self.starts += 1

    def last_lines(self, count: int = 20) -> str:
        return "\n".join(["first", "last"][-count:])


def test_one_line_for_each_end_and_pauses_that_double_to_a_minute() -> None:
    said: list[str] = []
    now, process, other = [0.0], Ending(), Ending()
    supervisor = Supervisor({"worker 1": process, "board": other}, said.append, lambda: now[0])
    starts: list[float] = []
    while now[0] < 600:
        if process.exit_code is None:
            starts.append(now[0])
            process.exit_code = -9
        supervisor.look()
        now[0] += 0.5
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert [pause // 1 for pause in pauses[:8]] == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE]
    assert len(said) == len(starts), "not one line for each end"
    assert said[0] == "worker 1 ended with -9; it is started again in 1 s; it said: last"
    assert (other.starts, other.exit_code) == (1, None)


def test_one_that_stayed_is_started_again_at_once() -> None:
    said: list[str] = []
    now, process = [0.0], Ending()
    supervisor = Supervisor({"worker 1": process}, said.append, lambda: now[0])
    for _ in range(3):
        now[0] += STAYED
        process.exit_code = 1
        supervisor.look()
        assert process.exit_code is None
    assert process.starts == 4
    assert all("started again now" in line for line in said)


def test_a_real_process_is_another_one_with_the_same_log(tmp_path: Path) -> None:
    child = ChildProcess([sys.executable, "-c", "print('here', flush=True); input()"], tmp_path / "log")
    try:
        said: list[str] = []
        supervisor = Supervisor({"child": child}, said.append)
        first, deadline = child.pid, time.monotonic() + 60
        while child.output().count("here") < 1:
            assert time.monotonic() < deadline
        child.kill()
        assert child.exit_code == -9
        while child.output().count("here") < 2:
            supervisor.look()
            assert time.monotonic() < deadline
        assert child.pid != first
        assert said == ["child ended with -9; it is started again in 1 s; it said: here"]
    finally:
        child.kill()
