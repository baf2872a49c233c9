"""The gate's decisions as rows of a table: one per site, one column per criterion."""

from collections.abc import Mapping
from dataclasses import dataclass

from anamnesis.evaluation.report.data import ModelReport, UpdateRow
from anamnesis.records import Criterion, Enforcement, Verdict

VERDICTS = {
    Verdict.PROMOTE: "promote",
    Verdict.AWAIT_EVALUATIONS: "await evaluations",
    Verdict.AWAIT_APPROVAL: "await approval",
    Verdict.REJECT: "reject",
    Verdict.SUPERSEDED: "superseded",
}


@dataclass(frozen=True, slots=True)
class GateRow:
    """The criteria of one update on one site, by name."""

    site: str
    task: str
    criteria: Mapping[str, Criterion]


def criterion_names(model: ModelReport) -> list[str]:
    """Returns the names of the criteria of all the model's decisions."""
    decisions = [row.decision for row in model.updates if row.decision is not None]
    return list(dict.fromkeys(criterion.name for decision in decisions for criterion in decision.criteria))


def gate_rows(update: UpdateRow) -> list[GateRow]:
    """Returns the decision's criteria, grouped by site and task in their order."""
    criteria = update.decision.criteria if update.decision is not None else ()
    site_tasks = dict.fromkeys((criterion.site, criterion.task) for criterion in criteria)
    return [
        GateRow(
            site,
            task,
            {criterion.name: criterion for criterion in criteria if (criterion.site, criterion.task) == (site, task)},
        )
        for site, task in site_tasks
    ]


def describe_verdict(update: UpdateRow) -> str:
    """Returns the gate's verdict, and whether the version was promoted against it."""
    if update.decision is None:
        return "promoted" if update.promoted else "not judged"
    verdict_text, is_advisory = VERDICTS[update.decision.verdict], update.decision.enforcement is Enforcement.ADVISORY
    if is_advisory and update.promoted and update.decision.verdict is not Verdict.PROMOTE:
        return f"{verdict_text}, but promoted: the gate is advisory"
    return verdict_text


def comparison_sign(criterion: Criterion) -> str:
    """Returns the sign between a criterion's value and its limit."""
    return "\N{LESS-THAN OR EQUAL TO}" if criterion.is_limit_highest else "\N{GREATER-THAN OR EQUAL TO}"
