"""A site: its data source, and how to read it."""

from dataclasses import dataclass, field
from enum import StrEnum

from anamnesis.records.errors import InputError
from anamnesis.records.task import Task


class LabelOrigin(StrEnum):
    """The place of a study's label."""

    CONTAINER = "Container"
    """The folder's name, or the keys of the NPZ file."""
    MANIFEST = "Manifest"
    """A CSV or JSON file with the columns ``file``, ``label``, ``patient`` and, where known, ``study``, ``split``."""


class PatientOrigin(StrEnum):
    """The place of a file's patient, where the file itself has no PatientID."""

    COLUMN = "Column"
    """The column ``patient`` of the manifest."""
    FILES = "Files"
    """The site declares that each file, or each DICOM study, is a patient of its own."""


@dataclass(frozen=True, slots=True)
class LabelSource:
    """How a file gets its label.

    Attributes:
        origin: the container or a manifest.
        manifest: with the origin ``Manifest``, the path of the manifest below the source, or its URL (``s3://...``,
            ``file:///...``). Only a manifest outside the source may list files that the source does not have.
        ignore: labels to skip; images with any other label that is not a class of the task are quarantined.
        patients: where the patient of a listed file is, when its header has no PatientID.
        covariates: further columns of the manifest that hold numbers to keep.
        ignored_columns: columns of the manifest to skip; any other unknown column is refused.
    """

    origin: LabelOrigin = LabelOrigin.CONTAINER
    manifest: str = ""
    ignore: tuple[str, ...] = ()
    patients: PatientOrigin = PatientOrigin.COLUMN
    covariates: tuple[str, ...] = ()
    ignored_columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.origin is LabelOrigin.MANIFEST and not self.manifest:
            raise InputError("labels.from is Manifest, but labels.manifest is empty; set labels.manifest")
        if self.origin is LabelOrigin.CONTAINER and self.manifest:
            raise InputError(
                f"labels.manifest is {self.manifest!r}, but labels.from is Container; "
                "set labels.from: Manifest, or remove labels.manifest"
            )
        has_columns = self.patients is not PatientOrigin.COLUMN or self.covariates or self.ignored_columns
        if self.origin is LabelOrigin.CONTAINER and has_columns:
            raise InputError(
                "labels.patients, labels.covariates and labels.ignoredColumns describe a manifest, but labels.from is "
                "Container; set labels.from: Manifest, or remove them"
            )

    @property
    def is_external(self) -> bool:
        """Whether there is a manifest outside the source."""
        return "://" in self.manifest


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """The settings of a site for the ingest. They are part of the fingerprint of the ingest.

    Attributes:
        name: unique within a model.
        source: URL of the data source: ``file:///...``, ``s3://bucket/prefix``, ``dicomweb+https://host/path`` or
            ``orthanc+https://host``.
        modalities: the DICOM modality codes of the site, for example ``("DX",)``; the first one is the main modality.
        task: the task of the site.
        labels: where the labels are.
        test_fraction: share of patients that the split key puts into the test split, where the source declares none.
        maximum_quarantine_share: the ingest fails when a larger share of the images is quarantined.
        maximum_shrink_share: an update is held where the source no longer lists a larger share of the training samples
            that it listed before, or none of a class; 1 holds none.
        maximum_studies: the largest number of studies, stratified by class and split and ordered by pseudonym; 0 takes
            all studies.
        maximum_studies_per_patient: the largest number of studies of one patient identifier before a test set is
            frozen; with more, or with more than half of the samples, it probably stands for many people. 0 checks
            nothing.
        attributes: generalised attributes to keep, of ``Sex``, ``AgeBand``, ``Manufacturer``.
        body_parts: DICOM values of BodyPartExamined of the site, for example ``("CHEST",)``; none takes all.
    """

    name: str
    source: str
    modalities: tuple[str, ...]
    task: Task
    labels: LabelSource = field(default_factory=LabelSource)
    test_fraction: float = 0.2
    maximum_quarantine_share: float = 0.1
    maximum_shrink_share: float = 0.2
    maximum_studies: int = 0
    maximum_studies_per_patient: int = 20
    attributes: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteRef:
    """A site for the steps after the ingest: its name, its own store, its task and its frozen test set.

    Attributes:
        name: name of the site.
        store: URL of the site's own store, ``file:///...`` or ``s3://bucket/prefix``.
        task: the task of the site.
        test_set: digest of the current test set; empty before the first ingest.
        modalities: keys of the images of a sample, the main one first. A method reads all of them or the first, by its
            ``MethodCapabilities.several_modalities``.
    """

    name: str
    store: str
    task: Task
    test_set: str = ""
    modalities: tuple[str, ...] = ()
