"""Work shared out to processes of this machine that begin with everything this one holds in memory.

Forked, because what there is to be judged is in memory already and takes longer to send than to judge. What they find
they leave in files; over the pipe come only how far they are, and what broke.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait

Moved = Callable[[int], None]
Task = Callable[[Moved], None]

_fork = multiprocessing.get_context("fork")


@contextmanager
def rare_collections(*, old: int = 5000) -> Iterator[None]:
    """Let Python look for unreachable cycles rarely: hundreds of thousands of events are held, and form none.

    Young objects are looked at after each half million, all of them at most after ``old`` times as many.
    """
    before = gc.get_threshold()
    gc.set_threshold(500_000, 10, old // 10)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def run_forked(tasks: Sequence[Task], on_moved: Moved) -> None:
    """Run every task in a process of its own, to the end of the last; ``on_moved`` hears of each step of any.

    An exception of a task, or an interruption of this process, ends all of them and is raised here.
    """
    gc.freeze()  # else the first search for cycles in each process copies all memory
    processes = []
    pipes: list[Connection] = []
    try:
        for task in tasks:
            ours, theirs = _fork.Pipe(duplex=False)
            process = _fork.Process(target=_run, args=(task, theirs), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
        while pipes:
            for pipe in wait(pipes):
                assert isinstance(pipe, Connection)
                try:
                    said = pipe.recv()
                except EOFError as error:
                    raise RuntimeError("a process of the replay was ended from outside") from error
                if said is None:
                    pipes.remove(pipe)
                    pipe.close()
                elif isinstance(said, int):
                    on_moved(said)
                else:
                    raise said
    finally:
        for process in processes:
            if pipes:
                process.terminate()
            process.join()
        for pipe in pipes:
            pipe.close()
        gc.unfreeze()


def _run(task: Task, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal interrupts all; the first process decides
    try:
        task(pipe.send)
    except Exception as error:
        try:
            pipe.send(error)
        except Exception:  # it cannot be sent as it is
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))
    else:
        pipe.send(None)
