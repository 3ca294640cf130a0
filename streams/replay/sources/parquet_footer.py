"""What the footer of a Parquet file says that polars does not: its writer, and which columns are INT96.

The footer is in Thrift's compact protocol, of which only what is needed is read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_MAGIC: Final = b"PAR1"
_TAIL: Final = 8
_INT96: Final = 3
_SCHEMA, _WRITER = 2, 6
_TYPE, _NAME, _CHILDREN = 1, 4, 5


@dataclass(frozen=True, slots=True)
class Footer:
    """``int96`` are the columns of that type, by dots; ``writer`` is the program that wrote the file, or empty."""

    int96: tuple[str, ...] = ()
    writer: str = ""


def footer_of(name: str) -> Footer:
    """The footer of a file; an empty one where it has none, which is for the reader of the file to refuse."""
    path = Path(name)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
            length = int.from_bytes(tail[:4], "little")
            if tail[4:] != _MAGIC or length > size - _TAIL:
                return Footer()
            file.seek(size - _TAIL - length)
            found = _Thrift(file.read(length)).struct((_SCHEMA, _WRITER))
    except (OSError, IndexError, ValueError, RecursionError):
        return Footer()
    elements = found.get(_SCHEMA)
    writer = found.get(_WRITER, b"")
    columns = tuple(_int96(elements)) if isinstance(elements, list) else ()
    return Footer(columns, writer.decode(errors="replace") if isinstance(writer, bytes) else "")


def _int96(elements: Sequence[dict[int, Any]]) -> Iterator[str]:
    """The elements are the tree of the schema in preorder, the first its root."""
    above: list[tuple[str, int]] = []  # names of the open groups, with the children that are to come
    for place, element in enumerate(elements):
        while above and not above[-1][1]:
            above.pop()
        if above:
            above[-1] = above[-1][0], above[-1][1] - 1
        prefix = above[-1][0] if above else ""
        name = element.get(_NAME, b"").decode(errors="replace")
        if children := element.get(_CHILDREN, 0):
            above.append((f"{prefix}{name}." if place else "", children))
        elif element.get(_TYPE) == _INT96:
            yield f"{prefix}{name}"


class _Thrift:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def struct(self, wanted: Sequence[int] = ()) -> dict[int, Any]:
        """The fields of a struct by their numbers; with ``wanted`` others are passed over."""
        found: dict[int, Any] = {}
        number = 0
        while header := self._byte():
            kind, step = header & 15, header >> 4
            number = number + step if step else _signed(self._varint())
            value = self._value(kind, is_kept=not wanted or number in wanted)
            found[number] = value
        return found

    def _value(self, kind: int, *, is_kept: bool) -> Any:
        match kind:
            case 1 | 2:
                return kind == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return _signed(self._varint())
            case 7:
                return self._bytes(8)
            case 8:
                return self._bytes(self._varint())
            case 9 | 10:
                return self._list(is_kept=is_kept)
            case 11:
                return self._map()
            case 12:
                return self.struct()
        raise ValueError(f"no type {kind}")

    def _list(self, *, is_kept: bool) -> list[Any] | None:
        header = self._byte()
        size, kind = header >> 4, header & 15
        if size == 15:
            size = self._varint()
        if kind in (1, 2):  # flags are a byte each
            kind = 3
        found = []
        for _ in range(size):
            value = self._value(kind, is_kept=is_kept)
            if is_kept:
                found.append(value)
        return found if is_kept else None

    def _map(self) -> None:
        size = self._varint()
        if size:
            kinds = self._byte()
            for _ in range(size):
                self._value(kinds >> 4, is_kept=False)
                self._value(kinds & 15, is_kept=False)

    def _byte(self) -> int:
        self._at += 1
        return self._raw[self._at - 1]

    def _bytes(self, size: int) -> bytes:
        found = self._raw[self._at : self._at + size]
        if len(found) < size:
            raise IndexError(size)
        self._at += size
        return found

    def _varint(self) -> int:
        found, shift = 0, 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return found
            if shift > 70:
                raise ValueError("a number of more than 64 bits")


def _signed(value: int) -> int:
    return value >> 1 ^ -(value & 1)
