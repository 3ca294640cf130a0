"""``gridclock run`` with a program that fails at every subject whose number has POISON (or ``TEST_POISON``) in it.

The environment variable TEST_FAULT names the steps, with commas between them: ``handle``, ``fold``, ``judge``,
``render``, ``encode``, ``row``; ``read`` that a record of the log cannot be read; ``kill`` kills the process,
``kill_intake`` where a record of a source with KILLS in it is read. ``judge:WO7`` fails at numbers with WO7 in them.
The faults are planted in Python, so the Python engine judges.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from streams.cli import main
from streams.core import engine, separable_engine
from streams.core.history import History
from streams.core.kinds.deadline import DeadlineFold
from streams.engine import VARIABLE
from streams.live import clock_partition
from streams.live import setting_aside as setting_aside_module
from streams.wire.cloudevents import CloudEvents
from streams.wire.records import RecordDecoder
from streams.wire.state_rows import DamagedError

KILLS = "KILLS"


def failing(word: str, whole: Callable[..., Any], about: Callable[..., object]) -> Callable[..., Any]:
    """The function, which fails where what it is about has the word in it."""

    def function(*given: Any, **named: Any) -> Any:
        if word in str(about(*given, **named)):
            raise ZeroDivisionError("王小明 13800000000")
        return whole(*given, **named)

    return function


def replace(word: str, module: Any, name: str, about: Callable[..., object]) -> None:
    setattr(module, name, failing(word, getattr(module, name), about))


def replace_reader(word: str, module: Any) -> None:
    whole = module.record_from_bytes

    def record_from_bytes(raw: bytes, **named: Any) -> Any:
        if word.encode() in raw:
            raise DamagedError("a record of the log is damaged")
        return whole(raw, **named)

    module.record_from_bytes = record_from_bytes


def plant(fault: str, word: str) -> None:
    match fault:
        case "handle":
            kind: Any = separable_engine.SeparableEngine
            kind.handle = failing(word, engine.Engine.handle, lambda _self, subject, _event: subject)
        case "fold":
            History.fold = failing(word, History.fold, lambda self, _routes: self.events)  # type: ignore[method-assign]
        case "judge":
            DeadlineFold.judge = failing(  # type: ignore[method-assign]
                word, DeadlineFold.judge, lambda _self, state, *_rest, **_named: state.latest
            )
        case "read":
            replace_reader(word, clock_partition)
            replace_reader(word, setting_aside_module)
        case "kill":
            whole = DeadlineFold.judge

            def judge(self: Any, state: Any, *given: Any, **named: Any) -> Any:
                if word in str(state.latest):
                    os.kill(os.getpid(), signal.SIGKILL)
                return whole(self, state, *given, **named)

            DeadlineFold.judge = judge  # type: ignore[method-assign]
        case "kill_intake":
            events = RecordDecoder.events

            def killing(self: Any, topic: str, partition: int, record: Any, **named: Any) -> Any:
                if KILLS.encode() in record.value:
                    os.kill(os.getpid(), signal.SIGKILL)
                return events(self, topic, partition, record, **named)

            RecordDecoder.events = killing  # type: ignore[method-assign]
        case "render":
            replace(word, engine, "report_alert", lambda *_given, subject, **_named: subject)
        case "encode":
            CloudEvents.alert = failing(word, CloudEvents.alert, lambda _self, alert: alert.subject)  # type: ignore[method-assign]
        case "row":
            replace(word, clock_partition, "snapshot_to_bytes", lambda snapshot, *_rest: snapshot.subject)
        case _:
            raise ValueError(fault)


if __name__ == "__main__":
    os.environ[VARIABLE] = "python"
    for each in os.environ["TEST_FAULT"].split(","):
        step, _, number = each.partition(":")
        plant(step, number or os.environ.get("TEST_POISON", "POISON"))
    main()
