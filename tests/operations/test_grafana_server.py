"""How Grafana is started: by a program or by Docker, on the committed files; here stand-ins note what they get."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from streams.operations.grafana import Grafana, HowToStart, how_to_start
from streams.operations.monitoring import DEPLOY, MonitoringError
from streams.operations.supervision import Supervisor
from tests.operations.test_live import eventually

STAND_IN = """#!{python}
import http.server, json, os, pathlib, sys
here = pathlib.Path(__file__)
if sys.argv[1:] == ["info"]:
    sys.exit(int(here.with_name("engine").exists() is False))
given = dict(word.split("=", 1) for word in sys.argv if word.startswith("GF_")) or dict(os.environ)
with here.with_name("given").open("a") as out:
    out.write(json.dumps([sys.argv[1:], {{k: v for k, v in given.items() if k.startswith("GF_")}}]) + "\\n")
if here.with_name("broken").exists():
    sys.exit("no such image")
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()
    def log_message(self, *_):
        pass
address = given["GF_SERVER_HTTP_ADDR"], int(given["GF_SERVER_HTTP_PORT"])
http.server.ThreadingHTTPServer(address, Answers).serve_forever()
"""
PROMETHEUS = "http://127.0.0.1:9"


def stand_in(directory: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    (directory / "bin").mkdir(parents=True)
    path = directory / "bin" / name
    path.write_text(STAND_IN.format(python=sys.executable), "utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent))
    return path


def given(path: Path) -> tuple[list[str], dict[str, str]]:
    words, settings = json.loads(path.with_name("given").read_text("utf-8").splitlines()[-1])
    return words, settings


def provisioned(directory: Path, *, dashboards: str) -> None:
    """The data source is the Prometheus that runs, and the dashboards are where the provider looks."""
    (source,) = yaml.safe_load((directory / "datasources" / "prometheus.yaml").read_text("utf-8"))["datasources"]
    assert (source["url"], source["uid"]) == (PROMETHEUS, "prometheus")
    found = yaml.safe_load((directory / "dashboards" / "gridclock.yaml").read_text("utf-8"))["providers"]
    assert [one["options"]["path"] for one in found] == [f"{dashboards}/zh", f"{dashboards}/en"]


def test_an_installed_program_is_started_on_the_committed_dashboards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = stand_in(tmp_path, "grafana", monkeypatch)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "defaults.ini").touch()
    how = how_to_start()
    assert how == HowToStart(str(program), home=tmp_path)
    server = Grafana(tmp_path / "own", PROMETHEUS, how)
    try:
        words, settings = given(program)
        assert words == ["server", "--homepath", str(tmp_path)]
        assert settings["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
        assert server.url.endswith(":" + settings["GF_SERVER_HTTP_PORT"])
        assert settings["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
        assert settings["GF_AUTH_ANONYMOUS_ENABLED"] == "true"
        assert Path(settings["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]).is_file()
        assert all(Path(settings[f"GF_PATHS_{name}"]).is_relative_to(tmp_path / "own")
                   for name in ("DATA", "LOGS", "PLUGINS"))  # fmt: skip
        provisioned(Path(settings["GF_PATHS_PROVISIONING"]), dashboards=str(DEPLOY / "grafana" / "dashboards"))
        # one that ends is restarted on the same address, as the others are
        server._process.kill()
        said: list[str] = []
        supervisor = Supervisor({"Grafana": server}, said.append, time=lambda: 100.0 * len(said))
        supervisor.look()
        supervisor.look()
        eventually(lambda: len(program.with_name("given").read_text("utf-8").splitlines()) == 2, "it is started again")
        assert said[0].startswith("Grafana ended with ")
        assert given(program) == (words, settings)
    finally:
        server.stop()


def test_without_one_docker_runs_the_image_of_the_compose_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = stand_in(tmp_path, "docker", monkeypatch)
    monkeypatch.setenv("RESULTS_PASSWORD", "reader-secret")
    assert how_to_start() == "grafana is not installed and Docker's engine does not run"
    docker.with_name("engine").touch()
    how = how_to_start()
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]["grafana"]
    assert how == HowToStart(str(docker), image=compose["image"])
    server = Grafana(tmp_path / "own", PROMETHEUS, how)
    try:
        words, settings = given(docker)
        assert words[:5] == ["run", "--rm", "--interactive", "--network", "host"]
        mounts = [word for at, word in enumerate(words) if words[at - 1] == "--volume"]
        assert mounts == [
            f"{tmp_path / 'own' / 'provisioning'}:/etc/grafana/provisioning:ro",
            f"{DEPLOY / 'grafana' / 'dashboards'}:/etc/grafana/gridclock:ro",
        ]
        own = {name: str(value) for name, value in compose["environment"].items() if not name.startswith("RESULTS_")}
        assert {name: settings[name] for name in own} == own
        # The log-in of the database goes from environment to environment, and is on no command line.
        assert words[words.index("RESULTS_PASSWORD") - 1] == "--env"
        assert "reader-secret" not in " ".join(words)
        assert compose["image"] in words
        provisioned(tmp_path / "own" / "provisioning", dashboards="/etc/grafana/gridclock")
    finally:
        server.stop()


def test_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert how_to_start() == "neither grafana nor Docker is installed"


def test_one_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = stand_in(tmp_path, "grafana-server", monkeypatch)
    program.with_name("broken").touch()
    how = how_to_start()
    assert isinstance(how, HowToStart)
    assert how.home == Path("/usr/share/grafana")
    with pytest.raises(MonitoringError, match=r"(?s)Grafana did not start.*no such image"):
        Grafana(tmp_path / "own", PROMETHEUS, how)
