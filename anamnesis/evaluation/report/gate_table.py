"""The gate's decisions as rows of a table: one per criterion."""

from collections.abc import Iterator
from dataclasses import dataclass

from anamnesis.evaluation.report.data import ModelReport, UpdateRow
from anamnesis.evaluation.report.names import short_digest
from anamnesis.evaluation.report.reasons import criterion_label
from anamnesis.evaluation.report.statements import describe_outcome
from anamnesis.records import Criterion, CriterionResult, Enforcement, Verdict

VERDICTS = {
    Verdict.PROMOTE: "promote",
    Verdict.AWAIT_EVALUATIONS: "await evaluations",
    Verdict.AWAIT_APPROVAL: "await approval",
    Verdict.REJECT: "reject",
    Verdict.SUPERSEDED: "superseded",
}
RESULTS = {
    CriterionResult.PASSED: ("good", "✓ passed"),
    CriterionResult.FAILED: ("bad", "✕ failed"),
    CriterionResult.UNDECIDED: ("open", "? undecided"),
    CriterionResult.MISSING: ("open", "… not evaluated yet"),
    CriterionResult.NOT_APPLICABLE: ("open", "not judged"),
}
"""Style and text of each result."""


@dataclass(frozen=True, slots=True)
class GateRow:
    """One criterion: where, what, against which version, and its result."""

    criterion: Criterion
    label: str
    reference: str
    sign: str
    style: str
    result: str


def gate_rows(update: UpdateRow) -> list[GateRow]:
    """Returns the criteria of the decision on an update, in their order."""
    return list(_rows(update))


def _rows(update: UpdateRow) -> Iterator[GateRow]:
    for criterion in update.decision.criteria if update.decision is not None else ():
        style, result = RESULTS[criterion.result]
        reference = _describe_reference(criterion, update)
        yield GateRow(criterion, criterion_label(criterion), reference, comparison_sign(criterion), style, result)


def _describe_reference(criterion: Criterion, update: UpdateRow) -> str:
    if not criterion.reference:
        return ""
    return "base" if criterion.reference == update.base else f"first version {short_digest(criterion.reference)}"


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


def row_mark(model: ModelReport, update: UpdateRow) -> str:
    """Returns the words that mark an update outside of the lineage in tables: ``○ rejected``."""
    return f"\N{WHITE CIRCLE} {describe_outcome(update, model.champion)}"
