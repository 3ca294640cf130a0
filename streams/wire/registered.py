"""Records framed for a schema registry: the schema id and the value. Avro, JSON Schema and Protobuf.

Confluent's framing: a byte 0 and the schema's number in four bytes, or a byte 1 and its GUID in sixteen; then, for
Protobuf, which message of the file it is; then the value. Producers of GUIDs put all bytes before the value into the
header ``__value_schema_id``.

The decoders are libraries (extra ``registry``): fastavro, protobuf, and grpcio-tools, which is ``protoc``: some
registries give out the text of a ``.proto`` file only. JSON is checked by the mapping, not by its JSON Schema.

Bounds: a schema has at most ``MAX_SCHEMA`` bytes and ``MAX_REFERENCES`` references. A recursive Avro schema is read by
fastavro's Python code, because the compiled code ends the process when a record is nested deeply enough. An Avro array
whose items take no bytes is refused: a record of ten bytes may claim more items than memory holds.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from streams.errors import InputError
from streams.wire.decoder import decode_json
from streams.wire.typed_numbers import Read, coarse_avro, protobuf_numbers

MAX_SCHEMA: Final = 1_048_576
MAX_REFERENCES: Final = 200
SCHEMA_HEADER: Final = "__value_schema_id"
_COMPILE_SECONDS: Final = 30
_BUILTIN: Final = (
    "any", "api", "descriptor", "duration", "empty", "field_mask", "source_context", "struct", "timestamp", "type",
    "wrappers",
)  # fmt: skip

SchemaId = int | str
"""A number, or a GUID."""


class Frame(NamedTuple):
    """A record's schema, and the record with its framing (taken from the header if it was there)."""

    schema_id: SchemaId
    whole: bytes


class Text(NamedTuple):
    """A schema from the registry, with the schemas it refers to; each before those that refer to it.

    ``references`` are pairs of the name by which it is referred to and its text.
    """

    kind: str
    text: str
    references: Sequence[tuple[str, str]] = ()


class Reader(NamedTuple):
    """The reader of the records of one schema.

    ``form`` is the ``format`` of mappings: avro, json_schema or protobuf. ``read`` takes a whole ``Frame``; it raises
    ``InputError``. ``connect`` are Kafka Connect's names of the types in a Debezium envelope, as its JSON has them.
    """

    form: str
    read: Callable[[bytes], Any]
    connect: dict[str, Any] | None = None


class Schemas(Protocol):
    """The registry of a mapping."""

    def get(self, schema_id: SchemaId) -> Reader:
        """The reader of records of that schema.

        Raises:
            InputError: where it is not in the registry, or cannot be used.
            RegistryAwayError: where the registry does not answer.
        """

    def has(self, schema_id: SchemaId) -> bool:
        """Whether ``get`` answers without a request to the registry."""


def frame_of(raw: bytes, headers: Sequence[tuple[str, bytes | None]]) -> Frame | None:
    """The framing of a record; ``None`` where it has none."""
    from confluent_kafka.schema_registry.serde import SchemaId as Prefix
    from confluent_kafka.serialization import SerializationError

    for name, value in headers:
        if name == SCHEMA_HEADER and value:
            raw = value + raw
    prefix = Prefix("")
    try:
        prefix.from_bytes(io.BytesIO(raw))
    except (struct.error, ValueError, SerializationError):
        return None
    return Frame(str(prefix.guid) if prefix.id is None else prefix.id, raw)


def value_of(form: str | None, frame: Frame, schemas: Schemas) -> tuple[Any, dict[str, Any] | None]:
    """The value of a record, and the names of its types if it is a Debezium envelope.

    Raises:
        InputError: where the schema is not known or is another format, or the bytes do not match it.
        RegistryAwayError: where the registry does not answer.
    """
    reader = schemas.get(frame.schema_id)
    if form not in ("debezium", reader.form):
        raise InputError(
            "undecodable",
            None,
            f"is {reader.form} by its schema {frame.schema_id}, and the mapping says {form} (mapping key: format)",
        )
    try:
        return reader.read(frame.whole), reader.connect
    except RecursionError:
        raise InputError("too_deep", None, f"nested too deeply, as {_named(reader, frame)}") from None
    except InputError as error:
        raise InputError(error.reason, None, f"{error.detail}, as {_named(reader, frame)}") from None


def _named(reader: Reader, frame: Frame) -> str:
    return f"{reader.form} of schema {frame.schema_id}"


def reader_of(schema: Text) -> Reader:
    """The reader of a schema.

    Raises:
        InputError: where the schema cannot be used.
    """
    size = len(schema.text) + sum(len(text) for _, text in schema.references)
    if size > MAX_SCHEMA:
        raise InputError("undecodable", None, f"a schema of {size} characters; at most {MAX_SCHEMA} are taken")
    try:
        match schema.kind:
            case "AVRO":
                return _avro(schema)
            case "JSON":
                return Reader("json_schema", _read_json, _connect_of_json(schema.text))
            case "PROTOBUF":
                return Reader("protobuf", _protobuf(schema))
    except RecursionError:
        raise InputError("undecodable", None, "a schema that is nested too deeply") from None
    raise InputError("undecodable", None, f"a schema of the type {schema.kind!r}; known are AVRO, JSON, PROTOBUF")


