"""Wheel and source distribution: they hold what the program needs, and what is installed from them runs elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.operations.grafana import DEPLOY

ROOT = DEPLOY.parent
BUILD = "import setuptools.build_meta as b, sys; print(getattr(b, sys.argv[1])(sys.argv[2]))"


def built(what: str, source: Path, target: Path, **environment: str) -> Path:
    """The distribution of a source tree; built without asking a package index."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, what, str(target)],
        cwd=source, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return target / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the source distribution holds."""
    directory = tmp_path_factory.mktemp("dist")
    tree = directory / "tree"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())
    archive = built("build_sdist", tree, directory)
    subprocess.run(["tar", "--extract", "--file", str(archive), "--directory", str(directory)], check=True)
    return directory / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(unpacked: Path) -> Path:
    """Built from that, as somebody would who has nothing else: neither the clone nor Rust."""
    return built("build_wheel", unpacked, unpacked.parent, CARGO="no-cargo-here")


def test_without_rust_the_wheel_is_for_every_machine(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as found:
        assert [name for name in found.namelist() if "/native/" in name or name.endswith(".so")] == []


@pytest.mark.whole
@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not here: no wheel with the native engine")
def test_with_rust_the_wheel_has_the_native_engine_and_not_its_sources(unpacked: Path, wheel: Path) -> None:
    # What is compiled is looked at and not run: so it is not optimised, and the crates that it is built with are kept.
    native = built(
        "build_wheel", unpacked, unpacked.parent, CARGO_TARGET_DIR=str(ROOT / "streams" / "native" / "target"),
        CARGO_PROFILE_RELEASE_OPT_LEVEL="0", CARGO_PROFILE_RELEASE_CODEGEN_UNITS="16",
    )  # fmt: skip
    assert re.fullmatch(r"gridclock-[\d.]+-cp311-abi3-\w+\.whl", native.name)
    with zipfile.ZipFile(native) as found, zipfile.ZipFile(wheel) as other:
        more = {name for name in found.namelist() if ".dist-info/" not in name} - set(other.namelist())
    assert more == {"streams/engine/_native.abi3.so"}


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "streams", "schemas"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    wanted = {name for name in listed if not name.endswith(".md") and not name.startswith("streams/native/")}
    with zipfile.ZipFile(wheel) as found:
        assert wanted - set(found.namelist()) == set()


@pytest.mark.whole
def test_what_is_installed_from_the_wheel_runs_elsewhere(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index",
         "--target", str(target), str(wheel)],
        check=True,
    )  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(target), "PYTHONDONTWRITEBYTECODE": "1"}

    def gridclock(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = "import streams, pathlib; print(pathlib.Path(streams.__file__).parent.parent)"
    shown = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert Path(shown.strip()) == target
    assert "fee-5-minutes" in gridclock("rules", "list")
    gridclock("simulate", "--orders", "20", "--out", "orders.jsonl")
    gridclock("replay", "orders.jsonl", "--alerts", "alerts.jsonl", "--report", "report.html", "--quiet")
    assert (tmp_path / "alerts.jsonl").stat().st_size > 0
    assert "<svg" in (tmp_path / "report.html").read_text("utf-8")
