"""Finds the components by their folders: ``<category>/<name>/component.py`` holds the component called ``<name>``."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anamnesis.records import InputError

ROOT = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class ComponentEntry:
    """One component.

    Attributes:
        category: ``data_processing``, ``training``, ``evaluation`` or ``deployment``.
        name: name of the folder and of the function.
    """

    category: str
    name: str

    @property
    def folder(self) -> Path:
        """The folder with the files of the component."""
        return ROOT / self.category / self.name

    def load(self) -> Any:
        """Returns the Kubeflow component."""
        module = importlib.import_module(f"anamnesis.components.{self.category}.{self.name}.component")
        return getattr(module, self.name)


def list_components() -> Iterator[ComponentEntry]:
    """Yields every component, sorted by category and name."""
    for path in sorted(ROOT.glob("*/*/component.py")):
        yield ComponentEntry(path.parts[-3], path.parts[-2])


def trained_methods() -> tuple[str, ...]:
    """Returns the names of the methods that have a trainer, sorted."""
    return tuple(entry.name.removeprefix("train_") for entry in list_components() if entry.name.startswith("train_"))


def load_trainer(method: str) -> Any:
    """Returns the component that trains with ``method``.

    Raises:
        InputError: the method has no trainer.
    """
    if method not in trained_methods():
        raise InputError(f"method.name: expected one of {', '.join(trained_methods())}, found {method!r}")
    return ComponentEntry("training", f"train_{method}").load()
