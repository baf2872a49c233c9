"""The process of a local run, with Kubeflow's local runner: ``python -m anamnesis.pipelines.runner_process FOLDER``.

Its standard input is a pipe that only its parent holds open. When the parent ends for any reason, the warm process
detects it and ends the whole process group.
"""

import json
import os
import sys
from pathlib import Path

from anamnesis.pipelines.warm_process import warm_process

STEPS_PACKAGE = "anamnesis.steps"
"""This text in a compiled pipeline means that it runs our own steps."""
PRELOADED_MODULES = (
    *(f"anamnesis.updates.{name}" for name in ("update", "frozen_evaluation", "saliency_evaluation")),
    "torch._inductor.config",  # loaded for deterministic algorithms: takes as long as torch itself
    "torch._dynamo",  # loaded by the first step of an optimiser
)
"""Modules that the steps of an update load, with torch. With one OpenMP thread they open no device and no thread."""


def main() -> None:
    """Runs ``pipeline.yaml`` with ``arguments.json`` from the run's folder; artifacts go to ``outputs``."""
    folder, temporary = Path(sys.argv[1]), Path(os.environ["TMPDIR"])
    # With _KFP_RUNTIME set, as in a step, kfp does not import its client and the Kubernetes client: 0.3 s, not 1.4 s.
    os.environ["_KFP_RUNTIME"] = "true"
    modules = PRELOADED_MODULES if STEPS_PACKAGE in (folder / "pipeline.yaml").read_text(encoding="utf-8") else ()
    with warm_process(temporary, modules, lifeline=sys.stdin.fileno()) as launcher:
        # The local runner replaces every "python3" in the command line of a step by sys.executable, unquoted, also in
        # arguments. With the bare name nothing changes, and the path of the interpreter may contain spaces.
        os.environ["PATH"] = f"{Path(launcher).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        sys.executable = Path(launcher).name
        _run_pipeline(folder)


def _run_pipeline(folder: Path) -> None:
    import kfp.dsl.component_factory  # noqa: F401  with _KFP_RUNTIME kfp needs this module first
    from kfp import local
    from kfp.components.load_yaml_utilities import load_component_from_file

    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "outputs"))
    arguments = json.loads((folder / "arguments.json").read_text(encoding="utf-8"))
    load_component_from_file(str(folder / "pipeline.yaml"))(**arguments)


if __name__ == "__main__":
    main()
