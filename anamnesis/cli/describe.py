"""What people read of results of local mode: lines of text."""

from collections.abc import Iterator, Sequence

from pydantic.alias_generators import to_camel

from anamnesis.cli.output import table
from anamnesis.local.doctor import Check
from anamnesis.local.status import Overview
from anamnesis.local.versions import Details
from anamnesis.operator.api.method import MethodEntry
from anamnesis.operator.plan import Status
from anamnesis.records import short_digest

LAST = 5
"""Runs that are shown to people; programs get all."""


def describe_sites(model: str, status: Status) -> Iterator[str]:
    """Yields the champion and one line per site."""
    yield f"{model}: champion {short_digest(status.champion)}"
    rows = [[site.name, site.state.value, site.message] for site in status.sites]
    yield from (f"  {line}" for line in table(["site", "state", ""], rows))


def describe_status(found: Overview) -> Iterator[str]:
    """Yields lines for people."""
    yield from describe_sites(found.model, found.status)
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


def describe_checks(found: Sequence[Check]) -> list[str]:
    """Returns lines for people."""
    return table(["", "", ""], [[check.state, check.name, check.found] for check in found])[1:]


def describe_version(found: Details) -> Iterator[str]:
    """Yields lines for people."""
    version = found.version
    yield f"{found.digest}  {found.state}"
    yield f"  base {version.base or 'none'}\n  site {version.site}, snapshot {version.snapshot or 'none (imported)'}"
    yield f"  configuration {dict(version.configuration)}"
    yield from (f"  part {name}: {digest}" for name, digest in version.parts.items())
    rows = [
        [each.site, each.task, each.name, name, float(metric.value)]
        for each in found.evaluations
        for name, metric in each.metrics.items()
    ]
    yield from (f"  {line}" for line in table(["site", "task", "evaluator", "metric", "value"], rows))
    for entry in found.entries:
        yield f"  {entry.time} {entry.kind.value} by {entry.who}: {entry.why}"
        if entry.decision:
            yield f"    {entry.decision.verdict.value}: {entry.decision.reason}"
