"""The code as such: lint, types, and who may import whom."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The folders, in the order in which a record goes through them: each with the folders and modules of ours that it may
# import beside itself and schemas. What is missing here may be imported by nobody.
LEAVES = (
    "early_signals", "errors", "settings", "files", "wall_clock", "log_limits", "log_lines", "loopback", "http_server",
    "workbook",
)  # fmt: skip
ROOMS: dict[str, tuple[str, ...]] = {
    "core": ("errors",),
    "wire": ("core", "errors"),
    "engine": ("core", "wire", "errors"),
    "kafka": LEAVES,
    "rulebooks": ("core", "wire", *LEAVES),
    "live": ("core", "wire", "engine", "kafka", "rulebooks", *LEAVES),
    "replay": ("core", "wire", "engine", "kafka", "rulebooks", "live", *LEAVES),
    "board": ("core", "wire", "kafka", "rulebooks", "live", "sink", *LEAVES),
    "notify": ("core", "wire", "kafka", "rulebooks", "live", *LEAVES),
    "sink": ("core", "kafka", "live", *LEAVES),
    "operations": ("core", "wire", "kafka", "rulebooks", "live", "sink", *LEAVES),
    "spark": ("core", "wire", "engine", "rulebooks", "replay", *LEAVES),
    "simulation": (),
    "demonstration": ("kafka", *LEAVES),
}
PURE = {  # and these packages besides the standard library; the others may use any that pyproject names
    "schemas": {"pydantic", "pydantic_core"},
    "core": {"msgspec", "pydantic"},
    "simulation": {"holidays"},
}


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


TOP = {"pyproject.toml", "requirements-lock.txt", "README.md", "streams", "schemas", "deploy", "tests"}
"""All that lies at the top besides dotfiles and a licence."""


def test_nothing_else_lies_at_the_top() -> None:
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(f"not a clone: {found.stderr.strip()}")
    names = {line.strip('"').partition("/")[0] for line in found.stdout.splitlines()}
    assert {name for name in names if not name.startswith((".", "LICEN"))} <= TOP


@pytest.mark.parametrize("room", ["schemas", *ROOMS])
def test_imports_point_one_way(room: str) -> None:
    """``commands`` and ``cli`` may import everything; nothing imports them."""
    folder = ROOT / room if room == "schemas" else ROOT / "streams" / room
    files = sorted(folder.rglob("*.py"))
    assert files
    ours = {"schemas"} if room == "schemas" else {"schemas", *(f"streams.{name}" for name in (room, *ROOMS[room]))}
    for path in files:
        for name in imports_of(path):
            top = name.split(".")[0]
            if top in {"streams", "schemas"}:
                assert top in ours or ".".join(name.split(".")[:2]) in ours, f"{path} imports {name}"
            elif room in PURE:
                assert top in sys.stdlib_module_names or top in PURE[room], f"{path} imports {name}"


def test_every_folder_has_its_place_in_the_order() -> None:
    folders = {path.parent.name for path in (ROOT / "streams").glob("*/__init__.py")}
    assert folders - {"commands"} == set(ROOMS)


def test_faust_stays_in_two_files() -> None:
    users = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "streams").rglob("*.py")
        if any(name.split(".")[0] in {"faust", "mode"} for name in imports_of(path))
    ]
    assert sorted(users) == ["streams/live/faust_app.py", "streams/live/faust_extensions.py"]


# --- form -----------------------------------------------------------------------------------------------------

MOST_LINES = 60  # of a function
MOST_PARAMETERS = 7  # of a function; what needs more takes one settings object
MOST_MODULE_LINES = 500


def too_large() -> Iterator[str]:
    for folder in ("schemas", "streams"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name, text = path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
            if text.count("\n") > MOST_MODULE_LINES:
                yield name
            for node in ast.walk(ast.parse(text)):
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                assert node.end_lineno is not None
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                parameters = [one for one in given if one.arg not in {"self", "cls"}]
                if node.end_lineno - node.lineno + 1 > MOST_LINES or len(parameters) > MOST_PARAMETERS:
                    yield f"{name} {node.name}"


def test_functions_and_modules_stay_small() -> None:
    assert set(too_large()) == set()


# --- names ----------------------------------------------------------------------------------------------------

# Words that have to be translated where the field has one of its own: reported, checked, corrected, failed.
RIDDLES = re.compile(
    r"(?:^|_)(?:told|tell|tells|telling|knock|doors?|shelf|stretch|sift|sifted|mended|complain|hear|heard)(?:_|$)"
)


def test_names_are_the_words_of_the_field() -> None:
    named = []
    for path in sorted((ROOT / "streams").rglob("*.py")):
        names = [path.stem]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.append(node.name)
        named += [f"{path.relative_to(ROOT)} {name}" for name in names if RIDDLES.search(snake(name))]
    assert named == []


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
