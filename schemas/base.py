"""What all models share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Immutable, strict about its keys: a misspelt one is an error, not a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Text(Model):
    """The same words in Chinese and in English."""

    zh: str
    en: str
