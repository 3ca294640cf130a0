"""What a replay gives by either engine, and whether it is the same."""

from __future__ import annotations

from datetime import date
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from streams.core.instants import instant_us
from streams.core.rulebook import Rulebook
from streams.engine.document import Document
from streams.replay.checkpoints import Checkpoint
from streams.replay.comparison import Comparison
from streams.replay.output_form import OutputForm
from streams.replay.replay import Replay, ReplayOptions
from streams.replay.sources.lines import Lines
from streams.simulation import simulate
from streams.wire.decoder import Decoder, encode_json
from streams.wire.pseudonyms import Pseudonyms
from tests.property.shipped import (
    END,
)
from tests.stories import shipped

ROOT = Path(__file__).parent.parent.parent


GOLDEN = sorted((ROOT / "tests" / "golden").rglob("events.jsonl"))


RECEIVED = instant_us(END) + 400 * 86_400_000_000


KEY = b"a key of at least sixteen bytes"


@lru_cache(maxsize=64)
def document_of(rulebook: Rulebook, rival: Document | None) -> Document:
    return Document(rulebook, shipped().catalogue, rival)


def replayed(
    path: Path,
    engine: str,
    rulebook: Rulebook,
    *,
    rival: Rulebook | None = None,
    checkpoint: Checkpoint | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Everything that comes of a replay; with pseudonyms staff numbers are replaced as they are read."""
    form = options.setdefault("output_form", OutputForm(with_summary=True))
    staff = None if form.hidden.fingerprint is None else Pseudonyms(KEY).staff
    letters: list[str] = []
    replay = Replay(
        rulebook,
        Decoder(shipped().catalogue, hide_staff=staff),
        ReplayOptions(RECEIVED, engine=engine, **options),
        rival=rival,
        checkpoint=checkpoint,
        on_dead_letter=lambda letter: letters.append(letter.model_dump_json()),
    )
    replay.read([Lines(str(path))])
    is_native = replay._native is not None
    replay.judge()
    alerts = list(replay.alerts())
    cases = b"".join(replay.cases()).splitlines()
    compared = Comparison()
    changes = list(compared.changes(*replay.sides())) if rival is not None else []
    replay.close()
    found = {
        "alerts": alerts,
        "cases": cases,
        "summary": in_order(replay.summary.to_state()),
        "letters": letters,
        "tally": replay.tally,
        "end": replay.ends_at,
        "changes": (changes, compared.sums),
    }
    return found | {"left": replay.left_to_python, "is_native": is_native}


def assert_same(path: Path, rulebook: Rulebook, *, is_native: bool | None = True, **options: Any) -> int:
    """Both engines agree; the number of alerts. ``is_native``: whether the native engine holds the events in memory."""
    expected = replayed(path, "python", rulebook, **options)
    found = replayed(path, "native", rulebook, **options)
    assert found.pop("is_native") == is_native or is_native is None
    assert {**found, "left": {}} == {name: value for name, value in expected.items() if name != "is_native"}
    return len(expected["alerts"])


def in_order(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary with its lists in one order: theirs is that of the tasks, which differ with the memory."""
    rules = {
        name: [sorted(part, key=repr) for part in parts[3:]] + parts[:3] for name, parts in summary["rules"].items()
    }
    orgs = {org: sorted(shares) for org, shares in summary["orgs"].items()}
    lists = {name: sorted(summary[name], key=repr) for name in ("week", "worst", "worst_by_rule")}
    return {**summary, "rules": rules, "orgs": orgs, **lists}


@cache
def simulated() -> bytes:
    found = simulate(orders=400, seed=7, start=date(2026, 3, 2), days=20).events
    return b"".join(encode_json(event) + b"\n" for event in found)


def decoded_line(line: bytes) -> Any:
    return Decoder(shipped().catalogue).decode(line, received=RECEIVED)
