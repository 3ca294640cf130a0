"""Runs of the command in this process, with what they wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streams.cli import run


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def alerts(self) -> list[dict[str, Any]]:
        return [json.loads(line)["data"] for line in self.out.splitlines()]


class Runner:
    def __init__(self, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        self._capfd = capfd
        self.path = tmp_path

    def __call__(self, *arguments: str | Path) -> Ran:
        code = run([str(argument) for argument in arguments])
        out, err = self._capfd.readouterr()
        return Ran(code, out, err)

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def lines(self, name: str, events: list[dict[str, Any]]) -> Path:
        return self.file(name, "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events))


def data_of(path: Path) -> list[dict[str, Any]]:
    """The data of a file of CloudEvents."""
    return [json.loads(line)["data"] for line in path.read_text("utf-8").splitlines()]


def records_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def of_rule(records: list[dict[str, Any]], rule: str) -> list[dict[str, Any]]:
    return [record for record in records if record["rule"] == rule]
