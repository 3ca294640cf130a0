"""What processes say on standard error, as JSON: every line, from the first to whatever ends the process."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streams.log_lines import JsonLines

ROOT = Path(__file__).resolve().parent.parent


def lines(*command: str, **environment: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and lines of a Python process."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KAFKA_BOOTSTRAP_SERVERS": "", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == ""
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_is_one_object() -> None:
    record = logging.LogRecord("streams.x", logging.WARNING, "f.py", 1, "two\nlines: %s 超时 \ud800", ("a",), None)
    record.created = 1772413200.25
    record.fields = {"settings": {"name": "n"}}
    line = JsonLines().format(record)
    assert line.isascii()
    assert json.loads(line) == {
        "time": "2026-03-02T01:00:00.250+00:00",
        "level": "warning",
        "logger": "streams.x",
        "message": "two\nlines: a 超时 \ud800",
        "settings": {"name": "n"},
    }
    assert "\n" not in line


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (("run", "--log-format", "json"), {}, "bootstrap: no broker given: use --bootstrap or KAFKA_BOOTSTRAP_SERVERS"),
        (("board",), {"GRIDCLOCK_LOG_FORMAT": "json"}, "bootstrap: no broker given: use"),
        (
            ("run", "--log-format", "json"),
            {"GRIDCLOCK_BATCH": "x"},
            "variable GRIDCLOCK_BATCH: batch: 'x': Input should be",
        ),
        (("run", "--log-format", "json", "--partitions", "x"), {}, "'x' is not a valid integer"),
        (("run", "--bootstrap", "127.0.0.1:1", "--only", "/nowhere", "--log-format", "json"), {}, "/nowhere: "),
    ],
    ids=["flag", "environment", "setting", "usage", "rulebook"],
)
def test_errors_at_the_start(words: tuple[str, ...], environment: dict[str, str], said: str) -> None:
    code, found = lines("-m", "streams.cli", *words, **environment)
    assert code == 2
    (line,) = found
    assert (line["level"], line["logger"]) == ("error", "gridclock")
    assert said in line["message"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])


PROGRAM = """
import gc, threading, warnings
from streams.log_lines import announce, use_json, start_logging
use_json()
start_logging("error")
announce("at work", port=1)
warnings.warn("old", DeprecationWarning, stacklevel=1)
thread = threading.Thread(target=lambda: 1 / 0, name="t")
thread.start()
thread.join()
class Falling:
    def __del__(self):
        raise ValueError("at the end")
Falling()
raise LookupError("first\\nsecond")
"""


def test_what_nobody_caught_comes_out_as_a_line_too() -> None:
    code, found = lines("-W", "always", "-c", PROGRAM)
    assert code == 1
    first, thread, falling, last = found
    assert (first["message"], first["port"], first["level"]) == ("at work", 1, "info")
    assert thread["message"].startswith("uncaught in <Thread(t, ")
    assert thread["exception"].endswith("ZeroDivisionError: division by zero")
    assert falling["exception"].endswith("ValueError: at the end")
    assert (last["message"], last["level"]) == ("uncaught: LookupError", "critical")
    assert last["exception"].endswith("LookupError: first\nsecond")
