"""The columns of a label table: which meaning each has, and which are refused."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from anamnesis.records import InputError, LabelSource, PatientOrigin, Task, TaskType

COVARIATE_PREFIX = "covariate."

_SYNONYMS = {
    "file": "file filename filepath path relativepath image imagefile imagefilename imageid imageindex imagename "
    "imagepath datei dateiname fichier nomfichier nomefile archivo",
    "label": "label labels class classname category target diagnosis finding findinglabels groundtruth "
    "befund diagnose klasse classe diagnosi diagnostic diagnostico",
    "patient": "patient patientid patientidentifier patientno patientnr patientnumber patid pid "
    "subject subjectid participant participantid person personid mrn medicalrecordnumber "
    "patientenid patientennummer idpatient paziente idpaziente paciente idpaciente",
    "study": "study studyid studyuid studyinstanceuid accession accessionnumber exam examid",
    "split": "split datasplit subset partition",
    "modality": "modality",
    "event": "event",
    "days": "days",
}
_MEANING_BY_NAME = {name: meaning for meaning, names in _SYNONYMS.items() for name in names.split()}
_REQUIRED = {TaskType.CLASSIFICATION: ("label",), TaskType.PROGNOSIS: ("event", "days")}
_QUOTABLE = re.compile(r"(?!.*\d{4})[^\W\d_][\w .%/()-]{0,39}")


def assign_columns(header: Sequence[str], location: str, labels: LabelSource, task: Task) -> dict[str, int]:
    """Returns the position of each column that the ingest reads, by its meaning; ``covariate.<name>`` for a covariate.

    Args:
        header: names of the columns; an empty name belongs to a column without any cell.
        location: place of the header, for messages.
        labels: declared covariates and ignored columns.
        task: the task of the site.

    Raises:
        InputError: a column is missing, repeated or unknown. Names of columns are quoted only if the line is a header.
    """
    columns = [(number, name, _meaning(name, labels)) for number, name in enumerate(header, 1) if name]
    positions: dict[str, int] = {}
    for number, _, meaning in columns:
        if meaning in positions:
            raise InputError(
                f"{location}, columns {positions[meaning] + 1} and {number}: both hold the {meaning}; remove one, "
                "or list it in labels.ignoredColumns"
            )
        if meaning not in ("", "ignored"):
            positions[meaning] = number - 1
    check_header(header, location)
    if "file" not in positions:
        raise InputError(
            f"{location}: no column 'file' among the {len(columns)} columns; name the column with the files 'file'"
        )
    for number, name, meaning in columns:
        if not meaning:
            raise InputError(
                f"{location}, column {number}{_quote(name, positions)}: the column is unknown; rename it to one of "
                f"{', '.join(_SYNONYMS)} or {COVARIATE_PREFIX}<name>, or list it in labels.covariates or "
                "labels.ignoredColumns"
            )
    _check_required_columns(positions, location, labels, task)
    return positions


def column_key(name: str) -> str:
    """Returns the name of a column without case, spaces and punctuation: ``Patient ID`` is ``patient_id``."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", name).casefold()))


def check_header(header: Sequence[str], location: str) -> None:
    """Refuses a line without the name of any column.

    Raises:
        InputError: the message does not quote the line, because it may hold data.
    """
    if not count_recognised(header):
        raise InputError(
            f"{location}: none of the {len(header)} columns has the name of a column, so the table has no header line; "
            "add the line file,label,patient at the top, and remove titles and comments"
        )


def count_recognised(header: Sequence[str]) -> int:
    """Returns how many names of a line are names of columns."""
    return sum(bool(_meaning(name, LabelSource())) for name in header)


def _meaning(name: str, labels: LabelSource) -> str:
    """Returns the meaning of a column, ``ignored``, or empty text for an unknown column."""
    key = column_key(name)
    if key in map(column_key, labels.ignored_columns):
        return "ignored"
    if covariate := next((text for text in labels.covariates if column_key(text) == key), ""):
        return COVARIATE_PREFIX + covariate
    text = name.strip()
    if text.casefold().startswith(COVARIATE_PREFIX) and len(text) > len(COVARIATE_PREFIX):
        return COVARIATE_PREFIX + text[len(COVARIATE_PREFIX) :]
    return _MEANING_BY_NAME.get(key, "")


def _check_required_columns(positions: Mapping[str, int], location: str, labels: LabelSource, task: Task) -> None:
    for meaning in _REQUIRED.get(task.type, ()):
        if meaning not in positions:
            raise InputError(
                f"{location}: no column {meaning!r}, which a task of type {task.type} needs; add or rename the column"
            )
    if "patient" in positions and labels.patients is PatientOrigin.FILES:
        raise InputError(
            f"{location}, column {positions['patient'] + 1}: labels.patients is Files, but the table has a column "
            "with patients; remove labels.patients, or list the column in labels.ignoredColumns"
        )
    for covariate in labels.covariates:
        if COVARIATE_PREFIX + covariate not in positions:
            raise InputError(
                f"{location}: no column {covariate!r}, which labels.covariates lists; add it, or correct the list"
            )


def _quote(name: str, positions: Mapping[str, int]) -> str:
    """Returns the name of an unknown column where two columns are recognised: the line may hold data otherwise."""
    return f" {name!r}" if len(positions) > 1 and _QUOTABLE.fullmatch(name) else ""
