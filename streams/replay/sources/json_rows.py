"""JSON of any shape: an array of objects, and lines of them through a mapping."""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from json import JSONDecoder
from typing import Any, BinaryIO, Final

import zstandard

from streams.errors import ConfigError, InputError
from streams.files import KEPT_CHARACTERS, MAX_LINE, Line, bounded_lines, open_bytes
from streams.replay.sources import Record
from streams.replay.sources.detection import content_form
from streams.replay.sources.rows import Input, Rows
from streams.wire.decoder import encode_json
from streams.wire.envelopes import changes_of
from streams.wire.mapping import MappedEvent, Place

CHUNK: Final = 1 << 18
_PARSE: Final = JSONDecoder(parse_float=Decimal).raw_decode
_BLANK: Final = re.compile(r"[ \t\r\n]*")
_MARKS: Final = re.compile(r'["\[\]{},]')
_IN_STRING: Final = re.compile(r'"|\\.', re.DOTALL)


@dataclass(frozen=True, slots=True)
class TooLong:
    """An element of more than ``MAX_LINE`` characters: its beginning, and its size in bytes."""

    beginning: str
    size: int


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

    def __init__(self, given: Input) -> None:
        super().__init__(given)
        self._is_array = content_form(given.name) == "array"

    def records(self) -> Iterator[Record]:
        """See ``Source``."""
        rows = self.input.mapping.rows
        for number, raw, error in elements_of(self.name) if self._is_array else bounded_lines(self.name):
            if error is not None:
                yield number, raw, error
                continue
            place = Place(str(number), (*self.input.version, number))
            for made in changes_of(rows, raw, None, place):
                yield number, made.raw if isinstance(made, MappedEvent) else raw, made


def elements_of(name: str) -> Iterator[Line]:
    """The elements of a JSON array as lines, with their numbers from 1.

    Raises:
        ConfigError: see ``array_of``.
    """
    for number, value in enumerate(array_of(name), start=1):
        if isinstance(value, TooLong):
            detail = f"an element of {value.size:,} bytes; at most {MAX_LINE:,} are read: make each record an element"
            yield number, value.beginning.encode(), InputError("too_large", None, detail, size=value.size)
        else:
            yield number, encode_json(value), None


class _Text:
    """The text of a file from ``at`` on, as far as it is needed."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
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

    def element(self) -> Any:
        """The element that begins here, or ``TooLong``.

        Raises:
            ValueError: where it is not JSON.
            RecursionError: where it is nested too deep.
        """
        while True:
            try:
                value, end = _PARSE(self.text, self.at)
            except (ValueError, RecursionError):
                if self.is_last:
                    raise
                if self.left > MAX_LINE:
                    if (found := self._skipped()).size <= MAX_LINE:
                        raise  # it is damaged
                    return found
            else:
                if end - self.at > MAX_LINE:
                    return self._skipped()
                if end < len(self.text) or self.is_last:  # a number may continue
                    self.at = end
                    return value
            self.more(max(CHUNK, min(self.left, MAX_LINE - self.left)))

    def _skipped(self) -> TooLong:
        beginning, size = self.text[self.at : self.at + KEPT_CHARACTERS], 0
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
            size += len(self.text[start : self.at].encode())
            if is_over:
                return TooLong(beginning, size)
            self.more()


def array_of(name: str) -> Iterator[Any]:
    """The elements of a JSON array, one by one, with exact decimals; ``TooLong`` for those that exceed ``MAX_LINE``.

    Raises:
        ConfigError: where it is not JSON, or ends too early.
    """
    count = 0
    with open_bytes(name) as source:
        text = _Text(source)
        try:
            if text.mark() != "[":
                raise ConfigError("is no JSON array", path=name)
            text.at += 1
            while mark := text.mark():
                if mark == "]":
                    return
                if mark == ",":
                    text.at += 1
                    continue
                value = text.element()
                count += 1
                yield value
        except (OSError, EOFError, ValueError, RecursionError, zlib.error, zstandard.ZstdError) as error:
            said = getattr(error, "msg", error)
            raise ConfigError(f"damaged after element {count}: {said}", path=name) from error
    raise ConfigError(f"damaged after element {count}: the array is not closed", path=name)
