"""Whether files changed while they were read: half of one file and half of another give verdicts of neither."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from streams.errors import ConfigError
from streams.files import STANDARD
from streams.replay.sources.parquet import parquet_files


class FileState(NamedTuple):
    """``size`` is in bytes, ``modified`` in nanoseconds since 1970."""

    device: int
    inode: int
    size: int
    modified: int


def states_of(names: Iterable[str]) -> dict[str, FileState]:
    """The states of those that are regular files, by name; of a directory each of its tables."""
    files = [
        file
        for name in names
        for file in (parquet_files(name) if Path(name).is_dir() else [name])
        if name != STANDARD and Path(file).is_file()
    ]
    found = {name: _state_of(name) for name in files}
    return {name: state for name, state in found.items() if state is not None}


def _state_of(name: str) -> FileState | None:
    try:
        found = os.stat(name)
    except OSError:
        return None
    return FileState(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def grown_since(before: Mapping[str, FileState]) -> list[str]:
    """The files that have only grown since ``states_of``: what was added was read in part, or not at all.

    One that is gone was read to its end all the same, or its reader has failed.

    Raises:
        ConfigError: naming every file that was replaced, cut or written anew since.
    """
    grown: list[str] = []
    changed: list[ConfigError] = []
    for name, was in before.items():
        now = _state_of(name)
        if now is None or now == was:
            continue
        if now[:2] == was[:2] and now.size > was.size:
            grown.append(name)
        else:
            changed.append(ConfigError(f"{_change(was, now)} while it was read: run it again, on a copy", path=name))
    if changed:
        raise ConfigError.first_of(changed)
    return grown


def _change(was: FileState, now: FileState) -> str:
    if now[:2] != was[:2]:
        return "was replaced"
    return "was cut" if now.size < was.size else "was written anew"
