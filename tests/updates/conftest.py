"""A small world: three sites of made-up images, one split key, one registry."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from builders.bar_images import bar_images
from builders.gates import OPEN_POLICY
from builders.split_images import split_images

from anamnesis import steps
from anamnesis.records import (
    Configuration,
    NetworkSettings,
    SiteConfig,
    SiteRef,
    Task,
    TaskType,
    TrainingSettings,
    encode_object,
)
from anamnesis.registry import GatePolicy
from anamnesis.updates import UpdateRequest

SPLIT_KEY = "k" * 40
"""Constant, so that each run of the tests has the same patients in its splits, and the same order of training."""
TASKS = {
    "north": Task("bars", TaskType.CLASSIFICATION, ("left", "right"), "Accuracy"),
    "east": Task("rows", TaskType.CLASSIFICATION, ("top", "middle", "bottom"), "Accuracy"),
    "south": Task("bars", TaskType.CLASSIFICATION, ("left", "right"), "Accuracy"),
    "west": Task("squares", TaskType.SEGMENTATION, ("background", "square"), "SurfaceDistance"),
}


@dataclass
class UpdateRunner:
    """Runs updates one after the other, as the steps of a pipeline do."""

    root: Path
    method: str = "finetune"
    policy: GatePolicy = OPEN_POLICY
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(epochs=2, batch_size=8, learning_rate=5e-3)
    )
    base: str = ""
    learned_sites: tuple[SiteRef, ...] = ()
    stores: str = ""
    minimum_patients: int = 1  # of made-up images; a hospital has the default
    modalities: tuple[str, ...] = ("OT",)
    network: NetworkSettings = field(
        default_factory=lambda: NetworkSettings(size=(16, 16), options={"width": 8, "norm": "group"})
    )

    @property
    def registry(self) -> str:
        return f"{self.stores or self.root.as_uri()}/registry"

    @property
    def split_key_url(self) -> str:
        file = self.root / "split.key"
        file.write_text(SPLIT_KEY)
        return file.as_uri()

    def store(self, site: str) -> str:
        return f"{self.stores or self.root.as_uri()}/stores/{site}"

    def config(self, site: str) -> SiteConfig:
        return SiteConfig(site, (self.root / "sources" / site).as_uri(), self.modalities, TASKS[site])

    def write_images(self, site: str, patients: int = 24, seed: int = 0) -> None:
        """Writes images, in place of those that were there."""
        folder = self.root / "sources" / site
        folder.mkdir(parents=True, exist_ok=True)
        task = TASKS[site]
        (folder / "images.npz").write_bytes(bar_images(site, patients, seed, task.classes, rows=task.name == "rows"))

    def write_split_images(self, images_per_patient: int = 1, contrast: int = 40, **sizes: int) -> None:
        """Writes images of site ``north`` with declared splits; ``sizes`` are the numbers of patients."""
        folder = self.root / "sources" / "north"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "images.npz").write_bytes(split_images(sizes, images_per_patient, contrast))

    def ingest(self, site: str) -> tuple[str, str]:
        if not (self.root / "sources" / site).exists():
            self.write_images(site)
        result = steps.ingest_site(encode_object(self.config(site)), self.store(site), self.split_key_url, 1)
        return str(result["snapshot"]), str(result["test_set"])

    def request(self, site: str) -> UpdateRequest:
        return UpdateRequest(
            model="model",
            registry=self.registry,
            site=self.config(site),
            store=self.store(site),
            configuration=Configuration(self.method, {}, self.network, self.training),
            split_key=self.split_key_url,
            base=self.base,
            sites=self.learned_sites,
            gate=self.policy,
            minimum_patients=self.minimum_patients,
        )

    def update(self, site: str) -> dict[str, dict[str, object]]:
        """Runs every step; the candidate is the next base where it became champion."""
        snapshot, test_set = self.ingest(site)
        request = encode_object(self.request(site))
        trained = steps.train(request, snapshot, test_set)
        version = str(trained["version"])
        results = {
            "train": trained,
            "forgetting": steps.evaluate_forgetting(request, version, test_set),
            "saliency": steps.evaluate_saliency(request, version, test_set),
            "promote": steps.promote_model(request, version, test_set, "tester"),
        }
        if results["promote"]["promoted"]:
            self.base = version
            reference = SiteRef(
                name=site, store=self.store(site), task=TASKS[site], test_set=test_set, modalities=self.modalities
            )
            self.learned_sites = (*(site_ref for site_ref in self.learned_sites if site_ref.name != site), reference)
        return results


@pytest.fixture
def runner(tmp_path: Path) -> UpdateRunner:
    return UpdateRunner(tmp_path)


@pytest.fixture
def make_runner(tmp_path: Path) -> Callable[[str], UpdateRunner]:
    return lambda name: UpdateRunner(tmp_path / name)
