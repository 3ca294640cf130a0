"""SIGHUP before a process has come so far as to look at its files: it is acted on later, and does not end it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams import cli

ROOT = Path(__file__).resolve().parent.parent.parent

STARTING = """
import asyncio, os, signal, sys
from pathlib import Path
from streams.early_signals import hold_reloads
from streams.live.reloading import run_reloading

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


SLOW = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "click":  # what is imported from here on takes its time
            print("importing", flush=True)
            time.sleep(2)
sys.meta_path.insert(0, Slow())
"""
"""Python's ``sitecustomize``: the imports of the program take two seconds, so that a signal surely comes in them."""


def signalled_while_importing(tmp_path: Path, number: int, *words: str) -> tuple[int, str]:
    """The exit code and standard error of a command that got the signal before it was imported."""
    (tmp_path / "sitecustomize.py").write_text(SLOW, "utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "streams.cli", *words],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        time.sleep(0.1)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize("command", ["run", "board", "notify"])
def test_a_reload_while_the_program_is_imported_does_not_end_it(tmp_path: Path, command: str) -> None:
    assert signalled_while_importing(tmp_path, signal.SIGHUP, command, "--help") == (0, "")


@pytest.mark.parametrize("command", ["run", "status"])
def test_an_interrupt_while_the_program_is_imported_is_one_line(tmp_path: Path, command: str) -> None:
    assert signalled_while_importing(tmp_path, signal.SIGINT, command, "--help") == (130, "gridclock: interrupted\n")


def test_a_command_that_does_not_reload_is_ended_by_a_hangup(tmp_path: Path) -> None:
    assert signalled_while_importing(tmp_path, signal.SIGHUP, "status", "--help") == (-signal.SIGHUP, "")
