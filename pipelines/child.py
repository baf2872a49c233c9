"""The Kubeflow local runner in a process of its own: ``python -m anamnesis.pipelines.child <run's folder>``.

It ends with everything it started when its parent ends, however that happens: its standard input is a pipe that only
the parent holds open.
"""

import json
import os
import shlex
import signal
import sys
import threading
from pathlib import Path


def main() -> None:
    """Runs ``pipeline.yaml`` with ``arguments.json`` from the run's folder; artifacts go to ``outputs``."""
    folder = Path(sys.argv[1])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.executable = _launcher(Path(os.environ["TMPDIR"]))
    _run(folder)


def _end_with_parent() -> None:
    os.read(0, 1)  # not sys.stdin: its lock would be held when the interpreter shuts down
    os.killpg(0, signal.SIGKILL)


def _launcher(folder: Path) -> str:
    """Returns ``python3``, which ``PATH`` now leads to this very interpreter.

    The local runner replaces every ``python3`` in a step's command line by ``sys.executable``, unquoted, arguments
    included: with the name itself in its place, nothing changes in an argument, and a path may hold spaces.
    """
    folder = folder / "bin"
    folder.mkdir()
    script = folder / "python3"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    script.chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return script.name


def _run(folder: Path) -> None:
    # With _KFP_RUNTIME set, as for a step, kfp leaves out its client and with it the whole Kubernetes client: 0.3 s
    # instead of 1.4 s. It then wants this module first.
    os.environ["_KFP_RUNTIME"] = "true"
    import kfp.dsl.component_factory  # noqa: F401
    from kfp import local
    from kfp.components.load_yaml_utilities import load_component_from_file

    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "outputs"))
    arguments = json.loads((folder / "arguments.json").read_text(encoding="utf-8"))
    load_component_from_file(str(folder / "pipeline.yaml"))(**arguments)


if __name__ == "__main__":
    main()
