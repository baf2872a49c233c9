"""Label tables: the annotations of files by name."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from anamnesis.records import InputError, LabelSource, Task
from anamnesis.snapshots.file_names import normalise_file_name, normalise_text
from anamnesis.snapshots.image_annotations import WITHDRAWN, ImageAnnotation, parse_split
from anamnesis.snapshots.label_columns import COVARIATE_PREFIX, assign_columns
from anamnesis.snapshots.label_table_text import TABLE, TableRow, parse_label_table
from anamnesis.snapshots.patient_ids import normalise_patient_id

_EVENT_WORDS = {"1": True, "true": True, "1.0": True, "0": False, "false": False, "0.0": False}


@dataclass(frozen=True, slots=True)
class LabelTable:
    """The rows of a label table.

    Attributes:
        rows: annotation by normalised name of a file or folder.
        names: normalised name -> the name in the table, for the quarantine list.
        has_patients: whether the table has a column with patients.
    """

    rows: Mapping[str, ImageAnnotation]
    names: Mapping[str, str]
    has_patients: bool


def read_label_table(name: str, data: bytes, labels: LabelSource, task: Task) -> LabelTable:
    """Returns the rows of a label table.

    Its columns are ``file``, ``label``, ``patient``, ``study``, ``split``, ``modality``, ``event``, ``days`` and
    ``covariate.<name>``, or common synonyms of them, in any order and case. A file with two different rows is marked.

    Args:
        name: name of the table's file.
        data: bytes of the file.
        labels: the label settings of the site.
        task: the task of the site.

    Raises:
        InputError: the table is not as expected; the message gives line and column, never the content of a cell.
    """
    text = parse_label_table(name, data)
    columns = assign_columns(text.header, text.location, labels, task)
    annotations: dict[str, ImageAnnotation] = {}
    names: dict[str, str] = {}
    for row in text.rows:
        cells = {meaning: row.cells[position] for meaning, position in columns.items()}
        if not (file := normalise_file_name(cells["file"])):
            raise InputError(f"{_place(row, columns, 'file')}: the cell is empty; write the name of the file")
        annotation = _parse_row(cells, row, columns)
        names.setdefault(file, cells["file"])
        if annotations.setdefault(file, annotation) != annotation:
            is_withdrawn = annotations[file].is_withdrawn or annotation.is_withdrawn  # counts more than the other row
            annotations[file] = replace(annotations[file], is_ambiguous=True, is_withdrawn=is_withdrawn)
    return LabelTable(annotations, names, "patient" in columns)


def _parse_row(cells: Mapping[str, str], row: TableRow, columns: Mapping[str, int]) -> ImageAnnotation:
    event = cells.get("event", "").lower()
    if event and event not in _EVENT_WORDS:
        raise InputError(f"{_place(row, columns, 'event')}: event: expected 0, 1, false or true; correct the cell")
    is_withdrawn = cells.get("split", "").casefold() == WITHDRAWN
    return ImageAnnotation(
        label=normalise_text(cells.get("label", "")) or None,
        patient=normalise_patient_id(cells.get("patient", "")),
        study=cells.get("study", ""),
        modality=cells.get("modality", ""),
        split=None if is_withdrawn else parse_split(cells.get("split", ""), _place(row, columns, "split")),
        event=_EVENT_WORDS[event] if event else None,
        days=_parse_number(cells["days"], _place(row, columns, "days")) if cells.get("days") else None,
        covariates={
            meaning.removeprefix(COVARIATE_PREFIX): _parse_number(text, _place(row, columns, meaning))
            for meaning, text in cells.items()
            if text and meaning.startswith(COVARIATE_PREFIX)
        },
        is_listed=True,
        is_withdrawn=is_withdrawn,
    )


def _place(row: TableRow, columns: Mapping[str, int], meaning: str) -> str:
    position = f", column {columns[meaning] + 1}" if meaning in columns else ""
    return f"{TABLE}, {row.location}{position}"


def _parse_number(text: str, location: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{location}: expected a finite number, with a point for decimals; correct the cell")
    return number