def _unusable(kind: str, error: object) -> InputError:
    return InputError("undecodable", None, f"a schema that is not {kind}: {str(error)[:300]}")


def _behind_id(whole: bytes) -> int:
    """The offset of the value; Protobuf's message indexes are before it."""
    return 17 if whole[:1] == b"\1" else 5


# --- JSON -----------------------------------------------------------------------------------------------


def _read_json(whole: bytes) -> Any:
    try:
        return decode_json(whole[_behind_id(whole) :])
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, ArithmeticError) as error:
        raise InputError("undecodable", None, f"not JSON: {error}") from None


def _connect_of_json(text: str) -> dict[str, Any] | None:
    """JSON Schema of Kafka Connect names a type in ``title``."""
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise _unusable("JSON Schema", error) from None
    if not isinstance(schema, dict):
        return None
    sides = _members(schema.get("properties"))
    rows = {side: [_members(one) for one in _choices(sides[side])] for side in ("before", "after") if side in sides}
    return _connect(
        {
            side: {
                name: title
                for one in found
                for name, column in _members(one.get("properties")).items()
                for title in [next((part["title"] for part in _choices(column) if "title" in part), None)]
            }
            for side, found in rows.items()
        }
    )


def _choices(schema: Any) -> list[dict[str, Any]]:
    several = schema.get("oneOf") if isinstance(schema, dict) else None
    return [one for one in (several if isinstance(several, list) else [schema]) if isinstance(one, dict)]


