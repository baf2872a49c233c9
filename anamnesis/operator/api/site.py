"""A Site: where data arrives, what modalities, which one task."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from anamnesis.operator.api.api_model import ApiModel, Resource, SecretReference, TypedUnion
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.status import SiteStatus
from anamnesis.operator.api.string_types import Modality, PathSafeName, PositiveDuration, S3Url, Text, Url, WebAddress
from anamnesis.operator.api.value_types import Share, UniqueItems

_METRICS_BY_TASK_TYPE = {
    "Classification": ("AUROC", "Accuracy", "BalancedAccuracy"),
    "Segmentation": ("Dice",),
    "Prognosis": ("CIndex",),
    "Pretraining": ("ProbeAccuracy",),
}
_MANIFEST_MESSAGE = "manifest (a CSV or JSON file below the source) goes with from: Manifest, and only with it"
_NO_FOLDERS_MESSAGE = "a DICOM server has no folders to take classes from: labels need from: Manifest"
_NO_MANIFEST_FILE_MESSAGE = (
    "a DICOM server holds no manifest: labels.manifest needs its URL, s3://bucket/file or file:///path"
)
_DICOM_SERVER_TYPES = ("DICOMweb", "Orthanc")


def _metric_rule(task_type: str, metrics: tuple[str, ...]) -> tuple[str, str]:
    message = f"{task_type} is measured by primaryMetric {' or '.join(metrics)}"
    return f"self.type != '{task_type}' || self.primaryMetric in {list(metrics)}", message


def _dicom_server_rule(rule: str, message: str) -> tuple[str, str]:
    return f"!(self.source.type in {list(_DICOM_SERVER_TYPES)}) || {rule}", message


def _immutable_rule(field: str) -> tuple[str, str]:
    message = f"{field} cannot be changed: what was learned and tested rests on it; make a Site of another name"
    return f"self.{field} == oldSelf.{field}", message


class FolderSource(ApiModel):
    """A folder on a disk that the operator and the run can read, at the same path."""

    path: Text
    """Path of the folder; relative, it starts at the file that holds this."""


class S3Source(ApiModel):
    """A prefix of a bucket. Endpoint and keys come from the credentials' Secret or the environment (``AWS_*``)."""

    url: S3Url
    """The prefix, as s3://bucket/prefix."""


class DICOMwebSource(ApiModel):
    """A DICOMweb server (QIDO-RS and WADO-RS).

    User and password come from the Secret's keys ``username`` and ``password``, or a token from its key ``token``; on a
    laptop from ``DICOM_USERNAME``, ``DICOM_PASSWORD`` and ``DICOM_TOKEN``.
    """

    url: WebAddress
    """Its address, for example https://pacs.example/dicom-web."""


class OrthancSource(ApiModel):
    """An Orthanc server by its own REST interface, whose feed of changes can be resumed."""

    url: WebAddress
    """Its address, for example http://orthanc:8042."""


class SourceSpec(TypedUnion):
    """Where files arrive, and how often to look."""

    type: Literal["Folder", "S3", "DICOMweb", "Orthanc"]
    """Which of the fields beside it is given."""
    folder: FolderSource | None = None
    s3: S3Source | None = None
    dicomweb: DICOMwebSource | None = None
    orthanc: OrthancSource | None = None
    credentials_secret: SecretReference | None = None
    """Secret with username and password, or token, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."""
    poll_interval: PositiveDuration = "1m"
    """How often to look for new data."""


