"""What leaves a site: weights and numbers, never an image, and nobody's name.

Two sites learn through the real operator. Their own stores are apart; everything else that was written anywhere is
searched, byte by byte, for what was in their files.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from apiserver.hospital_namespace import HospitalNamespace, OperatorProcess
from builders.api_server import ApiServer
from builders.leak_search import count_rows, find_texts, folder_bytes, identifying_texts
from builders.resource_documents import document, site_spec
from numpy.typing import NDArray
from safetensors.numpy import load_file

from anamnesis.records import SiteConfig
from anamnesis.snapshots.phantoms import write_phantom_site
from anamnesis.training.intensity import to_unit_range

pytestmark = pytest.mark.slow
SITES = {"north": "xray", "south": "ct"}
BROKEN = "Lindqvist-Astrid.dcm"


def site_document(config: SiteConfig, folder: Path, name: str) -> dict[str, Any]:
    task = {"name": config.task.name, "type": "Classification", "classes": list(config.task.classes)}
    source = {"type": "Folder", "folder": {"path": str(folder / "source" / name)}, "pollInterval": "1s"}
    store = (folder / "own" / name).as_uri()
    spec = site_spec(source, store, {**task, "primaryMetric": "Accuracy"}, config.modalities[0])
    return document("Site", name, {**spec, "attributes": ["Sex", "AgeBand", "Manufacturer"]})


@pytest.fixture
def hospital_and_operator(
    cluster: ApiServer, namespace: str, s3_environment: Mapping[str, str], tmp_path: Path
) -> Iterator[tuple[HospitalNamespace, OperatorProcess]]:
    """A hospital whose model has learned two sites of people with names."""
    hospital = HospitalNamespace(cluster, namespace, s3_environment, tmp_path / "state")
    hospital.state_folder.mkdir()
    sites = []
    for name, kind in SITES.items():
        sites.append(site_document(write_phantom_site(tmp_path / "source" / name, kind, 40, 7), tmp_path, name))
        for path in (tmp_path / "source" / name).rglob("IM*"):  # as an export names them
            path.rename(path.with_name(f"{pydicom.dcmread(path).PatientName}_{path.name}.dcm"))
        next((tmp_path / "source" / name).iterdir()).joinpath(BROKEN).write_bytes(b"Lindqvist^Astrid, not an image")
    changes = {
        "method": {"name": "EWCPrototype"},
        "network": {"input": {"size": [64, 64]}, "options": {"width": 8}},
        "training": {"epochs": 1, "batchSize": 8},
        "registry": {"url": (tmp_path / "registry").as_uri()},
    }
    hospital.apply(sites=(), changes=changes)
    hospital.kubectl("apply", "--server-side", "-f", "-", stdin="\n---\n".join(map(json.dumps, sites)))
    operator = hospital.start_operator()
    hospital.wait_for_states(seconds=200, north="Learned", south="Learned")
    yield hospital, operator
    hospital.stop_operators()


def images(folder: Path) -> list[NDArray[np.generic]]:
    """The sites' images as their stores have them, and as the network reads them."""
    stored = [image for shard in folder.rglob("*.safetensors") for image in load_file(shard).values()]
    arrays = [np.asarray(image).reshape(-1, image.shape[-1]) for image in stored]
    for image in list(arrays):
        for modality in ("CT", "DX"):
            unit = to_unit_range(
                torch.from_numpy(image.astype(np.float32))[None], modality, is_byte=image.dtype == np.uint8
            )
            arrays += [unit[0].numpy(), unit[0].half().numpy()]
    return arrays


def collect_outside_data(
    hospital: HospitalNamespace, operator: OperatorProcess, folder: Path, run: Callable[..., Any]
) -> dict[str, bytes]:
    """Everything that others than the site may read."""
    bundle = run("support-bundle", "-n", hospital.namespace, "-o", folder / "bundle" / "b.tar")
    assert bundle.code == 0, bundle.err
    everything = ("get", "anamnesis,events,events.events.k8s.io,leases,configmaps", "--output=json")
    return {
        "registry": folder_bytes(folder / "registry"),
        "runs": folder_bytes(hospital.state_folder / hospital.namespace),
        "log": operator.log.read_bytes(),
        "resources": hospital.kubectl(*everything).encode(),
        "metrics": operator.get("/metrics").encode(),
        "support": folder_bytes(folder / "bundle"),
    }


def test_no_image_and_no_name_leaves_a_site(
    hospital_and_operator: tuple[HospitalNamespace, OperatorProcess], tmp_path: Path, run: Callable[..., Any]
) -> None:
    (tmp_path / "bundle").mkdir()
    texts = identifying_texts(tmp_path / "source") | {BROKEN, "Lindqvist^Astrid"}
    pixels = images(tmp_path / "own")
    assert len(pixels) > 5 * 100
    assert len(texts) > 300
    outside = collect_outside_data(*hospital_and_operator, tmp_path, run)
    assert {output_name: find_texts(data, texts) for output_name, data in outside.items()} == {
        output_name: set() for output_name in outside
    }
    assert {output_name: count_rows(data, pixels) for output_name, data in outside.items()} == dict.fromkeys(outside, 0)
    assert len(outside["registry"]) > 100_000, "there are weights in it"
    assert count_rows(folder_bytes(tmp_path / "own"), pixels) > 1000, "the search finds what is there"
    assert find_texts(folder_bytes(tmp_path / "source"), texts) > {"Ospedale San Luca", BROKEN}


@pytest.mark.parametrize("form", [bytes, lambda row: row.hex().encode(), b64encode])
def test_the_search_finds_one_row_among_weights(form: Callable[[bytes], bytes]) -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 4096, (8, 64), dtype=np.uint16)
    weights = generator.standard_normal(100_000).astype(np.float32).tobytes()
    assert count_rows(weights, [image]) == 0
    for offset in (0, 1001, 4003):
        assert count_rows(weights[:offset] + form(image[3].tobytes()) + weights[offset:], [image]) >= 1
