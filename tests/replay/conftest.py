from __future__ import annotations

from pathlib import Path

import pytest

from tests.replay.runs import Runner


@pytest.fixture
def gridclock(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Runner:
    return Runner(capfd, tmp_path)
