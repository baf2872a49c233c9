"""Resources as text, to be changed by the tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.hospital import FakeHospital, HospitalNetwork

SITE = """\
apiVersion: anamnesis.dev/v1alpha1
kind: Site
metadata: {name: guangzhou}
spec:
  source: {type: Folder, folder: {path: data/cxr}}
  modalities: [DX]
  store: images/guangzhou
  task: {name: pneumonia, type: Classification, classes: [normal, pneumonia], primaryMetric: AUROC}
  labels: {from: Container}
"""
MODEL = """\
apiVersion: anamnesis.dev/v1alpha1
kind: ContinualModel
metadata: {name: chest}
spec:
  network: {type: ResNet18, input: {channels: 1, size: [64, 64]}}
  method: {name: EWCPrototype, ewcPrototype: {consolidation: {penalty: "3000"}, fisher: {kind: Sampled}}}
  sites: [{name: guangzhou}, {name: bethesda}]
  gate: {floor: "0.80", margin: "0.03", saliencyFloor: "0.40", approval: Required}
  registry: {url: registry/chest}
"""


@pytest.fixture
def both_sites() -> str:
    """Two sites that share a task."""
    return SITE + "---\n" + SITE.replace("guangzhou", "bethesda").replace("data/cxr", "/elsewhere")


@pytest.fixture
def model_text() -> str:
    """A model of the two sites."""
    return MODEL


@pytest.fixture
def resource_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes text to a file of resources."""

    def write(text: str, name: str = "model.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def network() -> HospitalNetwork:
    """What all clusters share."""
    return HospitalNetwork()


@pytest.fixture
def hospital(network: HospitalNetwork) -> FakeHospital:
    """A cluster with a model of two sites that no person is asked about."""
    return FakeHospital(network, {})
