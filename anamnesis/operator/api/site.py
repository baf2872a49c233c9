"""A Site: one source of data, its modalities and one task."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from anamnesis.operator.api.api_model import ApiModel, Resource, SecretReference, TypedUnion
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.split_key import SplitKeySpec
from anamnesis.operator.api.status import SiteStatus
from anamnesis.operator.api.string_types import (
    BodyPart,
    ColumnName,
    Modality,
    PathSafeName,
    PositiveDuration,
    S3Url,
    Text,
    Url,
    WebAddress,
)
from anamnesis.operator.api.study_query import StudyQuery
from anamnesis.operator.api.value_types import OpenShare, OrderedUniqueItems, Share, UniqueItems
from anamnesis.records import TaskType, primary_metrics

_METRICS_BY_TASK_TYPE = {task_type.value: primary_metrics(task_type) for task_type in TaskType}
_MANIFEST_MISSING_MESSAGE = "from: Manifest needs the field manifest; add it with the path or URL of a CSV or JSON file"
_MANIFEST_UNUSED_MESSAGE = "from: Container excludes the field manifest; remove manifest, or set from: Manifest"
_COLUMNS_UNUSED_MESSAGE = (
    "from: Container excludes the fields patients, covariates and ignoredColumns; remove them, or set from: Manifest"
)
_CLASSES_MESSAGE = "type Classification needs two classes or more"
_NO_FOLDERS_MESSAGE = "a DICOM server has no folders that give classes: set labels.from: Manifest"
_NO_MANIFEST_FILE_MESSAGE = (
    "a DICOM server holds no manifest: set labels.manifest to the URL of a manifest, s3://bucket/file or file:///path"
)
_COLUMN_TWICE_MESSAGE = "a column is in covariates and in ignoredColumns; remove it from one of them"
_NO_CLASSES_MESSAGE = "types Prognosis and Pretraining have no classes; remove classes"
_IGNORED_CLASS_MESSAGE = "labels.ignore has a class of the task, whose studies would all be skipped; remove it"
_UNUSED_SECRET_MESSAGE = (
    "a source of type Folder and a store in a folder need no credentials; remove source.credentialsSecret"
)
_DICOM_SERVER_TYPES = ("DICOMweb", "Orthanc")


def _check_known_metric(metric: str) -> str:
    names = [name for names in _METRICS_BY_TASK_TYPE.values() for name in names]
    if metric not in names:
        raise ValueError(f"expected one of {', '.join(names)}, found {metric!r}")
    return metric


def _metric_rule(task_type: str, metrics: tuple[str, ...]) -> tuple[str, str]:
    message = f"type {task_type} needs the primaryMetric {' or '.join(metrics)}"
    return f"self.type != '{task_type}' || self.primaryMetric in {list(metrics)}", message


def _dicom_server_rule(rule: str, message: str) -> tuple[str, str]:
    return f"!(self.source.type in {list(_DICOM_SERVER_TYPES)}) || {rule}", message


def _immutable_rule(field: str) -> tuple[str, str]:
    message = f"{field} cannot be changed, because versions and test sets depend on it; create a Site of another name"
    return f"self.{field} == oldSelf.{field}", message


class FolderSource(ApiModel):
    """A folder that the operator and its runs can read at the same path."""

    path: Text
    """Path of the folder. A relative path starts at the folder of this file."""


class S3Source(ApiModel):
    """A prefix of a bucket. Endpoint and keys come from credentialsSecret, or from the environment (``AWS_*``)."""

    url: S3Url
    """The prefix, as s3://bucket/prefix."""


class DICOMwebSource(ApiModel):
    """A DICOMweb server (QIDO-RS and WADO-RS).

    The Secret has the keys ``username`` and ``password``, or the key ``token``. On a laptop the environment variables
    ``DICOM_USERNAME``, ``DICOM_PASSWORD`` and ``DICOM_TOKEN`` replace it.
    """

    url: WebAddress
    """Address of the server, for example https://pacs.example/dicom-web."""
    query: StudyQuery = StudyQuery()
    """Which studies of the server to take. If omitted, those with a modality of the Site."""


class OrthancSource(ApiModel):
    """An Orthanc server, read through its own REST interface and its feed of changes."""

    url: WebAddress
    """Address of the server, for example http://orthanc:8042."""
    query: StudyQuery = StudyQuery()
    """Which studies of the server to take. If omitted, those with a modality of the Site."""


