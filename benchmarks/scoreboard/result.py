"""The setting of one run and its result."""

import ast
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from anamnesis.evaluation.accuracy_matrix import AccuracyMatrix
from anamnesis.methods import method_class
from anamnesis.records import digest_bytes
from benchmarks.scoreboard.measure import Saliency

RESULTS_FOLDER = Path(__file__).resolve().parents[1] / "results" / "scoreboard"
Scores = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class RunSetting:
    """The setting of a run; equal settings give equal results on one machine.

    Attributes:
        sequence: of sites.
        method: registered name.
        options: of the method, in its groups.
        row: its label on the page.
        seed: of weights, batches and augmentation.
        order: of the sites, 0 or 1.
        epochs: passes over each site.
        learning_rate: peak rate.
        quick: small images, few of them, a narrow network: for tests.
    """

    sequence: str
    method: str
    options: Mapping[str, object] = field(default_factory=dict)
    row: str = ""
    seed: int = 0
    order: int = 0
    epochs: int = 8
    learning_rate: float = 1e-3
    quick: bool = False


@dataclass(frozen=True, slots=True)
class RunResult:
    """The measurements of a run. Rows of a table are updates, its columns the sites in the order learned.

    Attributes:
        setting: the setting of the run.
        command: repeats the run.
        code: digest of the source of the method, and of the components and networks that it is built from.
        environment: versions and machine.
        sites: in the order learned.
        classes: of each site.
        network: its name, width, norm and input size.
        training: the budget.
        seconds: of learning, by update.
        state_bytes: size of the state that the next update starts from, by update.
        peak_memory: of the process in bytes; data, torch and all.
        class_incremental: accuracies when all classes seen so far compete.
        task_incremental: accuracies when only the site's own classes compete.
        site_inference: shares of images whose winner is a class of their own site.
        patients: by site, after the last update: number of images of each patient, and of correct predictions.
        saliency: by earlier site.
        maps: by site, final maps as text, of a method that learned all sites at once (see ``packing``).
        losses: mean terms of the last epoch, by update.
        faithfulness: by site, after the last update: deletion by the maps of the answers; empty in runs of code whose
            maps were those of the network's head.
    """

    setting: RunSetting
    command: str
    code: str
    environment: Mapping[str, str]
    sites: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    network: Mapping[str, object]
    training: Mapping[str, object]
    seconds: tuple[float, ...]
    state_bytes: tuple[int, ...]
    peak_memory: int
    class_incremental: Scores
    task_incremental: Scores
    site_inference: Scores
    patients: Mapping[str, Mapping[str, tuple[int, ...]]]
    saliency: Mapping[str, Saliency]
    maps: Mapping[str, str]
    losses: tuple[Mapping[str, float], ...]
    faithfulness: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def matrix(self, task_incremental: bool) -> AccuracyMatrix:
        """Returns the accuracies as a matrix over all updates; what was not measured is none."""
        scores = self.task_incremental if task_incremental else self.class_incremental
        empty = tuple((None,) * len(self.sites) for _ in range(len(self.sites) - len(scores)))
        return AccuracyMatrix(self.sites, empty + scores)


def describe_environment() -> dict[str, str]:
    """Returns versions and machine."""
    import torch

    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


@cache
def code_digest(method: str) -> str:
    """Returns the digest of a method's code, and of all modules of ``methods`` and ``networks`` that it imports.

    Comments, docstrings and the texts of errors do not count: a better explanation is not another method.
    """
    pending_modules, sources = [method_class(method).__module__], dict[str, str]()
    while pending_modules:
        name = pending_modules.pop()
        spec = find_spec(name)
        if name in sources or spec is None or not spec.origin:
            continue
        source = Path(spec.origin).read_text(encoding="utf-8")
        sources[name] = _strip_texts(source)
        pending_modules += re.findall(r"^from (anamnesis\.(?:methods[\w.]*|networks[\w.]*)) import", source, re.M)
    return digest_bytes("\n".join(f"{name}\n{sources[name]}" for name in sorted(sources)).encode())


def _strip_texts(source: str) -> str:
    """Returns source without comments, docstrings and the arguments of raised errors."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [statement for statement in node.body if not _is_docstring(statement)] or [ast.Pass()]
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
    return ast.unparse(tree)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
