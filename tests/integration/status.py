"""``gridclock status`` of an installation under test."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

from streams.cli import run
from tests.integration.live import Live


def said(*words: object) -> tuple[int, str]:
    """Exit code and output of a command run in this process, which spares its start."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = run([str(word) for word in words])
    return code, out.getvalue()


def asked(live: Live, *words: object) -> tuple[int, dict[str, Any]]:
    """Exit code and answer, as JSON."""
    code, text = said("status", "--bootstrap", live.bootstrap, "--name", live.name, "--json", "--wait", 1, *words)
    assert code in (0, 1), text
    return code, json.loads(text)


def kinds(answer: dict[str, Any]) -> set[str]:
    return {problem["what"] for problem in answer["problems"]}
