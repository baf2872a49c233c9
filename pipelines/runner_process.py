"""The Kubeflow local runner in a process of its own: ``python -m anamnesis.pipelines.runner_process <run's folder>``.

Its standard input is a pipe that only its parent holds open: when the parent ends, however that happens, the warm
process sees it and ends the whole process group.
"""

import json
import os
import sys
from pathlib import Path

from anamnesis.pipelines.warm_process import warm_process

STEPS_PACKAGE = "anamnesis.steps"
"""A compiled pipeline names it where a step of ours runs."""
PRELOADED_MODULES = (
    *(f"anamnesis.updates.{name}" for name in ("update", "frozen_evaluation", "saliency_evaluation")),
    "torch._inductor.config",  # what torch loads when deterministic algorithms are asked for: as long again as torch
    "torch._dynamo",  # what its optimisers load at their first step
)
"""What the steps of an update load, torch with it. None of it opens a device, nor a thread where OpenMP has one."""


def main() -> None:
    """Runs ``pipeline.yaml`` with ``arguments.json`` from the run's folder; artifacts go to ``outputs``."""
    folder, temporary = Path(sys.argv[1]), Path(os.environ["TMPDIR"])
    # With _KFP_RUNTIME set, as it is for a step, kfp leaves out its client and with it the whole Kubernetes client:
    # it loads in 0.3 s instead of 1.4 s.
    os.environ["_KFP_RUNTIME"] = "true"
    modules = PRELOADED_MODULES if STEPS_PACKAGE in (folder / "pipeline.yaml").read_text(encoding="utf-8") else ()
    with warm_process(temporary, modules, lifeline=sys.stdin.fileno()) as launcher:
        # The local runner puts sys.executable in the place of every "python3" in a step's command line: unquoted, and
        # in the step's arguments too. With the name itself nothing changes there, and a path may hold spaces.
        os.environ["PATH"] = f"{Path(launcher).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        sys.executable = Path(launcher).name
        _run_pipeline(folder)


def _run_pipeline(folder: Path) -> None:
    import kfp.dsl.component_factory  # noqa: F401  with _KFP_RUNTIME kfp wants this module first
    from kfp import local
    from kfp.components.load_yaml_utilities import load_component_from_file

    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "outputs"))
    arguments = json.loads((folder / "arguments.json").read_text(encoding="utf-8"))
    load_component_from_file(str(folder / "pipeline.yaml"))(**arguments)


if __name__ == "__main__":
    main()
