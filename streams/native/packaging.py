"""How setuptools packs the native engine: sources in a source distribution, a compiled module in a wheel.

Named under ``tool.setuptools.cmdclass`` in pyproject.toml, which leaves no room for the commands of setuptools-rust, so
that its ``build_rust`` is run here. Loaded as a file, before anything is installed: it imports nothing of gridclock.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path
from typing import Any

from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

CRATE = Path("streams/native")


class Sources(sdist):
    """A source distribution with the crate, of which no wheel has a file."""

    def make_distribution(self) -> None:
        """See ``sdist``."""
        single = [CRATE / name for name in ("Cargo.toml", "Cargo.lock", "README.md", "packaging.py")]
        self.filelist.extend(str(path) for path in (*single, *sorted(CRATE.glob("src/**/*.rs"))))
        super().make_distribution()


class Extension(build_ext):
    """Builds the native engine; where that fails there is none, and the Python engine judges all."""

    def run(self) -> None:
        """See ``build_ext``."""
        super().run()
        wheel = self.get_finalized_command("bdist_wheel")  # for Rust's name of the module
        rust: Any = self.get_finalized_command("build_rust")
        rust.inplace, rust.plat_name = self.inplace, wheel.plat_name
        rust.run()


class Wheel(bdist_wheel):
    """One wheel for every Python from 3.11 on; where there is no Rust, one of Python alone, for every machine."""

    def initialize_options(self) -> None:
        """See ``bdist_wheel``."""
        super().initialize_options()
        if shutil.which(os.environ.get("CARGO", "cargo")) is None:
            self.announce("no cargo here: without the native engine, the Python engine judges all", level=4)
            self.distribution.__dict__["has_ext_modules"] = lambda: False
        elif not sysconfig.get_config_var("Py_GIL_DISABLED"):
            self.py_limited_api = "cp311"
