"""The record of what the native engine was compared with: of these very files, and what counts as a change of them."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from streams.engine import mirrored

NAME = "streams/core/conditions.py"
CODE = b"def two():\n    return 2\n"


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One file with its record."""
    path = tmp_path / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(CODE)
    monkeypatch.setattr(mirrored, "_FILES", (NAME,))
    monkeypatch.setattr(mirrored, "_ROOT", tmp_path)
    monkeypatch.setattr(mirrored, "_RECORD", tmp_path / "mirrored.json")
    mirrored.main()
    return path


def test_the_record_is_of_the_files_as_they_are() -> None:
    """Else the native engine is off: run tests/engine, then ``python -m streams.engine.mirrored``."""
    assert mirrored.changed() == []


@pytest.mark.parametrize(
    ("content", "is_changed"),
    [
        (CODE, False),
        (b'"""What."""\n\ndef two():\n    """Two."""\n    # why\n    return 2\n', False),
        (CODE.replace(b"2", b"3"), True),
        (CODE + b"x = 1\n", True),
    ],
)
def test_a_change_of_the_code_is_one(copy: Path, content: bytes, is_changed: bool) -> None:
    copy.write_bytes(content)
    assert mirrored.changed() == [NAME] * is_changed


def test_a_file_that_is_not_recorded_has_changed(copy: Path) -> None:
    mirrored._RECORD.write_text(json.dumps({}), "utf-8")
    assert mirrored.changed() == [NAME]


def test_a_file_with_the_same_bytes_is_not_parsed(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*_given: Any) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(ast, "parse", parse)
    assert mirrored.changed() == []
