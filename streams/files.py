"""Files of lines: plain, gzip, zstandard, or standard input; and files that appear complete or not at all."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO, cast

import zstandard

from streams.errors import ConfigError, InputError

STANDARD = "-"
MARK = b"\xef\xbb\xbf"
"""What some programs put before UTF-8."""

MAX_LINE: Final = 1 << 24
"""Bytes of a line, with its line break, that are held; characters, where the file is read as text."""

KEPT_CHARACTERS: Final = 100_000
"""Of a longer line or element that is read as text, to show it."""

_CHUNK, _COMPRESSED = 1 << 17, 2048
_KEPT: Final = 200_000
"""Bytes of a longer line that are kept, to show it."""


@contextmanager
def open_bytes(name: str) -> Iterator[io.BufferedReader]:
    """Open for reading; compression is detected by the content, not by the name.

    Raises:
        ConfigError: where the file is missing or cannot be read.
    """
    if name == STANDARD:
        yield _decompressed(io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer)))
        return
    try:
        raw = cast(io.BufferedReader, open(name, "rb", _CHUNK))  # noqa: SIM115 (closed below, through every layer)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", path=name) from error
    with raw:
        yield _decompressed(raw)


def check_is_read_again(name: str) -> None:
    """Refuse what can be read once only: a file's first bytes are looked at before it is read.

    Raises:
        ConfigError: where it is a pipe or a device.
    """
    path = Path(name)
    is_once = path.is_fifo() or path.is_socket() or path.is_char_device()
    if is_once and name not in (STANDARD, os.devnull):
        raise ConfigError("is a pipe or a device, which is read once only: give -, and it as standard input", path=name)


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
        # with a larger buffer the lines before the damage would be lost with it
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
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._at == len(self._out):
            piece = self._rest or self._raw.read(_COMPRESSED)
            self._rest = b""
            if not piece:
                if self._frame is not None:
                    raise EOFError("the compressed file ends too early")
                return 0
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._out, self._at = self._frame.decompress(piece), 0
            if self._frame.eof:
                self._rest, self._frame = self._frame.unused_data, None
        count = min(len(buffer), len(self._out) - self._at)
        buffer[:count] = self._out[self._at : self._at + count]
        self._at += count
        return count


def size_within(name: str, most: int) -> bool:
    """Whether a file, decompressed, has at most so many bytes; it is read and not held.

    Raises:
        ConfigError: where it is missing or cannot be read.
    """
    size = 0
    with open_bytes(name) as source:
        while size <= most and (piece := source.read(_CHUNK)):
            size += len(piece)
    return size <= most


Line = tuple[int, bytes, InputError | None]
"""Line number from 1, the line without its line break, and why it cannot be a record: it is too long, and the bytes
are its beginning."""


def raw_lines(source: BinaryIO, most: int = MAX_LINE) -> Iterator[tuple[bytes, int]]:
    """Each line with its line break, and its size in bytes.

    Of a line of more than ``most`` bytes only the beginning is given, with its line break; the rest is not held.
    """
    readline = source.readline
    while line := readline(most):
        size = len(line)
        if size == most and not line.endswith(b"\n"):
            rest = line[-1:]
            while not rest.endswith(b"\n") and (piece := readline(_CHUNK)):
                rest, size = rest[-1:] + piece, size + len(piece)
            if size > most:
                line = line[:_KEPT] + rest[len(rest.rstrip(b"\r\n")) :]
        yield line, size


def line_of(number: int, line: bytes, size: int, *, most: int = MAX_LINE, is_first: bool = False) -> Line | None:
    """One of ``raw_lines``; ``None`` where it is empty. The first of a file may begin with a byte order mark."""
    stripped = line.rstrip(b"\r\n")
    if size > len(line):
        size -= len(line) - len(stripped)
        detail = f"a line of {size:,} bytes; at most {most:,} are read: put each record on a line of its own"
        return number, stripped, InputError("too_large", None, detail, size=size)
    if is_first:
        stripped = stripped.removeprefix(MARK)
    return (number, stripped, None) if stripped.strip() else None


Skim = Callable[[bytes, int], tuple[int, int]]
"""Takes whole lines from the beginning of a text: with the number of the line before, the bytes and lines taken."""


def bounded_lines(name: str, most: int = MAX_LINE, skim: Skim | None = None) -> Iterator[Line]:
    """The lines of a file; empty lines are skipped, those of more than ``most`` bytes have an error.

    Lines that ``skim`` takes are not given.

    Raises:
        ConfigError: where the file is missing, or damaged in the middle (the line is named).
    """
    with open_bytes(name) as source:
        yield from lines_in(source, name, most, skim)


def lines_in(source: io.BufferedReader, name: str, most: int = MAX_LINE, skim: Skim | None = None) -> Iterator[Line]:
    """``bounded_lines`` of a file that is open.

    Raises:
        ConfigError: where it is damaged in the middle.
    """
    number = 0
    lines = raw_lines(source, most)
    try:
        while True:
            while skim is not None and (text := source.peek()):
                taken, count = skim(text, number)
                if not taken:
                    break
                source.read(taken)
                number += count
            if (one := next(lines, None)) is None:
                return
            line, size = one
            number += 1
            if found := line_of(number, line, size, most=most, is_first=number == 1):
                yield found
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        after = " after this line" if number else ""
        raise ConfigError(f"damaged{after}: {error}", path=name, line=number) from error


def read_lines(name: str) -> Iterator[tuple[int, bytes]]:
    """``(line number from 1, line without its line break)``; empty lines are skipped.

    Raises:
        ConfigError: see ``bounded_lines``; and where a line is too long.
    """
    for number, line, error in bounded_lines(name):
        if error is not None:
            raise ConfigError(error.detail, path=name, line=number)
        yield number, line


def text_lines(text: TextIO, name: str) -> Iterator[str]:
    """The lines of a text with their line breaks.

    Raises:
        ConfigError: where a line has more than ``MAX_LINE`` characters.
    """
    number = 0
    while line := text.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE and not line.endswith(("\n", "\r")):
            raise ConfigError(f"a line of more than {MAX_LINE:,} characters", path=name, line=number)
        yield line


def private_directory(path: Path) -> None:
    """Make a directory for its owner's eyes alone (0700), or make an existing one so, whatever the umask.

    Raises:
        OSError: where it cannot be made, or belongs to another user.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)


