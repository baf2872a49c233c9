"""The results that the demonstration prints."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from anamnesis.cli.output import format_table
from anamnesis.evaluation.report import ModelReport, ReportData, read_report
from anamnesis.evaluation.report.data import PRIMARY

ADVISORY_NOTE = "The gate is advisory here: its verdict is recorded, and every version is promoted."
LIMITATIONS_NOTE = (
    "A few hundred small images, few epochs, one seed: the results show that everything runs. They do not show which "
    "method is better."
)
_SHOWN_METRICS = {
    "final average": "FinalAverage",
    "forgetting": "Forgetting",
    "learning": "LearningAccuracy",
    "worst retention": "WorstRetention",
}


@dataclass(frozen=True, slots=True)
class Results:
    """The report as lines of text.

    Attributes:
        document: data of the report.
        page: path of the HTML file.
    """

    document: ReportData
    page: Path

    def lines(self) -> Iterator[str]:
        """Yields the lines."""
        for model in self.document.models:
            yield ""
            yield from _matrix_lines(model)
            yield from _decision_lines(model)
        yield ""
        yield from _comparison_lines(self.document)
        yield from ("", ADVISORY_NOTE, LIMITATIONS_NOTE, f"report: {self.page}")


def read_results(page: Path) -> Results:
    """Reads the results from the data beside the report at ``page``."""
    return Results(read_report(page.with_suffix(".json").read_bytes()), page)


def _matrix_lines(model: ModelReport) -> Iterator[str]:
    metrics = ", ".join(dict.fromkeys(column.task.primary_metric for column in model.columns))
    yield f"{model.method}: {metrics} of each task (columns) after each update (rows)"
    rows = [
        [f"after {row.site}", *(float(score.value) if score else None for score in scores)]
        for row, scores in zip(model.updates, model.matrices[PRIMARY], strict=True)
    ]
    yield from (f"  {line}" for line in format_table(["", *(column.task.name for column in model.columns)], rows))


def _decision_lines(model: ModelReport) -> Iterator[str]:
    for row in model.updates:
        if row.decision:
            verdict = f"{row.decision.verdict.value}, {row.decision.reason.partition(':')[0]}"
            yield f"  gate on {row.site}: {verdict}; {'promoted' if row.promoted else 'not promoted'}"


def _comparison_lines(report: ReportData) -> Iterator[str]:
    rows = [
        [model.method, *(model.compared.get(PRIMARY, {}).get(key) for key in _SHOWN_METRICS.values())]
        for model in report.models
    ]
    yield from format_table(["method", *_SHOWN_METRICS], rows)
