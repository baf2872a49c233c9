"""The sites, ingested by the product from folders with a manifest."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anamnesis.records import SiteConfig, Split, Task, TaskType
from anamnesis.records.site import LabelOrigin, LabelSource
from anamnesis.snapshots import Guard, open_splits
from anamnesis.snapshots.guard import OpenedSamples
from anamnesis.snapshots.ingestion import ingest
from anamnesis.storage.store import open_store
from benchmarks.scoreboard.sites import data_folder

WORK_FOLDER = Path("build/sites224")
SPLIT_KEY = b"The sites of the scoreboard....."
"""Which training patients are validation patients follows from it, so it is the same everywhere."""


@dataclass(frozen=True, slots=True)
class ScoreboardSite:
    """A site: its folder, its DICOM modality and the name of its task; sites with one task share its classes."""

    folder: str
    modality: str
    task: str

    @property
    def source(self) -> Path:
        """The folder with its images."""
        return data_folder() / "native224" / self.folder


SITES: Mapping[str, ScoreboardSite] = {
    entry.folder: entry
    for entry in (
        ScoreboardSite("cxr_kermany", "DX", "pneumonia"),
        ScoreboardSite("cxr_nih", "DX", "pneumonia"),
        ScoreboardSite("ct_lung_iqoth", "CT", "lung-cancer"),
        ScoreboardSite("mri_brain_tumour", "MR", "brain-tumour"),
        ScoreboardSite("micro_bloodcell_bccd", "SM", "blood-cell"),
        ScoreboardSite("sts_ct", "CT", "sarcoma"),
    )
}

SEQUENCES: Mapping[str, tuple[str, ...]] = {
    "modality-224": ("cxr_kermany", "ct_lung_iqoth", "mri_brain_tumour", "micro_bloodcell_bccd", "sts_ct"),
    "site-224": ("cxr_kermany", "cxr_nih"),
    "development": ("cxr_kermany", "ct_lung_iqoth"),
    "development-5": ("cxr_kermany", "ct_lung_iqoth", "mri_brain_tumour", "micro_bloodcell_bccd", "sts_ct"),
}
"""*modality-224*: five questions and twelve classes. *site-224*: one question at two hospitals. *development*: the
first two sites of the first, judged on held-out training patients; every choice of a row is made on it.
*development-5*: all five sites of the first, judged likewise; the default classifier is chosen on it."""


@dataclass(frozen=True, slots=True)
class IngestedSite:
    """A site after the ingest.

    Attributes:
        entry: the site.
        task: with its classes.
        splits: the opened samples of each split.
    """

    entry: ScoreboardSite
    task: Task
    splits: Mapping[Split, OpenedSamples]


def ingest_entry(entry: ScoreboardSite, folder: Path = WORK_FOLDER) -> IngestedSite:
    """Ingests a site into a store below ``folder``, as ``anamnesis ingest`` does; a second call reads the snapshot."""
    with (entry.source / "labels.csv").open(encoding="utf-8", newline="") as labels:
        classes = tuple(sorted({row["label"] for row in csv.DictReader(labels)}))
    config = SiteConfig(
        name=entry.folder.replace("_", "-"),
        source=entry.source.resolve().as_uri(),
        modalities=(entry.modality,),
        task=Task(entry.task, TaskType.CLASSIFICATION, classes, "BalancedAccuracy"),
        labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"),
        maximum_studies_per_patient=0,  # one identifier of lung CT stands for up to 80 studies
    )
    store_folder = folder.resolve() / "stores" / entry.folder
    store_folder.mkdir(parents=True, exist_ok=True)
    store = open_store(store_folder.as_uri())
    snapshot = ingest(config, store, SPLIT_KEY).snapshot
    guard = Guard({snapshot: frozenset(Split)})
    splits = {
        split: open_splits(store, snapshot, (split,), guard) for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)
    }
    return IngestedSite(entry, config.task, splits)
