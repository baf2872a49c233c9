"""The manifest of ``docs/install.md`` for one small machine leads to a champion, with the operator of the chart."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from builders.api_server import ApiServer
from builders.s3_server import S3Server
from builders.waiting import eventually
from chart.conftest import Json, remove_cluster_objects
from chart.pod import Pod
from chart.test_install import helm
from chart.test_install_page import INSTALL
from chart.test_rights import GROUP
from PIL import Image

from charts.golden import CHART, profiles

PICTURES = 360
"""A fifth of them are tested: 30 or more of each class, below which the gate stays undecided."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def first_manifest() -> str:
    (block,) = [part for part in INSTALL.split("```yaml\n") if part.startswith("# first.yaml\n")]
    return block.partition("```")[0]


def noisy_picture(bright: bool, seed: int) -> bytes:
    """A noisy image, with a bright spot or without."""
    random_source = np.random.default_rng(seed)
    pixels = random_source.normal(90, 25, (64, 64))
    if bright:
        pixels[16:40, 16:40] += 110
    buffer = BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def bucket(s3_server_binary: str, tmp_path: Path) -> "S3Server":
    return S3Server(s3_server_binary, tmp_path)


def test_from_nothing_to_a_champion(
    empty_cluster: ApiServer, release_namespace: str, bucket: S3Server, tmp_path: Path
) -> None:
    def model() -> Json:
        resource: Json = empty_cluster.request("GET", f"{GROUP}/namespaces/{release_namespace}/continualmodels/lungs")
        return resource.get("status", {})

    def state() -> str:
        return str(next((site["state"] for site in model().get("sites", ())), ""))

    values = profiles()["single-node"]
    remove_cluster_objects(empty_cluster)
    with bucket, helm(empty_cluster, release_namespace) as client:
        keys = [f"--from-literal={name}={value}" for name, value in bucket.environment.items()]
        empty_cluster.kubectl("-n", release_namespace, "create", "secret", "generic", "s3", *keys)
        empty_cluster.kubectl(
            "-n", release_namespace, "create", "secret", "generic", "split-key", f"--from-literal=key={'k' * 64}"
        )
        client.install(CHART, "anamnesis", values)
        process = Pod(empty_cluster, release_namespace, tmp_path / "pod").start()
        try:
            for name in values["objectStore"].get("buckets", ("incoming", "images")):
                bucket.client().make_bucket(name)
            for number in range(PICTURES):
                data = noisy_picture(bool(number % 2), number)
                name = f"clinic/{('normal', 'pneumonia')[number % 2]}/{number}.png"
                bucket.client().put_object("incoming", name, BytesIO(data), len(data))
            empty_cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
            empty_cluster.kubectl(
                "-n", release_namespace, "apply", "-f", "-", stdin=first_manifest().replace("1m}", "1s}")
            )
            eventually(lambda: state() == "AwaitingApproval", 300)
            command = [
                sys.executable,
                "-m",
                "anamnesis.cli",
                "approve",
                "-n",
                release_namespace,
                "lungs",
                "--reason",
                "reviewed",
            ]
            version = next(update["status"]["version"] for update in updates(empty_cluster, release_namespace))
            environment = {"KUBECONFIG": str(empty_cluster.kubeconfig()), "PATH": "/usr/bin:/bin"}
            subprocess.run([*command[:7], version, *command[7:]], env=environment, check=True)
            eventually(lambda: state() == "Learned", 60)
            assert model()["champion"] == version
        finally:
            process.terminate()
            client.uninstall("anamnesis")
            remove_cluster_objects(empty_cluster)


def updates(cluster: ApiServer, release_namespace: str) -> list[Json]:
    items: list[Json] = cluster.request("GET", f"{GROUP}/namespaces/{release_namespace}/modelupdates")["items"]
    return items