class TaskSpec(ApiModel):
    """What is asked of the model on this site."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            ("self.type != 'Classification' || size(self.classes) >= 2", "classification needs two classes or more"),
            *(_metric_rule(kind, metrics) for kind, metrics in _METRICS_BY_TASK_TYPE.items()),
        )
    )

    name: PathSafeName
    """Name of the task. Sites that share a task give it the same name, type, classes and metric."""
    type: Literal["Classification", "Segmentation", "Prognosis", "Pretraining"]
    """What the answer is: a class, a mask, a risk over time, or nothing but good features."""
    classes: Annotated[tuple[PathSafeName, ...], Field(max_length=256), UniqueItems] = ()
    """The answers, in the order of the head's rows."""
    primary_metric: Literal["AUROC", "Accuracy", "BalancedAccuracy", "Dice", "CIndex", "ProbeAccuracy"]
    """What the gate compares."""

    @model_validator(mode="after")
    def _check_classes_and_metric(self) -> Self:
        if self.type == "Classification" and len(self.classes) < 2:
            raise ValueError(f"classification needs two classes or more, found {len(self.classes)}")
        if self.primary_metric not in _METRICS_BY_TASK_TYPE[self.type]:
            valid_metrics = ", ".join(_METRICS_BY_TASK_TYPE[self.type])
            raise ValueError(
                f"primaryMetric {self.primary_metric} does not measure {self.type}; known are {valid_metrics}"
            )
        return self


class LabelsSpec(ApiModel):
    """Where a study's label stands."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(("(self.from == 'Manifest') == has(self.manifest)", _MANIFEST_MESSAGE)),
    )

    origin: Annotated[Literal["Container", "Manifest"], Field(alias="from")] = "Container"
    """Container: in the file that holds the image. Manifest: in a table."""
    manifest: Url | None = None
    """The table, CSV or JSON: its path below the source or, for one that lies elsewhere, s3://... or file:///..."""
    ignore: Annotated[tuple[PathSafeName, ...], Field(max_length=256), UniqueItems] = ()
    """Labels that count as none."""

    @model_validator(mode="after")
    def _check_manifest(self) -> Self:
        if (self.origin == "Manifest") != (self.manifest is not None):
            raise ValueError(_MANIFEST_MESSAGE)
        return self


class SiteSpec(ApiModel):
    """The site as its people declare it."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            _immutable_rule("task"),
            _immutable_rule("modalities"),
            _dicom_server_rule(
                "self.task.type != 'Classification' || self.labels.from == 'Manifest'", _NO_FOLDERS_MESSAGE
            ),
            _dicom_server_rule(
                "!has(self.labels.manifest) || self.labels.manifest.contains('://')", _NO_MANIFEST_FILE_MESSAGE
            ),
        )
    )

    source: SourceSpec
    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=8), UniqueItems]
    """DICOM codes of the modalities to take; the first is what the network reads. Cannot be changed."""
    task: TaskSpec
    """What is asked of the model on this site. Cannot be changed: another task is another Site."""
    store: Url
    """Where the site's images are kept: s3://bucket/prefix or file:///path that this site's steps alone can read.

    Where a file is read locally, it may be a path relative to that file.
    """
    labels: LabelsSpec = LabelsSpec()
    test_fraction: Share = Decimal("0.2")
    """Share of the patients that are tested on, where the source declares no split; a decimal in quotes."""
    maximum_quarantine_share: Share = Decimal("0.1")
    """More unreadable files than this fail the update; a decimal in quotes."""
    maximum_studies: Annotated[int, Field(ge=0, le=10_000_000, strict=True)] = 0
    """Studies to take; 0 takes all."""
    attributes: Annotated[tuple[Literal["Sex", "AgeBand", "Manufacturer"], ...], Field(max_length=3), UniqueItems] = ()
    """Banded attributes to keep, so that groups can be compared."""

    @model_validator(mode="after")
    def _check_labels_available(self) -> Self:
        if self.source.type in _DICOM_SERVER_TYPES:
            if self.task.type == "Classification" and self.labels.origin != "Manifest":
                raise ValueError(_NO_FOLDERS_MESSAGE)
            if self.labels.manifest is not None and "://" not in self.labels.manifest:
                raise ValueError(_NO_MANIFEST_FILE_MESSAGE)
        return self


class Site(Resource):
    """A place where data arrives: one source, one task."""

    kind: Literal["Site"]
    spec: SiteSpec
    status: SiteStatus = SiteStatus()
