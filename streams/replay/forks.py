"""Tasks run in forked processes of this machine.

Forked, because the events are in memory already and sending them takes longer than judging them. Results go to files;
the pipe has only progress and errors.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import Synchronized

Moved = Callable[[int], None]
Task = Callable[[Moved], None]

_fork = multiprocessing.get_context("fork")


def run_forked(tasks: Sequence[Task], on_moved: Moved, *, jobs: int | None = None, step: int = 1) -> None:
    """Run every task in one of ``jobs`` processes (default: each in its own), started in order; return with the last.

    ``on_moved`` gets the progress of all, about ``step`` at a time, because each report costs both sides some
    microseconds. An exception of a task, or an interruption of this process, ends all of them and is raised here.
    """
    gc.freeze()  # otherwise the first garbage collection in each process copies all memory
    turn = _fork.Value("q", 0)
    processes = []
    pipes: list[Connection] = []
    try:
        for _ in range(min(jobs or len(tasks), len(tasks))):
            ours, theirs = _fork.Pipe(duplex=False)
            pipes.append(ours)
            process = _fork.Process(target=_run, args=(tasks, turn, step, theirs, pipes), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
        while pipes:
            for pipe in wait(pipes):
                assert isinstance(pipe, Connection)
                try:
                    message = pipe.recv()
                except EOFError as error:
                    raise RuntimeError(
                        "a process of the replay was killed: perhaps out of memory; try a smaller --memory"
                    ) from error
                if message is None:
                    pipes.remove(pipe)
                    pipe.close()
                elif isinstance(message, int):
                    on_moved(message)
                else:
                    raise message
    finally:
        for process in processes:
            if pipes:
                process.terminate()
            process.join()
        for pipe in pipes:
            pipe.close()
        gc.unfreeze()


class _Steps:
    """Adds up steps and reports many at once."""

    def __init__(self, pipe: Connection, step: int) -> None:
        self._pipe = pipe
        self._step = step
        self._sum = 0

    def moved(self, amount: int) -> None:
        self._sum += amount
        if self._sum >= self._step:
            self.report()

    def report(self) -> None:
        if self._sum:
            self._pipe.send(self._sum)
            self._sum = 0


def _run(
    tasks: Sequence[Task], turn: Synchronized[int], step: int, pipe: Connection, others: Sequence[Connection]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one decides
    for other in others:
        other.close()  # so that the pipe breaks, and this process ends, when the first process is killed
    steps = _Steps(pipe, step)
    try:
        try:
            while (own := _next(turn)) < len(tasks):
                tasks[own](steps.moved)
        finally:
            steps.report()
        pipe.send(None)
    except BrokenPipeError:
        return
    except Exception as error:
        try:
            pipe.send(error)
        except Exception:  # it cannot be pickled
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _next(turn: Synchronized[int]) -> int:
    with turn.get_lock():
        found = turn.value
        turn.value = found + 1
    return found
