"""What the demonstration prints at its end."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from anamnesis.cli.output import table
from anamnesis.evaluation.report import ModelReport, ReportData, read_report
from anamnesis.evaluation.report.data import PRIMARY

ADVISORY = "The gate is advisory here: its verdict is written down, and every version is promoted all the same."
HONEST = (
    "A few hundred small images, few epochs, one seed: this shows that everything runs and what the numbers are, "
    "and nothing about which method is better."
)
_SHOWN = {
    "final average": "FinalAverage",
    "forgetting": "Forgetting",
    "learning": "LearningAccuracy",
    "worst retention": "WorstRetention",
}


@dataclass(frozen=True, slots=True)
class Results:
    """The report, for people.

    Attributes:
        document: the report's data.
        page: path of the HTML file.
    """

    document: ReportData
    page: Path

    def lines(self) -> Iterator[str]:
        """Yields what is printed."""
        for model in self.document.models:
            yield ""
            yield from _matrix(model)
            yield from _decisions(model)
        yield ""
        yield from _comparison(self.document)
        yield from ("", ADVISORY, HONEST, f"report: {self.page}")


def results(page: Path) -> Results:
    """Returns the results that the report at ``page`` holds."""
    return Results(read_report(page.with_suffix(".json").read_bytes()), page)


def _matrix(model: ModelReport) -> Iterator[str]:
    metrics = ", ".join(dict.fromkeys(column.task.primary_metric for column in model.columns))
    yield f"{model.method}: {metrics} of each task (columns) after each update (rows)"
    rows = [
        [f"after {row.site}", *(float(score.value) if score else None for score in scores)]
        for row, scores in zip(model.updates, model.matrices[PRIMARY], strict=True)
    ]
    yield from (f"  {line}" for line in table(["", *(column.task.name for column in model.columns)], rows))


def _decisions(model: ModelReport) -> Iterator[str]:
    for row in model.updates:
        if row.decision:
            said = f"{row.decision.verdict.value}, {row.decision.reason.partition(':')[0]}"
            yield f"  gate on {row.site}: {said}; {'promoted' if row.promoted else 'not promoted'}"


def _comparison(report: ReportData) -> Iterator[str]:
    rows = [
        [model.method, *(model.continual.get(PRIMARY, {}).get(key) for key in _SHOWN.values())]
        for model in report.models
    ]
    yield from table(["method", *_SHOWN], rows)
