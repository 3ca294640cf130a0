"""Drawn histories of every kind of rule: both engines give the same bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.engine import native_module
from streams.replay.replay import MEMORY
from streams.wire.decoder import encode_json, wire_fields
from tests.engine.equality import assert_same
from tests.oracle.common import Fact
from tests.property.runs import event_of, us
from tests.property.shipped import (
    ORGS,
    counted_by_calendars,
    followed_rules,
    kinds,
    rulebook_of,
    shipped_histories,
)
from tests.property.test_versions import revised
from tests.property.worlds import per_kind
from tests.stories import shipped

pytestmark = [
    pytest.mark.skipif(native_module() is None, reason="the native engine is not built: deploy/native says why"),
    pytest.mark.usefixtures("compared_as_it_is"),
]


def _with_org(fact: Fact, org: dict[str, str] | None) -> bytes:
    fields = wire_fields(event_of(fact))
    return encode_json(fields if org is None else {**fields, "org": org})


@pytest.mark.parametrize("kind", kinds())
@per_kind
@given(data=st.data())
def test_of_every_kind_of_rule(kind: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    rule_id, facts = data.draw(shipped_histories(kind))
    if data.draw(st.sampled_from((False, False, True)), label="versions"):
        facts = data.draw(revised(facts[:8])) + facts[8:]
    ways = [st.just(rulebook_of(rule_id))] * 2 + [counted_by_calendars((rule_id,))]
    if kind in ("cadence", "deadline"):
        ways.append(followed_rules(rule_id))
    rulebook = data.draw(st.one_of(*ways))
    orgs = data.draw(st.sampled_from((ORGS[:1], ORGS)))
    lines = [_with_org(fact, data.draw(st.sampled_from(orgs))) for fact in facts]
    lines += data.draw(st.lists(st.sampled_from(lines), max_size=2), label="repeated")
    path = tmp_path_factory.getbasetemp() / f"{kind}.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    rival = data.draw(st.sampled_from((None, None, shipped().rulebook)), label="rival")
    memory = data.draw(st.sampled_from((MEMORY, MEMORY, MEMORY, 2_000)), label="memory")
    assert_same(path, rulebook, rival=rival, memory=memory, is_native=None)
    assert_same(path, rulebook, until=data.draw(st.sampled_from(sorted(us(fact.at) for fact in facts))))
