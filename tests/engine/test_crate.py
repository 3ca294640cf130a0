"""The crate itself: its tests, its form, and no warning; where cargo is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CRATE = Path(__file__).resolve().parent.parent.parent / "streams" / "native"
STEPS = (
    ("fmt", "--check"),
    ("clippy", "--locked", "--quiet", "--all-targets", "--", "-D", "warnings"),
    ("test", "--locked", "--quiet"),
)


@pytest.mark.slow
@pytest.mark.whole
@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not here, so the native engine is not built")
@pytest.mark.parametrize("step", STEPS, ids=[step[0] for step in STEPS])
def test_cargo(step: tuple[str, ...]) -> None:
    done = subprocess.run(("cargo", *step), cwd=CRATE, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
