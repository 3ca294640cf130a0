"""Prometheus and Alertmanager as child processes on loopback, on the configuration under ``deploy/``.

For ``gridclock ops`` and for tests. The deployed files are used as they are, except for the addresses of workers and
Alertmanager and the scrape interval.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from streams.errors import GridclockError
from streams.kafka.child_process import ChildProcess
from streams.kafka.java_broker import free_ports

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy"
PROGRAMS: Final = {"Prometheus": ("prometheus",), "Alertmanager": ("prometheus-alertmanager", "alertmanager")}
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class MonitoringError(GridclockError):
    """Prometheus or Alertmanager did not start, or answered with an error."""


def program_of(name: str) -> str | None:
    """The path of the program, or ``None`` where it is not installed."""
    return next((found for found in map(shutil.which, PROGRAMS[name]) if found), None)


def _program(name: str) -> str:
    found = program_of(name)
    if found is None:
        raise MonitoringError(why_not(name) or "")
    return found


def why_not(name: str) -> str | None:
    """The reason why it cannot be started here; ``None`` if it can."""
    if program_of(name) is None:
        return f"{name} is not installed (Debian: {PROGRAMS[name][0]})"
    return None if DEPLOY.is_dir() else f"there is no {DEPLOY}: run from a clone"


class Server:
    """A server that is ready when its constructor returns, and ended by ``stop``."""

    ready_path = "/-/ready"
    seconds_to_start = 30.0

    def __init__(
        self,
        name: str,
        port: int,
        directory: Path,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        # By default the Go runtime uses every core.
        given = {"GOMAXPROCS": os.environ.get("GOMAXPROCS", "2"), **(environment or {})}
        self._process = ChildProcess(command, directory / "output.log", environment=given)
        try:
            self._wait(name)
        except BaseException:
            self._process.kill()
            raise

    def _wait(self, name: str) -> None:
        deadline = time.monotonic() + self.seconds_to_start
        while True:
            try:
                with _OPENER.open(f"{self.url}{self.ready_path}", timeout=5):
                    return
            except OSError as error:
                if self._process.exit_code is not None or time.monotonic() > deadline:
                    raise MonitoringError(f"{name} did not start: {error}\n{self._process.last_lines()}") from error
            time.sleep(0.05)

    def get(self, path: str, **parameters: str) -> Any:
        """The answer of the server's API, decoded.

        Raises:
            MonitoringError: with the server's message.
        """
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with _OPENER.open(url, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise MonitoringError(f"{url}: {error.code} {error.read().decode()}") from error

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs."""
        return self._process.exit_code

    def restart(self) -> None:
        """Start it again on the same address and data, without waiting for it."""
        self._process.restart()

    def last_lines(self, count: int = 20) -> str:
        """The last lines of its output."""
        return self._process.last_lines(count)

    def stop(self) -> None:
        """End it; its data are deleted with its directory."""
        self._process.kill()


class Alertmanager(Server):
    """Alertmanager on ``deploy/alertmanager.yml``, or on another file."""

    def __init__(self, directory: Path, *, config: Path = DEPLOY / "alertmanager.yml", port: int | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        port = port or free_ports(1)[0]
        arguments = (
            f"--config.file={config}",
            f"--storage.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",  # without a cluster, which would listen on all addresses
        )
        super().__init__("Alertmanager", port, directory, [_program("Alertmanager"), *arguments])


class Prometheus(Server):
    """Prometheus on ``deploy/prometheus``, for workers by ``host:port``, and other processes by their job.

    It scrapes them every ``seconds``. ``rules_changed`` may change the text of a rule file; tests shorten its windows.
    """

    def __init__(
        self,
        directory: Path,
        workers: Sequence[str],
        *,
        others: Mapping[str, Sequence[str]] | None = None,
        alertmanager: str | None = None,
        seconds: int = 5,
        port: int | None = None,
        rules_changed: Callable[[str], str] = lambda text: text,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        port = port or free_ports(1)[0]
        for path in sorted((DEPLOY / "prometheus" / "rules").glob("*.yml")):
            directory.joinpath(path.name).write_text(rules_changed(path.read_text("utf-8")), "utf-8")
        where = {
            "gridclock": workers,
            "prometheus": [f"127.0.0.1:{port}"],
            **(others or {}),
        }
        config = _config(directory, where, alertmanager, seconds)
        file = directory / "prometheus.config"
        file.write_text(yaml.safe_dump(config, allow_unicode=True), "utf-8")
        arguments = (
            f"--config.file={file}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        )
        super().__init__("Prometheus", port, directory, [_program("Prometheus"), *arguments])

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The current samples of an expression.

        Raises:
            MonitoringError: where Prometheus cannot evaluate it.
        """
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=expression)["data"]["result"]
        return found


def _config(
    directory: Path, where: Mapping[str, Sequence[str]], alertmanager: str | None, seconds: int
) -> Mapping[str, Any]:
    config: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    config["global"] |= {"scrape_interval": f"{seconds}s", "evaluation_interval": f"{seconds}s"}
    config["rule_files"] = [str(directory / "*.yml")]
    config["scrape_configs"] = [
        {"job_name": job["job_name"], "static_configs": [{"targets": list(where[job["job_name"]])}]}
        for job in config["scrape_configs"]
        if where.get(job["job_name"])
    ]
    if alertmanager:
        config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager]
    else:
        del config["alerting"]
    return config
