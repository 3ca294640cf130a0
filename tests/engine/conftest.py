"""What the comparisons of both engines share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.engine import mirrored
from streams.engine.judged import NativeReplay
from streams.replay import replay as replay_module
from streams.replay.judging import Deduplicated
from streams.replay.native_tasks import NativeTask, judge_task
from streams.replay.spill import Partitions
from tests.engine.equality import document_of, simulated


@pytest.fixture(scope="module")
def compared_as_it_is() -> Iterator[None]:
    """These tests are the comparison, so they do not ask whether there has been one.

    The document of a rulebook is made once: to make it takes longer than all else of a replay of some events.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirrored, "changed", list)
        patch.setattr(replay_module, "Document", lambda rulebook, _catalogue, rival=None: document_of(rulebook, rival))
        yield


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Simulated orders, with all that goes wrong."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(simulated())
    return path


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Of each task that was judged natively the events, and how many were left to Python."""
    found: list[tuple[int, int]] = []

    def counting(
        native: NativeReplay, scope: Any, partitions: Partitions, parts: range, *more: Any
    ) -> tuple[NativeTask, Deduplicated]:
        judged, left = judge_task(native, scope, partitions, parts, *more)
        found.append((sum(1 for part in parts for _ in partitions.load(part)), len(left.events)))
        return judged, left

    monkeypatch.setattr(replay_module, "judge_task", counting)
    return found
