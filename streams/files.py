"""Files of lines: plain, gzip, zstandard, or standard input; and files that appear complete or not at all."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from streams.errors import ConfigError

STANDARD = "-"
MARK = b"\xef\xbb\xbf"
"""What some programs put before UTF-8."""

_CHUNK, _COMPRESSED = 1 << 17, 2048


@contextmanager
def open_bytes(name: str) -> Iterator[BinaryIO]:
    """Open for reading; compression is detected by the content, not by the name.

    Raises:
        ConfigError: where the file is missing or cannot be read.
    """
    if name == STANDARD:
        yield cast(BinaryIO, _decompressed(io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer))))
        return
    try:
        raw = open(name, "rb")  # noqa: SIM115 (closed below, through every layer)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", path=name) from error
    with raw:
        yield cast(BinaryIO, _decompressed(raw))


_GZIP, _ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def is_compressed(name: str) -> bool:
    """Whether a file is compressed and must be read from its beginning; by its content.

    Raises:
        OSError: where it cannot be read.
    """
    with open(name, "rb") as source:
        return source.read(4).startswith((_GZIP, _ZSTANDARD))


def _decompressed(raw: io.BufferedReader) -> io.BufferedReader:
    head = raw.peek(4)[:4]
    if head[:2] == _GZIP:
        return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=raw)))
    if head == _ZSTANDARD:
        return io.BufferedReader(_ZstandardFrames(raw), _CHUNK)
    return raw


class _ZstandardFrames(io.RawIOBase):
    """What is in the frames of a Zstandard file; one that ends within a frame is damaged.

    The library's own reader takes such an end for the end of the file. Little is read at a time, because a few bytes
    may stand for very many.
    """

    def __init__(self, raw: io.BufferedReader) -> None:
        self._raw = raw
        self._frame: Any = None
        self._rest = b""
        self._out = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._out:
            piece = self._rest or self._raw.read(_COMPRESSED)
            self._rest = b""
            if not piece:
                if self._frame is not None:
                    raise EOFError("the compressed file ends too early")
                return 0
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._out = self._frame.decompress(piece)
            if self._frame.eof:
                self._rest, self._frame = self._frame.unused_data, None
        count = min(len(buffer), len(self._out))
        buffer[:count] = self._out[:count]
        self._out = self._out[count:]
        return count


def read_lines(name: str) -> Iterator[tuple[int, bytes]]:
    """``(line number from 1, line without its line break)``; empty lines are skipped.

    Raises:
        ConfigError: where the file is missing, or damaged in the middle (the line is named).
    """
    number = 0
    with open_bytes(name) as source:
        try:
            for number, line in enumerate(source, start=1):
                stripped = line.rstrip(b"\r\n")
                if number == 1:
                    stripped = stripped.removeprefix(MARK)
                if stripped.strip():
                    yield number, stripped
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            after = " after this line" if number else ""
            raise ConfigError(f"damaged{after}: {error}", path=name, line=number) from error


def private_directory(path: Path) -> None:
    """Make a directory for its owner's eyes alone (0700), or make an existing one so, whatever the umask.

    Raises:
        OSError: where it cannot be made, or belongs to another user.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)


@contextmanager
def write_whole(path: Path) -> Iterator[BinaryIO]:
    """Write to ``<path>.partial`` and put it in place at the end; on an error only the partial file stays.

    Raises:
        ConfigError: where the file cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        target = open(partial, "wb")  # noqa: SIM115
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror or error}", path=str(path)) from error
    with target:
        yield target
        target.flush()
        os.fsync(target.fileno())
    partial.replace(path)


@contextmanager
def write_named(path: Path) -> Iterator[BinaryIO]:
    """``write_whole``, compressed where the name ends in ``.gz`` or ``.zst``; the same content gives the same bytes.

    Raises:
        ConfigError: where the file cannot be written.
    """
    with write_whole(path) as raw, compressed(path, raw) as target:
        yield target


@contextmanager
def compressed(path: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    """A file that writes to ``raw``, compressed by the file's name."""
    if path.suffix == ".gz":
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:  # no name, no time
            yield cast(BinaryIO, packed)
    elif path.suffix == ".zst":
        with zstandard.ZstdCompressor().stream_writer(raw, closefd=False) as writer:
            yield cast(BinaryIO, writer)
    else:
        yield raw
