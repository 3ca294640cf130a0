"""JSON of any shape: an array of objects, and lines of them through a mapping."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator
from decimal import Decimal
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final

import zstandard

from streams.errors import ConfigError
from streams.files import open_bytes, read_lines
from streams.replay.sources import Record
from streams.replay.sources.detection import content_form
from streams.replay.sources.rows import Input, Rows
from streams.wire.decoder import encode_json
from streams.wire.envelopes import changes_of
from streams.wire.mapping import Made, Place

CHUNK: Final = 1 << 18
_BLANK: Final = " \t\r\n"
_LONGEST: Final = 64 * 1024 * 1024


class JsonArray:
    """A file that is one array of events; positions are their numbers from 1."""

    size = None

    def __init__(self, name: str) -> None:
        self.name = name

    def records(self) -> Iterator[Record]:
        """See ``Source``."""
        for number, value in enumerate(array_of(self.name), start=1):
            yield number, encode_json(value), None


class JsonRows(Rows):
    """Lines or an array of JSON objects through a mapping; positions are line numbers, or numbers of elements."""

    def __init__(self, given: Input) -> None:
        super().__init__(given)
        self._is_array = content_form(given.name) == "array"

    def records(self) -> Iterator[Record]:
        """See ``Source``."""
        rows = self.input.mapping.rows
        for number, raw in self._values():
            place = Place(str(number), (*self.input.version, number))
            for made in changes_of(rows, raw, None, place):
                yield number, made.raw if isinstance(made, Made) else raw, made

    def _values(self) -> Iterator[tuple[int, bytes]]:
        if not self._is_array:
            yield from read_lines(self.name)
            return
        for number, value in enumerate(array_of(self.name), start=1):
            yield number, encode_json(value)


def array_of(name: str) -> Iterator[Any]:
    """The elements of a JSON array, one by one, with exact decimals.

    Raises:
        ConfigError: where it is not JSON, or ends too early.
    """
    parse = JSONDecoder(parse_float=Decimal).raw_decode
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    text, at, count, is_open = "", 0, 0, False
    with open_bytes(name) as source:
        try:
            is_last = False
            while not is_last:
                chunk = source.read(CHUNK)
                is_last = not chunk
                text = text[at:] + decode(chunk, is_last)
                at = 0
                while True:
                    while at < len(text) and text[at] in _BLANK:
                        at += 1
                    if at == len(text):
                        break
                    mark = text[at]
                    if not is_open:
                        if mark != "[":
                            raise ConfigError("is no JSON array", path=name)
                        is_open, at = True, at + 1
                    elif mark == ",":
                        at += 1
                    elif mark == "]":
                        return
                    else:
                        try:
                            value, end = parse(text, at)
                        except JSONDecodeError as error:
                            if is_last or len(text) - at > _LONGEST:
                                raise ConfigError(f"damaged after element {count}: {error.msg}", path=name) from error
                            break
                        if end == len(text) and not is_last:
                            break  # a number may go on
                        count += 1
                        yield value
                        at = end
        except (OSError, EOFError, UnicodeError, zlib.error, zstandard.ZstdError) as error:
            raise ConfigError(f"damaged after element {count}: {error}", path=name) from error
    raise ConfigError(f"damaged after element {count}: the array is not closed", path=name)