class _NamedFile(io.FileIO):
    """A file to write whose errors name it: of several outputs the operator must know which disk is full."""

    def __init__(self, path: Path, shown: Path) -> None:
        super().__init__(path, "wb")
        self._shown = str(shown)

    def write(self, data: Any) -> int:
        """See ``io.FileIO``."""
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._shown) from None


def open_named(path: Path, shown: Path | None = None) -> BinaryIO:
    """Open a file for writing; errors of it are ``OSError`` with its name, or with that of ``shown``, which it becomes.

    Raises:
        OSError: where it cannot be opened.
    """
    return io.BufferedWriter(_NamedFile(path, path if shown is None else shown), _CHUNK)


@contextmanager
def naming_errors(place: str | Path) -> Iterator[None]:
    """Errors of the operating system that name no file get this one, such as the directory of temporary files.

    Raises:
        OSError: with its name.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(place)) from error


@contextmanager
def write_whole(path: Path) -> Iterator[BinaryIO]:
    """Write to ``<path>.partial`` and put it in place at the end; on an error only the partial file stays.

    Of a link its file is written. A device or a pipe is written as it is.

    Raises:
        ConfigError: where the file cannot be written.
    """
    real = Path(os.path.realpath(path))
    is_file = path.is_file() or not path.exists()  # else a device or a pipe
    partial = real.with_name(real.name + ".partial") if is_file else path
    try:
        target = open_named(partial, path)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror or error}", path=str(path)) from error
    with target:
        yield target
        target.flush()
        if is_file:
            os.fsync(target.fileno())
    if is_file:
        partial.replace(real)


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
    suffix = path.suffix.lower()
    if suffix == ".gz":
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:  # no name, no time
            yield cast(BinaryIO, packed)
    elif suffix == ".zst":
        with zstandard.ZstdCompressor().stream_writer(raw, closefd=False) as writer:
            yield cast(BinaryIO, writer)
    else:
        yield raw
