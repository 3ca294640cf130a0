"""Numbers of tables and records, marked by what their types keep of them: rounded ones, exact ones, those not set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any, Final

from streams.wire.cells import Coarse, Exact, Unset

Read = Callable[[Any], Any]


def coarse_number(bits: int) -> Read:
    """Marks numbers of more than so many bits: smaller whole ones are kept exactly."""
    exact = 2**bits
    return lambda value: Coarse(value) if isinstance(value, float) and abs(value) >= exact else value


def in_members(members: Mapping[str, Read | None]) -> Read | None:
    """Reads those members of a struct that are read in a way of their own; ``None`` where none is."""
    inner = {name: read for name, read in members.items() if read is not None}
    if not inner:
        return None
    return lambda row: (
        {name: inner[name](one) if name in inner else one for name, one in row.items()}
        if isinstance(row, dict)
        else row
    )


def in_elements(read: Read | None) -> Read | None:
    """Reads each element of a list; ``None`` where elements are left as they are."""
    if read is None:
        return None
    return lambda several: [read(one) for one in several] if isinstance(several, list) else several


def in_values(read: Read) -> Read:
    """Reads each value of a map."""
    return lambda found: {name: read(one) for name, one in found.items()} if isinstance(found, dict) else found


def coarse_avro(schema: Any, known: Mapping[str, Any], above: tuple[str, ...] = ()) -> Read | None:
    """Reads values of an Avro type; ``known`` are the named types, parsed. A type within itself is left as it is."""
    if isinstance(schema, str):
        if schema == "float":
            return coarse_number(24)
        return coarse_avro(known[schema], known, above) if schema in known and schema not in above else None
    if isinstance(schema, list):
        return _coarse_union([coarse_avro(one, known, above) for one in schema], schema)
    match schema["type"]:
        case "record" | "error":
            inner = (*above, schema["name"])
            return in_members({one["name"]: coarse_avro(one["type"], known, inner) for one in schema["fields"]})
        case "array":
            return in_elements(coarse_avro(schema["items"], known, above))
        case "map":
            read = coarse_avro(schema["values"], known, above)
            return None if read is None else in_values(read)
        case "enum" | "fixed":
            return None
        case kind:
            return coarse_avro(kind, known, above)


def _coarse_union(reads: list[Read | None], branches: list[Any]) -> Read | None:
    if "double" in branches:  # which of the two it was cannot be seen any more
        reads = [None if branch == "float" else read for read, branch in zip(reads, branches, strict=True)]
    some = [read for read in reads if read is not None]
    return (lambda value: reduce(lambda found, read: read(found), some, value)) if some else None


def protobuf_numbers(kind: Any, above: tuple[str, ...] = ()) -> Read | None:
    """Reads messages of a descriptor, as ``json_format`` gives them. A message within itself is left as it is.

    Whole numbers of 64 bits are texts there; elements of lists and values of maps stay so.
    """
    if kind.full_name in above:
        return None
    members: dict[str, Read | None] = {}
    for field in kind.fields:
        read = coarse_number(24) if field.type == field.TYPE_FLOAT else None
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            name = field.message_type.full_name
            read = _WRAPPERS.get(name) or protobuf_numbers(field.message_type, (*above, kind.full_name))
        if field.is_repeated:
            members[field.name] = in_elements(None if read is _exact else read)
        elif field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
            members[field.name] = _exact if field.has_presence else _exact_or_unset
        elif field.has_presence or field.cpp_type not in _NUMBERS:
            members[field.name] = read
        else:
            members[field.name] = partial(_set_or_unset, read)
    return in_members(members)


def _exact(value: Any) -> Any:
    return Exact(value) if isinstance(value, str) else value


def _exact_or_unset(value: Any) -> Any:
    return _set_or_unset(_exact, value)


def _set_or_unset(read: Read | None, value: Any) -> Any:
    if value in (0, "0"):
        return Unset(0)
    return value if read is None else read(value)


_WRAPPERS: Final[Mapping[str, Read]] = {
    "google.protobuf.FloatValue": coarse_number(24),
    "google.protobuf.Int64Value": _exact,
    "google.protobuf.UInt64Value": _exact,
}
"""Messages that ``json_format`` gives as their value."""

_NUMBERS: Final = frozenset({1, 3, 5, 6})
"""``CPPTYPE_INT32``, ``_UINT32``, ``_DOUBLE``, ``_FLOAT``."""
