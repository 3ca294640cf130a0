"""The base of all models."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, JsonValue


class Model(BaseModel):
    """Immutable, strict about its keys: a misspelt one is an error, not a default.

    What checks it is built when the first one is checked: a command needs few of all models, and building those of the
    events alone takes a fifth of a second of each start.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)


def with_examples(*examples: JsonValue) -> ConfigDict:
    """Settings of a model whose JSON Schema shows examples."""
    return ConfigDict(json_schema_extra={"examples": list(examples)})


class Text(Model):
    """The same words in Chinese and in English."""

    zh: str
    en: str
