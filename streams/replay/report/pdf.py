"""The report as PDF, printed by a chromium without a window."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from streams.errors import ConfigError

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS: Final = 600
_FLAGS: Final = (
    "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--no-pdf-header-footer",
)  # fmt: skip


def browser_path() -> str:
    """The browser that prints.

    Raises:
        ConfigError: where there is none.
    """
    for name in _NAMES:
        if (found := shutil.which(name)) is not None:
            return found
    raise ConfigError(
        f"a report as PDF is printed by chromium, and none of {', '.join(_NAMES)} is on the PATH; install chromium, or "
        "give --report a name that ends in .html"
    )


def printed(page: bytes) -> bytes:
    """The page as PDF.

    Raises:
        ConfigError: where there is no browser, or it fails.
    """
    browser = browser_path()
    # The page has no script and its policy lets nothing in; only root cannot have the sandbox.
    flags = [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(_FLAGS)
    with tempfile.TemporaryDirectory(prefix="gridclock-", ignore_cleanup_errors=True) as held:
        source, target = Path(held, "report.html"), Path(held, "report.pdf")
        source.write_bytes(page)
        command = [browser, *flags, f"--user-data-dir={held}/profile", f"--print-to-pdf={target}", source.as_uri()]
        try:
            ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"{browser} did not print the report: {error}") from error
        if ran.returncode != 0 or not target.exists():
            said = ran.stderr.decode(errors="replace").strip().splitlines()
            raise ConfigError(f"{browser} did not print the report: {said[-1] if said else f'exit {ran.returncode}'}")
        return target.read_bytes()
