"""Writes the rendered chart of each profile to ``tests/chart/golden``: ``python -m charts.golden``.

It omits the files that ``python -m charts.generate`` copies from ``manifests``. With ``--check`` it writes nothing and
fails where a file differs.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parent / "anamnesis"
GOLDEN_FOLDER = Path(__file__).parents[1] / "tests" / "chart" / "golden"
COPIED_TEMPLATES = ("definitions.yaml", "people.yaml", "alerts.yaml", "dashboards.yaml")


def profiles() -> dict[str, dict[str, Any]]:
    """Returns name -> values of each profile; ``default`` has none."""
    files = sorted((CHART / "ci").glob("*-values.yaml"))
    profile_values = {
        file.name.removesuffix("-values.yaml"): yaml.safe_load(file.read_text(encoding="utf-8")) for file in files
    }
    return {"default": {}, **profile_values}


def render_templates(values: dict[str, Any], namespace: str = "anamnesis") -> dict[str, str]:
    """Returns template -> rendered text of a release ``anamnesis``."""
    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(values, name="anamnesis", namespace=namespace)
    return {name.partition("/templates/")[2]: text.strip() + "\n" for name, text in sorted(texts.items())}


def outputs() -> Iterator[tuple[Path, str]]:
    """Yields file and text of each profile."""
    for name, values in profiles().items():
        texts = [
            text
            for template, text in render_templates(values).items()
            if template not in COPIED_TEMPLATES and text.strip()
        ]
        yield GOLDEN_FOLDER / f"{name}.txt", "---\n".join(texts)


def main(check: bool) -> int:
    """Writes the files, or with ``check`` only names those that differ; returns the exit code."""
    stale_files = [
        (file, text) for file, text in outputs() if not file.exists() or file.read_text(encoding="utf-8") != text
    ]
    for file, text in stale_files:
        if check:
            print(f"{file} is stale: run python -m charts.golden", file=sys.stderr)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return int(check and bool(stale_files))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
