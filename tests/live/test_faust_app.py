"""Faust speaks to the brokers as everything else in the worker does."""

from __future__ import annotations

from typing import Any

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from streams.kafka.connection import kafka_options
from streams.live.faust_extensions import credentials_of
from streams.settings import load_settings

LOGIN = {"sasl_username": "clock", "sasl_password": "secret"}


@pytest.mark.parametrize(
    "given",
    [
        {"security_protocol": "PLAINTEXT"},
        {"security_protocol": "SSL"},
        {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512", **LOGIN},
        {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", **LOGIN},
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-256", **LOGIN},
    ],
    ids=lambda given: "-".join(str(word) for word in given.values() if word not in LOGIN.values()),
)
def test_faust_gets_the_same_credentials(given: dict[str, Any]) -> None:
    options = kafka_options(load_settings(bootstrap="127.0.0.1:9092", **given))
    wanted = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    found = credentials_to_aiokafka_auth(credentials_of(options))
    assert {name: value for name, value in found.items() if value is not None} == wanted
