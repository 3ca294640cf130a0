"""JSON of any shape: an array of objects, and lines of them through a mapping."""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Iterator
from json import JSONDecoder
from typing import BinaryIO, Final

import zstandard

from streams.errors import ConfigError, InputError
from streams.files import KEPT_CHARACTERS, MARK, MAX_LINE, Line, lines_in, open_bytes
from streams.replay.sources import Record
from streams.replay.sources.rows import Rows
from streams.wire.envelopes import changes_of
from streams.wire.mapping import MappedEvent, Place

CHUNK: Final = 1 << 18
_PARSE: Final = JSONDecoder(parse_int=len, strict=False).raw_decode
"""Only finds the end of an element, which the decoder then reads: no number is too long for it."""

_BYTES: Final = "surrogateescape"
_BLANK: Final = re.compile(r"[ \t\r\n]*")
_MARKS: Final = re.compile(r'["\[\]{},]')
_IN_STRING: Final = re.compile(r'"|\\.', re.DOTALL)


class JsonArray:
    """A file that is one array of events; positions are their numbers from 1."""

    size = None

    def __init__(self, name: str) -> None:
        self.name = name

    def records(self) -> Iterator[Record]:
        """See ``Source``."""
        yield from elements_of(self.name)


class JsonRows(Rows):
    """Lines or an array of JSON objects through a mapping; positions are line numbers, or numbers of elements."""

    def records(self) -> Iterator[Record]:
        """See ``Source``."""
        rows = self.input.mapping.rows
        for number, raw, error in lines_or_elements(self.name):
            if error is not None:
                yield number, raw, error
                continue
            place = Place(str(number), (*self.input.version, number))
            for made in changes_of(rows, raw, None, place):
                yield number, made.raw if isinstance(made, MappedEvent) else raw, made


def lines_or_elements(name: str, most: int = MAX_LINE) -> Iterator[Line]:
    """The elements of a file that begins as a JSON array does, else its lines; of standard input, too.

    Raises:
        ConfigError: see ``elements_of`` and ``streams.files.bounded_lines``.
    """
    with open_bytes(name) as source:
        try:
            is_array = source.peek().removeprefix(MARK).lstrip().startswith(b"[")
        except (OSError, EOFError, zlib.error, zstandard.ZstdError):
            is_array = False  # damaged: reported when it is read
        yield from _elements_in(source, name, most) if is_array else lines_in(source, name, most)


def elements_of(name: str) -> Iterator[Line]:
    """The elements of a JSON array as lines, with their numbers from 1: each in its own text, as it is in the file.

    Raises:
        ConfigError: where it is not JSON, ends too early, or is not all of the file.
    """
    with open_bytes(name) as source:
        yield from _elements_in(source, name, MAX_LINE)


def _elements_in(source: BinaryIO, name: str, most: int) -> Iterator[Line]:
    count = 0
    try:
        for raw, size in _Text(source).elements():
            count += 1
            error = None
            if size > min(len(raw), most):
                detail = f"an element of {size:,} bytes; at most {most:,} are read: make each record an element"
                error = InputError("too_large", None, detail, size=size)
            yield count, raw, error
    except (OSError, EOFError, ValueError, zlib.error, zstandard.ZstdError) as error:
        said = getattr(error, "msg", error)
        raise ConfigError(f"damaged after element {count}: {said}", path=name) from error


class _Text:
    """The text of a file from ``at`` on, as far as it is needed; bytes that are not UTF-8 are kept as surrogates."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._decode = codecs.getincrementaldecoder("utf-8-sig")(_BYTES).decode
        self.text = ""
        self.at = 0
        self.is_last = False

    @property
    def left(self) -> int:
        """Characters in the buffer that are not parsed yet."""
        return len(self.text) - self.at

    def more(self, size: int = CHUNK) -> None:
        """Read the next characters."""
        chunk = self._source.read(size)
        self.is_last = not chunk
        self.text = self.text[self.at :] + self._decode(chunk, self.is_last)
        self.at = 0

    def mark(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            found = _BLANK.match(self.text, self.at)
            self.at = self.at if found is None else found.end()
            if self.left or self.is_last:
                return self.text[self.at : self.at + 1]
            self.more()

    def elements(self) -> Iterator[tuple[bytes, int]]:
        """The elements of the array that the text is, and their sizes; of those beyond ``MAX_LINE`` the beginning.

        Raises:
            ValueError: where it is no array, or more than one.
        """
        if self.mark() != "[":
            raise ValueError("no array begins here")
        self.at += 1
        mark = self.mark()
        while mark != "]":
            if mark == ",":
                raise ValueError("a comma without an element before it")
            if mark:
                yield self._element()
                mark = self.mark()
            if not mark:
                raise ValueError("the array is not closed")
            if mark == ",":
                self.at += 1
                if (mark := self.mark()) == "]":
                    raise ValueError("a comma without an element after it")
            elif mark != "]":
                raise ValueError("no comma before the next element")
        self.at += 1
        if self.mark():
            raise ValueError("text follows the array: put all elements in one array, or each on its own line without [")

    def _element(self) -> tuple[bytes, int]:
        """The element that begins here.

        Raises:
            ValueError: where it is not JSON.
        """
        while True:
            try:
                _, end = _PARSE(self.text, self.at)
            except RecursionError:  # for the decoder to refuse, as it does a line
                return self._scanned()
            except ValueError:
                if self.is_last:
                    raise
                if self.left > MAX_LINE:
                    raw, size = self._scanned()
                    if size == len(raw):
                        raise  # it is damaged
                    return raw, size
            else:
                if end - self.at > MAX_LINE:
                    return self._scanned()
                if len(self.text) - end > len("e+") or self.is_last:  # a number may continue
                    raw = self.text[self.at : end].encode(errors=_BYTES)
                    self.at = end
                    return raw, len(raw)
            self.more(max(CHUNK, min(self.left, MAX_LINE - self.left)))

    def _scanned(self) -> tuple[bytes, int]:
        """The element by its brackets and quotes alone."""
        beginning, pieces, size = self.text[self.at : self.at + KEPT_CHARACTERS], list[bytes](), 0
        depth, is_string = 0, False
        while True:
            start, is_over = self.at, self.is_last
            while match := (_IN_STRING if is_string else _MARKS).search(self.text, self.at):
                mark = match[0]
                if depth == 0 and mark in ",]}" and not is_string:
                    self.at, is_over = match.start(), True
                    break
                self.at = match.end()
                is_string ^= mark == '"'
                depth += (mark in "[{") - (mark in "]}")
            else:  # a backslash at the end belongs to the next character
                self.at = len(self.text) - (is_string and self.text.endswith("\\", self.at))
            piece = self.text[start : self.at].encode(errors=_BYTES)
            size += len(piece)
            if size <= MAX_LINE:
                pieces.append(piece)
            if is_over:
                return (b"".join(pieces) if size <= MAX_LINE else beginning.encode(errors=_BYTES)), size
            self.more()
