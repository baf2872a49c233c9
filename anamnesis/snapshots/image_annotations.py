"""What is said about a file beside its pixels: its label, patient, study and split."""

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
    "val": Split.TRAIN,
    "valid": Split.TRAIN,
    "validation": Split.TRAIN,
    "test": Split.TEST,
}
_IMAGE_SUFFIXES = (".nii.gz", ".nii", ".dcm", ".png", ".jpg", ".jpeg", ".npz")
_COVARIATE_PREFIX = "covariate."
_EVENT_WORDS = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class ImageAnnotation:
    """What a manifest, a folder or a container says. Empty: it does not say.

    Attributes:
        label: class name, number where the container has no names, or none.
        patient: the source's identifier.
        study: the source's identifier.
        modality: DICOM code.
        split: as declared.
        event: whether the event was observed (prognosis).
        days: until the event or the end of observation (prognosis).
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
    """Joins what is said of one image: the manifest counts most, then the file itself, then its place.

    Args:
        key: the file's name below the source.
        manifest_names: what a manifest may call it, from the innermost.
        header: what the file says.
        manifest: rows by name, or none where labels stand in the container.
    """
    image_name = strip_image_suffix(key) + (f"#{header.member}[{header.row}]" if header.member else "")
    manifest_row = (
        _find_row(manifest_names, manifest) if manifest is not None else ImageAnnotation(label=_top_folder(key))
    )
    patient = manifest_row.patient or header.patient or image_name
    # Rows of an NPZ that share a group come from one study as far as anybody knows.
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
    """Returns a file's name without the suffix of an image format; ``1.2.840`` has no suffix."""
    return next((key[: -len(suffix)] for suffix in _IMAGE_SUFFIXES if key.lower().endswith(suffix)), key)


def read_label_manifest(path: Path) -> dict[str, ImageAnnotation]:
    """Returns the rows of a manifest by file or folder name.

    CSV with a header line, or JSON with a list of objects; columns ``file``, ``label``, ``patient``, ``study``,
    ``split``, ``modality``, ``event``, ``days`` and ``covariate.<name>``; others are left alone.

    Raises:
        InputError: it cannot be read; the message gives the row's number, never its content.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = json.loads(text) if path.suffix.lower() == ".json" else list(csv.DictReader(text.splitlines()))
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise InputError(f"manifest: expected CSV or JSON in UTF-8: {type(error).__name__}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError("manifest: expected a list of objects, one for each file")
    annotations: dict[str, ImageAnnotation] = {}
    for number, row in enumerate(rows, 1):
        location = f"manifest, entry {number}"
        cells = {str(name): _cell_text(value) for name, value in row.items() if name is not None}
        if not (file := cells.get("file", "").strip("/")):
            raise InputError(f"{location}: no 'file'; the columns are {', '.join(sorted(cells))}")
        annotation = _parse_row(cells, location)
        if annotations.setdefault(file, annotation) != annotation:
            raise InputError(f"{location}: the file stood in an earlier entry with other values")
    return annotations


def _parse_row(cells: Mapping[str, str], location: str) -> ImageAnnotation:
    covariates = {
        name.removeprefix(_COVARIATE_PREFIX): text for name, text in cells.items() if name.startswith(_COVARIATE_PREFIX)
    }
    event = cells.get("event", "").lower()
    if event and event not in _EVENT_WORDS:
        raise InputError(f"{location}: event: expected 0 or 1")
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
        raise InputError(f"{location}: expected a number")
    return number


def _parse_split(text: str, location: str) -> Split | None:
    if text.lower() not in _SPLIT_WORDS:
        raise InputError(f"{location}: split: expected one of {', '.join(filter(None, _SPLIT_WORDS))} or nothing")
    return _SPLIT_WORDS[text.lower()]


def _find_row(manifest_names: Sequence[str], manifest: Mapping[str, ImageAnnotation]) -> ImageAnnotation:
    """The row of the file, else of the innermost folder that is listed."""
    return next((manifest[name] for name in manifest_names if name in manifest), ImageAnnotation())


def _top_folder(key: str) -> str | None:
    return key.split("/")[0] if "/" in key else None
