"""A damaged local copy of the state is noticed, whatever is wrong with it; on real RocksDB files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import rocksdict

from streams.live.faust_extensions import LocalStores
from streams.live.local_store import (
    LocalStoreError,
    directory_of,
    listen_to,
    remove_damaged,
    row_at_rest,
    rows_of,
    trouble,
)
from streams.live.quarantine import is_fault
from streams.settings import load_settings
from tests.integration.live import ROOT

ROWS = {b"1/order/WO%05d" % number: Random(number).randbytes(100) for number in range(5000)}


def opened(path: Path) -> Any:
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    return rocksdict.Rdict(str(path), options=options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    # The name has "lock" and "space" in it, as errors about something else than damage do.
    found = tmp_path / "gridclock workspace" / "state-1.db"
    found.parent.mkdir()
    database = opened(found)
    for key, value in ROWS.items():
        database[key] = value
    database.flush()
    database.close()
    return found


def halved(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def scratched(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    third = len(raw) // 3
    raw[third : third + 400] = b"\xff" * len(raw[third : third + 400])
    file.write_bytes(raw)


def removed(file: Path) -> None:
    file.unlink()


def test_a_sound_copy_is_read_whole_and_left_alone(path: Path) -> None:
    assert remove_damaged(path.parent) == []
    database = opened(path)
    assert dict(rows_of(database, path)) == ROWS
    database.close()
    assert path.exists()


@pytest.mark.parametrize("harm", [halved, scratched, removed])
@pytest.mark.parametrize("pattern", ["*.sst", "MANIFEST-*", "CURRENT"])
def test_no_damaged_copy_is_taken_for_the_whole(path: Path, pattern: str, harm: Callable[[Path], None]) -> None:
    for file in path.glob(pattern):
        harm(file)
    if remove_damaged(path.parent) == [path]:
        assert not path.exists()
        return
    database = opened(path)
    try:
        found = dict(rows_of(database, path))
        assert found == {}, "a copy that has lost everything has lost its offset, too, and is filled anew"
    except LocalStoreError:
        database.close()
        assert remove_damaged(path.parent) == [path]


def test_a_copy_in_use_is_not_damaged(path: Path) -> None:
    database = opened(path)
    assert remove_damaged(path.parent) == []
    database.close()
    assert path.exists()


class FaustsStore:
    """As much of it as is listened to."""

    def __init__(self, path: Path) -> None:
        self.path = path.parent
        self._file = path

    def _open_for_partition(self, _partition: int) -> Any:
        return opened(self._file)

    def set_persisted_offset(self, _tp: object, offset: int) -> None:
        self._open_for_partition(1)[b"offset"] = b"%d" % offset

    def apply_changelog_batch(self, _batch: object) -> None:
        self.set_persisted_offset(None, 7)


class StoreOfRows:
    """As much of Faust's store as rows are read by."""

    def __init__(self, path: Path) -> None:
        self._path, self._database = path, opened(path)
        self._db_for_partition = lambda _number: self._database

    def partition_path(self, _number: int) -> Path:
        return self._path


def test_a_row_of_a_subject_at_rest_is_there_or_the_copy_is_damaged(path: Path) -> None:
    """An error of the disk, and no fault of a subject, which would be set aside."""
    store = StoreOfRows(path)
    key, row = next(iter(ROWS.items()))
    assert row_at_rest(store, 1, key) == row
    with pytest.raises(LocalStoreError, match="is damaged: it lacks a row; the next start rebuilds it") as missing:
        row_at_rest(store, 1, b"1/order/nobody")
    store._database.close()
    with pytest.raises(LocalStoreError, match="the next start rebuilds it") as closed:
        row_at_rest(store, 1, key)
    assert not any(is_fault(found.value) for found in (missing, closed))
    assert remove_damaged(path.parent) == [path]
    in_memory = {key: row}
    assert row_at_rest(in_memory, 1, key) == row
    with pytest.raises(LocalStoreError, match="in memory lacks a row"):
        row_at_rest(in_memory, 1, b"1/order/nobody")


def test_trouble_of_the_store_is_heard_once_and_names_the_copy(path: Path) -> None:
    for file in path.glob("CURRENT"):
        scratched(file)
    heard: list[LocalStoreError] = []
    store = FaustsStore(path)
    listen_to(store, heard.append)
    with pytest.raises(LocalStoreError, match="the next start rebuilds it") as caught:
        store.apply_changelog_batch([])
    assert heard == [caught.value]
    assert remove_damaged(path.parent) == [path]


def test_a_copy_in_use_is_waited_for(path: Path) -> None:
    database = opened(path)
    heard: list[LocalStoreError] = []
    store = FaustsStore(path)
    listen_to(store, heard.append)
    with pytest.raises(Exception, match="lock") as caught:
        store._open_for_partition(1)
    assert not isinstance(caught.value, LocalStoreError)
    assert heard == []
    database.close()


@pytest.mark.parametrize(
    ("said", "expected", "damaged"),
    [
        ("IO error: No space left on device: While appending to file: {path}/4.log", "cannot be written", False),
        ("IO error: While appending to file: {path}/4.log: File too large", "cannot be written", False),
        ("IO error: Disk quota exceeded: While open a file: {path}/4.log", "cannot be written", False),
        ("IO error: While open a file: {path}/4.log: Permission denied", "cannot be used", False),
        ("Corruption: block checksum mismatch in {path}/9.sst offset 0", "is damaged", True),
        ("Corruption: CURRENT file does not end with newline", "is damaged", True),
    ],
)
def test_what_a_store_says_is_put_into_words(path: Path, said: str, expected: str, damaged: bool) -> None:
    found = str(trouble(path, Exception(said.format(path=path))))
    assert found.startswith(f"{path} {expected}: ")
    assert "\n" not in found
    assert (remove_damaged(path.parent) == [path]) is damaged


@pytest.mark.parametrize("there_before", [False, True])
def test_the_state_is_for_its_owner_s_eyes(tmp_path: Path, there_before: bool) -> None:
    before = os.umask(0o022)
    try:
        if there_before:  # as 0.1 made it
            (tmp_path / "data" / "city7").mkdir(parents=True, mode=0o755)
        found = directory_of(load_settings(data_dir=tmp_path / "data", name="city7"))
        assert found.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


WRITER = """
import os, sys
from pathlib import Path
from rocksdict import WriteBatch
from streams.live.faust_extensions import LocalStores

database = LocalStores(1 << 19).open(Path(sys.argv[1]))
for offset in range(5_000):
    batch = WriteBatch(raw_mode=True)
    batch.put(b"row/%05d" % offset, os.urandom(300))
    batch.put(b"last", b"%d" % offset)
    database.write(batch)
    database.put(b"offset", b"%d" % offset)
if sys.argv[2] == "dies":
    os._exit(0)
del database
"""


@pytest.mark.parametrize("end", ["dies", "closes"])
def test_a_store_has_what_was_written_whatever_its_process_did(tmp_path: Path, end: str) -> None:
    path = tmp_path / "state-1.db"
    subprocess.run([sys.executable, "-c", WRITER, str(path), end], check=True, cwd=ROOT)
    rows = dict(rows_of(LocalStores(1 << 19).open(path), path))
    assert [rows.pop(b"last"), rows.pop(b"offset")] == [b"4999", b"4999"]
    assert len(rows) == 5_000
