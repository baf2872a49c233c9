"""What people read of results of local mode: lines of text."""

from collections.abc import Iterator, Mapping, Sequence

from pydantic.alias_generators import to_camel, to_pascal

from anamnesis.cli.candidate_report import report_lines
from anamnesis.cli.output import format_table
from anamnesis.local.doctor import Check
from anamnesis.local.status import LocalModelStatus
from anamnesis.local.versions import VersionDetails
from anamnesis.operator.api.method import MethodEntry
from anamnesis.operator.api.option_rules import OptionSchema, group_options
from anamnesis.operator.plan import PlannedModelStatus
from anamnesis.records import short_digest

SHOWN_RUNS = 5
"""Maximum number of runs in the text output; JSON has all of them."""


def describe_model_status(model: str, status: PlannedModelStatus) -> Iterator[str]:
    """Yields the champion and one line for each site."""
    yield f"{model}: champion {short_digest(status.champion)}"
    if status.withdrawal:
        yield f"  {status.withdrawal}"
    if status.spec_problem:
        yield f"  {status.spec_problem}"
    rows = [[site.name, site.state.value, "; ".join(filter(None, (site.message, site.note)))] for site in status.sites]
    yield from (f"  {line}" for line in format_table(["site", "state", ""], rows))


def describe_local_status(model_status: LocalModelStatus) -> Iterator[str]:
    """Yields the lines."""
    yield from describe_model_status(model_status.model, model_status.status)
    if model_status.learning_rate:
        yield f"  {model_status.learning_rate}"
    for report in model_status.reports.values():
        yield from (f"  {line}" for line in report_lines(report))
    yield f"  registry {model_status.registry}\n  head {model_status.head}"
    yield f"  {model_status.signatures}"
    yield from (f"  {warning}" for warning in model_status.warnings)
    yield from (f"  unreadable run record: {problem}" for problem in model_status.problems)
    if model_status.runs:
        rows = [[run.id, run.state.value, run.seconds, run.error] for run in model_status.runs[-SHOWN_RUNS:]]
        yield from (f"  {line}" for line in format_table(["run", "state", "seconds", ""], rows))


def describe_method(entry: MethodEntry) -> Iterator[str]:
    """Yields the lines about one method."""
    notes = ["opens the training data of earlier sites"] * entry.earlier_data
    notes += ["keeps real images"] * entry.stores_exemplars
    yield f"{entry.name}: {entry.summary}{' (' + '; '.join(notes) + ')' if notes else ''}"
    yield from _describe_options(entry.options)


def _describe_options(options: Mapping[str, OptionSchema], indent: str = "  ") -> Iterator[str]:
    for option, schema in options.items():
        if members := group_options(schema):
            yield f"{indent}{to_camel(option)}:"
            yield from _describe_options(members, f"{indent}  ")
            continue
        choices, default = schema.get("enum"), schema["default"]
        if isinstance(choices, list):
            allowed = f"one of {', '.join(to_pascal(str(choice)) for choice in choices)}"
            yield f"{indent}{to_camel(option)}: {allowed}, default {to_pascal(str(default))}"
        elif schema["type"] == "number":
            yield f'{indent}{to_camel(option)}: decimal in quotes, default "{default:g}"'
        else:
            yield f"{indent}{to_camel(option)}: {schema['type']}, default {default}"


def describe_checks(checks: Sequence[Check]) -> list[str]:
    """Returns the lines."""
    return format_table(["", "", ""], [[check.state, check.name, check.detail] for check in checks])[1:]


def describe_version(version_details: VersionDetails) -> Iterator[str]:
    """Yields the lines."""
    version = version_details.version
    yield f"{version_details.digest}  {version_details.state}"
    yield f"  base {version.base or 'none'}\n  site {version.site}, snapshot {version.snapshot or 'none (imported)'}"
    yield f"  configuration {dict(version.configuration)}"
    yield from (f"  part {name}: {digest}" for name, digest in version.parts.items())
    rows = [
        [evaluation.site, evaluation.task, evaluation.name, name, float(metric.value)]
        for evaluation in version_details.evaluations
        for name, metric in evaluation.metrics.items()
    ]
    yield from (f"  {line}" for line in format_table(["site", "task", "evaluator", "metric", "value"], rows))
    for entry in version_details.entries:
        yield f"  {entry.time} {entry.kind.value} by {_on_one_line(entry.author)}: {_on_one_line(entry.reason)}"
        if entry.decision:
            yield f"    {entry.decision.verdict.value}: {_on_one_line(entry.decision.reason)}"


def _on_one_line(text: str) -> str:
    """Anybody with the registry's credentials may have written the text: it must not look like other lines."""
    return " ".join(text.split())
