"""Several processes find what one finds, byte for byte; what breaks in one of them is told by the first."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from streams.adapters.forks import run_forked
from tests.replay import orders
from tests.replay.runs import Runner
from tests.replay.test_memory import results


@pytest.mark.parametrize("memory", ["512M", "90K"])
def test_jobs_change_nothing(gridclock: Runner, memory: str) -> None:
    path = gridclock.file("events.jsonl", orders.text(120))
    one = results(gridclock, "one", path, "--memory", memory)
    assert all(one[2].values())
    assert results(gridclock, "three", path, "--memory", memory, "--jobs", "3") == one


def test_what_breaks_in_a_process_is_raised_with_its_notes() -> None:
    def breaks(moved: Callable[[int], None]) -> None:
        moved(3)
        error = ValueError("a bug")
        error.add_note("gridclock: while judging event 'e1'")
        raise error

    def goes_on(moved: Callable[[int], None]) -> None:
        while True:
            moved(1)

    moved: list[int] = []
    with pytest.raises(ValueError, match="a bug") as caught:
        run_forked([breaks, goes_on], moved.append)
    assert caught.value.__notes__ == ["gridclock: while judging event 'e1'"]
    assert 3 in moved


def test_a_process_that_is_killed_is_no_success() -> None:
    def dies(_moved: Callable[[int], None]) -> None:
        raise SystemExit(9)

    with pytest.raises(RuntimeError, match="ended from outside"):
        run_forked([dies], lambda _n: None)
