"""What starting costs: the command line's help, and what a step of a pipeline imports, each in a fresh process."""

import subprocess
import sys

from benchmarks.timing import side_by_side


def run() -> list[dict[str, object]]:
    """Returns one row per command."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "anamnesis --help": [sys.executable, "-m", "anamnesis.cli", "--help"],
        "import torch": [sys.executable, "-c", "import torch"],
        "import torch, then an optimiser": [
            sys.executable,
            "-c",
            "import torch; torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])",
        ],
        "import monai.networks.nets": [sys.executable, "-c", "import monai.networks.nets"],
        "import kfp": [sys.executable, "-c", "import kfp"],
    }
    seconds_by_command = side_by_side(
        {
            name: lambda command=command: subprocess.run(command, capture_output=True, check=True)
            for name, command in commands.items()
        }
    )
    return [{"command": name, "seconds": seconds} for name, seconds in seconds_by_command.items()]
