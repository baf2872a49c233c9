"""Attributes that may leave a header, each in bands too wide to tell a person."""

from pydicom import Dataset

_VENDORS = {
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
_DAYS = {"D": 1.0, "W": 7.0, "M": 30.44, "Y": 365.25}


def banded(dataset: Dataset) -> dict[str, str]:
    """Returns ``Sex``, ``AgeBand`` and ``Manufacturer`` where the header says something usable."""
    found = {
        "Sex": _sex(str(dataset.get("PatientSex") or "")),
        "AgeBand": _age_band(_age(dataset)),
        "Manufacturer": _manufacturer(str(dataset.get("Manufacturer") or "")),
    }
    return {name: value for name, value in found.items() if value}


def _sex(value: str) -> str:
    return value if value in ("M", "F", "O") else ""


def _age(dataset: Dataset) -> float | None:
    """Years, from the age or from the two dates."""
    stated = str(dataset.get("PatientAge") or "").strip()
    if stated[:-1].isdigit() and stated[-1] in _DAYS:
        return int(stated[:-1]) * _DAYS[stated[-1]] / _DAYS["Y"]
    born, seen = (str(dataset.get(name) or "") for name in ("PatientBirthDate", "StudyDate"))
    if len(born) == len(seen) == 8 and (born + seen).isdigit():
        return (int(seen) - int(born)) // 10_000  # dates as YYYYMMDD subtract to completed years
    return None


def _age_band(years: float | None) -> str:
    """Decades; everybody from 90 on is one band, as the HIPAA Safe Harbor rule (45 CFR 164.514(b)(2)) asks."""
    if years is None or years < 0:
        return ""
    decade = int(years // 10) * 10
    return "90+" if decade >= 90 else f"{decade}-{decade + 9}"


def _manufacturer(value: str) -> str:
    """A known vendor or ``Other``: the field is free text, and people write hospitals into it."""
    if not value.strip():
        return ""
    text = f"{value.strip().lower()} "
    return next((name for start, name in _VENDORS.items() if text.startswith(start)), "Other")
