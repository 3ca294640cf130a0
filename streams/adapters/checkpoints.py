"""How far a replay has come, in a file, so that a later one goes on from there to the same result.

The file names the inputs, the rulebook and the options; another replay than that one is refused. Beside it lies
a directory with the events read so far and the parts judged so far. Both are gone when the replay is done.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from schemas.dead_letters import DeadLetter
from streams.adapters.codec import decode_json, encode_json
from streams.adapters.sources import Source
from streams.adapters.sources.topics import TopicSlice
from streams.errors import ConfigError

VERSION: Final = 1
EVERY: Final = 100_000
"""Records between two marks."""


def identity_of(source: Source) -> list[Any]:
    """What tells whether a source is still the one that was read before."""
    if isinstance(source, TopicSlice):
        return [source.name, source.first]
    try:
        found = os.stat(source.name)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", path=source.name) from error
    return [source.name, found.st_size, found.st_mtime_ns]


class Checkpoint:
    """One checkpoint file and its directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.directory = path.with_name(path.name + ".d")
        self._letters = self.directory / "dead-letters"
        self._job: dict[str, Any] = {}

    def open(self, job: dict[str, Any], sources: Sequence[Source]) -> dict[str, Any] | None:
        """Begin, or find where to go on: the state that ``mark`` was last given.

        Raises:
            ConfigError: where the file belongs to another replay, or cannot be read.
        """
        self._job = {**job, "sources": [identity_of(source) for source in sources]}
        if not self.path.exists():
            shutil.rmtree(self.directory, ignore_errors=True)
            try:
                self.directory.mkdir(parents=True)
            except OSError as error:
                raise ConfigError(f"cannot be written: {error.strerror}", path=str(self.directory)) from error
            return None
        try:
            kept = decode_json(self.path.read_bytes())
            version, was = kept["v"], kept["job"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"is no checkpoint: {error}", path=str(self.path)) from error
        if version != VERSION:
            raise ConfigError(f"is a checkpoint of format {version}, not {VERSION}", path=str(self.path))
        for key, value in self._job.items():
            if was.get(key) != decode_json(encode_json(value)):
                raise ConfigError(
                    "belongs to a replay of other files, rules or options; finish that one, or remove the file",
                    path=str(self.path),
                    key=key,
                )
        for source, last in zip(sources, kept["ends"], strict=True):
            if isinstance(source, TopicSlice):
                source.last = last  # the topic may have grown
        found: dict[str, Any] = kept["state"]
        return found

    def mark(self, state: dict[str, Any], sources: Sequence[Source]) -> None:
        """Keep a state; afterwards either it or the one before is there, whatever happens."""
        ends = [source.last if isinstance(source, TopicSlice) else None for source in sources]
        partial = self.path.with_name(self.path.name + ".partial")
        partial.write_bytes(encode_json({"v": VERSION, "job": self._job, "ends": ends, "state": state}))
        partial.replace(self.path)

    def keep_letters(self, letters: Sequence[DeadLetter], length: int) -> int:
        """Put dead letters behind the first ``length`` bytes of those kept; the new length."""
        with open(self._letters, "ab") as target:
            target.truncate(length)
            target.seek(0, os.SEEK_END)
            for letter in letters:
                target.write(letter.model_dump_json().encode() + b"\n")
            return target.tell()

    def letters(self, length: int) -> list[DeadLetter]:
        """The dead letters in the first ``length`` bytes of those kept."""
        if not length:
            return []
        return [
            DeadLetter.model_validate_json(line) for line in self._letters.read_bytes()[:length].splitlines() if line
        ]

    def remove(self) -> None:
        """The replay is done."""
        self.path.unlink(missing_ok=True)
        shutil.rmtree(self.directory, ignore_errors=True)
