"""Runs the tests that need Kubeflow Pipelines' real back end: ``cluster.py [arguments of pytest]``.

Where ``PIPELINES_URL`` and ``KUBECONFIG`` are set, that cluster is used as it is. Otherwise one is started by the tool
that ``ANAMNESIS_KFPCLUSTER`` names (by default ``../shared/cluster/kfpcluster.py`` beside the checkout): it runs
``up --image ARCHIVE -- COMMAND`` with both set. Its node is this machine, so torch's 5 GB need no image: a small image
has only Python, and the virtual environment and the checkout are mounted from this machine's disk.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOOL = Path(os.environ.get("ANAMNESIS_KFPCLUSTER", ROOT.parent / "shared" / "cluster" / "kfpcluster.py"))
SPACE = "kubeflow"
IMAGE = "localhost/anamnesis-test:1"
MOUNTED = {"anamnesis-packages": "/opt/anamnesis/packages", "anamnesis-source": "/opt/anamnesis/source"}
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "PYTHONPATH": ":".join(MOUNTED.values()),
    "PYTHONDONTWRITEBYTECODE": "1",
    "HOME": "/tmp",
}


def main(arguments: list[str]) -> int:
    """Runs pytest on a cluster; returns its exit code, 0 with a reason where there can be no cluster."""
    inside = [sys.executable, "-m", "pytest", "-m", "cluster", *arguments]
    if os.environ.get("PIPELINES_URL"):
        return subprocess.run(inside, cwd=ROOT, env=_prepared(), check=False).returncode
    if reason := _missing():
        print(f"skipped: {reason}", file=sys.stderr)
        return int(bool(os.environ.get("ANAMNESIS_NOTHING_MISSING")))
    with tempfile.TemporaryDirectory() as folder:
        image = _image(Path(folder))
        again = [sys.executable, __file__, *arguments]
        return subprocess.run([sys.executable, TOOL, "up", "--image", image, "--", *again], check=False).returncode


def _missing() -> str:
    if not TOOL.is_file():
        return f"no cluster: {TOOL} does not exist; set ANAMNESIS_KFPCLUSTER, or PIPELINES_URL and KUBECONFIG"
    if os.geteuid() != 0:
        return "a node runs containers, which only root may do here"
    return ""


def _prepared() -> dict[str, str]:
    """Mounts what the image lacks; returns the environment of the tests."""
    objects = [one for claim, folder in zip(MOUNTED, _folders(), strict=True) for one in _volume(claim, folder)]
    _kubectl("apply", "--filename=-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    volumes = ",".join(f"{claim}={path}" for claim, path in MOUNTED.items())
    return {**os.environ, "ANAMNESIS_TEST_IMAGE": IMAGE, "ANAMNESIS_TEST_VOLUMES": volumes}


def _folders() -> tuple[Path, Path]:
    import yaml

    return Path(yaml.__file__).resolve().parents[1], ROOT


def _volume(claim: str, folder: Path) -> list[dict[str, Any]]:
    """Returns a folder of the node as a volume, and the claim that is bound to it and nothing else."""
    common = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    bound = {"namespace": SPACE, "name": claim}
    volume = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": str(folder)}, "claimRef": bound, **common}
    wish = {"volumeName": claim, "resources": {"requests": {"storage": "1Gi"}}, **common}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": claim}, "spec": volume},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": bound, "spec": wish},
    ]


def _kubectl(*arguments: str, text: str) -> None:
    subprocess.run(["kubectl", *arguments], input=text, text=True, check=True, stdout=subprocess.DEVNULL)


def _image(folder: Path) -> Path:
    """Writes an image of Debian's Python, as ``docker save`` would, with no container tool."""
    layer = folder / "layer.tar"
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3", "bookworm", layer], check=True)
    digest = sha256(layer.read_bytes()).hexdigest()
    config: dict[str, Any] = {"architecture": "amd64", "os": "linux"}
    config["config"] = {"Env": [f"{name}={value}" for name, value in ENVIRONMENT.items()]}
    config["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    with tarfile.open(folder / "image.tar", "w") as archive:
        for name, content in (("config.json", config), ("manifest.json", manifest)):
            data = json.dumps(content).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        archive.add(layer, "layer.tar")
    return folder / "image.tar"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
