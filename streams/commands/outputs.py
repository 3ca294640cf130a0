"""The files that a command is to write, looked at before its work."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from stat import S_ISREG

from streams.errors import ConfigError
from streams.files import STANDARD


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[str | Path] = ()) -> None:
    """Refuse an output that cannot be written, is an input too, or is another output; by the names of options.

    ``inputs`` are files as they were given, also ``NAME=FILE``.

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
        taken[file] = f"--{option} goes there, too"


def _file_of(path: Path) -> object | None:
    """The same for all names of one file, links among them; ``None`` for what is none."""
    try:
        found = path.stat()
    except OSError:
        return os.path.realpath(path)
    return (found.st_dev, found.st_ino) if S_ISREG(found.st_mode) else None
