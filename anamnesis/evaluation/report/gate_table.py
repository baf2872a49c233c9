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
class GateLine:
    """What was asked of one update on one site, by criterion."""

    site: str
    task: str
    criteria: Mapping[str, Criterion]


def criteria_of(model: ModelReport) -> list[str]:
    """Returns the names of all criteria that any of the model's decisions has."""
    decisions = [row.decision for row in model.updates if row.decision is not None]
    return list(dict.fromkeys(line.name for decision in decisions for line in decision.criteria))


def gate_lines(update: UpdateRow) -> list[GateLine]:
    """Returns the decision's criteria, grouped by site and task in their order."""
    lines = update.decision.criteria if update.decision is not None else ()
    named = dict.fromkeys((line.site, line.task) for line in lines)
    return [
        GateLine(site, task, {line.name: line for line in lines if (line.site, line.task) == (site, task)})
        for site, task in named
    ]


def verdict(update: UpdateRow) -> str:
    """Returns the gate's word, and what was done where it did not bind."""
    if update.decision is None:
        return "promoted" if update.promoted else "not judged"
    word, advice = VERDICTS[update.decision.verdict], update.decision.enforcement is Enforcement.ADVISORY
    if advice and update.promoted and update.decision.verdict is not Verdict.PROMOTE:
        return f"{word} (advice only: promoted all the same)"
    return word


def comparison(criterion: Criterion) -> str:
    """Returns the sign between value and limit."""
    return "\N{LESS-THAN OR EQUAL TO}" if criterion.name == "forgetting" else "\N{GREATER-THAN OR EQUAL TO}"
