"""The settings of a version as rows of a table."""

from collections.abc import Iterator, Mapping

from anamnesis.evaluation.report.data import ModelReport

_GROUPS = {"options": "method", "network": "network", "training": "training"}


def option_rows(model: ModelReport) -> list[tuple[str, str, str]]:
    """Returns (group, name, value) of every setting of the version in use; nested names are joined by dots."""
    rows = [("method", "name", model.method)]
    for key, group in _GROUPS.items():
        value = model.configuration.get(key)
        if isinstance(value, Mapping):
            rows += [(group, name, text) for name, text in _flatten(value)]
    return rows if model.configuration else []


def _flatten(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{name}", " x ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{name}", str(value)
