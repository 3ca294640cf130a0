"""The README and the runbook say what is there: commands, files, and the two lines that everything begins with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streams.cli import _COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
RUNBOOK = (ROOT / "deploy" / "README.md").read_text("utf-8")


def test_it_opens_with_the_two_commands() -> None:
    commands = [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("    ")][:2]
    assert commands == ["deploy/demo", "tests/run"]
    for command in commands:
        assert (ROOT / command).stat().st_mode & 0o111, command


@pytest.mark.parametrize("command", sorted(_COMMANDS))
def test_every_command_is_named(command: str) -> None:
    assert re.search(rf"gridclock {command}\b", README + RUNBOOK), command


def test_every_file_named_is_there() -> None:
    named = set(re.findall(r"`((?:streams|schemas|tests|deploy)/[\w./-]+\w/?)[`\s:]", README + RUNBOOK))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_command_of_the_readme_is_a_command() -> None:
    used = set(re.findall(r"(?:`|^ +(?:\.venv/bin/)?)gridclock ([a-z][a-z-]*)\b", README, re.MULTILINE))
    assert len(used) > 10
    assert used - set(_COMMANDS) == set()
