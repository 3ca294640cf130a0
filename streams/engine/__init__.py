"""Chooses between the native engine and the Python core, and is the only caller of the native one.

Python says what a verdict is. The native engine works the same out faster, for what it knows; everything else it hands
back, and Python judges that. It is there only where it was built: without Rust the Python engine does everything.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import Final, Literal, get_args

from schemas.events import EventCatalogue
from streams.core.rulebook import Rulebook
from streams.errors import ConfigError

Engine = Literal["auto", "native", "python"]
ENGINES: Final = get_args(Engine)
VARIABLE: Final = "GRIDCLOCK_ENGINE"
CALLS: Final = ("Replay", "Worker", "known_rules")
"""What the native module must have; an older build may lack some of it."""


def native_module() -> ModuleType | None:
    """The compiled module, where it was built for this version of the document and of the calls."""
    from streams.engine import document

    try:
        module = importlib.import_module("streams.engine._native")  # built from streams/native
    except ImportError:
        return None
    fits = module.DOCUMENT_VERSION == document.VERSION and all(hasattr(module, name) for name in CALLS)
    return module if fits else None


def why_not() -> str | None:
    """Why the native engine cannot be used here; ``None`` where it can."""
    from streams.engine.mirrored import changed

    if native_module() is None:
        return "it is not built: install Rust (cargo) and run deploy/venv"
    files = changed()
    return f"it has not been compared with {', '.join(files)} as it is now" if files else None


def wanted(engine: str | None) -> str:
    """The engine asked for: by ``engine``, else by the variable.

    Raises:
        ConfigError: for a name that is no engine.
    """
    name = engine or os.environ.get(VARIABLE) or "auto"
    if name not in ENGINES:
        raise ConfigError(f"{VARIABLE}={name}: an engine is one of {', '.join(ENGINES)}")
    return name


def chosen(engine: str | None = None) -> ModuleType | None:
    """The native module, where it is to be used (``wanted``); ``None``: Python alone.

    Raises:
        ConfigError: for a name that is no engine, and where ``native`` is asked for and cannot be used.
    """
    name = wanted(engine)
    if name == "python":
        return None
    reason = why_not()
    if reason is not None and name == "native":
        raise ConfigError(f"the native engine cannot be used: {reason}; or use --engine auto")
    return native_module() if reason is None else None


def known_rules(rulebook: Rulebook, catalogue: EventCatalogue, engine: str | None = None) -> frozenset[str]:
    """The ids of the rules that the native engine judges in a replay; empty where Python judges all.

    Raises:
        ConfigError: see ``chosen``.
    """
    from streams.engine.document import Document

    module = chosen(engine)
    return frozenset() if module is None else frozenset(module.known_rules(Document(rulebook, catalogue).encoded))
