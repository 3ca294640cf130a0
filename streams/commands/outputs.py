"""The files that a command is to write, looked at before its work."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Final, Literal

from streams.errors import ConfigError
from streams.files import STANDARD

Written = Literal["results", "lines", "text"]
"""What a file holds: JSON lines or a table by its name, JSON lines always, or a page or text, never compressed."""

_COMPRESSED: Final = frozenset({".gz", ".zst"})
_COMPRESSED_BY_OTHERS: Final = frozenset({".bz2", ".xz", ".lzma", ".lz4", ".zip", ".7z", ".br", ".rar"})
_WHOLE_TABLES: Final = frozenset({".parquet", ".pq", ".xlsx"})
"""Tables that are compressed inside."""

_OTHER_TABLES: Final = frozenset({".tsv", ".xls", ".xlsm", ".xlsb", ".ods", ".orc", ".avro", ".feather", ".arrow"})
_REFUSED: Final[Mapping[Written, frozenset[str]]] = {
    "results": _OTHER_TABLES,
    "lines": _OTHER_TABLES | _WHOLE_TABLES | {".csv"},
    "text": _OTHER_TABLES | _WHOLE_TABLES | {".csv", ".jsonl", ".ndjson"},
}
_REMEDIES: Final[Mapping[Written, str]] = {
    "results": "JSON lines, .csv, .parquet and .xlsx are, and JSON lines and .csv also as .gz and .zst",
    "lines": "JSON lines are (.jsonl), also as .gz and .zst",
    "text": "a text is, uncompressed",
}


def check_outputs(
    outputs: Mapping[str, Path | None],
    inputs: Iterable[str | Path] = (),
    written: Mapping[str, Written] | None = None,
) -> None:
    """Refuse an output that cannot be written, is an input too, or is another output; by the names of options.

    ``inputs`` are files as they were given, also ``NAME=FILE``. ``written`` says what some hold: one whose name says
    something else is refused, because the next program would trust the name.

    Raises:
        ConfigError: naming the file and the option.
    """
    taken = {
        file: "it is read by this command"
        for name in map(str, inputs)
        for one in (name, name.rpartition("=")[2])
        if one != STANDARD and (file := _file_of(Path(one))) is not None
    }
    for option, path in outputs.items():
        if path is None or str(path) == STANDARD:
            continue
        if path.is_dir() or not path.resolve().parent.is_dir():
            problem = "is a directory" if path.is_dir() else f"there is no directory {path.resolve().parent}"
            raise ConfigError(f"cannot be written: {problem}", path=str(path), key=option)
        if (file := _file_of(path)) is None:
            continue  # a device or a pipe
        if file in taken:
            raise ConfigError(f"would be overwritten: {taken[file]}", path=str(path), key=option)
        if written is not None and option in written and (form := _other_form(path, written[option])) is not None:
            remedy = _REMEDIES[written[option]]
            raise ConfigError(f"{form} is no form in which it is written: {remedy}", path=str(path), key=option)
        taken[file] = f"--{option} goes there, too"


def _other_form(path: Path, written: Written) -> str | None:
    """The form that a name says and the file would not have."""
    name = path.name.lower()
    last = Path(name).suffix
    inner = Path(name.removesuffix(last)).suffix if last in _COMPRESSED else last
    is_whole = last in _COMPRESSED and (written == "text" or inner in _WHOLE_TABLES)
    if last in _COMPRESSED_BY_OTHERS or is_whole or inner in _REFUSED[written]:
        return last if inner == last else f"{inner}{last}"
    return None


def _file_of(path: Path) -> object | None:
    """The same for all names of one file, links among them; ``None`` for what is none."""
    try:
        found = path.stat()
    except OSError:
        return os.path.realpath(path)
    return (found.st_dev, found.st_ino) if S_ISREG(found.st_mode) else None
