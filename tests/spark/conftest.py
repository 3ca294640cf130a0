"""Spark in a directory of its own: 400 MB that nothing else needs."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPARK = ROOT / ".spark"
PACKAGES = ("pyarrow==26.0.1", "pandas==2.3.3")
NEWEST, OF_LAKES = "4.3.0", "4.1.1"
"""Versions of Spark: the newest, and the newest that Apache Iceberg and Delta Lake have runtimes for."""

ICEBERG = ("org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0",)
DELTA = ("io.delta:delta-spark_4.1_2.13:4.1.0", "io.delta:delta-storage:4.1.0")
OF_DELTA = (
    "--conf spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension "
    "--conf spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog"
)


class Done(NamedTuple):
    """What a process ended with."""

    code: int
    out: str
    err: str


SMALL = "small"
ASKED_FOR_SMALL = "the small form was asked for: GRIDCLOCK_SPARK=1 runs all tests on Spark"

Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def only_small(request: pytest.FixtureRequest) -> None:
    """With ``GRIDCLOCK_SPARK=small``, as in CI, only the tests marked ``spark_small`` are run."""
    small = os.environ.get("GRIDCLOCK_SPARK") == SMALL
    if small and "spark" in request.fixturenames and request.node.get_closest_marker("spark_small") is None:
        pytest.skip(ASKED_FOR_SMALL)


def install(directory: Path, version: str) -> str | None:
    """Install Spark where it is not yet; the problem, if there is one."""
    stamp, wanted = directory / "installed", (f"pyspark=={version}", *PACKAGES)
    if stamp.exists() and stamp.read_text("utf-8") == " ".join(wanted):
        return None
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--no-compile",
         "--target", str(directory), *wanted],  # to compile all of it takes longer than what the tests use of it
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return done.stderr.strip().splitlines()[-1]
    for script in (directory / "pyspark" / "bin").iterdir():  # executors are started by them; pip forgets their modes
        script.chmod(0o755)
    stamp.write_text(" ".join(wanted), "utf-8")
    return None


@pytest.fixture(scope="session")
def spark() -> Run:
    """Runs a module with Spark on its path; skipped, with the reason, where Spark cannot be had."""
    return _with(SPARK, NEWEST)


@pytest.fixture(scope="session")
def spark_with_iceberg() -> Run:
    """The same with the runtime of Apache Iceberg, which Maven fetches."""
    return _with_runtime(ICEBERG)


@pytest.fixture(scope="session")
def spark_with_delta() -> Run:
    """The same with the runtime of Delta Lake."""
    return _with_runtime(DELTA, OF_DELTA)


def _with_runtime(artifacts: Sequence[str], options: str = "") -> Run:
    if os.environ.get("GRIDCLOCK_SPARK") == SMALL:
        pytest.skip(ASKED_FOR_SMALL)  # before 450 MB are fetched
    run = _with(SPARK / OF_LAKES, OF_LAKES)
    if shutil.which("mvn") is None:
        pytest.skip("no Maven (mvn) on the PATH, which fetches the runtimes of Iceberg and Delta")
    jars = []
    for artifact in artifacts:
        _, name, version = artifact.split(":")
        jars.append(SPARK / "jars" / f"{name}-{version}.jar")
        if not jars[-1].exists():
            goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
            command = ["mvn", "-B", "-ntp", "-q", goal, f"-Dartifact={artifact}", f"-DoutputDirectory={SPARK / 'jars'}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
            if done.returncode:
                pytest.skip(f"Maven did not fetch {artifact}: {(done.stdout + done.stderr)[-500:]}")
    return partial(run, PYSPARK_SUBMIT_ARGS=f"--jars {','.join(map(str, jars))} {options} pyspark-shell")


def _with(directory: Path, version: str) -> Run:
    if os.environ.get("GRIDCLOCK_SPARK") is None:
        pytest.skip("Spark is tried on request, for its 400 MB: GRIDCLOCK_SPARK=1 python -m pytest tests/spark")
    java = shutil.which("java")
    if java is None:
        pytest.skip("Spark needs Java 17, which is not here")
    directory.mkdir(parents=True, exist_ok=True)
    with (SPARK / "lock").open("w") as lock:  # tests may run in several processes
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (problem := install(directory, version)) is not None:
            pytest.skip(f"Spark could not be installed: {problem}")

    def run(module: str, *arguments: str | Path, codes: tuple[int, ...] = (0,), **environment: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            env={
                **os.environ, **environment, "PYTHONPATH": f"{ROOT}:{directory}", "PYSPARK_PYTHON": sys.executable,
                "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_HOME": str(directory / "pyspark"),
                "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # a third less for so short a run
            },
            capture_output=True, text=True, check=False, timeout=580,
        )  # fmt: skip
        assert done.returncode in codes, done.stdout + done.stderr[-4000:]
        return Done(done.returncode, done.stdout, done.stderr)

    return run
