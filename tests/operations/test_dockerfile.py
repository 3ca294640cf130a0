"""The image: its Dockerfile read, built by Docker where its engine is, and its steps run in a chroot where root is."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from streams.kafka.brokers import Broker, _why_not
from tests.integration.live import until
from tests.operations.dockerfile import Builder, Built, Stage, StepError, steps_of, why_not
from tests.operations.grafana import DEPLOY

pytestmark = pytest.mark.whole

ROOT = DEPLOY.parent
TEXT = (DEPLOY / "Dockerfile").read_text("utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The image as far as a chroot goes."""
    if (reason := why_not()) is not None:
        pytest.skip(f"the Dockerfile was read, and its steps were not run: {reason}")
    return Builder(TEXT, ROOT, tmp_path_factory.mktemp("image")).build()


@pytest.fixture(scope="module")
def image(built: Built) -> Stage:
    return built.image


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def said_by(image: Stage, *arguments: str) -> str:
    """What the entry point prints, as the image's user."""
    done = image.run([*image.entry_point, *arguments])
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_docker_builds_the_image(request: pytest.FixtureRequest) -> None:
    """Where there is no engine, it says what a chroot had to leave out."""
    if (reason := _why_not("docker")) is not None:
        left_out = "; ".join(request.getfixturevalue("built").left_out)
        pytest.skip(f"{reason}. The Dockerfile's steps were run in a chroot without these: {left_out}")
    command = ["docker", "build", "--check", "--file", str(DEPLOY / "Dockerfile"), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_step_was_run_or_is_named_as_left_out(built: Built) -> None:
    lines = {int(one.split()[1].rstrip(":")) for one in (*built.ran, *built.left_out)}
    assert lines == {step.line for step in steps_of(TEXT)}
    assert all(one.split()[2] in ("FROM", "COPY", "VOLUME", "EXPOSE", "pip") for one in built.left_out)


def test_its_entry_point_runs_as_its_user(image: Stage) -> None:
    assert image.run(["id", "-u", "-n"]).stdout == "gridclock\n"
    assert image.run(["/bin/sh", "-c", "command -v gridclock"]).stdout == "/opt/gridclock/bin/gridclock\n"
    shown = image.run(["/opt/gridclock/bin/python", "-c", "import streams, schemas; print(streams.__file__)"]).stdout
    assert shown.startswith("/opt/gridclock/lib/")
    assert said_by(image, "version").startswith("gridclock ")
    assert "fee-5-minutes" in said_by(image, "rules", "list")
    said_by(image, "simulate", "--orders", "20", "--out", "orders.jsonl")  # its directory is its own
    said_by(image, "replay", "orders.jsonl", "--alerts", "alerts.jsonl", "--report", "report.html", "--quiet")
    home = image.root / "var" / "lib" / "gridclock"
    assert (home / "alerts.jsonl").stat().st_size > 0
    assert (home / "alerts.jsonl").stat().st_uid == 10001
    assert image.run(["touch", "/opt/gridclock/mine"]).returncode != 0
    assert not list(image.root.glob("opt/gridclock/lib/python*/site-packages/pip"))


def test_its_health_check_says_that_nothing_runs(image: Stage) -> None:
    done = image.run(image.health, {"GRIDCLOCK_METRICS_PORT": str(free_port())})
    assert done.returncode == 1
    assert "Traceback" not in done.stdout


def test_its_worker_is_healthy_and_ends_in_order(image: Stage, kafka: Broker, prefix: str) -> None:
    settings = {
        "GRIDCLOCK_BOOTSTRAP": kafka.bootstrap, "GRIDCLOCK_NAME": f"{prefix}g", "GRIDCLOCK_PARTITIONS": "2",
        "GRIDCLOCK_SOURCES": f"{prefix}events", "GRIDCLOCK_METRICS_PORT": str(free_port()),
        "GRIDCLOCK_METRICS_HOST": "127.0.0.1",  # the image's 0.0.0.0 is for a network of its own
    }  # fmt: skip
    made = image.run([*image.entry_point, "topics", "create"], settings)
    assert made.returncode == 0, made.stdout
    arguments = image.arguments([*image.entry_point, *image.command], settings)
    worker = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        until(lambda: image.run([*image.health, "--ready"], settings).returncode == 0 or worker.poll() is not None, 120,
              lambda: "the worker is not ready")  # fmt: skip
        assert image.run(image.health, settings).returncode == 0
        assert (image.root / "var/lib/gridclock/state").is_dir()
        worker.send_signal(signal.Signals[image.stop_signal])
        said, _ = worker.communicate(timeout=60)
        assert worker.returncode == 0, said
    finally:
        worker.kill()
        worker.communicate()


@pytest.mark.parametrize(
    ("good", "bad", "why"),
    [
        ("COPY schemas schemas", "COPY schemata schemas", "COPY schemata: the context has no"),
        ("COPY --from=build /opt/gridclock ", "COPY --from=build /opt/grid ", "COPY /opt/grid: there is no such file"),
        ("COPY --from=build /opt/gridclock ", "COPY --from=builder /opt/gridclock ", "no stage builder"),
        ("useradd --system", "useradd --sistem", "useradd"),
        ("USER 10001:10001", "MAINTAINER 10001", "MAINTAINER is not known"),
    ],
)  # fmt: skip
def test_a_wrong_step_fails(good: str, bad: str, why: str, built: Built, tmp_path: Path) -> None:
    """The last stage anew, over the stage before it; a wrong step before is found before that is built."""
    assert TEXT.count(good) == 1
    with pytest.raises(StepError, match=why):
        Builder(TEXT.replace(good, bad), ROOT, tmp_path, known=built.stages).build()


@pytest.mark.skipif(why_not() is not None, reason="steps cannot be run here")
def test_packages_of_another_version_are_not_taken(tmp_path: Path) -> None:
    text = (
        "FROM python:3\nCOPY wanted.txt /\n"
        "RUN python -m venv --without-pip /opt/x && /opt/x/bin/pip install --requirement wanted.txt\n"
    )
    (tmp_path / ".dockerignore").write_text("*\n!wanted.txt\n")
    (tmp_path / "wanted.txt").write_text("rich==0.1 \\\n    --hash=sha256:00\n")
    with pytest.raises(StepError, match="wants rich==0"):
        Builder(text, tmp_path, tmp_path / "stages").build()
