"""The settings of a version as rows of a table."""

from collections.abc import Iterator, Mapping

from anamnesis.evaluation.report.assemble import champion_lineage
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


def learning_rates(model: ModelReport) -> tuple[str, ...]:
    """Returns where the learning rate of each update of the version in use comes from, a sentence each."""
    rows = ((row, model.updates[row]) for row in champion_lineage(model))
    return tuple(
        f"Update {row + 1}, {update.site}: {update.learning_rate}." for row, update in rows if update.learning_rate
    )


def _flatten(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{name}", " x ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{name}", str(value)
