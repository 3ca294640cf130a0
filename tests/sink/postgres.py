"""A PostgreSQL of Debian in a directory of its own, on loopback; not as root, which its programs refuse."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import psycopg

from streams.kafka.java_broker import free_ports

PASSWORD = "sink-secret-7Q"


def programs() -> Path | None:
    """The newest version's programs; ``None`` where there is no PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


class Postgres:
    """One server with a database ``results``, which its user ``sink`` owns. Use as a context manager."""

    def __init__(self) -> None:
        found = programs()
        assert found is not None
        self._programs = found
        self._user = "postgres" if os.geteuid() == 0 else None
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="gridclock-postgres-"))
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            os.chown(self._directory, account.pw_uid, account.pw_gid)
        secret = self._directory / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        done = subprocess.run(
            [
                self._programs / "initdb", "-D", self._directory / "data", "-U", "sink", "--pwfile", secret,
                "-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync",
            ],
            user=self._user, cwd=self._directory, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.start()
        with psycopg.connect(f"{self.address('postgres')} password={PASSWORD}", autocommit=True) as connection:
            connection.execute("CREATE DATABASE results")
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._directory)

    def address(self, database: str = "results") -> str:
        return f"host=127.0.0.1 port={self.port} user=sink dbname={database}"

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(f"{self.address()} password={PASSWORD}", autocommit=True)

    def count(self, table: str) -> int:
        """The rows of a table of the sink."""
        with self.connect() as connection:
            found = connection.execute(f"SELECT count(*) FROM gridclock.{table}").fetchone()
        assert found is not None
        return int(found[0])

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._programs / "postgres", "-D", self._directory / "data", "-p", str(self.port),
                    "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._directory}",
                ],
                user=self._user, cwd=self._directory, stdout=log, stderr=log,
            )  # fmt: skip
        ready = [str(self._programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-t", "1"]
        for _ in range(600):
            if subprocess.run(ready, capture_output=True, check=False).returncode == 0:
                return
            assert self._process.poll() is None, (self._directory / "log").read_text()
        raise AssertionError((self._directory / "log").read_text())

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server at once; with SIGQUIT it recovers by its log at the next start, as after a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None
