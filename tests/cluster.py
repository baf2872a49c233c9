"""Runs the tests that need our images on a node: ``cluster.py images|cluster [arguments of pytest]``.

``images`` needs a node, ``cluster`` one with Kubeflow Pipelines' back end. Where the environment names such a cluster
(``KUBECONFIG``, and ``ANAMNESIS_IMAGES`` or ``PIPELINES_URL``), it is used as it is and must have the images. Otherwise
one is started by the tool that ``ANAMNESIS_NODE`` or ``ANAMNESIS_KFPCLUSTER`` names (by default ``node.py`` and
``kfpcluster.py`` in ``../shared/cluster`` beside the checkout): it runs ``up --image ARCHIVE ... -- COMMAND`` with
these variables set and ``kubectl`` in PATH. ``delivery.build_images`` builds the images, unless ``ANAMNESIS_IMAGES``
names a folder with their archives.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ARCHIVES = ("anamnesis-operator.tar", "anamnesis-training.tar")


@dataclass(frozen=True)
class ClusterKind:
    """A kind of cluster.

    Attributes:
        variable: names the tool that starts one.
        tool: its name where ``variable`` is not set.
        required_variables: variables that are set where there is one already.
        tests: their folders.
    """

    variable: str
    tool: str
    required_variables: tuple[str, ...]
    tests: tuple[str, ...]


CLUSTER_KINDS = {
    "images": ClusterKind("ANAMNESIS_NODE", "node.py", ("KUBECONFIG", "ANAMNESIS_IMAGES"), ("tests/images",)),
    "cluster": ClusterKind(
        "ANAMNESIS_KFPCLUSTER",
        "kfpcluster.py",
        ("KUBECONFIG", "PIPELINES_URL"),
        ("tests/kubeflow", "tests/operator/backends"),
    ),
}


def main(mark: str, arguments: list[str]) -> int:
    """Runs pytest on a cluster; returns its exit code, 0 with a reason where there can be no cluster."""
    kind, images = CLUSTER_KINDS[mark], os.environ.get("ANAMNESIS_IMAGES")
    pytest_command = [sys.executable, "-m", "pytest", "-m", mark, *kind.tests, *arguments]
    if all(os.environ.get(name) for name in kind.required_variables):
        return subprocess.run(pytest_command, cwd=ROOT, check=False).returncode
    tool = Path(os.environ.get(kind.variable, ROOT.parent / "shared" / "cluster" / kind.tool))
    if reason := _missing_reason(kind, tool, images):
        print(f"skipped: {reason}", file=sys.stderr)
        return int(bool(os.environ.get("ANAMNESIS_NOTHING_MISSING")))
    with tempfile.TemporaryDirectory() as folder:
        image_folder = Path(images or _build_images(Path(folder)))
        options = [option for name in ARCHIVES for option in ("--image", image_folder / name)]
        command = [sys.executable, tool, "up", *options, "--", *pytest_command]
        environment = {**os.environ, "ANAMNESIS_IMAGES": str(image_folder)}
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _missing_reason(kind: ClusterKind, tool: Path, images: str | None) -> str:
    if not tool.is_file():
        return f"no cluster: {tool} does not exist; set {kind.variable}, or {' and '.join(kind.required_variables)}"
    if os.geteuid() != 0:
        return "a node runs containers, which only root may do here"
    absent = [name for name in ("buildah", "mmdebstrap") if not (images or shutil.which(name))]
    return f"{' and '.join(absent)} not installed; install them, or set ANAMNESIS_IMAGES" if absent else ""


def _build_images(folder: Path) -> Path:
    """Builds both images from a folder of wheels, without a network."""
    wheels = folder / "wheels"
    requirements = ["setuptools", "wheel", ".[operator,learn,pipelines]"]
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--constraint=constraints.txt", f"--wheel-dir={wheels}"]
    subprocess.run([*pip, *requirements], cwd=ROOT, check=True)
    build = [sys.executable, "-m", "delivery.build_images", folder / "images", "--wheels", wheels]
    subprocess.run(build, cwd=ROOT, check=True, stdout=sys.stderr)
    shutil.rmtree(wheels)
    return folder / "images"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
