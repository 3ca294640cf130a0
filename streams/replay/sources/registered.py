"""The rows of a topic whose records are framed for a schema registry, for a suggested mapping."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from schemas.mappings import Registry
from streams.errors import ConfigError, InputError
from streams.replay.sources.profile import ROWS
from streams.rulebooks.schema_registry import SchemaRegistry
from streams.wire.envelopes import is_envelope, rows_of
from streams.wire.registered import frame_of


def registered_settings(records: Iterable[bytes], url: str) -> tuple[dict[str, Any], Iterator[Mapping[str, Any]]]:
    """The settings for records framed for the schema registry at ``url``, and their rows.

    Raises:
        ConfigError: where the first record is not framed so, or its schema is not available.
    """
    schemas = SchemaRegistry(Registry(url=url))
    some = [raw for raw, _ in zip(records, range(ROWS), strict=False)]
    form = "debezium"
    try:
        for raw in some[:1]:
            frame = frame_of(raw, ())
            if frame is None:
                raise ConfigError("the first record does not begin with a schema id: leave out --registry")
            reader = schemas.get(frame.schema_id)
            if not is_envelope(reader.read(frame.whole)):
                form = reader.form
    except InputError as error:
        raise ConfigError(f"the first record cannot be read: {error}") from error

    def rows() -> Iterator[Mapping[str, Any]]:
        for raw in some:
            with suppress(InputError):
                found = rows_of(form, raw, (), schemas)
                if isinstance(found, list):
                    yield from (change.after for change in found if change.after is not None)

    return {"format": form, "registry": f"{{url: {json.dumps(url)}}}"}, rows()
