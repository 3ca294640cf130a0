"""A child process that does not outlive its parent, whose output goes to a file.

Three nets, from the wished-for to the last: ``kill`` and wait; at the interpreter's end the same; and where Linux
has it, the parent-death signal, which holds after SIGKILL too. That signal is set by this file run as a script,
which then becomes the wanted program under the same pid: the ``preexec_fn`` that would spare it is unsafe beside
threads. The signal comes when the *thread* that started the child ends, so that all are started by one thread
which lives as long as the interpreter.
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
    """One running program, in a process group of its own (a Ctrl-C at the terminal is not for it).

    Its standard input is a pipe that nothing is written to: it ends when the parent does.
    """

    def __init__(self, command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = _spawner.submit(
                subprocess.Popen,
                [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            ).result()
        self.pid: int = self._process.pid
        atexit.register(self.kill)

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs; minus the signal's number where a signal ended it."""
        return self._process.poll()

    def kill(self) -> None:
        """Ends it by SIGKILL and waits; harmless where it has ended already."""
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
        """All it has written so far."""
        return self.log.read_text("utf-8", errors="replace")

    def last_lines(self, count: int = 20) -> str:
        """The end of what it has written, for an error message."""
        return "\n".join(self.output().splitlines()[-count:])


def _become(parent: int, command: list[str]) -> None:
    """Sets the parent-death signal where there is one, then turns into ``command``."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the signal was set
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
