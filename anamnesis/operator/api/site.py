"""A Site: where data arrives, what modalities, which one task."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from anamnesis.operator.api.base import (
    Duration,
    Model,
    Resource,
    SecretReference,
    Share,
    Text,
    TypedUnion,
    Unique,
    Url,
    Word,
)
from anamnesis.operator.api.status import SiteStatus

_METRICS = {
    "Classification": ("AUROC", "Accuracy", "BalancedAccuracy"),
    "Segmentation": ("Dice",),
    "Prognosis": ("CIndex",),
    "Pretraining": ("ProbeAccuracy",),
}


class FolderSource(Model):
    """A folder on a disk that the operator and the run can read, at the same path."""

    path: Text


class S3Source(Model):
    """A prefix of a bucket; endpoint and keys come from the environment (``AWS_*``)."""

    url: Annotated[str, StringConstraints(pattern=r"^s3://[^/]+(/.*)?$", max_length=1024)]


WebAddress = Annotated[str, StringConstraints(pattern=r"^https?://.+$", max_length=1024)]


class DICOMwebSource(Model):
    """A DICOMweb server (QIDO-RS and WADO-RS), for example ``https://pacs.example/dicom-web``.

    User and password come from the Secret's keys ``username`` and ``password``, or a token from its key ``token``; on a
    laptop from ``DICOM_USERNAME``, ``DICOM_PASSWORD`` and ``DICOM_TOKEN``.
    """

    url: WebAddress


class OrthancSource(Model):
    """An Orthanc server by its own REST interface, whose feed of changes can be resumed."""

    url: WebAddress


class Source(TypedUnion):
    """Where files arrive, and how often to look."""

    type: Literal["Folder", "S3", "DICOMweb", "Orthanc"]
    folder: FolderSource | None = None
    s3: S3Source | None = None
    dicomweb: DICOMwebSource | None = None
    orthanc: OrthancSource | None = None
    credentials_secret: SecretReference | None = None
    poll_interval: Duration = "1m"


class TaskSpec(Model):
    """What is asked of the model on this site."""

    name: Word
    type: Literal["Classification", "Segmentation", "Prognosis", "Pretraining"]
    classes: Annotated[tuple[Word, ...], Field(max_length=256), Unique] = ()
    primary_metric: Literal["AUROC", "Accuracy", "BalancedAccuracy", "Dice", "CIndex", "ProbeAccuracy"]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.type == "Classification" and len(self.classes) < 2:
            raise ValueError(f"classification needs two classes or more, found {len(self.classes)}")
        if self.primary_metric not in _METRICS[self.type]:
            known = ", ".join(_METRICS[self.type])
            raise ValueError(f"primaryMetric {self.primary_metric} does not measure {self.type}; known are {known}")
        return self


class LabelsSpec(Model):
    """Where a study's label stands."""

    origin: Annotated[Literal["Container", "Manifest"], Field(alias="from")] = "Container"
    manifest: Text | None = None
    ignore: Annotated[tuple[Word, ...], Field(max_length=256), Unique] = ()

    @model_validator(mode="after")
    def _manifest_is_named(self) -> Self:
        if (self.origin == "Manifest") != (self.manifest is not None):
            raise ValueError(
                "manifest (a CSV or JSON file below the source) goes with from: Manifest, and only with it"
            )
        return self


class SiteSpec(Model):
    """The site as its people declare it."""

    source: Source
    modalities: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_]{1,16}$", max_length=16)], ...],
        Field(min_length=1, max_length=8),
        Unique,
    ]
    task: TaskSpec
    labels: LabelsSpec = LabelsSpec()
    store: Url | None = None
    test_fraction: Share = Decimal("0.2")
    maximum_quarantine_share: Share = Decimal("0.1")
    maximum_studies: Annotated[int, Field(ge=0, le=10_000_000, strict=True)] = 0
    attributes: Annotated[tuple[Literal["Sex", "AgeBand", "Manufacturer"], ...], Field(max_length=3), Unique] = ()


class Site(Resource):
    """Where data arrives."""

    kind: Literal["Site"]
    spec: SiteSpec
    status: SiteStatus = SiteStatus()
