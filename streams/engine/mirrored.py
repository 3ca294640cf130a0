"""Which Python the native engine was last shown to agree with: it is used only while none of that has changed.

``python -m streams.engine.mirrored`` writes ``mirrored.json`` anew; do that once ``tests/engine`` has passed with the
change. Comments and docstrings do not count.
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
    "conditions", "deadlines", "event", "explanations", "faults", "history", "offline", "offline_engine", "rulebook",
    "verdicts", "working_days", "alerts",
)  # fmt: skip
_KINDS: Final = ("acts", "clock", "deadline", "evidence", "patterns", "prerequisite", "recording_delay", "sequence")
_FILES: Final = (
    *(f"streams/core/{name}.py" for name in _CORE),
    *(f"streams/core/kinds/{name}.py" for name in _KINDS),
    "streams/wire/plain_events.py",
    "streams/wire/cloudevents.py",
    "streams/replay/judging.py",
    "streams/replay/reading.py",
)


def _digest(path: Path) -> str:
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [
                child
                for child in node.body
                if not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant))
            ]
    return sha256(ast.unparse(tree).encode()).hexdigest()[:16]


def changed() -> list[str]:
    """The files that have changed since."""
    known = json.loads(_RECORD.read_text("utf-8"))
    return [name for name in _FILES if known.get(name) != _digest(_ROOT / name)]


def main() -> None:
    """Record the files as they are."""
    found = {name: _digest(_ROOT / name) for name in _FILES}
    _RECORD.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
