"""Decoding: what is taken, what is refused and why, and that nothing but the one input error is ever raised."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.dead_letters import REASONS
from schemas.events import EVENT, EventCatalogue
from schemas.fields import parse_time
from schemas.limits import HOUR
from streams.core.event import Event
from streams.core.instants import format_us, instant_us
from streams.errors import InputError
from streams.wire.decoder import MAX_BYTES, Decoder, dead_letter_of, encode_json, wire_fields
from streams.wire.plain_events import PlainEvents, Times
from tests.stories import us

CATALOGUE = EventCatalogue.shipped()
DECODER = Decoder(CATALOGUE)
NOW = us("2026-03-02T12:00")
PLAIN: dict[str, Any] = {
    "event_id": "e1",
    "event_type": "counter.service_started",
    "occurred_at": "2026-03-02T09:00:00.000+08:00",
    "order_id": "WO1",
    "business": "fee",
    "org": {"province": "32", "city": "3201", "county": "320104", "unit": "U017"},
    "source": "counter",
}


def decode(change: dict[str, Any] | None = None, *, without: str = "") -> Event:
    fields = {key: value for key, value in {**PLAIN, **(change or {})}.items() if key != without}
    return DECODER.decode(json.dumps(fields).encode(), received=NOW)


def refused(raw: bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        DECODER.decode(raw, received=NOW)
    return caught.value


def test_the_plain_event() -> None:
    event = decode()
    assert (event.event_id, event.type, event.at, event.recorded) == (
        "e1", "counter.service_started", us("2026-03-02T09:00"), us("2026-03-02T09:00"),
    )  # fmt: skip
    assert event.subjects() == [("order", "WO1")]
    assert event.data == {"business": "fee", "org": PLAIN["org"], "source": "counter"}


@pytest.mark.parametrize("value", ["x" * 100_000, {"a": [1]}, [{"b": None}], 1, None, True, "marked"])
def test_undeclared_fields_and_personal_ones_are_dropped(value: object) -> None:
    event = decode({"new_field": value, "personal": {"name": "marked", "phone": "13800000000"}})
    assert event.data == decode().data
    assert b"marked" not in encode_json(wire_fields(event))
    assert b"13800000000" not in encode_json(wire_fields(event))


def test_amounts_stay_exactly_as_they_were_sent() -> None:
    raw = json.dumps({**PLAIN, "event_type": "fee.charged"}).encode()[:-1] + b',"amount":1234567890.10}'
    event = DECODER.decode(raw, received=NOW)
    assert encode_json(event.data["amount"]) == b"1234567890.10"


def test_an_event_in_a_cloud_event_is_the_same_event() -> None:
    data = {key: value for key, value in PLAIN.items() if key not in ("event_id", "event_type", "occurred_at")}
    wrapped = {
        "specversion": "1.0", "id": "e1", "type": "counter.service_started", "source": "/other",
        "time": PLAIN["occurred_at"], "datacontenttype": "application/json", "data": data,
    }  # fmt: skip
    assert DECODER.decode(json.dumps(wrapped).encode(), received=NOW) == decode()
    whole = {**wrapped, "id": "other", "type": "other", "data": PLAIN}
    assert DECODER.decode(json.dumps(whole).encode(), received=NOW) == decode()


@pytest.mark.parametrize(
    ("change", "without", "reason", "field"),
    [
        ({}, "event_id", "missing_field", "event_id"),
        ({}, "event_type", "missing_field", "event_type"),
        ({}, "occurred_at", "missing_field", "occurred_at"),
        ({}, "order_id", "no_subject", None),
        ({"order_id": None}, "", "no_subject", None),
        ({"event_type": "counter.service_startet"}, "", "unknown_type", "event_type"),
        ({"event_type": 7}, "", "unknown_type", "event_type"),
        ({"occurred_at": "2026-03-02T09:00:00"}, "", "naive_time", "occurred_at"),
        ({"recorded_at": "2026-03-02T09:00:00"}, "", "naive_time", "recorded_at"),
        ({"occurred_at": "2026-02-30T09:00:00+08:00"}, "", "impossible_time", "occurred_at"),
        ({"occurred_at": "2026-03-02T24:00:00+08:00"}, "", "impossible_time", "occurred_at"),
        ({"occurred_at": "2026-03-02T09:00:60+08:00"}, "", "impossible_time", "occurred_at"),
        ({"occurred_at": "2026-03-02T09:00:00+08:60"}, "", "impossible_time", "occurred_at"),
        ({"occurred_at": "2026-03-02T09:00:00.000+08:99"}, "", "impossible_time", "occurred_at"),
        ({"occurred_at": "2026-03-02T09:00:00-0860"}, "", "impossible_time", "occurred_at"),
        ({"occurred_at": "2026-03-02T09:00:00+24:00"}, "", "impossible_time", "occurred_at"),
        ({"recorded_at": "2026-03-02T09:00:00+23:60"}, "", "impossible_time", "recorded_at"),
        ({"occurred_at": "0001-01-01T00:00:00+08:00"}, "", "impossible_time", "occurred_at"),
        ({"occurred_at": "yesterday"}, "", "impossible_time", "occurred_at"),
        ({"occurred_at": 1772413200}, "", "bad_field", "occurred_at"),
        ({"occurred_at": "2026-03-02T13:00:00.001+08:00"}, "", "future_time", "occurred_at"),
        ({"recorded_at": "2026-03-02T13:00:00.001+08:00"}, "", "future_time", "recorded_at"),
        ({"business": "gift"}, "", "bad_field", "business"),
        ({"event_id": ""}, "", "bad_field", "event_id"),
        ({"event_id": "a\x1fb"}, "", "bad_field", "event_id"),
        ({"order_id": "x" * 201}, "", "bad_field", "order_id"),
        ({"order_id": 12}, "", "bad_field", "order_id"),
        ({"org": "3201"}, "", "bad_field", "org"),
        ({"corrects": "e1"}, "", "bad_field", None),
        ({"void": True}, "", "bad_field", None),
        ({"void": "yes", "corrects": "e0"}, "", "bad_field", "void"),
        ({"huge": 2**70}, "", "bad_field", "huge"),
        ({"event_type": "bill.overdue", "since_on": "2026-02-30"}, "", "impossible_time", "since_on"),
        ({"event_type": "bill.overdue", "since_on": "2026/02/03"}, "", "bad_field", "since_on"),
        ({"event_type": "calibration.result_issued", "passed": "true"}, "", "bad_field", "passed"),
        ({"event_type": "fee.charged", "amount": "a lot"}, "", "bad_field", "amount"),
        ({"event_type": "fee.charged", "amount": "NaN"}, "", "bad_field", "amount"),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(change: dict[str, Any], without: str, reason: str, field: str | None) -> None:
    with pytest.raises(InputError) as caught:
        decode(change, without=without)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_the_latest_time_allowed_is_allowed() -> None:
    assert decode({"occurred_at": "2026-03-02T13:00:00.000+08:00"}).at == NOW + HOUR


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"{'a': 1}", "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b'\xef\xbb\xbf{"a": 1}', "not_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"12", "not_an_object"),
        (b'{"a": "\xff"}', "not_utf8"),
        (b"\x80abc", "not_utf8"),
        (b'{"a":' * 60 + b"1" + b"}" * 60, "too_deep"),
        (b"[" * 100_000, "too_deep"),
        (b"x" * (MAX_BYTES + 1), "too_large"),
        (b"x" * 10_000_000, "too_large"),
    ],
)
def test_what_is_no_event_at_all(raw: bytes, reason: str) -> None:
    assert refused(raw).reason == reason


def test_a_misspelt_type_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"did you mean 'counter\.service_started'"):
        decode({"event_type": "counter.service_startet"})


def test_a_dead_letter_keeps_the_original_bytes() -> None:
    text = dead_letter_of("{坏".encode(), refused("{坏".encode()), source="f.jsonl", position=3)
    assert (text.encoding, text.payload, text.size, text.truncated) == ("utf-8", "{坏", 4, False)
    binary = dead_letter_of(b"\xff\x00", refused(b"\xff\x00"), source="t/0", position=9)
    assert (binary.encoding, base64.b64decode(binary.payload)) == ("base64", b"\xff\x00")
    cut = dead_letter_of("坏".encode() * 10, refused("坏".encode() * 10), source="t/0", position=9, max_payload=10)
    assert (cut.encoding, base64.b64decode(cut.payload), cut.size, cut.truncated) == (
        "base64", ("坏".encode() * 10)[:10], 30, True,
    )  # fmt: skip


# -- properties ----------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    sorted({name for model in CATALOGUE.models.values() for name in model.model_fields} | {"specversion", "data"})
)
VALUES = JSON | st.sampled_from(
    ["2026-03-02T09:00:00+08:00", "2026-03-02", "fee", True, "12.50", "WO1", {"city": "3201"}, ["M1"], 3]
)


@given(st.binary(max_size=200))
def test_any_bytes_give_an_event_or_the_one_error(raw: bytes) -> None:
    with pytest.raises(InputError) as caught:
        DECODER.decode(raw, received=NOW)
    assert caught.value.reason in REASONS


def decoded(raw: bytes) -> tuple[Event | None, InputError | None]:
    try:
        return DECODER.decode(raw, received=NOW), None
    except InputError as error:
        return None, error


@given(st.sampled_from(sorted(CATALOGUE.types)), st.dictionaries(FIELDS, VALUES, max_size=6))
def test_the_decoder_takes_what_the_model_takes(event_type: str, fields: dict[str, Any]) -> None:
    wire = {**PLAIN, "event_type": event_type, **fields}
    wire.pop("specversion", None)  # else it is a CloudEvent
    raw = json.dumps(wire).encode()
    event, refused = decoded(raw)
    if event is None:
        assert refused is not None
        assert refused.reason in REASONS
        if refused.reason not in ("future_time", "too_deep") and "64 bits" not in refused.detail:
            with pytest.raises(ValueError):  # noqa: PT011 (pydantic's own)
                EVENT.validate_python(json.loads(raw))
        return
    model = EVENT.validate_python(json.loads(raw))
    assert event.at == instant_us(model.occurred_at)
    assert (event.order_id, event.account_id, event.meter_id, event.batch_id) == (
        model.order_id, model.account_id, model.meter_id, model.batch_id,
    )  # fmt: skip
    # What was taken can be written, kept and read again, and is the same event.
    again = DECODER.decode(encode_json(wire_fields(event)), received=NOW)
    assert again == event
    assert msgspec.json.Decoder(Event, float_hook=Decimal).decode(encode_json(event)) == event


# What the short cut looks at closely: times, ids, words, flags and numbers, right and nearly right.
DIGITS = st.integers(0, 99).map("{:02d}".format)
TIMES = st.builds(
    "{}{}{}:{}:{}{}{}{}".format,
    st.sampled_from(["2026-03-02", "2026-02-30", "1970-01-01", "1969-12-31", "9999-12-31", "2026-3-2"]),
    st.sampled_from(["T", "T", " ", "t", ""]),
    *[st.sampled_from(["00", "09", "23", "24", "59", "60"]) | DIGITS] * 3,
    st.sampled_from([".000", ".599", ".1", ".123456", ".123456789", "", ",000", ".+12", ".０１２"]),
    st.sampled_from(["+08:00", "+08:00", "Z", "+0800", "-08:00", "+24:00", "+08:60", "-0899", "+08:00:01", "", "z"]),
    st.sampled_from(["", "", "", " ", "\n"]),
)
NEARLY = st.sampled_from(
    [
        "", "a\x1fb", "a\u2028b", "a\u0085b", "a\u00a0b", "\u200b", "工单", "x" * 100, "x" * 101, "x" * 200, "x" * 201,
        "e1", "M1", "fee", "12.50", "1.2.3", ".", "٣", "-1", "1e5", "NaN", "2026-03-02", "2026-3-02", "2026-02-30",
        True, False, None, 0, 1, 31, 32, -1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 1.0, 0.5, [], ["M1"], ["M1", ""],
        {}, {"city": "3201"}, {"city": ""}, {"city": None}, {"city": 1}, {"city": True}, {"else": {"a": 1}},
        {"name": "x"}, {"name": [1]}, {"name": 2**70},
    ]
)  # fmt: skip


def by_model(raw: bytes) -> tuple[Event | None, InputError | None]:
    try:
        return DECODER.decode_by_model(raw, received=NOW), None
    except InputError as error:
        return None, error


@given(
    st.sampled_from(sorted(CATALOGUE.types)),
    st.dictionaries(FIELDS | st.sampled_from(["new", "corrects", "void"]), NEARLY | TIMES | VALUES, max_size=5),
    st.fixed_dictionaries({}, optional={"occurred_at": TIMES, "recorded_at": TIMES, "org": NEARLY, "event_id": NEARLY}),
)
def test_the_short_cut_decides_as_the_model_does(
    event_type: str, fields: dict[str, Any], common: dict[str, Any]
) -> None:
    raw = json.dumps({**PLAIN, "event_type": event_type, **fields, **common}).encode()
    (event, refused), (wanted, why) = decoded(raw), by_model(raw)
    assert event == wanted
    if event is not None and wanted is not None:
        assert list(event.data) == list(wanted.data)
        assert encode_json(event.data) == encode_json(wanted.data)
    if refused is not None and why is not None:
        assert (refused.reason, refused.field, refused.detail) == (why.reason, why.field, why.detail)


@given(TIMES)
def test_the_short_cut_reads_times_as_the_model_does(text: str) -> None:
    times = Times()
    for _ in range(2):  # the second time from what was learned
        try:
            wanted: int | None = instant_us(parse_time(text))
        except ValueError:
            wanted = None
        try:
            found: int | None = times.instant(text)
        except ValueError:
            found = None
        assert found == wanted


def test_most_events_need_no_model() -> None:
    plain = PlainEvents(CATALOGUE)
    assert plain.read({**PLAIN}, NOW) == decode()
    assert set(plain.types) == set(CATALOGUE.types)


@settings(max_examples=200)  # to draw one of all zones is slow, and what is to be seen is arithmetic
@given(st.datetimes(timezones=st.timezones(), allow_imaginary=False), st.integers(0, 10**15))
def test_instants_are_exact(moment: datetime, more: int) -> None:
    # In UTC: the next microsecond of the wall clock is not always the next instant.
    following = moment.astimezone(UTC) + timedelta(microseconds=1)
    assert instant_us(following) == instant_us(moment) + 1
    assert instant_us(parse_time(format_us(more))) == more
