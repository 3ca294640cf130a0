"""A damaged local copy of the state is noticed, whatever is wrong with it; on real RocksDB files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import rocksdict

from streams.adapters.local_store import LocalStoreError, remove_damaged, rows_of

ROWS = {b"1/order/WO%05d" % number: Random(number).randbytes(100) for number in range(5000)}


def opened(path: Path) -> Any:
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    return rocksdict.Rdict(str(path), options=options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "state-1.db"
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
