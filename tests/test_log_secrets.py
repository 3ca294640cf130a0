"""Debug logs of everything that holds a secret, searched for it; and lines that forge others."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.log_lines import TextLines
from tests.notify.receiver import receiver

ROOT = Path(__file__).resolve().parent.parent
PLANTED = "planted-secret-4711"

# Each client does at debug level what it does in a notifier, with a secret in all that it is given.
PROGRAM = """
import asyncio, logging, sys
from aiokafka.conn import AIOKafkaConnection
from kafka import KafkaConsumer
from pydantic import SecretStr
from schemas.subscriptions import SubscriptionFile
from streams.core.delivery_message import Delivery
from streams.log_lines import use_json, start_logging
from streams.notify.channels.contract import NotDelivered
from streams.notify.process import channels_of
from tests.notify.alerts import START, alert, id_of

url, kind = sys.argv[1:3]
if kind == "json":
    use_json()
start_logging("debug")
logging.getLogger("streams.anything").debug("our own debugging")
logging.getLogger("a.client.nobody.thought.of").debug("planted-secret-4711")
one = {"name": "all", "channels": ["hook", "robot", "alarm"]}
channels = {
    "hook": {"kind": "webhook", "url": {"env": "HOOK"}, "secret": {"env": "SECRET"}, "retries": {"attempts": 1}},
    "robot": {"kind": "people", "url": {"env": "ROBOT"}},
    "alarm": {"kind": "alertmanager", "url": {"env": "HOOK"}},
}
file = SubscriptionFile.model_validate({"channels": channels, "subscriptions": [one]})

async def attempt():
    for name, channel in channels_of(file, None).items():
        try:
            await channel.deliver(Delivery(name, "all", id_of("b1"), (alert("b1"),), START))
        except NotDelivered as problem:
            logging.getLogger("streams.notify").warning("%s", problem)
        await channel.close()
    host, port = url.removeprefix("http://").split(":")
    login = dict(security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", sasl_plain_username="u",
                 sasl_plain_password="planted-secret-4711")
    try:
        async with asyncio.timeout(2):
            await AIOKafkaConnection(host, int(port), **login).connect()
    except Exception as error:
        print("refused", file=sys.stderr)
    try:
        KafkaConsumer(bootstrap_servers=[f"{host}:{port}"], api_version=(2, 5, 0), request_timeout_ms=2000,
                      session_timeout_ms=1000, **login)
    except Exception as error:
        print("refused", file=sys.stderr)

asyncio.run(attempt())
"""


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("answer", [200, 500])
@pytest.mark.whole
def test_no_secret_reaches_a_debug_log(form: str, answer: int) -> None:
    with receiver([answer] * 20) as hook:
        host = hook.url.removeprefix("http://")
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, hook.url, form],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "HOOK": f"{hook.url}/{PLANTED}/hook",
                "SECRET": PLANTED,
                "ROBOT": f"json://{PLANTED}:{PLANTED}@{host}/{PLANTED}/robot?+X-Token={PLANTED}",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert len(hook.received) >= 3
        assert any(PLANTED in str(one.path) for one in hook.received)
    assert "our own debugging" in done.stderr
    assert "refused" in done.stderr
    assert PLANTED not in done.stdout + done.stderr
    assert "cGxhbnRlZC1z" not in done.stderr  # the same in base64


def test_a_log_line_forges_no_other_and_steers_no_terminal() -> None:
    text = "topic \x1b[2J\n2026-03-02 ERROR forged \u202e"
    record = logging.LogRecord("streams.x", logging.WARNING, "f.py", 1, "%s", (text,), None)
    line = TextLines("%(levelname)s %(name)s %(message)s").format(record)
    assert line.isprintable()
    assert json.loads(json.dumps(line)).startswith("WARNING streams.x topic ")
