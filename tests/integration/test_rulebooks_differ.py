"""Two workers with different rulebooks: status, a metric and a line of each worker say so, until they agree again."""

from __future__ import annotations

import pytest

from tests.integration import watchful_worker
from tests.integration.live import Live, Worker, until
from tests.integration.status import asked, kinds
from tests.rulebooks.test_loader import HEAD, RULE

pytestmark = pytest.mark.live(partitions=2, embedded_lacks="it does not share partitions among workers")


def wait_for(worker: Worker, rulebooks: int) -> None:
    """Until the worker has seen so many."""
    until(lambda: worker.metric("gridclock_rulebooks") == rulebooks, 90, lambda: worker.output)


def test_two_workers_with_different_rulebooks_are_noticed(live: Live) -> None:
    live.make_source(2)
    one = live.worker(module=watchful_worker.MODULE)
    until(lambda: asked(live)[0] == 0, 60, lambda: f"{asked(live)}{one.output}")
    live.add_rules(HEAD + RULE)
    other = live.worker(module=watchful_worker.MODULE)
    until(lambda: kinds(asked(live)[1]) == {"rulebooks"}, 120, lambda: f"{asked(live)}{one.output}{other.output}")
    _, answer = asked(live)
    (text,) = [problem["text"] for problem in answer["problems"]]
    rulebooks = {part["rulebook"]: part["owner"] for part in answer["partitions"]}
    assert len(rulebooks) == 2
    for rulebook, owner in rulebooks.items():
        assert f"by {rulebook} ({owner})" in text
    for worker in (one, other):
        wait_for(worker, 2)
        assert "this worker judges by rulebook" in worker.output
        assert "others by another one: partition" in worker.output

    assert one.stop() == 0
    again = live.worker(module=watchful_worker.MODULE)
    for worker in (other, again):
        wait_for(worker, 1)
    until(lambda: asked(live)[0] == 0, 90, lambda: f"{asked(live)}{other.output}{again.output}")
    assert "all partitions are judged by rulebook" in other.output
