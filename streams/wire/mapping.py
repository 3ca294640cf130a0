"""A mapping file read, checked, and applied to rows; see ``schemas.mappings`` for what it may say.

A value that cannot become what the mapping says (a time in another form, a flag that is neither) is passed on as
it stands: the decoder then refuses it under the field's own name, and the dead letter shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from pydantic import ValidationError

import schemas.mappings as schema
from schemas.fields import read_iso
from streams.core.instants import EPOCH
from streams.errors import ConfigError
from streams.wire.decoder import encode_json

Row = Mapping[str, Any]
Convert = Callable[[Any], Any]

_TRUE = frozenset({"true", "yes", "y", "1", "t", "是"})
_FALSE = frozenset({"false", "no", "n", "0", "f", "否"})


def load_mapping(path: Path) -> RowMapping:
    """Read and check one mapping file.

    Raises:
        ConfigError: names file, line and key; several problems are in its ``others``.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the mapping: {error}", path=str(path)) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        raise ConfigError(f"not YAML: {getattr(error, 'problem', error)}", path=str(path), line=line) from error
    try:
        return RowMapping(schema.Mapping.model_validate(data if isinstance(data, dict) else {}), path, node)
    except ValidationError as error:
        problems = [
            ConfigError(
                str(item["msg"]).removeprefix("Value error, "),
                path=str(path),
                line=_line(node, item["loc"]),
                key=".".join(str(part) for part in item["loc"]) or None,
            )
            for item in error.errors()
        ]
        raise ConfigError.first_of(problems) from error


def _line(node: yaml.Node | None, location: Sequence[str | int]) -> int:
    line = 1 if node is None else node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == str(part)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


class RowMapping:
    """Makes the wire format of rows. ``path`` and ``node`` say where the mapping was written."""

    def __init__(self, mapping: schema.Mapping, path: Path, node: yaml.Node | None) -> None:
        self.mapping = mapping
        self.path = path
        self._node = node
        self._steps = [(*_place(name), spec.column, _convert(name, spec, mapping)) for name, spec in _specs(mapping)]
        self._constants = [(*_place(name), value) for name, value in mapping.constants.items()]
        self._names_events = "event_id" not in mapping.fields

    def check_columns(self, columns: Sequence[str], name: str) -> None:
        """Raise ``ConfigError`` for the first column that the file does not have."""
        known = set(columns)
        wanted: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
            (("fields", field), spec.column) for field, spec in self.mapping.fields.items()
        ]
        if self.mapping.event_type is not None:
            wanted.insert(0, (("event_type",), self.mapping.event_type.column))
        for keys, needed in wanted:
            for column in needed:
                if column not in known:
                    raise ConfigError(
                        f"{name} has no column {column!r}; it has {', '.join(columns)}",
                        path=str(self.path),
                        line=_line(self._node, keys),
                        key=".".join(keys),
                    )

    def event(self, row: Row, name: str, position: int) -> bytes | None:
        """The event of one row as JSON; ``None`` where the mapping passes over it."""
        wire: dict[str, Any] = {}
        kinds = self.mapping.event_type
        if kinds is not None:
            found = _joined(row, kinds.column)
            value = kinds.values.get(found, None if kinds.values else found)
            if value is None and kinds.other == "skip":
                return None
            wire["event_type"] = found if value is None else value
        if self._names_events:
            wire["event_id"] = f"{name}:{position}"
        for outer, inner, columns, convert in self._steps:
            given: Any = row.get(columns[0]) if len(columns) == 1 else _joined(row, columns)
            if given is not None and given != "":
                _put(wire, outer, inner, convert(given))
        for outer, inner, value in self._constants:
            _put(wire, outer, inner, value)
        return encode_json(wire)


def _specs(mapping: schema.Mapping) -> list[tuple[str, schema.FieldFrom]]:
    return list(mapping.fields.items())


