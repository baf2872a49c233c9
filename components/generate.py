"""Generates a trainer for each method, and the README and metadata of each component.

``python -m anamnesis.components.generate`` writes; with ``--check`` it writes nothing and fails when a file differs.
"""

import inspect
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

from anamnesis.components.catalogue import ROOT, ComponentEntry, list_components
from anamnesis.components.readme import render_metadata, render_readme

_TRAINER = '''"""Generated: the component ``train_{method}``, a call of ``anamnesis.components.training.train_step``."""

from typing import NamedTuple

from kfp import dsl

from anamnesis.components.image import component


@component
def train_{method}(
    request: str,
    snapshot: str,
    test_set: str,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> NamedTuple("Outputs", [("version", str)]):  # type: ignore[valid-type]
    """Trains a new version of the model on a new site, with the method `{method}`.

    {summary}

    Args:
        request: The encoded `UpdateRequest`, as JSON.
        snapshot: Digest of the new site's snapshot.
        test_set: Digest of the new site's test set.
        model: Digest of the version and URL of the registry that holds the weights.
        metrics: Seconds of training and stored bytes.

    Returns:
        version: Digest of the new version.
    """
    from anamnesis.components.training.train_step import train

    version = train("{method}", request, snapshot=snapshot, test_set=test_set, model=model, metrics=metrics)
    return (version,)
'''


def trainer_files() -> Iterator[tuple[Path, str]]:
    """Yields path and text of the trainer of every registered method, except research-only methods."""
    from anamnesis.methods import registered_methods  # imports torch, so not at the top

    for name, method_class in registered_methods(include_research=False).items():
        summary = (inspect.getdoc(import_module(method_class.__module__)) or "").splitlines()[0]
        folder = ROOT / "training" / f"train_{name}"
        yield folder / "__init__.py", _package_docstring(f"train_{name}")
        yield folder / "component.py", _TRAINER.format(method=name, summary=summary)


def description_files(entry: ComponentEntry) -> Iterator[tuple[Path, str]]:
    """Yields path and text of the files that describe one component."""
    yield entry.folder / "__init__.py", _package_docstring(entry.name)
    yield entry.folder / "README.md", render_readme(entry)
    yield entry.folder / "metadata.yaml", render_metadata(entry)


def _package_docstring(name: str) -> str:
    return f'"""Holds the component ``{name}``."""\n'


def stale_files(files: Mapping[Path, str]) -> list[Path]:
    """Returns the files that are missing or differ from ``files``."""
    return [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def write_files(files: Mapping[Path, str]) -> None:
    """Writes the stale files."""
    for path in stale_files(files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Writes the files or, with ``--check``, compares them; returns the exit code."""
    check = "--check" in arguments
    stale_paths: list[Path] = []
    for make_files in (
        trainer_files,
        lambda: (file for entry in list_components() for file in description_files(entry)),
    ):
        files = dict(make_files())
        stale_paths += stale_files(files)
        if not check:
            write_files(files)
    for path in stale_paths:
        print(f"{'stale' if check else 'written'}: {path.relative_to(ROOT.parent)}")
    return int(check and bool(stale_paths))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
