"""Grafana with the dashboards of ``deploy/grafana``, as a child process on loopback: for ``gridclock ops``.

By a ``grafana`` program that is installed, else by Docker with the image that ``deploy/compose.yaml`` names. The
settings are those of that file (anonymous, read-only); the data source is the Prometheus that runs here, and for the
dashboard of results the PostgreSQL that this program's environment names (``RESULTS_ADDRESS`` and so on).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from streams.kafka.java_broker import free_ports
from streams.operations.monitoring import DEPLOY, Server

_IN_IMAGE: Final = "/etc/grafana"
_SOURCE: Final = "http://prometheus:9090"
_RESULTS: Final = "RESULTS_"
"""How the variables begin that name the database and its log-in; passed on as they are, never on a command line."""

_ASKING_SECONDS: Final = 10
# The container ends when its standard input does: then also where this process was killed.
_UNTIL_INPUT_ENDS: Final = "/run.sh & cat > /dev/null; kill $!; wait $!"


@dataclass(frozen=True, slots=True)
class HowToStart:
    """A program with its home directory, or the ``docker`` command with an image."""

    program: str
    home: Path | None = None
    image: str | None = None

    @property
    def description(self) -> str:
        """For people."""
        return self.program if self.image is None else f"{self.image} in Docker"


def how_to_start() -> HowToStart | str:
    """How Grafana can be started here, or why it cannot."""
    if not DEPLOY.is_dir():
        return f"there is no {DEPLOY}: run from a clone"
    for name in ("grafana", "grafana-server"):
        if (program := shutil.which(name)) is not None:
            return HowToStart(program, _home_of(Path(program)))
    docker = shutil.which("docker")
    if docker is None:
        return "neither grafana nor Docker is installed"
    try:
        asked = subprocess.run(
            [docker, "info"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASKING_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"grafana is not installed and Docker does not answer ({error})"
    if asked.returncode != 0:
        return "grafana is not installed and Docker's engine does not run"
    return HowToStart(docker, image=_service()["image"])


def _home_of(program: Path) -> Path:
    """Where its public files are: beside the program, as in its archive, or where packages put them."""
    beside = program.resolve().parent.parent
    return beside if (beside / "conf" / "defaults.ini").is_file() else Path("/usr/share/grafana")


def _service() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]["grafana"]
    return found


class Grafana(Server):
    """Grafana on a Prometheus; ready when its constructor returns."""

    ready_path = "/api/health"
    seconds_to_start = 180.0  # Docker may have to fetch the image

    def __init__(self, directory: Path, prometheus: str, how: HowToStart) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (port,) = free_ports(1)
        dashboards = DEPLOY / "grafana" / "dashboards" if how.image is None else Path(_IN_IMAGE, "gridclock")
        provisioning = _provisioned(directory / "provisioning", prometheus, dashboards)
        settings = _settings(port, dashboards)
        if how.image is not None:
            super().__init__("Grafana", port, directory, _in_docker(how, provisioning, settings))
            return
        settings |= {
            "GF_PATHS_DATA": str(directory / "data"),
            "GF_PATHS_LOGS": str(directory / "logs"),
            "GF_PATHS_PLUGINS": str(directory / "plugins"),
            "GF_PATHS_PROVISIONING": str(provisioning),
        }
        words = ["server"] if Path(how.program).name == "grafana" else []
        super().__init__("Grafana", port, directory, [how.program, *words, "--homepath", str(how.home)], settings)


def _settings(port: int, dashboards: Path) -> dict[str, str]:
    known = _service()["environment"].items()
    given = {name: str(value) for name, value in known if not name.startswith(_RESULTS)}
    given["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] = str(dashboards / "zh" / "wall.json")
    return {**given, "GF_SERVER_HTTP_ADDR": "127.0.0.1", "GF_SERVER_HTTP_PORT": str(port)}


def _provisioned(target: Path, prometheus: str, dashboards: Path) -> Path:
    """The shipped provisioning files with the addresses of this place."""
    for path in sorted((DEPLOY / "grafana" / "provisioning").rglob("*.yaml")):
        own = target / path.relative_to(DEPLOY / "grafana" / "provisioning")
        own.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text("utf-8").replace(_SOURCE, prometheus)
        own.write_text(text.replace(f"{_IN_IMAGE}/gridclock", str(dashboards)), "utf-8")
    return target


def _in_docker(how: HowToStart, provisioning: Path, settings: Mapping[str, str]) -> Sequence[str]:
    assert how.image is not None
    mounts = {provisioning: "provisioning", DEPLOY / "grafana" / "dashboards": "gridclock"}
    return [
        how.program, "run", "--rm", "--interactive", "--network", "host",
        *(word for path, name in mounts.items() for word in ("--volume", f"{path}:{_IN_IMAGE}/{name}:ro")),
        *(word for name, value in settings.items() for word in ("--env", f"{name}={value}")),
        *(word for name in sorted(os.environ) if name.startswith(_RESULTS) for word in ("--env", name)),
        "--entrypoint", "sh", how.image, "-c", _UNTIL_INPUT_ENDS,
    ]  # fmt: skip