def _place(name: str) -> tuple[str, str | None]:
    outer, dot, inner = name.partition(".")
    return outer, inner if dot else None


def _put(wire: dict[str, Any], outer: str, inner: str | None, value: Any) -> None:
    if inner is None:
        wire[outer] = value
    else:
        wire.setdefault(outer, {})[inner] = value


def _joined(row: Row, columns: Sequence[str]) -> str:
    return "/".join(_text(row.get(column)) for column in columns)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, str) else str(value)


# --- values ---------------------------------------------------------------------------------------------


def _convert(name: str, spec: schema.FieldFrom, mapping: schema.Mapping) -> Convert:
    kind = spec.kind or ("time" if name in ("occurred_at", "recorded_at") else "text")
    convert = _converter(kind, spec, spec.time or mapping.time)
    if not spec.values:
        return convert
    values = {key: value if isinstance(value, bool) else convert(value) for key, value in spec.values.items()}
    return lambda value: values[text] if (text := _text(value)) in values else convert(value)


def _converter(kind: schema.As, spec: schema.FieldFrom, form: schema.TimeForm) -> Convert:
    match kind:
        case "text":
            return _text
        case "integer":
            return _integer
        case "number" | "amount":
            return _number
        case "flag":
            return _flag
        case "time":
            return _time(form)
        case "date":
            return _date(form)
        case "list":
            separator = spec.separator
            return lambda value: (
                [part.strip() for part in value.split(separator) if part.strip()] if isinstance(value, str) else value
            )


def _integer(value: Any) -> Any:
    try:
        return int(value) if float(value) == int(value) else value
    except (ValueError, TypeError, OverflowError):
        try:
            return int(str(value).strip())
        except ValueError:
            return value


def _number(value: Any) -> Any:
    if isinstance(value, int | float | Decimal):
        return value
    try:
        found = Decimal(str(value).strip())
    except ArithmeticError:
        return value
    return found if found.is_finite() else value


def _flag(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    text = _text(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else value


def _time(form: schema.TimeForm) -> Convert:
    zone = None if form.zone is None else ZoneInfo(form.zone)
    parse = _parser(form.format)

    def convert(value: Any) -> Any:
        try:
            moment = value if isinstance(value, datetime) else parse(_text(value).strip())
        except (ValueError, OverflowError, ArithmeticError):
            return _text(value)
        if moment.tzinfo is None and zone is not None:
            local = moment.replace(tzinfo=zone)
            # A time in the hour that the spring change leaves out comes back as another one: nobody's clock
            # showed it. It stays without an offset, and is refused for that.
            if local.astimezone(EPOCH.tzinfo).astimezone(zone).replace(tzinfo=None) == moment:
                moment = local
        return _rfc(moment)

    return convert


def _rfc(moment: datetime) -> str:
    offset = moment.utcoffset()
    if offset is not None and offset % timedelta(minutes=1):
        moment = moment.astimezone(EPOCH.tzinfo)  # local mean times of long ago have seconds in their offset
    return moment.isoformat()


def _parser(pattern: str) -> Callable[[str], datetime]:
    match pattern:
        case "iso":
            return read_iso
        case "epoch_s":
            return lambda text: EPOCH + timedelta(microseconds=int(Decimal(text) * 1_000_000))
        case "epoch_ms":
            return lambda text: EPOCH + timedelta(microseconds=int(Decimal(text) * 1000))
        case _:
            return lambda text: datetime.strptime(text, pattern)  # noqa: DTZ007 (the zone is the mapping's)


def _date(form: schema.TimeForm) -> Convert:
    pattern = form.format

    def convert(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.date().isoformat()
        if isinstance(value, date):
            return value.isoformat()
        text = _text(value).strip()
        if "%" not in pattern:
            return text[:10] if text[10:11] in ("T", " ") else text
        try:
            return datetime.strptime(text, pattern).date().isoformat()  # noqa: DTZ007 (a local date)
        except ValueError:
            return text

    return convert