def _members(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _connect(sides: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """The names of the columns' types of ``before`` and ``after``, as ``envelopes`` reads them."""
    fields = [
        {"field": side, "fields": [{"field": column, "name": name} for column, name in columns.items()]}
        for side, columns in sides.items()
    ]
    return {"fields": fields} if fields else None


# --- Avro -----------------------------------------------------------------------------------------------


def _avro(schema: Text) -> Reader:
    import fastavro
    from fastavro._read_py import schemaless_reader as python_reader
    from fastavro.schema import SchemaParseException

    known: dict[str, Any] = {}
    try:
        for _, text in schema.references:
            fastavro.parse_schema(json.loads(text), named_schemas=known)
        own = json.loads(schema.text)
        parsed = fastavro.parse_schema(own, named_schemas=known)
    except (SchemaParseException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable("Avro", repr(error)) from None
    is_recursive = _Sizes(known).is_recursive(parsed)
    read = python_reader if is_recursive else fastavro.schemaless_reader
    coarse = coarse_avro(parsed, known)

    def decode(whole: bytes) -> Any:
        stream = io.BytesIO(whole)
        stream.seek(_behind_id(whole))
        try:
            value = read(stream, parsed, None)
        except (EOFError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, struct.error) as error:
            raise InputError(
                "undecodable", None, f"does not fit ({str(error)[:200] or type(error).__name__})"
            ) from None
        if left := len(whole) - stream.tell():
            raise InputError("undecodable", None, f"has {left} bytes more than its schema says")
        return value if coarse is None else coarse(value)

    return Reader("avro", decode, _connect_of_avro(parsed, known))


class _Sizes:
    """The fewest bytes of a value, by its type; ``known`` are the named types, parsed."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known
        self._least: dict[str, int | None] = {}
        self._found_recursive = False

    def is_recursive(self, schema: Any) -> bool:
        """Whether a type contains itself.

        Raises:
            InputError: where the items of an array may have no bytes.
        """
        self._of(schema)
        return self._found_recursive

    def _of(self, schema: Any) -> int:
        if isinstance(schema, list):
            for one in schema:
                self._of(one)
            return 1  # the branch of the union
        if isinstance(schema, str):
            return self._named(schema) if schema in self._known else int(schema != "null")
        match schema["type"]:
            case "record" | "error":
                return self._named(schema["name"], schema)
            case "array":
                if self._of(schema["items"]) == 0:
                    raise InputError("undecodable", None, "a schema with an array whose items take no bytes")
                return 1
            case "map":
                self._of(schema["values"])
                return 1
            case "fixed":
                return int(schema["size"])
            case "enum":
                return 1
            case inner:
                return self._of(inner)

    def _named(self, name: str, schema: Any = None) -> int:
        found = self._known[name] if schema is None else schema
        if found["type"] not in ("record", "error"):
            return self._of(found)
        if name in self._least:
            least = self._least[name]
            if least is None:  # in progress: it contains itself
                self._found_recursive = True
                return 1
            return least
        self._least[name] = None
        least = sum(self._of(field["type"]) for field in found["fields"])
        self._least[name] = least
        return least


def _connect_of_avro(parsed: Any, known: Mapping[str, Any]) -> dict[str, Any] | None:
    """Avro of Kafka Connect names a type in ``connect.name``."""

    def records(schema: Any) -> Iterator[dict[str, Any]]:
        for one in schema if isinstance(schema, list) else [schema]:
            found = known.get(one) if isinstance(one, str) else one
            if isinstance(found, dict) and found.get("type") == "record":
                yield found

    sides = {
        field["name"]: {
            column["name"]: name
            for row in records(field["type"])
            for column in row["fields"]
            for part in (column["type"] if isinstance(column["type"], list) else [column["type"]])
            for name in [_connect_name(part, known)]
            if name is not None
        }
        for envelope in records(parsed)
        for field in envelope["fields"]
        if field["name"] in ("before", "after")
    }
    return _connect(sides)


def _connect_name(part: Any, known: Mapping[str, Any]) -> str | None:
    found = known.get(part) if isinstance(part, str) else part
    return found.get("connect.name") if isinstance(found, dict) else None


# --- Protobuf -------------------------------------------------------------------------------------------


def _protobuf(schema: Text) -> Callable[[bytes], Any]:
    """Message classes made from the registry's descriptors, in a separate pool."""
    from confluent_kafka.schema_registry.serde import SchemaId as Prefix
    from confluent_kafka.serialization import SerializationError
    from google.protobuf import descriptor_pool, json_format, message_factory
    from google.protobuf.message import DecodeError

    pool = descriptor_pool.DescriptorPool()
    coarse: dict[str, Read | None] = {}
    try:
        files = _builtin_files()
        for name, text in (*schema.references, ("schema.proto", schema.text)):
            files.append(_descriptor(name, text, files))
        for file in files:
            pool.Add(file)
        own = pool.FindFileByName(files[-1].name)
    except (TypeError, KeyError, ValueError) as error:
        raise _unusable("Protobuf", error) from None

    def decode(whole: bytes) -> Any:
        stream = io.BytesIO(whole)
        try:
            prefix = Prefix("PROTOBUF")
            prefix.from_bytes(stream)
            kind = _message(own, prefix.message_indexes)
            message = message_factory.GetMessageClass(kind)()
            message.ParseFromString(whole[stream.tell() :])
            found = json_format.MessageToDict(
                message,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
                descriptor_pool=pool,
            )
            if kind.full_name not in coarse:
                coarse[kind.full_name] = protobuf_numbers(kind)
            read = coarse[kind.full_name]
            return found if read is None else read(found)
        except IndexError:
            raise InputError("undecodable", None, f"its file has no message {prefix.message_indexes}") from None
        except (
            DecodeError,
            EOFError,
            SerializationError,
            struct.error,
            ValueError,
            TypeError,
            json_format.Error,
        ) as error:
            raise InputError("undecodable", None, f"does not fit ({str(error)[:200]})") from None

    return decode


def _message(file: Any, indexes: Sequence[int]) -> Any:
    if min(indexes) < 0:
        raise IndexError
    first, *inner = indexes
    found = file.message_types_by_name.values()[first]
    for index in inner:
        found = found.nested_types[index]
    return found


def _builtin_files() -> list[Any]:
    """Files importable without a reference: Google's well-known types, Confluent's metadata and decimals."""
    from importlib import import_module

    names = [f"google.protobuf.{name}_pb2" for name in _BUILTIN]
    names += ["confluent_kafka.schema_registry.confluent.meta_pb2"]
    found: dict[str, Any] = {}
    for name in names:
        from google.protobuf import descriptor_pb2

        file = descriptor_pb2.FileDescriptorProto()
        import_module(name).DESCRIPTOR.CopyToProto(file)
        found[file.name] = file
    first = "google/protobuf/source_context.proto", "google/protobuf/any.proto", "google/protobuf/type.proto"
    return [found.pop(name) for name in first] + list(found.values())


def _descriptor(name: str, text: str, files: Sequence[Any]) -> Any:
    """The descriptor of one file: given in base64, or compiled from its text, which may import ``files``."""
    from google.protobuf import descriptor_pb2
    from google.protobuf.message import DecodeError

    found = descriptor_pb2.FileDescriptorProto()
    try:
        found.ParseFromString(base64.b64decode(text, validate=True))
    except (binascii.Error, DecodeError, ValueError):
        found = _compiled(text, files)
    found.name = name
    return found


def _compiled(text: str, files: Sequence[Any]) -> Any:
    from google.protobuf import descriptor_pb2

    with tempfile.TemporaryDirectory(prefix="gridclock-proto-") as directory:
        Path(directory, "schema.proto").write_text(text, "utf-8")
        Path(directory, "imports.pb").write_bytes(descriptor_pb2.FileDescriptorSet(file=files).SerializeToString())
        command = [
            sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={directory}",
            f"--descriptor_set_in={directory}/imports.pb", f"--descriptor_set_out={directory}/out.pb", "schema.proto",
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise ValueError(f"protoc did not end within {_COMPILE_SECONDS} s") from None
        if done.returncode:
            raise ValueError(done.stderr.strip())
        compiled = descriptor_pb2.FileDescriptorSet.FromString(Path(directory, "out.pb").read_bytes())
    return compiled.file[-1]
