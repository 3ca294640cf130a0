"""The documents name what is there, and all of it: commands, settings, metrics, errors, folders, words."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.dead_letters import REASONS
from schemas.deliveries import UNDELIVERED_REASONS
from streams.cli import _COMMANDS
from streams.live.metric_table import METRICS
from streams.settings import Settings
from tests.operations.test_deployment import anchors

ROOT = Path(__file__).parents[2]
NAMES = ("README.md", "deploy/README.md", "streams/README.md", "schemas/README.md", "tests/README.md")
DOCUMENTS = {name: (ROOT / name).read_text("utf-8") for name in NAMES}
README = DOCUMENTS["README.md"]
ALL = "\n".join(DOCUMENTS.values())
# What stands for nothing that is in the repository: the names are the reader's own.
THEIRS = {"streams/rulebook/<chapter>.yaml", "tests/rulebook/test_<chapter>.py"}


def commands_of(text: str) -> list[str]:
    return [line.split("#")[0].strip() for line in text.splitlines() if line.startswith("    ")]


# --- the README ---------------------------------------------------------------------------------------------


def test_it_opens_with_the_two_commands() -> None:
    assert commands_of(README)[:2] == ["deploy/demo", "tests/run"]
    for command in ("deploy/demo", "tests/run"):
        assert (ROOT / command).stat().st_mode & 0o111, command


def test_it_is_short_has_one_picture_and_ends_with_the_changes() -> None:
    before, heading, changes = README.partition("\n## Changes\n")
    assert heading
    assert before.count("\n") <= 200
    assert README.count("```mermaid") == 1
    assert "\n## " not in changes
    newest = changes.partition("\n### ")[2].partition("\n### ")[0]
    assert newest.startswith("0.2.0\n")
    assert re.findall(r"^\*\*(\w+)\*\*$", newest, re.MULTILINE) == ["Added", "Changed", "Fixed"]


def test_its_pictures_are_small() -> None:
    pictures = re.findall(r"!\[\w+\]\(([^)]+)\)", README)
    assert len(pictures) == 2
    assert sum((ROOT / name).stat().st_size for name in pictures) < 300_000, "python -m tests.screenshots"


def test_it_leads_to_every_other_document() -> None:
    for name in NAMES[1:]:
        assert f"]({name})" in README, name


# --- what is there is named, what is named is there -----------------------------------------------------------


@pytest.mark.parametrize("command", sorted(_COMMANDS))
def test_every_command_is_named(command: str) -> None:
    assert f"`gridclock {command}" in README


@pytest.mark.parametrize("document", NAMES)
def test_every_command_in_use_is_a_command(document: str) -> None:
    used = set(re.findall(r"(?:`|^ +(?:\.venv/bin/)?)gridclock ([a-z][a-z-]*)\b", DOCUMENTS[document], re.MULTILINE))
    assert used - set(_COMMANDS) == set()


def test_every_setting_metric_and_reason_is_named() -> None:
    names = [
        *(f"GRIDCLOCK_{name.upper()}" for name in Settings.model_fields),
        *METRICS,
        *REASONS,
        *UNDELIVERED_REASONS,
    ]
    assert len(names) > 80
    assert [name for name in names if f"`{name}" not in ALL] == []


@pytest.mark.parametrize("document", NAMES)
def test_every_file_and_module_named_is_there(document: str) -> None:
    text = DOCUMENTS[document]
    named = set(re.findall(r"`((?:streams|schemas|tests|deploy)/[^`\s:*{]+)`", text)) - THEIRS
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    modules = set(re.findall(r"python -m ((?:streams|schemas|tests)[\w.]*)", text))
    assert [name for name in sorted(modules) if importlib.util.find_spec(name) is None] == []


@pytest.mark.parametrize("document", NAMES)
def test_links_lead_somewhere(document: str) -> None:
    text = DOCUMENTS[document]
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        assert not path or (ROOT / document).parent.joinpath(path).exists(), target
        led_to = (ROOT / document).parent.joinpath(path).read_text("utf-8") if path.endswith(".md") else text
        assert not anchor or anchor in anchors(led_to), target


# --- for developers -------------------------------------------------------------------------------------------


def section(document: str, heading: str) -> str:
    text = DOCUMENTS[document]
    assert f"\n## {heading}\n" in text, f"{document} has no section {heading}"
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def folders_in(text: str) -> set[str]:
    cells = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)/`", cell)}


def test_the_tables_of_folders_are_complete() -> None:
    def folders(path: Path) -> set[str]:
        return {one.name for one in path.iterdir() if one.is_dir() and any(one.glob("[!_.]*")) and one.name[0] != "_"}

    assert folders_in(section("streams/README.md", "Folders")) == folders(ROOT / "streams")
    assert folders_in(section("tests/README.md", "How the tests are organised")) == folders(ROOT / "tests")


def test_every_decision_has_a_title_and_is_short() -> None:
    paragraphs = [
        one.strip()
        for one in re.split(r"\n\n|\n(?=### )", section("streams/README.md", "Decisions").partition("### Libraries")[0])
        if one.strip() and not one.strip().startswith("###")
    ][1:]
    assert len(paragraphs) > 30
    for text in paragraphs:
        assert text.startswith("**"), text
        assert "Consequence:" in text, text
        assert len(text) <= 800, text


# --- words ----------------------------------------------------------------------------------------------------


def classes() -> Iterator[tuple[str, str]]:
    for folder in ("schemas", "streams"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef):
                    yield node.name, path.relative_to(ROOT).as_posix()


def words_of(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.strip("_")).lower()


def test_the_words_of_the_glossary_are_those_of_the_code() -> None:
    known = {name for name, _ in classes()}
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]*)\| [^|]+ \|$", section("README.md", "Glossary"), re.MULTILINE)[
        2:
    ]
    assert len(rows) > 8
    named = 0
    for words, cell in rows:
        for name in re.findall(r"`(\w+)`", cell):
            assert name in known, f"{words}: there is no class {name}"
            assert any(word in words_of(name) for word in words.split(", ")), (
                f"{name} is called {words} in the glossary"
            )
            named += 1
    assert named > 8
