"""Runs the code of a notebook, cell by cell as Jupyter would: ``python -m tests.spark.notebook FILE``.

Afterwards ``on_time`` of the notebook is printed as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(name: str) -> None:
    notebook = json.loads(Path(name).read_text("utf-8"))
    space: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{name}[{number}]", "exec"), space)
    rows = [[row["rule"], row["day"], row["cases"], row["on_time"]] for row in space["on_time"]]
    sys.stdout.write("\n" + json.dumps(rows) + "\n")
    space["spark"].stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
