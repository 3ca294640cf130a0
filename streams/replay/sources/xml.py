"""Reads XML as a stream, in any encoding, without entities.

A log needs no entities, and a parser that resolves them opens files and can be made to fill the memory: a file that
declares one is refused.
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from xml.parsers import expat

import zstandard

from streams.errors import ConfigError
from streams.files import MAX_LINE, open_bytes

CHUNK: Final = 1 << 16
_DECLARED: Final = re.compile(rb"""^<\?xml[^>]*encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_NATIVE: Final = frozenset({"utf-8", "utf8", "utf-16", "us-ascii", "ascii", "iso-8859-1", "latin-1"})


class Refused(Exception):
    """A construct in the file that no log has."""


class Parser:
    """An expat parser that refuses entities; ``start``, ``end`` and ``text`` are called as it reads."""

    def __init__(
        self,
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None],
        text: Callable[[str], None] | None,
    ) -> None:
        self._handlers = start, end, text
        self._parser: Any = None
        self._fed = 0
        self._decode: Callable[[bytes, bool], str] | None = None

    @property
    def line(self) -> int:
        """The parser's current line."""
        return 1 if self._parser is None else int(self._parser.CurrentLineNumber)

    def feed(self, chunk: bytes, *, last: bool = False) -> None:
        """Feed the next bytes."""
        if self._parser is None:
            self._begin(chunk)
        if self._decode is not None:
            chunk = self._decode(chunk, last).encode()
        self._parser.Parse(chunk, last)
        self._fed += len(chunk)
        if self._fed - self._parser.CurrentByteIndex > MAX_LINE:
            raise Refused(f"a tag or an attribute of more than {MAX_LINE:,} bytes")

    def _begin(self, chunk: bytes) -> None:
        declared = _DECLARED.match(chunk.removeprefix(b"\xef\xbb\xbf"))
        encoding = declared[1].decode().lower() if declared else "utf-8"
        if encoding not in _NATIVE:  # expat supports few encodings; gbk and similar ones are decoded by Python
            try:
                self._decode = codecs.getincrementaldecoder(
                    "gb18030" if encoding in ("gbk", "gb2312") else encoding
                )().decode
            except LookupError:
                raise Refused(f"it says that it is in {encoding}, which is not an encoding") from None
        self._parser = expat.ParserCreate("utf-8" if self._decode is not None else None)
        self._parser.StartElementHandler, self._parser.EndElementHandler = self._handlers[:2]
        if self._handlers[2] is not None:
            self._parser.CharacterDataHandler = self._handlers[2]
        self._parser.EntityDeclHandler = _refuse


def _refuse(name: str, *_rest: object) -> None:
    raise Refused(f"it declares an entity ({name}), which no log needs")


def parse(name: str, what: str, parser: Parser) -> Iterator[None]:
    """Feed a file to a parser; yields after every chunk, so that the results can be consumed.

    Raises:
        ConfigError: where it is not ``what``, or damaged; names the line.
    """
    with open_bytes(name) as raw:
        try:
            while chunk := raw.read(CHUNK):
                parser.feed(chunk)
                yield
            parser.feed(b"", last=True)
            yield
        except (expat.ExpatError, Refused) as error:
            raise ConfigError(f"not an {what}: {error}", path=name, line=parser.line) from error
        except (OSError, EOFError, zlib.error, zstandard.ZstdError, UnicodeError) as error:
            raise ConfigError(f"damaged after this line: {error}", path=name, line=parser.line) from error


class Element(dict[str, str]):
    """The attributes of an element, and its children: tag, attributes, text, in the order of their ends."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        super().__init__(attributes)
        self.inner: list[tuple[str, dict[str, str], str]] = []


def elements_of(
    name: str, what: str, root: str, ends: Sequence[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], Element]]:
    """Elements at one of the given paths below the root, each when it is complete.

    Raises:
        ConfigError: see ``parse``.
    """
    path: list[str] = []
    found: list[tuple[tuple[str, ...], Element]] = []
    current: list[Element | None] = [None]
    stack: list[tuple[dict[str, str], list[str]]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if not path and tag != root:
            raise Refused(f"it begins with <{tag}> and not with <{root}>")
        path.append(tag)
        if tuple(path[1:]) in ends:
            current[0] = Element(attributes)
        stack.append((attributes, []))

    def text(data: str) -> None:
        if current[0] is not None:
            stack[-1][1].append(data)

    def end(_tag: str) -> None:
        attributes, texts = stack.pop()
        element = current[0]
        if tuple(path[1:]) in ends:
            assert element is not None
            found.append((tuple(path[1:]), element))
            current[0] = None
        elif element is not None:
            element.inner.append((path[-1], attributes, "".join(texts)))
        path.pop()

    for _ in parse(name, what, Parser(start, end, text)):
        yield from found
        found.clear()