class SourceSpec(TypedUnion):
    """The place where files arrive, and how often the operator polls it."""

    type: Literal["Folder", "S3", "DICOMweb", "Orthanc"]
    """Which of the other fields is set."""
    folder: FolderSource | None = None
    s3: S3Source | None = None
    dicomweb: DICOMwebSource | None = None
    orthanc: OrthancSource | None = None
    credentials_secret: SecretReference | None = None
    """Secret with username and password, or token, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. If omitted, none."""
    poll_interval: PositiveDuration = "1m"
    """How often the operator polls the source for new data."""


PrimaryMetric = Annotated[
    str,
    AfterValidator(_check_known_metric),
    WithJsonSchema({"type": "string", "enum": [name for names in _METRICS_BY_TASK_TYPE.values() for name in names]}),
]
"""One of the registry of metrics."""


class TaskSpec(ApiModel):
    """The task of the model on this Site."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            ("self.type != 'Classification' || size(self.classes) >= 2", _CLASSES_MESSAGE),
            ("!(self.type in ['Prognosis', 'Pretraining']) || size(self.classes) == 0", _NO_CLASSES_MESSAGE),
            *(_metric_rule(kind, metrics) for kind, metrics in _METRICS_BY_TASK_TYPE.items()),
        )
    )

    name: PathSafeName
    """Name of the task. Sites that share a task use the same name, type, classes and primaryMetric."""
    type: Literal["Classification", "Segmentation", "Prognosis", "Pretraining"]
    """What the model predicts: a class, a mask, a risk over time, or (Pretraining) nothing but features."""
    classes: Annotated[tuple[PathSafeName, ...], Field(max_length=256), OrderedUniqueItems] = ()
    """Names of the classes, in the order of the classifier's outputs. Empty for Prognosis and Pretraining."""
    primary_metric: PrimaryMetric
    """The metric that the gate compares."""

    @model_validator(mode="after")
    def _check_classes_and_metric(self) -> Self:
        if self.type == "Classification" and len(self.classes) < 2:
            raise ValueError(f"{_CLASSES_MESSAGE}, found {len(self.classes)}")
        if self.type in ("Prognosis", "Pretraining") and self.classes:
            raise ValueError(_NO_CLASSES_MESSAGE)
        if self.primary_metric not in _METRICS_BY_TASK_TYPE[self.type]:
            valid_metrics = " or ".join(_METRICS_BY_TASK_TYPE[self.type])
            raise ValueError(f"primaryMetric: type {self.type} needs {valid_metrics}, found {self.primary_metric}")
        return self


class LabelsSpec(ApiModel):
    """The place of the labels of studies."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            ("self.from != 'Manifest' || has(self.manifest)", _MANIFEST_MISSING_MESSAGE),
            ("self.from == 'Manifest' || !has(self.manifest)", _MANIFEST_UNUSED_MESSAGE),
            (
                "self.from == 'Manifest' || "
                "(self.patients == 'Column' && size(self.covariates) + size(self.ignoredColumns) == 0)",
                _COLUMNS_UNUSED_MESSAGE,
            ),
            ("!self.covariates.exists(column, column in self.ignoredColumns)", _COLUMN_TWICE_MESSAGE),
        ),
    )

    origin: Annotated[Literal["Container", "Manifest"], Field(alias="from")] = "Container"
    """Container: the file or folder that holds the image gives the label. Manifest: a table gives it."""
    manifest: Url | None = None
    """The table, CSV or JSON: a path below the source, or the URL of a file elsewhere, s3://... or file:///..."""
    ignore: Annotated[tuple[PathSafeName, ...], Field(max_length=256), UniqueItems] = ()
    """Labels whose studies are skipped. Other labels outside the task's classes are quarantined."""
    patients: Literal["Column", "Files"] = "Column"
    """Column: the table has a column patient. Files: each file, or DICOM study, without a PatientID is a patient."""
    covariates: Annotated[tuple[ColumnName, ...], Field(max_length=64), UniqueItems] = ()
    """Further columns of the table with numbers to keep."""
    ignored_columns: Annotated[tuple[ColumnName, ...], Field(max_length=64), UniqueItems] = ()
    """Columns of the table to skip. Any other unknown column is refused."""

    @model_validator(mode="after")
    def _check_manifest(self) -> Self:
        if self.origin == "Manifest" and self.manifest is None:
            raise ValueError(_MANIFEST_MISSING_MESSAGE)
        if self.origin != "Manifest" and self.manifest is not None:
            raise ValueError(_MANIFEST_UNUSED_MESSAGE)
        has_columns = self.patients != "Column" or self.covariates or self.ignored_columns
        if self.origin != "Manifest" and has_columns:
            raise ValueError(_COLUMNS_UNUSED_MESSAGE)
        if set(self.covariates) & set(self.ignored_columns):
            raise ValueError(_COLUMN_TWICE_MESSAGE)
        return self


