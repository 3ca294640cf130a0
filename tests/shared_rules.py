"""The shipped rulebook is loaded, and written for the native engine, once in a process, not for each command in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from schemas.events import EventCatalogue
from streams.core.rulebook import Rulebook
from streams.engine.document import Document
from streams.rulebooks.loader import LoadedRulebook, load_rulebook
from tests.stories import shipped


@cache
def _shipped_document() -> Document:
    return Document(shipped().rulebook, shipped().catalogue)


def _document(rulebook: Rulebook, catalogue: EventCatalogue, rival: Document | None = None) -> Document:
    loaded = shipped()
    is_shipped = rulebook is loaded.rulebook and catalogue is loaded.catalogue and rival is None
    return _shipped_document() if is_shipped else Document(rulebook, catalogue, rival)


def _loaded(rules: Sequence[Path] = (), only: Path | None = None) -> LoadedRulebook:
    return load_rulebook(rules, only) if rules or only is not None else shipped()


@contextmanager
def shared_rules() -> Iterator[None]:
    """Commands that are run in this process, and engines made in it, share the shipped rulebook."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("streams.commands.common.load_rulebook", _loaded)
        for place in ("streams.engine.clocks", "streams.replay.replay"):
            patched.setattr(f"{place}.Document", _document)
        yield
