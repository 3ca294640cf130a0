"""The local copy of the state on disk: read whole or not at all, thrown away where it is damaged.

The changelog holds everything that the copy holds, so a damaged copy is no loss: it is removed when the worker
starts, and Faust fills a new one. What must not happen is that part of a copy is taken for the whole. RocksDB's
iterator ends early and silently at a damaged block; only its status tells.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rocksdict

from streams.errors import GridclockError

_MARK = "damaged"

# Words of errors that say nothing about the files themselves.
_OTHER_TROUBLE = ("lock", "space", "ermission", "oo many open files")


class LocalStoreError(GridclockError):
    """The local copy of the state is damaged. It is marked: the next start rebuilds it from the changelog."""


def rows_of(database: Any, path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Every key and value, by key.

    Raises:
        LocalStoreError: at the end, too, where some could not be read.
    """
    try:
        position = database.iter()
        position.seek_to_first()
        while position.valid():
            yield position.key(), position.value()
            position.next()
        position.status()
    except Exception as error:  # rocksdict raises nothing narrower
        (path / _MARK).touch()
        raise LocalStoreError(f"{path} is damaged: {error}; the next start rebuilds it") from error


def remove_damaged(directory: Path) -> list[Path]:
    """Remove the copies that are marked or cannot be opened; returns them. Nobody may be at work on them."""
    damaged = [path for path in sorted(directory.glob("*.db")) if (path / _MARK).exists() or not _opens(path)]
    for path in damaged:
        shutil.rmtree(path)
    return damaged


def _opens(path: Path) -> bool:
    try:
        options = rocksdict.Options(raw_mode=True)
        rocksdict.Rdict(str(path), options=options, access_type=rocksdict.AccessType.read_only()).close()
    except Exception as error:
        return any(word in str(error) for word in _OTHER_TROUBLE)
    return True
