"""What is installed: the lock says all of it and exactly, nothing conflicts, and advisories are read rightly."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.audit import LOCK, findings, main, pinned_version, pins

_FILE = tomllib.loads((LOCK.parent / "pyproject.toml").read_text("utf-8"))
PROJECT = _FILE["project"]
BUILT_WITH = _FILE["build-system"]["requires"]
"""deploy/venv and the image install the project with what the lock has, without going to the network for it again."""


def wanted_by(requirements: list[str], extras: frozenset[str]) -> list[Requirement]:
    """Requirements that count on this machine, under some extras."""
    found = [Requirement(text) for text in requirements]
    environments = [{"extra": extra} for extra in (extras or {""})]
    return [one for one in found if one.marker is None or any(map(one.marker.evaluate, environments))]


def closure() -> dict[str, list[Requirement]]:
    """Every distribution that the project needs here, tests and its build included, with all that is asked of it."""
    found: dict[str, list[Requirement]] = {}
    texts = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"], *BUILT_WITH]
    waiting = [Requirement(text) for text in texts]
    seen = set()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        found.setdefault(name, []).append(one)
        if (name, frozenset(one.extras)) not in seen:
            seen.add((name, frozenset(one.extras)))
            waiting += wanted_by(requires(name) or [], frozenset(one.extras))
    return found


def test_every_line_of_the_lock_is_one_version() -> None:
    lines = LOCK.read_text("utf-8").splitlines()
    assert lines == sorted(lines, key=lambda line: canonicalize_name(Requirement(line).name))
    for line in lines:
        assert re.fullmatch(r"[a-z0-9.-]+==[\w.]+( ; .+)?", line), line


def test_the_lock_holds_every_dependency_and_of_each_a_version_that_all_take() -> None:
    locked = pins()
    needed = closure()
    assert needed.keys() - locked.keys() == set()
    for name, requirements in needed.items():
        version = pinned_version(locked[name])
        assert [str(one) for one in requirements if not one.specifier.contains(version, prereleases=True)] == [], name


def test_the_lock_holds_nothing_that_nobody_needs() -> None:
    elsewhere = {name for name, pin in pins().items() if pin.marker is not None and not pin.marker.evaluate()}
    assert pins().keys() - closure().keys() - elsewhere == set()


def test_what_is_installed_here_is_what_the_lock_says() -> None:
    for name, pin in pins().items():
        if pin.marker is None or pin.marker.evaluate():
            try:
                installed = distribution(name).version
            except PackageNotFoundError:
                installed = "not installed"
            assert Version(installed) == pinned_version(pin), name


def test_nothing_installed_conflicts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "check", "--disable-pip-version-check"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def advisory(*events: dict[str, str], versions: tuple[str, ...] = (), name: str = "Rich") -> dict[str, Any]:
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    package = {"ecosystem": "PyPI", "name": name}
    return {"id": "X-1", "affected": [{"package": package, "ranges": ranges, "versions": list(versions)}]}


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (advisory({"introduced": "0"}), True),
        (advisory({"introduced": "0"}, {"fixed": "15.0.1"}), True),
        (advisory({"introduced": "0"}, {"fixed": "15.0.0"}), False),
        (advisory({"introduced": "15.0.1"}), False),
        (advisory({"introduced": "15"}, {"last_affected": "15.0.0"}), True),
        (advisory({"introduced": "14"}, {"last_affected": "14.9"}), False),
        (advisory({"introduced": "1"}, {"fixed": "2"}, {"introduced": "15"}, {"fixed": "16"}), True),
        (advisory(versions=("15.0",)), True),
        (advisory(versions=("1.0-not-a-version", "14.0")), False),
        (advisory({"introduced": "0"}, name="richer"), False),
    ],
)
def test_advisories(told: dict[str, Any], *, named: bool) -> None:
    found = findings([told], {"rich": Version("15.0.0")})
    assert [(one.advisory, one.package, one.version) for one in found] == [("X-1", "rich", "15.0.0")] * named


def test_an_audit_fails_where_a_pin_is_named_and_where_there_is_nothing_to_look_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    path = tmp_path / "X-1.yaml"
    text = (
        "{{id: X-1, modified: '2026-01-01', affected: [{{package: {{ecosystem: PyPI, name: aiohttp}}, "
        "versions: ['{}']}}]}}\n"
    )
    path.write_text(text.format("0.1"), "utf-8")
    assert main([str(tmp_path)]) == 0
    path.write_text(text.format(pinned_version(pins()["aiohttp"])), "utf-8")
    capsys.readouterr()
    assert main([str(tmp_path)]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.endswith(": X-1 (no fixed version is named)")
    assert last.endswith("1 advisories up to 2026-01-01: 1 findings")


def test_an_installation_runs_with_the_locked_versions_by_hash() -> None:
    lines = (LOCK.parent / "deploy" / "requirements.txt").read_text("utf-8").replace(" \\\n", " ").splitlines()
    found = {}
    for line in lines:
        requirement, *hashes = line.split(" --hash=")
        assert hashes, line
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64} *", one) for one in hashes), line
        one = Requirement(requirement)
        found[canonicalize_name(one.name)] = str(one.specifier)
    locked = {name: str(pin.specifier) for name, pin in pins().items()}
    assert {name: version for name, version in found.items() if locked.get(name, version) != version} == {}
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["registry"]]
    needed = {canonicalize_name(Requirement(text).name) for text in wanted}
    assert needed - found.keys() == set(), "run: deploy/lock"
    assert "pytest" not in found
