"""A rulebook as its files' bytes: what is sent to Spark's executors, which load it as every other process does."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from streams.errors import ConfigError
from streams.rulebooks.loader import LoadedRulebook, files_of, load_rulebook

Directory = tuple[tuple[str, bytes], ...]
"""The files of a rulebook directory: name and content, by name."""


@dataclass(frozen=True)
class RulebookFiles:
    """The directories of ``--rules`` and ``--only`` by content. A value: it can be pickled, compared and hashed."""

    rules: tuple[Directory, ...] = ()
    only: Directory | None = None

    def load(self) -> LoadedRulebook:
        """The rulebook, loaded once a process.

        Raises:
            ConfigError: naming file, line, rule and key.
        """
        return _loaded(self)


def rulebook_of(rules: Sequence[str | Path] = (), only: str | Path | None = None) -> RulebookFiles:
    """The shipped rulebook with the directories ``rules`` on top, or the directory ``only`` alone.

    Raises:
        ConfigError: where it is wrong; checked here, before anything is sent to an executor.
    """
    load_rulebook([Path(one) for one in rules], None if only is None else Path(only))
    return RulebookFiles(tuple(_read(Path(one)) for one in rules), None if only is None else _read(Path(only)))


def _read(directory: Path) -> Directory:
    try:
        return tuple((path.name, path.read_bytes()) for path in files_of(directory))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", path=str(directory)) from error


@lru_cache(maxsize=4)
def _loaded(files: RulebookFiles) -> LoadedRulebook:
    with tempfile.TemporaryDirectory(prefix="gridclock-rules-") as root:
        rules = [_write(Path(root) / str(number), one) for number, one in enumerate(files.rules)]
        return load_rulebook(rules, None if files.only is None else _write(Path(root) / "only", files.only))


def _write(target: Path, files: Directory) -> Path:
    target.mkdir()
    for name, content in files:
        (target / name).write_bytes(content)
    return target
