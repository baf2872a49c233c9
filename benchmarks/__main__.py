"""``python -m benchmarks`` runs all; ``python -m benchmarks precision`` runs one. Results go to ``results/``.

Options after the name of one benchmark are its own: ``python -m benchmarks operator --models 300``.
"""

import importlib
import json
import os
import platform
import sys
from pathlib import Path

BENCHMARK_NAMES = (
    "startup",
    "building",
    "precision",
    "normalisation",
    "penalty",
    "fisher",
    "cost",
    "step",
    "loop_profile",
    "end_to_end",
    "pretrained_step",
    "features",
    "feature_cache",
    "near_duplicates",
    "growth",
    "five_sites",
    "abstention",
    "operator",
    "log",
    "memory",
)


def main() -> None:
    """Runs the named benchmarks, prints each as a table and writes its rows with the machine and the command."""
    import torch
    from rich.console import Console
    from rich.table import Table

    arguments = sys.argv[1:]
    options = arguments[1:] if len(arguments) > 1 and arguments[1].startswith("--") else []
    for name in arguments[: len(arguments) - len(options)] or BENCHMARK_NAMES:
        rows = importlib.import_module(f"benchmarks.{name}").run(*([options] if options else []))
        table = Table(*rows[0], title=name)
        for row in rows:
            table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
        Console().print(table)
        machine = {"processor": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
        machine["instructions"] = torch.backends.cpu.get_cpu_capability()
        result = {"command": " ".join(("python -m benchmarks", name, *options)), "machine": machine, "rows": rows}
        path = Path(__file__).parent / "results" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
