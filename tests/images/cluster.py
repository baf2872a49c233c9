"""Builds the images and runs the tests that need them in pods: ``cluster.py [arguments of pytest]``.

Images are built by ``delivery.build``, unless ``ANAMNESIS_IMAGES`` names a folder with their archives. Where
``KUBECONFIG`` is set too, its cluster is used as it is and must have them. Otherwise a node is started by the tool that
``ANAMNESIS_NODE`` names (by default ``../shared/cluster/node.py`` beside the checkout): it runs
``up --image ARCHIVE ... -- COMMAND`` with ``KUBECONFIG`` set and ``kubectl`` in PATH.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = Path(os.environ.get("ANAMNESIS_NODE", ROOT.parent / "shared" / "cluster" / "node.py"))
ARCHIVES = ("anamnesis-operator.tar", "anamnesis-training.tar")


def main(arguments: list[str]) -> int:
    """Runs pytest on a node; returns its exit code, 0 with a reason where there can be no node."""
    given = os.environ.get("ANAMNESIS_IMAGES")
    inside = [sys.executable, "-m", "pytest", "-m", "images", "tests/images", *arguments]
    if given and os.environ.get("KUBECONFIG"):
        return subprocess.run(inside, cwd=ROOT, check=False).returncode
    if reason := _missing(given):
        print(f"skipped: {reason}", file=sys.stderr)
        return int(bool(os.environ.get("ANAMNESIS_NOTHING_MISSING")))
    with tempfile.TemporaryDirectory() as folder:
        images = Path(given or _built(Path(folder)))
        options = [option for name in ARCHIVES for option in ("--image", images / name)]
        environment = {**os.environ, "ANAMNESIS_IMAGES": str(images)}
        command = [sys.executable, TOOL, "up", *options, "--", *inside]
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _missing(given: str | None) -> str:
    if not TOOL.is_file():
        return f"no node: {TOOL} does not exist; set ANAMNESIS_NODE, or ANAMNESIS_IMAGES and KUBECONFIG"
    if os.geteuid() != 0:
        return "a node runs containers, which only root may do here"
    absent = [name for name in ("buildah", "mmdebstrap") if not (given or shutil.which(name))]
    return f"{' and '.join(absent)} not installed; install them, or set ANAMNESIS_IMAGES" if absent else ""


def _built(folder: Path) -> Path:
    """Builds both images from a folder of wheels, without a network."""
    wheels = folder / "wheels"
    wanted = ["setuptools", "wheel", ".[operator,learn,pipelines]"]
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--constraint=constraints.txt", f"--wheel-dir={wheels}"]
    subprocess.run([*pip, *wanted], cwd=ROOT, check=True)
    build = [sys.executable, "-m", "delivery.build", folder / "images", "--wheels", wheels]
    subprocess.run(build, cwd=ROOT, check=True, stdout=sys.stderr)
    shutil.rmtree(wheels)
    return folder / "images"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
