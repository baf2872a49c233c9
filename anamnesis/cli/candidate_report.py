"""Writes the report about a candidate as lines: what the person who decides reads."""

from collections.abc import Iterator
from decimal import Decimal

from anamnesis.cli.output import format_table
from anamnesis.operator.api.candidate_report import CandidateReport, CriterionLine, TaskComparison
from anamnesis.operator.api.scores import Score
from anamnesis.records import MINIMUM_CELL_PATIENTS, is_highest_limit

_RESULTS = {
    "Passed": "passed",
    "Failed": "FAILED",
    "Undecided": "UNDECIDED",
    "Missing": "not measured",
    "NotApplicable": "not applicable",
}


def report_lines(report: CandidateReport) -> Iterator[str]:
    """Yields the lines: scores of base and candidate, recall of each class, criteria of the gate."""
    yield f"candidate {report.version}"
    yield f"base      {report.base or 'none: this is the first version'}"
    if report.tasks:
        head = ["test set", "metric", "before", "after", "best", "forgetting", "patients"]
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
        yield from format_table(
            ["criterion", "test set", "value", "limit", ""], [_criterion_row(each) for each in report.criteria]
        )
    else:
        yield "no criterion of the gate was judged"


def format_score(score: Score | None) -> str:
    """Returns a score with its interval and number of cases."""
    if score is None:
        return "-"
    bounds = f" [{format_number(score.low)}, {format_number(score.high)}]" if score.low is not None else ""
    return f"{format_number(score.value)}{bounds} n={score.cases}"


def format_number(value: Decimal | None) -> str:
    """Returns a number with three places."""
    return "-" if value is None else f"{value:.3f}"


def _task_row(task: TaskComparison) -> list[object]:
    name = f"{task.site}/{task.task}{' (new)' if task.role == 'New' else ''}"
    numbers = [format_number(task.best_score), format_number(task.forgetting)]
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


def _criterion_row(criterion: CriterionLine) -> list[object]:
    sign = "at most" if is_highest_limit(criterion.name, criterion.metric, criterion.limit) else "at least"
    return [
        criterion.name,
        f"{criterion.site}/{criterion.task}",
        format_number(criterion.value),
        f"{sign} {format_number(criterion.limit)}",
        _RESULTS[criterion.result],
    ]
