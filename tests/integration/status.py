"""``gridclock status`` of an installation under test."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.live import Live, said


def asked(live: Live, *words: object) -> tuple[int, dict[str, Any]]:
    """Exit code and answer, as JSON."""
    code, text = said("status", "--bootstrap", live.bootstrap, "--name", live.name, "--json", "--wait", 1, *words)
    assert code in (0, 1), text
    return code, json.loads(text)


def kinds(answer: dict[str, Any]) -> set[str]:
    return {problem["what"] for problem in answer["problems"]}
