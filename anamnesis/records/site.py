"""Where data arrives, and how to read it."""

from dataclasses import dataclass, field
from enum import StrEnum

from anamnesis.records.errors import InputError
from anamnesis.records.task import Task


class LabelOrigin(StrEnum):
    """Where a study's label stands."""

    CONTAINER = "Container"
    """The folder's name, or the keys of the NPZ file."""
    MANIFEST = "Manifest"
    """A CSV or JSON file with the columns ``file``, ``label`` and, where known, ``patient``, ``study``, ``split``."""


@dataclass(frozen=True, slots=True)
class LabelSource:
    """How a file gets its label.

    Attributes:
        origin: the container or a manifest.
        manifest: the manifest's path below the source, or its URL (``s3://...``, ``file:///...``), where ``origin``
            says so. Only one that lies outside may list more than the source has.
        ignore: labels that are left out on purpose; any other label that the task does not know is quarantined.
    """

    origin: LabelOrigin = LabelOrigin.CONTAINER
    manifest: str = ""
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.origin is LabelOrigin.MANIFEST) != bool(self.manifest):
            raise InputError(f"labels: origin {self.origin.value} and manifest {self.manifest!r} do not fit together")

    @property
    def is_external(self) -> bool:
        """Whether there is a manifest that is no part of the source."""
        return "://" in self.manifest


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """A site as ingestion needs it. It is part of the fingerprint of what is ingested.

    Attributes:
        name: unique within a model.
        source: ``file:///...``, ``s3://bucket/prefix``, ``dicomweb+https://host/path`` or ``orthanc+https://host``;
            what arrives.
        modalities: the DICOM modality codes that belong here, for example ``("DX",)``.
        task: what is asked on this site.
        labels: where labels stand.
        test_fraction: share of patients that the split key sends to the test split, where the source declares none.
        maximum_quarantine_share: a larger share of unreadable files fails the ingest.
        maximum_studies: take at most this many, chosen by patient hash evenly over classes and splits; 0 takes all.
        attributes: banded attributes to keep, of ``Sex``, ``AgeBand``, ``Manufacturer``.
    """

    name: str
    source: str
    modalities: tuple[str, ...]
    task: Task
    labels: LabelSource = field(default_factory=LabelSource)
    test_fraction: float = 0.2
    maximum_quarantine_share: float = 0.1
    maximum_studies: int = 0
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteRef:
    """A site as later steps need it: its name, its own store, its task and its frozen test set.

    Attributes:
        name: the site.
        store: URL of the site's own store, ``file:///...`` or ``s3://bucket/prefix``.
        task: what is asked there.
        test_set: digest of the test set that now counts; empty before the first ingest.
        modality: key of the image that the network reads.
    """

    name: str
    store: str
    task: Task
    test_set: str = ""
    modality: str = ""
