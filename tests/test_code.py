"""The code as such: lint, types, and who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A package may import the packages before it, and nothing after it.
ARROWS = (
    ("schemas", ("schemas",), {"pydantic", "pydantic_core"}),
    ("streams/core", ("schemas", "streams.core", "streams.errors"), {"msgspec"}),
    ("streams/simulation", ("streams.simulation",), {"holidays"}),
)


@pytest.mark.parametrize(
    "command",
    [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)],
    ids=["ruff check", "ruff format", "mypy --strict"],
)
def test_tools_find_nothing(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize(("package", "own", "others"), ARROWS, ids=[arrow[0] for arrow in ARROWS])
def test_imports_point_one_way(package: str, own: tuple[str, ...], others: set[str]) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        for name in imports_of(path):
            allowed = (
                name.startswith(own) or name.split(".")[0] in sys.stdlib_module_names or name.split(".")[0] in others
            )
            # rulebook.py and others of the core know the wire's rule models, and pydantic only through them
            assert allowed or (package == "streams/core" and name == "pydantic"), f"{path} imports {name}"


def test_adapters_know_nothing_of_what_puts_them_together() -> None:
    allowed = ("streams.core", "streams.adapters", "streams.errors", "streams.settings")
    for path in sorted((ROOT / "streams" / "adapters").rglob("*.py")):
        for name in imports_of(path):
            assert not name.startswith("streams") or name.startswith(allowed), f"{path} imports {name}"


def test_faust_stays_in_one_file() -> None:
    users = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "streams").rglob("*.py")
        if any(name.split(".")[0] in {"faust", "mode"} for name in imports_of(path))
    ]
    assert users in ([], ["streams/live/faust_app.py"])
