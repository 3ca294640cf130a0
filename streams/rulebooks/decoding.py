"""The decoder of an installation: by the rulebook's catalogue and, with a key, with hashed staff numbers."""

from __future__ import annotations

from typing import Any

from schemas.events import EventCatalogue
from streams.errors import ConfigError
from streams.rulebooks.loader import LoadedRulebook
from streams.wire.decoder import Decoder
from streams.wire.pseudonyms import Pseudonyms, is_pseudonym


def decoder_of(
    loaded: LoadedRulebook, key: bytes | None, catalogue: EventCatalogue | None = None, *, inside: bool = False
) -> Decoder:
    """The decoder; ``catalogue`` replaces the rulebook's.

    ``inside``: account and meter numbers are replaced, too (the setting ``pseudonyms_inside``).

    Raises:
        ConfigError: naming a rule that compares ``staff_id`` with a number, where numbers are hashed: it would never
            apply; or that ``inside`` lacks a key.
    """
    catalogue = catalogue or loaded.catalogue
    if key is None:
        if inside:
            raise ConfigError("needs a pseudonym key (GRIDCLOCK_PSEUDONYM_KEY_FILE)", key="pseudonyms_inside")
        return Decoder(catalogue)
    for rule in loaded.rulebook.rules:
        if rule.enabled and (number := _staff_number(rule.model_dump(mode="json"))) is not None:
            raise ConfigError(
                f"rule {rule.id} compares staff_id with {number!r}; with a pseudonym key staff numbers are hashed as "
                "they come in: write the hash, as gridclock explain shows it",
                key="staff_id",
            )
    names = Pseudonyms(key)
    return Decoder(catalogue, hide_staff=names.staff, hide_number=names.number if inside else None)


def _staff_number(value: Any, *, is_staff: bool = False) -> str | None:
    """A plain staff number named by a rule; ``None`` where there are none, or only hashed ones."""
    match value:
        case dict():
            parts = (_staff_number(one, is_staff=is_staff or name == "staff_id") for name, one in value.items())
            return next(filter(None, parts), None)
        case list():
            return next(filter(None, (_staff_number(one, is_staff=is_staff) for one in value)), None)
        case str():
            return value if is_staff and not is_pseudonym(value) else None
        case _:
            return None
