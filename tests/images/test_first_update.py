"""``docs/install.md`` as somebody new reads it, on one small machine: each command as it is written."""

import json
import os
import pty
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chart.test_first_update import first_manifest, noisy_picture
from chart.test_install_page import INSTALL, commands
from conftest import missing
from images.node_pods import Json, kubectl, on_node, run_pod
from images.registry import image_archive

from charts.golden import profiles

pytestmark = [pytest.mark.images, pytest.mark.usefixtures("folder"), pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
SPACE = "anamnesis"
STATUS_COMMAND = "anamnesis status -n anamnesis"
SCRIPT = f"""
set -euo pipefail
anamnesis() {{ {shlex.quote(sys.executable)} -m anamnesis.cli "$@"; }}
helm() {{ PYTHONPATH={shlex.quote(str(ROOT / "tests"))} {shlex.quote(sys.executable)} -m images.helm "$@"; }}
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
"""
WAIT_COMMAND = f"until {STATUS_COMMAND} | grep AwaitingApproval; do [ $SECONDS -lt 600 ]; sleep 2; done"


def section(title: str) -> list[str]:
    """The commands of a part of the page."""
    return [line for line in commands(INSTALL.partition(f"\n## {title}\n")[2].partition("\n## ")[0]) if line]


def shell(lines: list[str], folder: Path) -> str:
    """Runs the lines in one shell, for somebody who says yes at a terminal; returns what they print."""
    person_end, terminal_end = pty.openpty()
    os.write(person_end, b"y\n")
    environment = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
    command = ["bash", "-c", SCRIPT + "\n".join(lines)]
    result = subprocess.run(
        command, cwd=folder, env=environment, stdin=terminal_end, capture_output=True, text=True, check=False
    )
    os.close(person_end)
    os.close(terminal_end)
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}\n{cluster_state()}"
    return result.stdout


def cluster_state() -> str:
    pods = kubectl("-n", SPACE, "get", "pods,pvc,events")
    return pods + kubectl("-n", SPACE, "logs", "--tail=40", "--ignore-errors", "deployment/anamnesis-operator")


@pytest.fixture
def store(s3_server_binary: str, tmp_path: Path) -> None:
    """The image of the store, imported on the node, which pulls nothing."""
    image = profiles()["single-node"]["images"]["objectStore"]
    archive = tmp_path / "store.tar"
    reference = f"docker.io/{image['repository']}:{image['tag']}"
    image_archive(archive, reference, {"minio": Path(s3_server_binary).read_bytes()}, ["/minio"])
    run_pod(on_node("imports", "ctr", "--namespace", "k8s.io", "images", "import", str(archive)))


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[None]:
    """Two volumes to claim, as k3s would make them."""
    for name in ("one", "two"):
        (folder := tmp_path / name).mkdir()
        folder.chmod(0o777)
        spec: Json = {"capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"]}
        volume = {"kind": "PersistentVolume", "spec": {**spec, "hostPath": {"path": str(folder)}}}
        kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "metadata": {"name": name}, **volume}))
    yield
    kubectl("delete", "pv", "one", "two", "--wait=false")


@pytest.mark.usefixtures("store", "volumes")
def test_the_page_leads_from_nothing_to_a_champion_and_back_to_nothing(tmp_path: Path) -> None:
    if not shutil.which("rclone"):
        missing("rclone is not installed")
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    (tmp_path / "first.yaml").write_text(first_manifest())
    for number in range(500):  # the split key is random: 30 of each class are tested even so
        file = tmp_path / "images" / ("normal", "pneumonia")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(noisy_picture(bool(number % 2), number))

    lines = section("One small machine")
    assert STATUS_COMMAND in lines
    assert "anamnesis_model_info" in shell(
        [WAIT_COMMAND if line == STATUS_COMMAND else line for line in lines], tmp_path
    )
    model = json.loads(kubectl("-n", SPACE, "get", "continualmodel", "lungs", "--output=json"))["status"]
    (update,) = json.loads(kubectl("-n", SPACE, "get", "modelupdates", "--output=json"))["items"]
    assert (model["champion"], model["sites"][0]["state"]) == (update["status"]["version"], "Learned")
    pods = json.loads(kubectl("-n", SPACE, "get", "pods", "--output=json"))["items"]
    assert [pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods] == [0, 0], "too little memory?"

    shell(section("Uninstall")[1:], tmp_path)
    for kind in ("namespaces", "crds", "clusterroles", "validatingadmissionpolicies"):
        assert "anamnesis" not in kubectl("get", kind, "--output=name")