class SiteSpec(ApiModel):
    """The desired state of the Site."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            _immutable_rule("task"),
            ("!self.labels.ignore.exists(label, label in self.task.classes)", _IGNORED_CLASS_MESSAGE),
            (
                "self.source.type != 'Folder' || !has(self.source.credentialsSecret) || self.store.startsWith('s3://')",
                _UNUSED_SECRET_MESSAGE,
            ),
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
    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=8), OrderedUniqueItems]
    """DICOM codes of the modalities to ingest; the network reads the first. The list cannot be changed."""
    body_parts: Annotated[tuple[BodyPart, ...], Field(max_length=32), UniqueItems] = ()
    """DICOM values of BodyPartExamined to take, for example CHEST, in training and in predictions. If empty, all.

    A DICOM image of another body part, or without one, is not for this Site. Files without DICOM tags are taken.
    """
    task: TaskSpec
    """The task of the model on this Site. It cannot be changed: create another Site for another task."""
    store: Url
    """The Site's own store of images, s3://bucket/prefix or file:///path. Only steps of this Site may read it.

    On a laptop it may be a path relative to this file.
    """
    split_key: SplitKeySpec | None = None
    """The Site's own split key, so that its steps never see the network key. If omitted, the network key gives it.

    Sites with one key put a patient into the same split.
    """
    labels: LabelsSpec = LabelsSpec()
    test_fraction: OpenShare = Decimal("0.2")
    """Share of patients in the test split, if the source declares no split; a decimal in quotes."""
    maximum_quarantine_share: Share = Decimal("0.1")
    """A larger share of quarantined files fails the update; a decimal in quotes."""
    maximum_shrink_share: Share = Decimal("0.20")
    """Hold the update if the source lists a larger share fewer of the earlier training samples; a decimal in quotes.

    So it does if the source lists none of a class any more. 1 holds nothing: samples that left stay learned.
    """
    maximum_studies: Annotated[int, Field(ge=0, le=10_000_000, strict=True)] = 0
    """Highest number of studies to ingest; 0 ingests all."""
    maximum_studies_per_patient: Annotated[int, Field(ge=0, le=10_000_000, strict=True)] = 20
    """Highest number of studies of one patient identifier before a test set is frozen. 0 checks nothing.

    With more, or with more than half of the samples, the identifier probably stands for many people.
    """
    attributes: Annotated[tuple[Literal["Sex", "AgeBand", "Manufacturer"], ...], Field(max_length=3), UniqueItems] = ()
    """Generalised attributes to keep for comparing groups of patients. If empty, none is kept."""

    @model_validator(mode="after")
    def _check_fields_have_an_effect(self) -> Self:
        if set(self.labels.ignore) & set(self.task.classes):
            raise ValueError(_IGNORED_CLASS_MESSAGE)
        is_in_folders = self.source.type == "Folder" and not self.store.startswith("s3://")
        if is_in_folders and self.source.credentials_secret:
            raise ValueError(_UNUSED_SECRET_MESSAGE)
        return self

    @model_validator(mode="after")
    def _check_labels_available(self) -> Self:
        if self.source.type in _DICOM_SERVER_TYPES:
            if self.task.type == "Classification" and self.labels.origin != "Manifest":
                raise ValueError(_NO_FOLDERS_MESSAGE)
            if self.labels.manifest is not None and "://" not in self.labels.manifest:
                raise ValueError(_NO_MANIFEST_FILE_MESSAGE)
        return self


class Site(Resource):
    """A place where data arrives: one source of data and one task."""

    kind: Literal["Site"]
    spec: SiteSpec
    status: SiteStatus = SiteStatus()
