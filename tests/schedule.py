"""Three processes for all tests, as ``.ci/run`` starts them (pytest-xdist).

The files stand in a row: what computes at its beginning, what waits for workers on a broker at its end. One process
takes from the beginning, the others from the end, each the next file when it has done one, until they meet. So two
cores are busy while tests wait, and all processes end together whatever tests are added.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling
from xdist.workermanage import WorkerController

_FIRST = ("property", "rulebook", "oracle", "core", "golden", "compat", "schemas")
_LAST = ("board", "notify", "sink", "integration", "operations", "crash")
_ON_THREE_NODES = frozenset(f"tests/crash/test_{name}.py" for name in ("bad_day", "brokers", "stopped"))


def place(path: str) -> tuple[int, str]:
    """Where a test file stands in the row; ``path`` begins with ``tests/``."""
    folder = path.split("/")[1]
    if folder in _FIRST:
        return _FIRST.index(folder), path
    return len(_FIRST) + 1 + (_LAST.index(folder) if folder in _LAST else -1), path


def in_a_row(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests by the places of their files; within a file as they were."""
    return sorted(items, key=lambda item: place(item.nodeid.partition("::")[0]))


class FromBothEnds(LoadFileScheduling):  # type: ignore[misc]
    """Gives the second process the first file that is left, any other process the last one.

    Files that share three nodes of Kafka are as one, so that the nodes are started once.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = str(super()._split_scope(nodeid))
        return "tests/crash on three nodes" if path in _ON_THREE_NODES else path

    def _assign_work_unit(self, node: WorkerController) -> None:
        if node not in self.nodes[1:2]:  # one node is left where there is one file
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)
