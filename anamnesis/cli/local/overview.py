"""What ``status`` and ``methods`` tell."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic.alias_generators import to_camel

from anamnesis.cli.local.context import Selected
from anamnesis.cli.local.sources import looker
from anamnesis.cli.local.standing import standing
from anamnesis.cli.output import table
from anamnesis.operator.api.method import MethodEntry
from anamnesis.operator.local.loop import look_and_plan
from anamnesis.operator.plan import Status
from anamnesis.pipelines.record import RunRecord, read_records
from anamnesis.records.times import utc_now
from anamnesis.registry import Log

LAST = 5
"""Runs that are shown to people; programs get all."""


@dataclass(frozen=True, slots=True)
class Overview:
    """How one model is.

    Attributes:
        model: its name.
        registry: URL.
        head: of the log, ``<number>:<digest>``.
        status: where each site stands.
        runs: oldest first.
    """

    model: str
    registry: str
    head: str
    status: Status
    runs: tuple[RunRecord, ...]


def overview(selected: Selected) -> Overview:
    """Returns how a model is; writes nothing."""
    registry = selected.registry
    _, _, status = look_and_plan(selected.wanted(""), looker(selected), utc_now)
    runs = read_records(selected.state.runs)
    return Overview(selected.model.name, registry.url, str(Log(registry).head()), status, runs)


def describe(found: Overview) -> Iterator[str]:
    """Yields lines for people."""
    yield from standing(found.model, found.status)
    yield f"  registry {found.registry}\n  head {found.head}"
    if found.runs:
        rows = [[run.id, run.state.value, run.seconds, run.error] for run in found.runs[-LAST:]]
        yield from (f"  {line}" for line in table(["run", "state", "seconds", ""], rows))


def describe_method(entry: MethodEntry) -> Iterator[str]:
    """Yields lines for people about one method."""
    notes = ["opens the training data of earlier sites"] * entry.earlier_data
    notes += ["keeps real images"] * entry.stores_exemplars
    yield f"{entry.name}: {entry.summary}{' (' + '; '.join(notes) + ')' if notes else ''}"
    for option, schema in entry.options.items():
        allowed = f", one of {', '.join(map(str, values))}" if isinstance(values := schema.get("enum"), list) else ""
        yield f"  {to_camel(option)}: {schema['type']}{allowed}, default {schema['default']}"
