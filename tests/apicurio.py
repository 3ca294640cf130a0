"""A real schema registry for tests: Apicurio from Maven, in memory on loopback, with Confluent's API.

Its archive is fetched once and kept beside that of Kafka. A test that cannot have it is skipped and says why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from streams.kafka.child_process import ChildProcess
from streams.kafka.java_broker import free_ports, java_version

VERSION: Final = "2.6.13.Final"
_ARTIFACT: Final = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
_GOAL: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_READY_SECONDS: Final = 120


class Registry:
    """A running registry: its ``url``, and its process to be stopped and killed."""

    def __init__(self, url: str, process: ChildProcess) -> None:
        self.url = url
        self.process = process


def _runner() -> Path:
    """The registry's jar, fetched where it is not there yet."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gridclock"
    home = root / f"apicurio-{VERSION}"
    jar = home / f"apicurio-registry-app-{VERSION}-runner.jar"
    if jar.is_file():
        return jar
    if shutil.which("mvn") is None:
        pytest.skip("no Maven (mvn) on the PATH, which fetches the schema registry")
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="apicurio-") as directory:
        command = [
            "mvn",
            "-B",
            "-ntp",
            "-q",
            _GOAL,
            f"-Dartifact={_ARTIFACT}",
            f"-DoutputDirectory={directory}/fetched",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        archives = list(Path(directory).glob("fetched/*.tar.gz"))
        if done.returncode or not archives:
            pytest.skip(f"Maven did not fetch {_ARTIFACT}: {(done.stdout + done.stderr)[-500:]}")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(Path(directory, "unpacked"), filter="data")
        if not jar.is_file():  # another test may have been faster
            Path(directory, "unpacked").rename(home)
    return jar


@contextmanager
def apicurio(directory: Path) -> Iterator[Registry]:
    """A registry that knows nothing yet."""
    version = java_version()
    if version is None or version < 17:
        pytest.skip(f"the schema registry needs Java 17; found is {version}")
    jar = _runner()
    (port,) = free_ports(1)
    process = ChildProcess(
        ["java", "-Xmx512m", "-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}", "-jar", str(jar)],
        directory / "apicurio.log",
    )
    try:
        url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
        deadline = time.monotonic() + _READY_SECONDS
        while not _answers(f"{url}/subjects"):
            assert process.exit_code is None, process.last_lines()
            assert time.monotonic() < deadline, process.last_lines()
            time.sleep(0.2)
        yield Registry(url, process)
    finally:
        process.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
