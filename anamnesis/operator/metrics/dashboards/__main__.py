"""Writes ``manifests/dashboards``: ``python -m anamnesis.operator.metrics.dashboards``.

With ``--check`` it writes nothing and fails where a file differs.
"""

import json
import sys
from pathlib import Path

from anamnesis.generated import write_or_check
from anamnesis.operator.metrics.dashboards import DASHBOARDS

FOLDER = Path(__file__).parents[4] / "manifests" / "dashboards"


def render_files() -> dict[Path, str]:
    """Returns the text of each file."""
    return {FOLDER / name: json.dumps(dashboard.to_json(), indent=2) + "\n" for name, dashboard in DASHBOARDS.items()}


def main(check: bool) -> int:
    """Writes the files, or with ``check`` only compares them; returns the exit code."""
    return write_or_check(render_files(), "anamnesis.operator.metrics.dashboards", check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
