"""Which Python the native engine was last shown to agree with: it is used only while none of that has changed.

``python -m streams.engine.mirrored`` writes ``mirrored.json`` anew; do that once ``tests/engine`` has passed with the
change. Comments and docstrings do not count. A file is parsed only where its bytes have changed: parsing all of them
takes a tenth of a second of every replay, and other versions of Python write a parsed file otherwise.
"""

from __future__ import annotations

import ast
import json
from hashlib import sha256
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parent.parent.parent
_RECORD: Final = Path(__file__).with_name("mirrored.json")
_CORE: Final = (
    "cases", "chosen_calendar", "conditions", "deadlines", "engine", "event", "explanations", "faults", "history",
    "offline", "offline_engine", "opening_hours", "outcome_counts", "pruning", "records", "rulebook", "standing",
    "verdicts", "working_days", "alerts",
)  # fmt: skip
_KINDS: Final = (
    "acts", "at_most", "cadence", "clock", "deadline", "deadline_version", "each", "evidence", "findings", "follow_up",
    "forbidden_while", "minimum_notice", "not_before", "patterns", "prerequisite", "recording_delay", "sequence",
    "slots", "versions",
)  # fmt: skip
_FILES: Final = (
    *(f"streams/core/{name}.py" for name in _CORE),
    *(f"streams/core/kinds/{name}.py" for name in _KINDS),
    "streams/wire/plain_events.py",
    "streams/wire/state_rows.py",
    "streams/wire/cloudevents.py",
    "streams/live/routing.py",
    "streams/replay/judging.py",
    "streams/replay/reading.py",
)


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]


def _digest_of_code(content: bytes) -> str:
    tree = ast.parse(content)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [
                child
                for child in node.body
                if not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant))
            ]
    return _digest(ast.unparse(tree).encode())


def changed() -> list[str]:
    """The files that have changed since."""
    known = json.loads(_RECORD.read_text("utf-8"))
    return [name for name in _FILES if not _is_as(known.get(name), (_ROOT / name).read_bytes())]


def _is_as(known: dict[str, str] | None, content: bytes) -> bool:
    return known is not None and (known["file"] == _digest(content) or known["code"] == _digest_of_code(content))


def main() -> None:
    """Record the files as they are."""
    contents = {name: (_ROOT / name).read_bytes() for name in _FILES}
    found = {name: {"file": _digest(content), "code": _digest_of_code(content)} for name, content in contents.items()}
    _RECORD.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
