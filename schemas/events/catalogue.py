"""The event types of a rulebook: the shipped vocabulary, and the types that it declares."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from pydantic import TypeAdapter, create_model

from schemas.base import Text
from schemas.events.envelope import COMMON_FIELDS, CONDITION_FIELDS, Envelope
from schemas.events.vocabulary import Event
from schemas.fields import FIELD_KINDS

_TYPE_PATTERN = r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$"


def _shipped() -> dict[str, type[Envelope]]:
    models: dict[str, type[Envelope]] = {}
    for model in get_args(get_args(Event)[0]):
        for name in get_args(model.model_fields["event_type"].annotation):
            assert name not in models, name
            models[name] = model
    return models


def _listed(annotation: Any) -> tuple[object, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(value for part in get_args(annotation) for value in _listed(part))


@dataclass(frozen=True)
class EventCatalogue:
    """The event types of a rulebook, each with its model."""

    models: Mapping[str, type[Envelope]]

    @classmethod
    def shipped(cls) -> EventCatalogue:
        """The vocabulary of the standard."""
        return cls(_shipped())

    @property
    def types(self) -> frozenset[str]:
        """The names of all types."""
        return frozenset(self.models)

    def fields(self, event_type: str) -> frozenset[str]:
        """The fields of a type that conditions may use."""
        return (frozenset(self.models[event_type].model_fields) - COMMON_FIELDS) | CONDITION_FIELDS

    def kind_of(self, event_type: str, field: str) -> str:
        """``date`` or ``time`` where the field of the type is of that kind, else its JSON type."""
        annotation: Any = self.models[event_type].model_fields[field].annotation
        schema = TypeAdapter(annotation).json_schema()
        found = next((one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"), schema)
        formats = {"date": "date", "date-time": "time"}
        return formats.get(found.get("format", ""), str(found.get("type", "text")))

    def values_of(self, event_type: str, field: str) -> tuple[object, ...]:
        """The values that the field of the type may have, if the model lists them; else empty."""
        described = self.models[event_type].model_fields.get(field)
        return () if described is None else _listed(described.annotation)

    @property
    def fingerprint(self) -> str:
        """Equal for catalogues that take the same events, also across processes."""
        described = {name: model.model_json_schema() for name, model in self.models.items()}
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]

    def suggest(self, name: str) -> str | None:
        """The known type nearest to a misspelt one."""
        near = difflib.get_close_matches(name, sorted(self.models), n=1)
        return near[0] if near else None

    def with_declared(
        self,
        name: str,
        fields: Mapping[str, str | list[str]],
        title: Text | None = None,
        *,
        replaces: bool = False,
    ) -> EventCatalogue:
        """This catalogue and one more type; for an existing type the named fields are added or redefined.

        ``replaces`` drops the existing fields of the type.

        Raises:
            ValueError: for an invalid name or field, or an unknown kind of value.
        """
        if not re.match(_TYPE_PATTERN, name):
            raise ValueError(f"{name!r} is not an event type; write family.what_happened in lower case")
        base = Envelope if replaces else self.models.get(name, Envelope)
        own: dict[str, Any] = {}
        for field, kind in fields.items():
            if not field.isidentifier() or field.startswith("_") or field in COMMON_FIELDS:
                raise ValueError(f"{name} cannot declare a field {field!r}: not a name, or common to all events")
            if isinstance(kind, str) and kind not in FIELD_KINDS:
                near = difflib.get_close_matches(kind, FIELD_KINDS, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(FIELD_KINDS)}"
                raise ValueError(f"{name}.{field}: unknown kind {kind!r}; {hint}")
            if not kind:
                raise ValueError(f"{name}.{field}: an empty list allows nothing")
            annotation = FIELD_KINDS[kind] if isinstance(kind, str) else Literal[tuple(kind)]
            own[field] = (annotation | None, None)
        own["event_type"] = (Literal[(name,)], ...)
        model = create_model(name.replace(".", "_"), __base__=(base,), __doc__=title.en if title else None, **own)
        return EventCatalogue({**self.models, name: cast(type[Envelope], model)})

    def with_those_of(self, other: EventCatalogue) -> EventCatalogue:
        """This catalogue, the types that only the other has, and the fields that only its types have.

        Events are then read once for both: such a field is one that an event may lack, and of one that both have this
        catalogue says what it may hold.

        Raises:
            ValueError: where a field is of another kind in the other.
        """
        found: dict[str, type[Envelope]] = {**other.models, **self.models}
        for name in self.types & other.types:
            mine, theirs = self.models[name], other.models[name]
            own: dict[str, Any] = {}
            for field, described in theirs.model_fields.items() if theirs is not mine else ():
                if field in COMMON_FIELDS:
                    continue
                if field not in mine.model_fields:
                    kept: Any = described.annotation
                    if described.metadata:
                        kept = Annotated[kept, *described.metadata]
                    own[field] = (kept | None, None)
                elif (kind := self.kind_of(name, field)) != (others := other.kind_of(name, field)):
                    raise ValueError(f"{name}.{field} is of the kind {kind} in one and {others} in the other")
            if own:
                own["event_type"] = (Literal[(name,)], ...)
                made = create_model(name.replace(".", "_"), __base__=(mine,), __doc__=mine.__doc__, **own)
                found[name] = cast(type[Envelope], made)
        return EventCatalogue(found)
