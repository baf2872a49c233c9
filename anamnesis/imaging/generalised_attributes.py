"""Generalised attributes: the only header values that are kept, in bands too wide to identify a person."""

from pydicom import Dataset

_VENDOR_PREFIXES = {
    "siemens": "Siemens",
    "general electric": "GE",
    "ge ": "GE",
    "philips": "Philips",
    "canon": "Canon",
    "toshiba": "Canon",
    "fuji": "Fujifilm",
    "hitachi": "Fujifilm",
    "agfa": "Agfa",
    "carestream": "Carestream",
    "kodak": "Carestream",
    "hologic": "Hologic",
    "samsung": "Samsung",
    "konica": "Konica Minolta",
    "shimadzu": "Shimadzu",
    "united imaging": "United Imaging",
}
_DAYS_PER_UNIT = {"D": 1.0, "W": 7.0, "M": 30.44, "Y": 365.25}


def generalise_attributes(dataset: Dataset) -> dict[str, str]:
    """Returns ``Sex``, ``AgeBand`` and ``Manufacturer``, where the header has usable values."""
    attributes = {
        "Sex": _sex(str(dataset.get("PatientSex") or "")),
        "AgeBand": _age_band(_age_in_years(dataset)),
        "Manufacturer": _manufacturer(str(dataset.get("Manufacturer") or "")),
    }
    return {name: value for name, value in attributes.items() if value}


def _sex(value: str) -> str:
    return value if value in ("M", "F", "O") else ""


def _age_in_years(dataset: Dataset) -> float | None:
    """Returns the age from ``PatientAge``, or from the dates of birth and study."""
    patient_age = str(dataset.get("PatientAge") or "").strip()
    if patient_age[:-1].isdigit() and patient_age[-1] in _DAYS_PER_UNIT:
        return int(patient_age[:-1]) * _DAYS_PER_UNIT[patient_age[-1]] / _DAYS_PER_UNIT["Y"]
    birth_date, study_date = (str(dataset.get(name) or "") for name in ("PatientBirthDate", "StudyDate"))
    if len(birth_date) == len(study_date) == 8 and (birth_date + study_date).isdigit():
        return (int(study_date) - int(birth_date)) // 10_000  # dates as YYYYMMDD subtract to completed years
    return None


def _age_band(years: float | None) -> str:
    """Returns the decade; ages from 90 are one band, as the HIPAA Safe Harbor rule (45 CFR 164.514(b)(2)) requires."""
    if years is None or years < 0:
        return ""
    decade = int(years // 10) * 10
    return "90+" if decade >= 90 else f"{decade}-{decade + 9}"


def _manufacturer(value: str) -> str:
    """Returns a known vendor or ``Other``, because the field is free text and may contain the name of a hospital."""
    if not value.strip():
        return ""
    text = f"{value.strip().lower()} "
    return next((name for prefix, name in _VENDOR_PREFIXES.items() if text.startswith(prefix)), "Other")
