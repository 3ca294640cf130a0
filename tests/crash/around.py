"""What stands around the workers on a bad day: the notifier with its receiver, and the board."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streams.kafka.child_process import ChildProcess
from tests.crash.flow import PATIENCE
from tests.integration.live import ROOT, until
from tests.notify.receiver import Receiver

SECRET = {"HOOK_SECRET": "of a test, and of nobody else"}


class Around:
    """Both processes, started anew with the same command after each end."""

    def __init__(self, bootstrap: str, name: str, folder: Path, hook: Receiver, clock: Sequence[object]) -> None:
        self._hook = hook
        self._read = 0
        self._delivered: set[str] = set()
        self._address = ""
        retries = {"attempts": 100, "first": "1 s", "longest": "2 s", "timeout": "5 s"}
        channels = {"hook": {"kind": "webhook", "url": hook.url, "secret": {"env": "HOOK_SECRET"}, "retries": retries}}
        one = {"name": "all", "channels": "hook"}
        file = folder / "subscriptions.json"
        file.write_text(json.dumps({"channels": channels, "subscriptions": [one]}), "utf-8")
        common = ["--bootstrap", bootstrap, "--name", name, *map(str, clock)]
        words = {
            "notify": ["--subscriptions", str(file), "--metrics-port", "0", "--first-from", "60 days"],
            "board": ["--port", "0"],
        }
        self._children = {
            command: ChildProcess(
                [sys.executable, "-m", "streams.cli", command, *common, *more],
                folder / f"{command}.log",
                environment={"PYTHONPATH": str(ROOT), **SECRET},
            )
            for command, more in words.items()
        }

    def __enter__(self) -> Around:
        return self

    def __exit__(self, *_error: object) -> None:
        for child in self._children.values():
            child.kill()

    def restart(self, command: str) -> None:
        """SIGKILL, and again."""
        self._children[command].restart()

    def tend(self) -> None:
        """Neither ends by itself, whatever is away."""
        for command, child in self._children.items():
            assert child.exit_code is None, f"{command} ended with {child.exit_code}: {child.last_lines()}"

    def delivered(self) -> set[str]:
        """The ids of the alerts that the receiver has taken."""
        taken = self._hook.taken()
        for one in taken[self._read :]:
            message = json.loads(one.body)
            self._delivered |= {alert["id"] for alert in (message if isinstance(message, list) else [message])}
        self._read = len(taken)
        return self._delivered

    def wait_delivered(self, wanted: set[str], seconds: float) -> None:
        """Until the receiver has all of these."""
        until(
            lambda: wanted <= self.delivered(),
            seconds,
            lambda: f"{len(wanted - self.delivered())} not delivered: {self._children['notify'].last_lines()}",
            progress=lambda: len(self._hook.taken()),
        )

    def shown(self) -> list[dict[str, Any]]:
        """The newest reports on the board, once it is ready."""
        child = self._children["board"]

        def is_ready() -> bool:
            found = re.findall(r"board (http://\S+?)/board", child.output())
            try:
                answer = urllib.request.urlopen(f"{found[-1]}/healthz", timeout=10)
            except (OSError, IndexError):
                return False
            with answer:
                self._address = found[-1]
                return bool(answer.status == 200)

        until(is_ready, PATIENCE, child.last_lines)
        with urllib.request.urlopen(f"{self._address}/api/alerts", timeout=30) as answer:
            alerts: list[dict[str, Any]] = json.load(answer)["alerts"]
        return alerts
