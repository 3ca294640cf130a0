"""Checkpoints: an interrupted replay continues, with the same result.

The file names the inputs, the rulebook and the options; it is refused for any other replay. The directory beside it
holds the splits read so far (``reading``) and the tasks judged so far (``findings``): complete ones are not repeated,
whatever the number of processes. Both are removed when the replay is done.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from streams.errors import ConfigError
from streams.files import private_directory
from streams.replay.sources import Source
from streams.replay.sources.parquet import parquet_files
from streams.replay.sources.rows import Rows
from streams.replay.sources.topics import TopicSlice
from streams.wire.decoder import decode_json, encode_json

VERSION: Final = 3
_MARK: Final = "gridclock-checkpoint"
"""A file in the directory, which says that it may be removed."""


def identity_of(source: Source) -> list[Any]:
    """Identifies a source, to detect a changed one; a directory by each of its files.

    Raises:
        ConfigError: where it cannot be read.
    """
    if isinstance(source, TopicSlice):
        read_by = [] if source.mapping is None else [source.mapping.fingerprint]
        return [source.name, source.first, *read_by]
    if Path(source.name).is_dir():  # its own time says nothing of files that are rewritten in place
        identity = [source.name, [_state_of(name) for name in parquet_files(source.name)]]
    else:
        identity = _state_of(source.name)
    if not isinstance(source, Rows):
        return identity
    sheet = [] if source.input.sheet is None else [source.input.sheet]
    return [*identity, source.input.mapping.fingerprint, *sheet]


def _state_of(name: str) -> list[Any]:
    try:
        found = os.stat(name)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", path=name) from error
    return [name, found.st_size, found.st_mtime_ns]


class Checkpoint:
    """One checkpoint file and its directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.directory = path.with_name(path.name + ".d")

    def open(self, job: dict[str, Any], sources: Sequence[Source], *, received: int) -> int:
        """Begin or continue; returns the time of reading (microseconds) of the first run.

        Raises:
            ConfigError: where the file belongs to another replay, or cannot be read.
        """
        job = {**job, "sources": [identity_of(source) for source in sources]}
        if not self.path.exists():
            self._clear()
            try:
                private_directory(self.directory)
                (self.directory / _MARK).touch(mode=0o600)
            except OSError as error:
                raise ConfigError(f"cannot be written: {error.strerror}", path=str(self.directory)) from error
            ends = [source.last if isinstance(source, TopicSlice) else None for source in sources]
            records = [source.ends() if isinstance(source, TopicSlice) else None for source in sources]
            partial = self.path.with_name(self.path.name + ".partial")
            partial.unlink(missing_ok=True)
            partial.touch(mode=0o600)
            partial.write_bytes(
                encode_json({"v": VERSION, "job": job, "ends": ends, "records": records, "received": received})
            )
            partial.replace(self.path)
            return received
        try:
            kept = decode_json(self.path.read_bytes())
            version, was = kept["v"], kept["job"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"is not a checkpoint: {error}", path=str(self.path)) from error
        if version != VERSION:
            raise ConfigError(f"is a checkpoint of format {version}, not {VERSION}", path=str(self.path))
        for path, mode in ((self.path, 0o600), (self.directory, 0o700)):  # 0.1 created them by the umask
            with suppress(OSError):
                path.chmod(mode)
        for key, value in job.items():
            # "events" and "pseudonyms_inside" may be missing: earlier versions did not write them
            if key in was and was[key] != decode_json(encode_json(value)):
                raise ConfigError(
                    "belongs to a replay of other files, rules or options: finish that replay, or remove the file",
                    path=str(self.path),
                    key=key,
                )
        records = kept.get("records", [None] * len(sources))  # earlier versions did not write them
        for source, last, of_first_run in zip(sources, kept["ends"], records, strict=True):
            if isinstance(source, TopicSlice):
                self._continue(source, last, of_first_run)
        began: int = kept["received"]
        return began

    def _continue(self, source: TopicSlice, last: int, records: list[str] | None) -> None:
        """Read as far as the first run, as a topic may have grown; ``records``: its ``ends`` then, where known."""
        if source.last < last:
            found = f"now ends at offset {source.last}, before {last}"
        else:
            source.last = last
            found = "" if records in (None, source.ends()) else "now has other records at the same offsets"
        if found:
            raise ConfigError(
                f"{source.name} {found}, so it is another topic of that name: remove the file, and begin anew",
                path=str(self.path),
                key="sources",
            )

    def _clear(self) -> None:
        """Remove a directory that another run has left.

        Raises:
            ConfigError: where it is not of a checkpoint.
        """
        if self.directory.is_dir() and any(self.directory.iterdir()) and not (self.directory / _MARK).exists():
            raise ConfigError(
                f"is there, and {self.path} is not: it may be something else; move it away, or name another checkpoint",
                path=str(self.directory),
                key="checkpoint",
            )
        shutil.rmtree(self.directory, ignore_errors=True)

    def remove(self) -> None:
        """Remove file and directory: the replay is done."""
        self.path.unlink(missing_ok=True)
        shutil.rmtree(self.directory, ignore_errors=True)
