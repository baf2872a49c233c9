"""Small sites to ingest."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anamnesis import snapshots
from anamnesis.records import SiteConfig, Split, Task, TaskType
from anamnesis.storage.store import Store, open_store

KEY = b"0123456789abcdef0123456789abcdef"


@dataclass
class SiteFolder:
    """A folder of images with its settings and its own store."""

    folder: Path
    store: Store
    config: SiteConfig
    key: bytes = KEY
    image_count: int = field(default=0)

    def image(self) -> np.ndarray:
        self.image_count += 1
        return np.random.default_rng(self.image_count).integers(0, 256, (8, 10), dtype=np.uint8)

    def png(self, name: str, pixels: np.ndarray | None = None) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.image() if pixels is None else pixels).save(path, format="PNG")
        return path

    def fill(self, per_class: int = 30) -> None:
        for name in self.config.task.classes:
            for number in range(per_class):
                self.png(f"{name}/{name}{number}.png")

    def ingest(self, **changes: object) -> snapshots.IngestResult:
        return snapshots.ingest(replace(self.config, **changes), self.store, self.key, workers=1)

    def manifest(self, result: snapshots.IngestResult) -> snapshots.SnapshotManifest:
        return snapshots.read_snapshot_manifest(self.store, result.snapshot)

    def guard(self, result: snapshots.IngestResult) -> snapshots.Guard:
        return snapshots.Guard({result.snapshot: frozenset(Split), result.test_set: frozenset({Split.TEST})})

    def samples(self, result: snapshots.IngestResult, split: Split) -> list:
        return list(snapshots.open_split(self.store, result.snapshot, split, self.guard(result)))

    def quarantine(self) -> Mapping[str, str]:
        """File -> reason, of every list in the store."""
        lists = [json.loads(self.store.get(info.key)) for info in self.store.list("quarantine/")]
        return {entry["file"]: entry["reason"] for listing in lists for entry in listing["entries"]}


MakeSite = Callable[..., SiteFolder]


@pytest.fixture
def make_site(tmp_path: Path) -> MakeSite:
    """Makes empty sites, each with its folder and store."""

    def build(name: str = "north", classes: tuple[str, ...] = ("no", "yes"), **settings: object) -> SiteFolder:
        folder = tmp_path / name / "source"
        folder.mkdir(parents=True)
        kind = settings.pop("type", TaskType.CLASSIFICATION)
        task = Task("pneumonia", kind, classes)
        config = SiteConfig(name, folder.as_uri(), ("DX",), task, **settings)
        return SiteFolder(folder, open_store((tmp_path / name / "store").as_uri()), config)

    return build


@pytest.fixture
def site(make_site: MakeSite) -> SiteFolder:
    """A site of two classes with 30 images each."""
    filled_site = make_site()
    filled_site.fill()
    return filled_site
