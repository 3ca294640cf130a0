"""A broker that wants a certificate beside the password."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from streams.errors import BrokerError
from streams.kafka.admin import cluster
from streams.kafka.authentication import check_login
from streams.kafka.connection import kafka_options
from streams.kafka.java_broker import JavaCluster, Security, why_not
from streams.settings import Settings, load_settings

pytestmark = pytest.mark.broker


def test_a_certificate_is_shown_where_one_is_wanted(tmp_path: Path) -> None:
    reason = why_not() or (None if shutil.which("openssl") else "no openssl here")
    if reason is not None:
        pytest.skip(f"a broker that wants a certificate cannot be had: {reason}")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2",
            "-subj", "/CN=worker", "-passout", "pass:of the key", "-keyout", str(key), "-out", str(certificate),
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    with JavaCluster(security=Security({"worker": "secret"}, trusted=certificate)) as running:

        def settings(**shown: object) -> Settings:
            return load_settings(
                bootstrap=running.secure_bootstrap, security_protocol="SASL_SSL", sasl_username="worker",
                sasl_password="secret", ssl_cafile=running.certificate, **shown,
            )  # fmt: skip

        def brokers(found: Settings) -> int:
            security = found.kafka_python()
            del security["bootstrap_servers"]
            return cluster(found.bootstrap, security=security).brokers

        assert brokers(settings(ssl_certfile=certificate, ssl_keyfile=key, ssl_key_password="of the key")) == 1
        with pytest.raises(BrokerError):
            brokers(settings())
        check_login(kafka_options(settings(ssl_certfile=certificate, ssl_keyfile=key, ssl_key_password="of the key")))
        with pytest.raises(BrokerError, match="no TLS connection"):
            check_login(kafka_options(settings()))
