"""Annotations of an image: its label, patient, study and split."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anamnesis.imaging import Header
from anamnesis.records import InputError, Split
from anamnesis.snapshots.file_names import normalise_file_name, normalise_text
from anamnesis.snapshots.patient_ids import normalise_patient_id
from anamnesis.snapshots.source_files import SourceFile

_SPLIT_WORDS = {
    "": None,
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "validation": Split.VALIDATION,
    "calibration": Split.CALIBRATION,
    "test": Split.TEST,
}
WITHDRAWN = "withdrawn"
"""Word in the column ``split``: the image must be in no snapshot any more."""
_IMAGE_SUFFIXES = (".nii.gz", ".nii", ".dcm", ".png", ".jpg", ".jpeg", ".npz")


@dataclass(frozen=True, slots=True)
class ImageAnnotation:
    """The annotation of an image by a manifest, a folder or a container. Empty fields have no value.

    Attributes:
        label: name of the class, its number where the container has no names, or none.
        patient: the source's identifier of the patient; empty when neither the table nor the file has it.
        study: the source's identifier of the study.
        modality: DICOM code.
        split: the declared split.
        event: whether the event was observed (prognosis).
        days: days until the event or the end of observation (prognosis).
        covariates: numbers by name.
        is_ambiguous: whether the label table lists the file twice with different values.
        is_listed: whether the label table lists the file or one of its folders.
        is_withdrawn: whether the label table withdraws the file.
    """

    label: str | int | None = None
    patient: str = ""
    study: str = ""
    modality: str = ""
    split: Split | None = None
    event: bool | None = None
    days: float | None = None
    covariates: Mapping[str, float] = field(default_factory=dict)
    is_ambiguous: bool = False
    is_listed: bool = False
    is_withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image of a readable file: its header, and its annotation."""

    file: SourceFile
    header: Header
    annotation: ImageAnnotation

    @property
    def name(self) -> str:
        """Name for the quarantine list."""
        return self.file.key + _row_suffix(self.header)

    @property
    def stem(self) -> str:
        """The name without the suffix of the format: it identifies the patient where nothing else does."""
        return strip_image_suffix(self.file.key) + _row_suffix(self.header)

    @property
    def patient(self) -> str:
        """The patient. Without an identifier, the study is the largest unit that surely belongs to one person."""
        return self.annotation.patient or self.header.study or self.stem


@dataclass(frozen=True, slots=True)
class UnmatchedRow:
    """A row of the label table whose file or folder the source does not have.

    Attributes:
        name: of the file, as the table writes it.
        annotation: the values of the row.
    """

    name: str
    annotation: ImageAnnotation

    @property
    def patient(self) -> str:
        """The patient; the name of the file where the row has none."""
        return self.annotation.patient or strip_image_suffix(self.name)

    @property
    def study(self) -> str:
        """The study; the name of the file, or the UID of the study, where the row has none."""
        return self.annotation.study or strip_image_suffix(self.name)


def annotate_image(
    file: SourceFile, header: Header, table_rows: Mapping[str, ImageAnnotation] | None
) -> ImageAnnotation:
    """Returns the annotation of one image: from the label table first, then from the file, then from its folder.

    Args:
        file: the file of the image.
        header: header of the image.
        table_rows: rows of the label table by normalised name, or none when the container has the labels.
    """
    image_name = strip_image_suffix(file.key) + _row_suffix(header)
    row = ImageAnnotation(label=_top_folder(file.key)) if table_rows is None else _find_row(file, table_rows)
    file_patient = normalise_patient_id(header.patient)
    # Rows of an NPZ with the same group count as one study, because the file has no studies.
    study = row.study or header.study or (file_patient if header.member else "") or image_name
    return ImageAnnotation(
        label=_normalise_label(header.label if header.member else row.label),
        patient=normalise_patient_id(row.patient) or file_patient,
        study=study,
        modality=row.modality or header.modality,
        split=row.split or parse_split(header.split, "the container"),
        event=row.event,
        days=row.days,
        covariates=row.covariates,
        is_ambiguous=row.is_ambiguous,
        is_listed=row.is_listed,
        is_withdrawn=row.is_withdrawn,
    )


def strip_image_suffix(key: str) -> str:
    """Returns the name of a file without the suffix of an image format; ``1.2.840`` has no suffix."""
    return next((key[: -len(suffix)] for suffix in _IMAGE_SUFFIXES if key.lower().endswith(suffix)), key)


def parse_split(text: str, location: str) -> Split | None:
    """Returns a declared split, or none for empty text.

    Raises:
        InputError: the text is not a split; the message does not quote it.
    """
    if text.lower() not in _SPLIT_WORDS:
        raise InputError(
            f"{location}: split: expected one of {', '.join(filter(None, _SPLIT_WORDS))}, {WITHDRAWN} or nothing; "
            "correct the cell"
        )
    return _SPLIT_WORDS[text.lower()]


def _row_suffix(header: Header) -> str:
    return f"#{header.member}[{header.row}]" if header.member else ""


def _normalise_label(label: str | int | None) -> str | int | None:
    return normalise_text(label) if isinstance(label, str) else label


def _find_row(file: SourceFile, table_rows: Mapping[str, ImageAnnotation]) -> ImageAnnotation:
    """Returns the row of the file, else that of the innermost listed folder."""
    names = map(normalise_file_name, file.manifest_names)
    return next((table_rows[name] for name in names if name in table_rows), ImageAnnotation())


def _top_folder(key: str) -> str | None:
    return key.split("/")[0] if "/" in key else None
