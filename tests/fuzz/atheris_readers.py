"""The same readers under atheris, which follows branches: for an hour beside other work, not for every run.

    python -m pip install atheris
    python -m tests.fuzz.atheris_readers event -max_total_time=600

The first argument names a reader (see ``tests.fuzz.readers``), the others are libFuzzer's. A finding is written to
``crash-...`` in this directory, with its traceback on standard error; put it into a test.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> None:
    """Fuzz the reader named."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["streams", "schemas"]):
        module = importlib.import_module("tests.fuzz.readers")
    known = {reader.name.replace(" ", "-"): reader for reader in module.readers()}
    if len(sys.argv) < 2 or sys.argv[1] not in known:
        sys.exit(f"usage: python -m tests.fuzz.atheris_readers {'|'.join(known)} [libFuzzer's options]")
    reader = known[sys.argv.pop(1)]
    corpus = Path(tempfile.mkdtemp(prefix="gridclock-corpus-"))
    for number, sample in enumerate(reader.samples):
        (corpus / f"sample-{number}").write_bytes(sample)
    atheris.Setup([*sys.argv, str(corpus)], lambda raw: module.run(reader, raw))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
