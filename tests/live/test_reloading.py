"""SIGHUP before a process has come so far as to look at its files: it is acted on later, and does not end it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from streams import cli

ROOT = Path(__file__).resolve().parent.parent.parent

STARTING = """
import asyncio, os, signal, sys
from pathlib import Path
from streams.live.reloading import hold_reloads, run_reloading

seen = Path(sys.argv[1])
hold_reloads()
if seen.exists():
    print("again", flush=True)
    sys.exit(7)
os.kill(os.getpid(), signal.SIGHUP)  # while it reads its files
print("started", flush=True)

async def work(stop):
    await asyncio.wait_for(stop.wait(), 20)

run_reloading(work, seen.touch)
print("ended without looking again", flush=True)
"""


def test_a_signal_during_the_start_is_acted_on(tmp_path: Path) -> None:
    script = tmp_path / "starting.py"
    script.write_text(STARTING, "utf-8")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "seen")],
        env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.stdout.split("\n"), done.returncode) == (["started", "again", ""], 7), done.stderr
    assert "restarting with the changed files" in done.stderr


def test_every_command_that_looks_again_holds_the_signal_from_its_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[str] = []
    monkeypatch.setattr(cli, "hold_reloads", lambda: held.append("held"))
    commands = (ROOT / "streams/commands").glob("*.py")
    reloading = sorted(path.stem for path in commands if "run_reloading(" in path.read_text("utf-8"))
    assert reloading == ["board", "notify", "run"]
    for word in (*reloading, "status"):
        with pytest.raises(SystemExit):
            cli.main([word, "--help"])
    assert held == ["held"] * 3
