"""Lines in every form, mutated ones too: both engines read the same in them."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.engine import native_module
from tests.engine.equality import assert_same, replayed
from tests.engine.mutation import SEEDS, mutated
from tests.stories import shipped

pytestmark = [
    pytest.mark.skipif(native_module() is None, reason="the native engine is not built: deploy/native says why"),
    pytest.mark.usefixtures("compared_as_it_is"),
]


FORMS_OF_LINES: dict[str, Callable[[str], str]] = {
    "as json.dumps writes it": lambda line: json.dumps(json.loads(line), ensure_ascii=False),
    "blanks everywhere": lambda line: re.sub(r"([{}:,])(?=[\"{}])", r" \1\t ", line),
    "whole seconds": lambda line: re.sub(r"(T[\d:]{8})\.\d+", r"\1", line),
    "microseconds": lambda line: re.sub(r"(T[\d:]{8}\.\d{3})", r"\g<1>017", line),
}


@pytest.mark.parametrize("form", FORMS_OF_LINES)
def test_common_forms_of_lines_are_read_natively(form: str, lines: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    before = lines.read_text("utf-8").splitlines()[:1500]
    changed = list(map(FORMS_OF_LINES[form], before))
    assert all(one != other for one, other in zip(before, changed, strict=True))
    path.write_text("\n".join(changed), "utf-8")
    assert assert_same(path, shipped().rulebook) > 50
    assert replayed(path, "native", shipped().rulebook)["left"] == {}


@pytest.mark.parametrize("more", [',"order_id":null}', ',"snapshot":null}'])
def test_members_that_only_the_model_refuses(more: str, lines: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    before = lines.read_text("utf-8").splitlines()[:300]
    path.write_text("\n".join([*before, *(line[:-1] + more for line in before)]), "utf-8")
    assert_same(path, shipped().rulebook)
    assert len(replayed(path, "native", shipped().rulebook)["letters"]) > 100


@pytest.mark.parametrize("seed", SEEDS)
def test_mutated_bytes(seed: int, lines: Path, tmp_path: Path) -> None:
    chance = random.Random(seed)
    found = []
    for line in lines.read_bytes().splitlines()[:600]:
        found.append(mutated(line, chance))
    path = tmp_path / "mutated.jsonl"
    path.write_bytes(b"\n".join(found))
    assert_same(path, shipped().rulebook)
