"""A command and its children, watched from outside: memory, files, and a kill at some moment. Linux only."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.live import ROOT

EVERY = 0.2
"""Seconds between two looks."""


@dataclass
class Watched:
    """One run. Bytes: the largest process ever, all processes together at a time, files put aside at a time."""

    code: int | None = None
    seconds: float = 0.0
    cpu: float = 0.0
    largest: int = 0
    together: int = 0
    aside: int = 0
    counts: dict[str, int] = field(default_factory=dict)


def tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text("ascii").split())
    return found


def _kilobytes(path: str, name: str) -> int:
    with suppress(OSError), open(path, encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def watch(
    command: Sequence[str], log: Path, aside: Path, *, kill_when: Callable[[], bool] | None = None, every: float = EVERY
) -> Watched:
    """Run to the end, or kill it (the first process alone, SIGKILL) when asked to; ``aside`` is a directory."""
    found = Watched()
    began = time.monotonic()
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with open(log, "ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": path})
    looked = 0
    used: dict[int, float] = {}
    try:
        while True:
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                process.returncode = found.code = os.waitstatus_to_exitcode(status)
                found.cpu = usage.ru_utime + usage.ru_stime
                break
            if kill_when is not None and kill_when():
                process.send_signal(signal.SIGKILL)
                kill_when = None
            pids = tree(process.pid)
            used |= {pid: max(_cpu(pid), used.get(pid, 0.0)) for pid in pids}
            found.largest = max(found.largest, *(_kilobytes(f"/proc/{pid}/status", "VmHWM:") for pid in pids))
            if looked % 5 == 0:  # adding up every page takes a while
                together = sum(_kilobytes(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in pids)
                found.together = max(found.together, together)
                _look_aside(aside, found)
            looked += 1
            time.sleep(every)
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()
    found.seconds = time.monotonic() - began
    found.cpu = max(found.cpu, sum(used.values()))  # nobody waits for what Spark starts
    return found


def _cpu(pid: int) -> float:
    """Seconds of processor time of a process alone."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _look_aside(directory: Path, found: Watched) -> None:
    size, counts = 0, {"read": 0, "done": 0}
    for place, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                size += os.stat(os.path.join(place, name)).st_size
            kind, dash, rest = name.partition("-")
            if kind in counts and dash and "." not in rest:
                counts[kind] += 1
    found.aside = max(found.aside, size)
    found.counts = {kind: max(count, found.counts.get(kind, 0)) for kind, count in counts.items()}
