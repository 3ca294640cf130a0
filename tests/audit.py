"""Holds the lock against published advisories without a network: ``python -m tests.audit DIRECTORY``.

DIRECTORY is a clone of https://github.com/pypa/advisory-database, or any directory with advisories in OSV's format
(YAML or JSON). Exit 0: no pin is named by any; 1: some are, and are printed; 2: wrong use. With a network the same
lock is audited by ``pip-audit --strict --disable-pip --no-deps -r requirements-lock.txt``; without ``--strict`` that
tool calls it a success when it could look nothing up.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

LOCK: Final = Path(__file__).resolve().parent.parent / "requirements-lock.txt"


def pins(lock: Path = LOCK) -> dict[str, Requirement]:
    """Every line of the lock by its normalized name."""
    lines = lock.read_text("utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(one.name): one for one in found}


def pinned_version(pin: Requirement) -> Version:
    """The one version that a line of the lock lets in."""
    (one,) = pin.specifier
    assert one.operator == "=="
    return Version(one.version)


@dataclass(frozen=True, slots=True)
class Finding:
    """An advisory that names a pin."""

    advisory: str
    package: str
    version: str
    fixed: tuple[str, ...]

    def __str__(self) -> str:
        remedy = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no fixed version is named"
        return f"{self.package} {self.version}: {self.advisory} ({remedy})"


def advisories(directory: Path) -> Iterator[Mapping[str, Any]]:
    """Every advisory below a directory."""
    for path in sorted(directory.rglob("*")):
        if path.suffix in (".yaml", ".yml", ".json") and ".git" not in path.parts:
            # The C loader, where there is one: thousands of files.
            found = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            if isinstance(found, dict) and "affected" in found and not found.get("withdrawn"):
                yield found


def findings(known: Iterable[Mapping[str, Any]], versions: Mapping[str, Version]) -> list[Finding]:
    """What the advisories say of these versions, by normalized name."""
    found = []
    for advisory in known:
        for affected in advisory["affected"]:
            package = affected.get("package") or {}
            name = canonicalize_name(str(package.get("name", "")))
            if package.get("ecosystem") == "PyPI" and name in versions and _names(affected, versions[name]):
                fixes = [str(event["fixed"]) for events in _ranges(affected) for event in events if "fixed" in event]
                found.append(Finding(advisory["id"], name, str(versions[name]), tuple(fixes)))
    return found


def _ranges(affected: Mapping[str, Any]) -> list[Sequence[Mapping[str, Any]]]:
    return [one["events"] for one in affected.get("ranges", ()) if one["type"] == "ECOSYSTEM"]


def _names(affected: Mapping[str, Any], version: Version) -> bool:
    """Whether a version is listed, or in a range: `introduced` and `last_affected` inclusive, `fixed` exclusive."""
    listed = {_version(str(one)) for one in affected.get("versions", ())}
    return version in listed or any(_within(events, version) for events in _ranges(affected))


def _within(events: Sequence[Mapping[str, Any]], version: Version) -> bool:
    inside = False
    for event in events:
        ((kind, at),) = event.items()
        bound = Version("0.dev0") if str(at) == "0" else _version(str(at))
        if bound is None:
            continue
        if kind == "introduced" and version >= bound:
            inside = True
        elif (kind == "fixed" and version >= bound) or (kind == "last_affected" and version > bound):
            inside = False
    return inside


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:  # an advisory of long ago
        return None


def main(arguments: Sequence[str]) -> int:
    """Audit, print what was found, return the exit code."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print((__doc__ or "").partition("\n\n")[0], file=sys.stderr)  # noqa: T201
        return 2
    known = list(advisories(Path(arguments[0])))
    if not known:
        print(f"{arguments[0]}: no advisories in there", file=sys.stderr)  # noqa: T201
        return 2
    versions = {name: pinned_version(pin) for name, pin in pins().items()}
    found = findings(known, versions)
    newest = max(str(one.get("modified", "")) for one in known)
    for one in found:
        print(one)  # noqa: T201
    print(f"{len(versions)} pins, {len(known)} advisories up to {newest}: {len(found)} findings")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
