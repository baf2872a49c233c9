"""What is said about a file beside its pixels: its label, patient, study and split."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anamnesis.imaging import Header
from anamnesis.records import InputError, Split

_SPLITS = {
    "": None,
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.TRAIN,
    "valid": Split.TRAIN,
    "validation": Split.TRAIN,
    "test": Split.TEST,
}
_SUFFIXES = (".nii.gz", ".nii", ".dcm", ".png", ".jpg", ".jpeg", ".npz")
_COVARIATE = "covariate."
_EVENTS = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Annotation:
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


def annotate(key: str, names: Sequence[str], header: Header, manifest: Mapping[str, Annotation] | None) -> Annotation:
    """Joins what is said of one image: the manifest counts most, then the file itself, then its place.

    Args:
        key: the file's name below the source.
        names: what a manifest may call it, from the innermost.
        header: what the file says.
        manifest: rows by name, or none where labels stand in the container.
    """
    own = stem(key) + (f"#{header.member}[{header.row}]" if header.member else "")
    said = _row(names, manifest) if manifest is not None else Annotation(label=_folder(key))
    patient = said.patient or header.patient or own
    # Rows of an NPZ that share a group come from one study as far as anybody knows.
    study = said.study or header.study or (header.patient if header.member else "") or own
    return Annotation(
        label=header.label if header.member else said.label,
        patient=patient,
        study=study,
        modality=said.modality or header.modality,
        split=said.split or _split(header.split, "the container"),
        event=said.event,
        days=said.days,
        covariates=said.covariates,
    )


def stem(key: str) -> str:
    """Returns a file's name without the suffix of an image format; ``1.2.840`` has no suffix."""
    return next((key[: -len(end)] for end in _SUFFIXES if key.lower().endswith(end)), key)


def read_manifest(path: Path) -> dict[str, Annotation]:
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
    found: dict[str, Annotation] = {}
    for number, row in enumerate(rows, 1):
        where = f"manifest, entry {number}"
        cells = {str(name): _cell(value) for name, value in row.items() if name is not None}
        if not (file := cells.get("file", "").strip("/")):
            raise InputError(f"{where}: no 'file'; the columns are {', '.join(sorted(cells))}")
        said = _annotation(cells, where)
        if found.setdefault(file, said) != said:
            raise InputError(f"{where}: the file stood in an earlier entry with other values")
    return found


def _annotation(cells: Mapping[str, str], where: str) -> Annotation:
    covariates = {name.removeprefix(_COVARIATE): text for name, text in cells.items() if name.startswith(_COVARIATE)}
    event = cells.get("event", "").lower()
    if event and event not in _EVENTS:
        raise InputError(f"{where}: event: expected 0 or 1")
    return Annotation(
        label=cells.get("label") or None,
        patient=cells.get("patient", ""),
        study=cells.get("study", ""),
        modality=cells.get("modality", ""),
        split=_split(cells.get("split", ""), where),
        event=_EVENTS[event] if event else None,
        days=_number(cells["days"], f"{where}: days") if cells.get("days") else None,
        covariates={name: _number(text, f"{where}: {_COVARIATE}{name}") for name, text in covariates.items() if text},
    )


def _cell(value: object) -> str:
    return "" if value is None else str(value).strip()


def _number(text: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{where}: expected a number")
    return number


def _split(text: str, where: str) -> Split | None:
    if text.lower() not in _SPLITS:
        raise InputError(f"{where}: split: expected one of {', '.join(filter(None, _SPLITS))} or nothing")
    return _SPLITS[text.lower()]


def _row(names: Sequence[str], manifest: Mapping[str, Annotation]) -> Annotation:
    """The row of the file, else of the innermost folder that is listed."""
    return next((manifest[name] for name in names if name in manifest), Annotation())


def _folder(key: str) -> str | None:
    return key.split("/")[0] if "/" in key else None
