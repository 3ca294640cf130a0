"""Classes of Kafka's start as Java has loaded them once (class data sharing): a node starts in two thirds of the time.

The archive is made as the storage of a first node is formatted, which loads most of them, and kept beside the class
path. Java takes none of it where it does not fit, so its name has a digest of Java's version and the class path.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from pathlib import Path


def archive_of(java: str, class_path: str, directory: Path) -> Path:
    """Where the archive is, or is to be."""
    version = subprocess.run([java, "-version"], capture_output=True, timeout=30, check=False).stderr
    digest = hashlib.sha256(version + class_path.encode()).hexdigest()[:12]
    return directory / f"classes-{digest}.jsa"


def making(archive: Path, made: Path) -> list[str]:
    """Options of a process that makes the archive as ``made`` when it ends, where there is none yet."""
    return [] if archive.exists() else [f"-XX:ArchiveClassesAtExit={made}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]


def using(archive: Path) -> list[str]:
    """Options of a process that takes classes from the archive, where there is one."""
    return [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []


def keep(made: Path, archive: Path) -> None:
    """Put what was made in its place, whole; without room for it, or without a right to write, there is none."""
    if not made.exists():
        return
    partial = archive.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        try:
            shutil.copyfile(made, partial)
            partial.replace(archive)
        finally:
            partial.unlink(missing_ok=True)  # where the copy failed half-way
