"""Which build of the native engine counts: one of this version of the document that has every call made here."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from streams import engine
from streams.engine import CALLS, chosen, document, native_module
from streams.errors import ConfigError


def build(version: int, *calls: str) -> ModuleType:
    found = ModuleType("streams.engine._native")
    found.__dict__.update({"DOCUMENT_VERSION": version, **dict.fromkeys(calls)})
    return found


@pytest.mark.parametrize("lacks", [None, *CALLS, "the version"])
def test_a_build_of_before_counts_as_none(lacks: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    version = document.VERSION - (lacks == "the version")
    module = build(version, *(name for name in CALLS if name != lacks))
    monkeypatch.setitem(sys.modules, "streams.engine._native", module)
    assert native_module() is (module if lacks is None else None)


def test_without_a_fitting_build_python_decides_and_a_wish_for_native_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "streams.engine._native", build(document.VERSION, "Replay"))
    monkeypatch.delenv(engine.VARIABLE, raising=False)
    assert chosen() is None
    with pytest.raises(ConfigError, match="it is not built"):
        chosen("native")
