"""The local copy of the state on disk: read completely or not at all, removed if it is damaged.

The changelog holds the whole content of the copy, so a damaged copy is no loss: it is removed when the worker starts,
and Faust fills a new one. A partial read must not pass for a complete one: RocksDB's iterator ends early and without an
error at a damaged block; only its status shows it.

A copy that was offline for long must not be used either. By Kafka's default the changelog drops tombstones after a day,
and such a copy would restore rows deleted since. The number of subjects shows it.

A copy that cannot be written (a full disk, for example) is no loss either: the worker ends, names the directory, and
starts again from the changelog. It does not continue without the copy, because at the next rebalance Faust would read
its state from there.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import rocksdict

from streams.errors import ConfigError, GridclockError
from streams.files import private_directory
from streams.live.applied import Row
from streams.live.clock_partition import position_key
from streams.settings import Settings

_MARK = "damaged"

# Error texts that do not concern the files themselves.
_NO_ROOM = ("o space left", "uota exceeded", "ile too large")
_IN_USE = ("/LOCK",)
_OTHER_TROUBLE = (*_NO_ROOM, *_IN_USE, "ead-only file system", "ermission", "oo many open files")


class LocalStoreError(GridclockError):
    """The local copy of the state is damaged, and marked so that the next start rebuilds it, or cannot be written."""


def _is_about(error: Exception, path: Path, words: tuple[str, ...]) -> bool:
    # A directory may have any name; "gridclock" has a lock in it.
    text = str(error).replace(str(path), "")
    return any(word in text for word in words)


def trouble(path: Path, error: Exception) -> LocalStoreError:
    """The operator's message for an error of RocksDB; marks a damaged copy."""
    if _is_about(error, path, _NO_ROOM):
        remedy = "make room there and start again, or go on without a copy on disk (--store memory)"
        return LocalStoreError(f"{path} cannot be written: {error}; {remedy}; nothing is lost")
    if _is_about(error, path, _OTHER_TROUBLE):
        return LocalStoreError(f"{path} cannot be used: {error}; nothing is lost")
    return damaged(path, str(error))


def damaged(path: Path, what: str) -> LocalStoreError:
    """Mark a copy as unusable."""
    with contextlib.suppress(OSError):
        (path / _MARK).touch()
    return LocalStoreError(f"{path} is damaged: {what}; the next start rebuilds it")


def listen_to(store: Any, on_trouble: Callable[[LocalStoreError], None]) -> None:
    """Call ``on_trouble`` for errors when Faust's store is opened and written, except for a store still in use.

    A store in use belongs to a worker that is about to end: Faust waits for it. The store gets a method ``put_rows``,
    which takes rows without Faust's events.
    """

    def listening(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            try:
                return method(*args, **options)
            except LocalStoreError:
                raise
            except Exception as error:  # rocksdict has no narrower exception
                path = next((path for path in store.path.glob("*.db") if str(path) in str(error)), store.path)
                if _is_about(error, path, _IN_USE):
                    raise
                found = trouble(path, error)
                on_trouble(found)
                raise found from error

        return call

    for name in ("_open_for_partition", "set_persisted_offset", "apply_changelog_batch"):
        setattr(store, name, listening(getattr(store, name)))
    store.put_rows = listening(partial(_put_rows, store))


def _put_rows(store: Any, number: int, rows: Sequence[Row], last: int) -> None:
    """Write rows, and the offset of the last one with them, to a partition of a RocksDB store."""
    batch = rocksdict.WriteBatch(raw_mode=True)
    for key, value in rows:
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value)
    batch.put(store.offset_key, b"%d" % last)
    store._db_for_partition(number).write(batch)


def rows_of(database: Any, path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Every key and value, by key.

    Raises:
        LocalStoreError: also at the end, where some could not be read.
    """
    try:
        position = database.iter()
        position.seek_to_first()
        while position.valid():
            yield position.key(), position.value()
            position.next()
        position.status()
    except Exception as error:  # rocksdict has no narrower exception
        raise trouble(path, error) from error


def kept_rows(store: Any, number: int) -> Iterator[tuple[bytes, bytes]]:
    """The rows of one partition in a table's store, on disk or in memory, its position first.

    The table's own iteration goes through all partitions; it would read the whole store once for each. So the
    partition's own store is read.
    """
    if hasattr(store, "_db_for_partition"):
        # In a RocksDB rows come by key, and the position's sorts before every subject's.
        rows = rows_of(store._db_for_partition(number), store.partition_path(number))
        yield from ((key, value) for key, value in rows if key != store.offset_key)
        return
    found = [(key, value) for key, value in store.items() if key.startswith(b"%d/" % number)]
    yield from sorted(found, key=lambda row: row[0] != position_key(number))


def kept_row(store: Any, number: int, key: bytes) -> bytes | None:
    """One row of a partition in a table's store."""
    found: bytes | None = (
        store._db_for_partition(number).get(key) if hasattr(store, "_db_for_partition") else store.get(key)
    )
    return found


def row_at_rest(store: Any, number: int, key: bytes) -> bytes:
    """The row of a subject of which memory holds no more than when it is due.

    Raises:
        LocalStoreError: where it cannot be read, or is gone.
    """
    if not hasattr(store, "partition_path"):
        found = kept_row(store, number, key)
        if found is None:
            raise LocalStoreError("the copy of the state in memory lacks a row; nothing is lost: start again")
        return found
    path = store.partition_path(number)
    try:
        found = kept_row(store, number, key)
    except Exception as error:  # rocksdict has no narrower exception
        raise trouble(path, error) from error
    if found is None:
        raise damaged(path, "it lacks a row")
    return found


def remove_damaged(directory: Path) -> list[Path]:
    """Remove the copies that are marked or cannot be opened; returns them. No process may use them."""
    found = [path for path in sorted(directory.glob("*.db")) if (path / _MARK).exists() or not _opens(path)]
    for path in found:
        shutil.rmtree(path)
    return found


def _opens(path: Path) -> bool:
    try:
        options = rocksdict.Options(raw_mode=True)
        rocksdict.Rdict(str(path), options=options, access_type=rocksdict.AccessType.read_only()).close()
    except Exception as error:
        return _is_about(error, path, _OTHER_TROUBLE)
    return True


def directory_of(settings: Settings) -> Path:
    """The directory of the local state, created if missing. Each name has its own state."""
    path = settings.data_dir / settings.name
    try:
        private_directory(path)
    except OSError as error:
        raise ConfigError(f"data_dir: {path} cannot be made: {error.strerror}") from error
    return path
