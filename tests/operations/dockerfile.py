"""Runs the steps of a Dockerfile in a chroot, where there is no Docker engine.

In place of the base image there is a root directory with this machine's ``/usr`` and Python, read-only, in a mount
namespace of each command, and with ``/etc``, ``/opt``, ``/var`` and ``/tmp`` of its own. So the steps change nothing of
the machine. Steps that need what is not here are left out, each with its reason, in ``Built.left_out``.

Needs root, ``chroot`` and ``unshare``; see ``why_not``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib.metadata import distribution
from pathlib import Path
from typing import Final, NamedTuple

from packaging.requirements import Requirement

BASE: Final = Path(sys.base_prefix)
_SYSTEM: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FOLDERS: Final = ("dev", "etc", "opt", "proc", "root", "run", "srv", "tmp", "usr", "var/lib")
_LINKED: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
PACKAGES: Final = Path(sysconfig.get_path("platlib"))
_SEEN: Final = ("/usr", str(BASE), str(PACKAGES), "/dev/null", "/dev/urandom", "/proc")
_REQUIREMENTS: Final = re.compile(r"^\w[^\\\n]*", re.MULTILINE)


class StepError(Exception):
    """A step cannot be run, or failed; the text has its line and the last of what it printed."""


class Step(NamedTuple):
    """One instruction: the number of its first line, its name in capitals, and the rest in one line."""

    line: int
    name: str
    rest: str


Steps = tuple[tuple[str, str], ...]
"""The instructions of a stage without their places."""


@dataclass
class Stage:
    """A stage as it is built: its root directory and its settings so far."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": f"{BASE / 'bin'}:{_SYSTEM}", "HOME": "/root"})
    user: str = "0:0"
    directory: str = "/"
    entry_point: Sequence[str] = ()
    command: Sequence[str] = ()
    health: Sequence[str] = ()
    stop_signal: str = "SIGTERM"

    def arguments(self, command: Sequence[str], more: Mapping[str, str] | None = None) -> list[str]:
        """What runs a command in the stage as its user; the mounts are gone when it ends."""
        variables = [f"{name}={value}" for name, value in {**self.environment, **(more or {})}.items()]
        inside = shlex.join(
            ["env", "-i", *variables, "/bin/sh", "-c", 'cd "$0" && exec "$@"', self.directory, *command]
        )
        script = "\n".join(["set -e", *self._mounts(), f"exec chroot --userspec={self.user} {self.root} {inside}"])
        return ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script]

    def _mounts(self) -> Iterator[str]:
        for path in _SEEN:
            place = shlex.quote(f"{self.root}{path}")
            yield f"mount --bind {shlex.quote(path)} {place}"
            if not path.startswith(("/dev", "/proc")):
                yield f"mount -o remount,ro,bind {place}"

    def run(self, command: Sequence[str], more: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; what it prints to both outputs is in ``stdout``."""
        return subprocess.run(
            self.arguments(command, more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            text=True, check=False, timeout=240,
        )  # fmt: skip


@dataclass
class Built:
    """The last stage, those before it with their steps, what was run, and what was not, each with its reason."""

    image: Stage
    stages: Mapping[Steps, Stage]
    ran: list[str]
    left_out: list[str]


def why_not() -> str | None:
    """Why steps cannot be run here; ``None`` where they can."""
    missing = [name for name in ("unshare", "chroot", "mount", "useradd") if shutil.which(name, path=_SYSTEM) is None]
    if missing:
        return f"no {', '.join(missing)} here"
    if os.geteuid() != 0:
        return "a chroot needs root"
    if not (BASE / "bin" / "python").exists():
        return f"no {BASE}/bin/python, which the base image has"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"mount namespaces are not allowed here: {tried.stderr.strip()}"


def steps_of(text: str) -> Iterator[Step]:
    """The instructions of a Dockerfile; comments are left out, continued lines joined."""
    held, since = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (line.strip() or held):
            continue
        since = since if held else number
        held += line.strip()
        if held.endswith("\\"):
            held = held[:-1]
            continue
        name, _, rest = held.partition(" ")
        yield Step(since, name.upper(), rest.strip())
        held = ""
    if held:
        raise StepError(f"line {since}: ends with a continued line")


class Builder:
    """Runs the steps in an empty directory; ``context`` is what is sent to Docker, less ``.dockerignore``.

    ``known`` are stages that were built from the same steps: they are not built again.
    """

    def __init__(
        self, text: str, context: Path, directory: Path, *, known: Mapping[Steps, Stage] | None = None
    ) -> None:
        self._steps = list(steps_of(text))
        self._known = dict(known or {})
        self._context = context
        self._directory = directory
        self._allowed = (context / ".dockerignore").read_text("utf-8").split("\n")
        self._stages: dict[str, Stage | None] = {}
        self._ran: list[str] = []
        self._left_out: list[str] = []

    def build(self) -> Built:
        """All stages.

        Raises:
            StepError: where a step fails.
        """
        begins = [number for number, step in enumerate(self._steps) if step.name == "FROM"]
        stage: Stage | None = None
        for begin, end in zip(begins, [*begins[1:], len(self._steps)], strict=True):
            stage = self._stage(self._steps[begin], self._steps[begin + 1 : end])
        if stage is None:
            raise StepError("no stage that can be run")
        return Built(stage, self._known, self._ran, self._left_out)

    def _stage(self, begin: Step, steps: Sequence[Step]) -> Stage | None:
        """One stage; ``None`` for an image that is only copied from."""
        image, _, name = begin.rest.partition(" AS ")
        self._left_out.append(f"line {begin.line}: FROM {image}: images are pulled by an engine only")
        same = tuple((step.name, step.rest) for step in (begin, *steps))
        stage = self._known.get(same)
        if stage is None and steps:
            stage = Stage(new_root(self._directory / f"stage-{begin.line}"))
            for step in steps:
                self._do(stage, step)
            self._known[same] = stage
        self._stages[name or str(begin.line)] = stage
        return stage

    def _do(self, stage: Stage, step: Step) -> None:
        match step.name:
            case "COPY":
                self._copy(stage, step)
            case "RUN":
                self._run(stage, step)
            case "ENV":
                for pair in shlex.split(step.rest):
                    name, _, value = pair.partition("=")
                    stage.environment[name] = re.sub(r"\$(\w+)", lambda found: stage.environment[found[1]], value)
            case "USER":
                stage.user = step.rest
                user = step.rest.partition(":")[0]
                lines = (stage.root / "etc" / "passwd").read_text("utf-8").splitlines()
                homes = {uid: home for _, _, uid, _, _, home, _ in (line.split(":") for line in lines)}
                stage.environment["HOME"] = homes.get(user, "/")
            case "WORKDIR":
                stage.directory = step.rest
                inside(stage.root, step.rest).mkdir(parents=True, exist_ok=True)
            case "ENTRYPOINT":
                stage.entry_point = json.loads(step.rest)
            case "CMD":
                stage.command = json.loads(step.rest)
            case "HEALTHCHECK":
                stage.health = json.loads(step.rest.partition("CMD ")[2])
            case "STOPSIGNAL":
                stage.stop_signal = step.rest
            case "VOLUME" | "EXPOSE":
                self._left_out.append(f"line {step.line}: {step.name} {step.rest}: is for an engine only")
                return
            case _:
                raise StepError(f"line {step.line}: {step.name} is not known here")
        self._ran.append(f"line {step.line}: {step.name} {step.rest}")

    def _copy(self, stage: Stage, step: Step) -> None:
        words = step.rest.split()
        source = self._context
        if words[0].startswith("--from="):
            name = words.pop(0).removeprefix("--from=")
            if name not in self._stages:
                raise StepError(f"line {step.line}: no stage {name}")
            other = self._stages[name]
            if other is None:
                self._left_out.append(f"line {step.line}: COPY {step.rest}: the image is not here")
                return
            source = other.root
        *names, target = words
        place = inside(stage.root, os.path.join(stage.directory, target))
        for name in names:
            if source == self._context and f"!{name}" not in self._allowed:
                raise StepError(f"line {step.line}: COPY {name}: the context has no such file")
            found = inside(source, name)
            if found.is_dir():
                shutil.copytree(found, place, symlinks=True, dirs_exist_ok=True, ignore=self._ignored)
            elif found.is_file():
                into = place / found.name if target.endswith("/") else place
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(found, into)
            else:
                raise StepError(f"line {step.line}: COPY {name}: there is no such file")

    def _ignored(self, directory: str, names: list[str]) -> set[str]:
        if not Path(directory).is_relative_to(self._context):
            return set()
        patterns = [line.removeprefix("**/") for line in self._allowed if line.startswith("**/")]
        return {name for name in names if any(fnmatch(name, pattern) for pattern in patterns)}

    def _run(self, stage: Stage, step: Step) -> None:
        for command in step.rest.split(" && "):
            wanted = re.search(r"--requirement (\S+)", command)
            if wanted is not None:
                count = link_packages(stage, inside(stage.root, os.path.join(stage.directory, wanted[1])))
                self._left_out.append(
                    f"line {step.line}: pip install --require-hashes: {count} packages were not downloaded, the tests' "
                    "own of the same versions stand in their place"
                )
                continue
            done = stage.run(["/bin/sh", "-e", "-c", command])
            if done.returncode != 0:
                raise StepError(f"line {step.line}: {command.strip()}: {done.returncode}: {done.stdout[-2000:]}")


def inside(root: Path, path: str) -> Path:
    """A path of a root directory, or of the context, as one of this machine's."""
    return root / path.lstrip("/")


def new_root(root: Path) -> Path:
    """The root directory of a stage: see the module."""
    for name in (*_FOLDERS, str(BASE), str(PACKAGES)):
        inside(root, name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name in ("dev/null", "dev/urandom"):
        (root / name).touch()
    for name in _LINKED:
        if (Path("/") / name).is_symlink():
            (root / name).symlink_to(os.readlink(f"/{name}"))
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    for name in ("ld.so.cache", "ld.so.conf", "login.defs"):
        if Path("/etc", name).is_file():
            shutil.copy2(Path("/etc", name), root / "etc" / name)
    return root


def link_packages(stage: Stage, requirements: Path) -> int:
    """Put the packages of a requirements file, as they are installed here, into the stage's environment; their number.

    Raises:
        StepError: where another version is installed here, or none.
    """
    (target,) = stage.root.glob("opt/*/lib/python*/site-packages")
    named = map(Requirement, _REQUIREMENTS.findall(requirements.read_text("utf-8")))
    wanted = [one for one in named if one.marker is None or one.marker.evaluate()]
    for one in wanted:
        found = distribution(one.name)
        if found.version not in one.specifier:
            raise StepError(f"{requirements.name} wants {one}; {found.version} is installed: run deploy/venv")
        for older in target.glob(f"{one.name}-*.dist-info"):  # Python's own setuptools: pip would replace it
            shutil.rmtree(older)
        for top in {path.parts[0] for path in found.files or () if path.parts[0] not in ("..", "__pycache__")}:
            place = target / top
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            if not place.exists():
                place.symlink_to(PACKAGES / top)
    return len(wanted)
