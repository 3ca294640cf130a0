"""A child process that does not outlive its parent, whose output goes to a file.

It ends in one of three ways: by ``kill``; when the interpreter ends; and, on Linux, by the parent-death signal, which
works after SIGKILL too. This file, run as a script, sets that signal and then execs the wanted program under the same
pid, because ``preexec_fn`` is unsafe with threads. The kernel sends the signal when the *thread* that started the child
ends, so all children are started by one thread that lives as long as the interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="child-process-spawner")


class ChildProcess:
    """One running program, in a process group of its own (so Ctrl-C at the terminal does not reach it).

    Its standard input is an empty pipe that closes when the parent ends.
    """

    def __init__(self, command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        self._command = [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]
        self._environment = {**os.environ, **(environment or {})}
        self._process = self._spawn()
        atexit.register(self.kill)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            return _spawner.submit(
                subprocess.Popen,
                self._command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            ).result()

    @property
    def pid(self) -> int:
        """That of the process now running, or of the last one."""
        return self._process.pid

    def restart(self) -> None:
        """Start the same program again, after the one before has ended or is killed; the log goes on."""
        self.kill()
        self._process = self._spawn()
        atexit.register(self.kill)

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs; minus the signal's number where a signal ended it."""
        return self._process.poll()

    def kill(self) -> None:
        """End it by SIGKILL and wait; no effect where it has ended."""
        atexit.unregister(self.kill)
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def wait(self, seconds: float) -> int | None:
        """The exit code, or ``None`` where it still runs after so many seconds."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def output(self) -> str:
        """Its output so far."""
        return self.log.read_text("utf-8", errors="replace")

    def last_lines(self, count: int = 20) -> str:
        """The last lines of its output, for an error message."""
        return "\n".join(self.output().splitlines()[-count:])


def _become(parent: int, command: list[str]) -> None:
    """Set the parent-death signal where the system has one, then exec ``command``."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent ended before the signal was set
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
