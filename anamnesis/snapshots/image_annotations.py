"""Annotations of an image: its label, patient, study and split."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anamnesis.imaging import Header
from anamnesis.records import InputError, Split

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
_IMAGE_SUFFIXES = (".nii.gz", ".nii", ".dcm", ".png", ".jpg", ".jpeg", ".npz")
_COVARIATE_PREFIX = "covariate."
_EVENT_WORDS = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class ImageAnnotation:
    """The annotation of an image by a manifest, a folder or a container. Empty fields have no value.

    Attributes:
        label: name of the class, its number where the container has no names, or none.
        patient: the source's identifier of the patient.
        study: the source's identifier of the study.
        modality: DICOM code.
        split: the declared split.
        event: whether the event was observed (prognosis).
        days: days until the event or the end of observation (prognosis).
        covariates: numbers by name.
    """

    label: str | int | None = None
    patient: str = ""
    study: str = ""
    modality: str = ""
    split: Split | None = None
    event: bool | None = None
    days: float | None = None
    covariates: Mapping[str, float] = field(default_factory=dict)


def annotate_image(
    key: str, manifest_names: Sequence[str], header: Header, manifest: Mapping[str, ImageAnnotation] | None
) -> ImageAnnotation:
    """Returns the annotation of one image: from the manifest first, then from the file, then from its folder.

    Args:
        key: name of the file below the source.
        manifest_names: names under which a manifest may list the file, from the innermost.
        header: header of the image.
        manifest: rows by name, or none when the container has the labels.
    """
    image_name = strip_image_suffix(key) + (f"#{header.member}[{header.row}]" if header.member else "")
    manifest_row = (
        _find_row(manifest_names, manifest) if manifest is not None else ImageAnnotation(label=_top_folder(key))
    )
    patient = manifest_row.patient or header.patient or image_name
    # Rows of an NPZ with the same group count as one study, because the file has no studies.
    study = manifest_row.study or header.study or (header.patient if header.member else "") or image_name
    return ImageAnnotation(
        label=header.label if header.member else manifest_row.label,
        patient=patient,
        study=study,
        modality=manifest_row.modality or header.modality,
        split=manifest_row.split or _parse_split(header.split, "the container"),
        event=manifest_row.event,
        days=manifest_row.days,
        covariates=manifest_row.covariates,
    )


def strip_image_suffix(key: str) -> str:
    """Returns the name of a file without the suffix of an image format; ``1.2.840`` has no suffix."""
    return next((key[: -len(suffix)] for suffix in _IMAGE_SUFFIXES if key.lower().endswith(suffix)), key)


def read_label_manifest(path: Path) -> dict[str, ImageAnnotation]:
    """Returns the rows of a label manifest by file or folder name.

    A manifest is CSV with a header line, or JSON with a list of objects. Its columns are ``file``, ``label``,
    ``patient``, ``study``, ``split``, ``modality``, ``event``, ``days`` and ``covariate.<name>``; others are ignored.

    Raises:
        InputError: the manifest is not as expected; the message gives the number of the row, never its content.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = json.loads(text) if path.suffix.lower() == ".json" else list(csv.DictReader(text.splitlines()))
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise InputError(
            f"labels.manifest: expected CSV or JSON in UTF-8, reading failed with {type(error).__name__}; "
            "save the manifest again as CSV or JSON in UTF-8"
        ) from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(
            "labels.manifest: expected a JSON list of objects, one for each file, found another form; "
            "write the manifest again"
        )
    annotations: dict[str, ImageAnnotation] = {}
    for number, row in enumerate(rows, 1):
        location = f"labels.manifest, row {number}"
        cells = {str(name): _cell_text(value) for name, value in row.items() if name is not None}
        if not (file := cells.get("file", "").strip("/")):
            raise InputError(
                f"{location}: 'file' is missing or empty, the columns are {', '.join(sorted(cells))}; "
                "write the name of the file into the column 'file'"
            )
        annotation = _parse_row(cells, location)
        if annotations.setdefault(file, annotation) != annotation:
            raise InputError(
                f"{location}: an earlier row lists the same file with other values; remove one of the two rows"
            )
    return annotations


def _parse_row(cells: Mapping[str, str], location: str) -> ImageAnnotation:
    covariates = {
        name.removeprefix(_COVARIATE_PREFIX): text for name, text in cells.items() if name.startswith(_COVARIATE_PREFIX)
    }
    event = cells.get("event", "").lower()
    if event and event not in _EVENT_WORDS:
        raise InputError(f"{location}: event: expected 0, 1, false or true; correct the cell")
    return ImageAnnotation(
        label=cells.get("label") or None,
        patient=cells.get("patient", ""),
        study=cells.get("study", ""),
        modality=cells.get("modality", ""),
        split=_parse_split(cells.get("split", ""), location),
        event=_EVENT_WORDS[event] if event else None,
        days=_parse_number(cells["days"], f"{location}: days") if cells.get("days") else None,
        covariates={
            name: _parse_number(text, f"{location}: {_COVARIATE_PREFIX}{name}")
            for name, text in covariates.items()
            if text
        },
    )


def _cell_text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _parse_number(text: str, location: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{location}: expected a finite number; correct the cell")
    return number


def _parse_split(text: str, location: str) -> Split | None:
    if text.lower() not in _SPLIT_WORDS:
        raise InputError(
            f"{location}: split: expected one of {', '.join(filter(None, _SPLIT_WORDS))} or nothing; correct the cell"
        )
    return _SPLIT_WORDS[text.lower()]


def _find_row(manifest_names: Sequence[str], manifest: Mapping[str, ImageAnnotation]) -> ImageAnnotation:
    """Returns the row of the file, else that of the innermost listed folder."""
    return next((manifest[name] for name in manifest_names if name in manifest), ImageAnnotation())


def _top_folder(key: str) -> str | None:
    return key.split("/")[0] if "/" in key else None
