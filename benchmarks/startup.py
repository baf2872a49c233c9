"""How long ``anamnesis --help`` takes, beside an interpreter that does nothing and one that imports torch."""

import subprocess
import sys

from benchmarks.timing import side_by_side


def run() -> list[dict[str, object]]:
    """Returns one row per command."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "anamnesis --help": [sys.executable, "-m", "anamnesis.cli", "--help"],
        "python -c 'import torch'": [sys.executable, "-c", "import torch"],
    }
    found = side_by_side(
        {name: lambda c=c: subprocess.run(c, capture_output=True, check=True) for name, c in commands.items()}
    )
    return [{"command": name, "seconds": seconds} for name, seconds in found.items()]
