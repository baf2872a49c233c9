"""Writes the report about a candidate as lines: what the person who decides reads. The verdict is first, then why."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from anamnesis.cli.output import format_table
from anamnesis.operator.api.candidate_report import CandidateReport, CriterionLine, TaskComparison
from anamnesis.operator.api.scores import Score
from anamnesis.records import MINIMUM_CELL_PATIENTS, is_highest_limit
from anamnesis.registry.gate import FAITHFULNESS_METRIC

_RESULTS = {
    "Passed": "passed",
    "Failed": "FAILED",
    "Undecided": "UNDECIDED",
    "Missing": "not measured",
    "NotApplicable": "not judged",
}


def report_lines(report: CandidateReport) -> Iterator[str]:
    """Yields the lines: verdict and reasons, scores of base and candidate, recall of each class, all criteria."""
    yield f"candidate {report.version}"
    yield f"base      {report.base or 'none: this is the first version'}"
    yield from _verdict_lines(report.criteria)
    if report.tasks:
        head = ["test set", "metric", "before", "after", "first", "forgetting", "patients"]
        yield from format_table(head, [_task_row(task) for task in report.tasks])
        yield from (note for task in report.tasks for note in _notes(task))
    recall_rows = [
        [f"{task.site}/{task.task}", recall.label, format_score(recall.before), format_score(recall.after)]
        for task in report.tasks
        for recall in task.recalls
    ]
    if recall_rows:
        yield from format_table(["test set", "class", "recall before", "recall after"], recall_rows)
    if report.criteria:
        head = ["criterion", "test set", "metric", "against", "value", "limit", "patients", ""]
        yield from format_table(head, [_criterion_row(each, report.base) for each in report.criteria])
    if report.criteria_not_listed:
        yield f"{report.criteria_not_listed} more criteria are not listed"


def format_score(score: Score | None) -> str:
    """Returns a score with its interval over patients and number of cases and patients."""
    if score is None:
        return "-"
    bounds = f" [{format_number(score.low)}, {format_number(score.high)}]" if score.low is not None else ""
    patients = f" patients={score.patients}" if score.patients else ""
    return f"{format_number(score.value)}{bounds} n={score.cases}{patients}"


def format_number(value: Decimal | None) -> str:
    """Returns a number with three places."""
    return "-" if value is None else f"{value:.3f}"


def _verdict_lines(criteria: Sequence[CriterionLine]) -> Iterator[str]:
    """Yields what the criteria decide, and one line for each that did not pass."""
    judged = [item for item in criteria if item.result != "NotApplicable"]
    failed = [item for item in judged if item.result == "Failed" and item.metric != FAITHFULNESS_METRIC]
    missing = [item for item in judged if item.result == "Missing"]
    is_open = [item for item in judged if item not in failed and item.result in ("Undecided", "Failed")]
    if not judged:
        yield "verdict   no criterion of the gate was judged"
    elif failed:
        yield f"verdict   REJECT: {len(failed)} of {len(judged)} criteria failed"
    elif missing:
        yield f"verdict   WAIT: {len(missing)} of {len(judged)} criteria are not measured"
    elif is_open:
        yield f"verdict   A PERSON DECIDES: {len(is_open)} of {len(judged)} criteria are open"
    else:
        yield f"verdict   PASSED: all of {len(judged)} criteria"
    for item in (*failed, *missing, *is_open):
        yield f"  {_RESULTS[item.result]}: {item.reason or f'{item.name} of {item.task} at {item.site}'}"


def _task_row(task: TaskComparison) -> list[object]:
    name = f"{task.site}/{task.task}{' (new)' if task.role == 'New' else ''}"
    numbers = [format_number(task.first_score), format_number(task.forgetting)]
    patients = str(task.patients) if task.patients else f"fewer than {MINIMUM_CELL_PATIENTS}"
    return [name, task.metric, format_score(task.before), format_score(task.after), *numbers, patients]


def _notes(task: TaskComparison) -> Iterator[str]:
    name = f"{task.site}/{task.task}"
    if task.detail == "Hidden":
        yield f"{name}: no scores are shown, because the test set has fewer than {MINIMUM_CELL_PATIENTS} patients"
    elif task.detail == "Rounded":
        yield (
            f"{name}: a class has fewer than {MINIMUM_CELL_PATIENTS} test patients, so scores are rounded and have no "
            "intervals, and no recall is shown"
        )
    elif task.classes_without_recall:
        yield f"{name}: {task.classes_without_recall} more classes, which lost less"


def _criterion_row(criterion: CriterionLine, base: str | None) -> list[object]:
    sign = "at most" if is_highest_limit(criterion.name, criterion.metric, criterion.limit) else "at least"
    return [
        criterion.name,
        f"{criterion.site}/{criterion.task}",
        criterion.metric,
        "" if criterion.reference is None else "base" if criterion.reference == base else "first",
        format_number(criterion.value),
        "-" if criterion.limit is None else f"{sign} {format_number(criterion.limit)}",
        criterion.patients or "",
        _RESULTS[criterion.result],
    ]
