"""From evaluations to a report: matrices, lineage, metrics of continual learning."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from anamnesis.evaluation.accuracy_matrix import AccuracyMatrix, continual_metrics
from anamnesis.evaluation.report.data import PRIMARY, Column, ModelReport, ReportData, Scores, UpdateRow
from anamnesis.records import Evaluation, InputError, Metric, Window

STANDING_WARNINGS = (
    "Nothing clinical is claimed. These are research measurements on the images listed here and on no others.",
    "Patients known under other numbers at another site are not recognised: one person may be in training at one "
    "hospital and in the test set of another.",
    "Where a source gives no patient number, only near-identical images were kept on one side of the split: scores "
    "there are optimistic.",
    "A saliency map shows where the score is sensitive, not why the model decides so. A map that stays is no proof of "
    "sound reasoning, and one that moves is no proof of error.",
)
"""True of every report."""


def model_report(
    name: str,
    method: str,
    columns: Sequence[Column],
    updates: Sequence[UpdateRow],
    evaluations: Iterable[Evaluation],
    champion: str = "",
) -> ModelReport:
    """Returns a model's report with its matrices; add floors, pictures and warnings by ``dataclasses.replace``.

    Args:
        name: of the model.
        method: of the model.
        columns: in any order; those of sites that no update learned are left out.
        updates: in order.
        evaluations: of any versions; those on other test sets or recent cases are left out. Of two evaluators the last
            one counts.
        champion: digest of the version in use.

    Raises:
        InputError: an update's site has no column, or the champion is none of the updates' versions.
    """
    by_site = {column.site: column for column in columns}
    if missing := [row.site for row in updates if row.site not in by_site]:
        raise InputError(f"report {name!r}: an update learned {missing[0]!r}, which has no column")
    if champion and champion not in {row.version for row in updates}:
        raise InputError(f"report {name!r}: the champion {champion} is not among the updates")
    kept = tuple(by_site[site] for site in dict.fromkeys(row.site for row in updates))
    scores = {
        (metric, evaluation.version, evaluation.site): value
        for evaluation in evaluations
        if evaluation.window is Window.FROZEN and _judges(evaluation, by_site)
        for metric, value in evaluation.metrics.items()
    }
    return ModelReport(name, method, kept, tuple(updates), _matrices(kept, updates, scores), champion)


def lineage(model: ModelReport) -> tuple[int, ...]:
    """Returns the rows that led to the version in use (or, without one, to the last update), oldest first.

    A rejected update is not among them: what it forgot, the model in use never forgot.
    """
    last = model.updates[-1].version if model.updates else ""
    return ancestry(model.updates, model.champion or last)


def ancestry(updates: Sequence[UpdateRow], version: str) -> tuple[int, ...]:
    """Returns the rows that led to a version, itself included, oldest first."""
    rows = {row.version: index for index, row in enumerate(updates)}
    digest: str | None = version
    way: list[int] = []
    while digest in rows and rows[digest] not in way:
        way.append(rows[digest])
        digest = updates[rows[digest]].base
    return tuple(reversed(way))


def matrix_of(model: ModelReport, metric: str) -> AccuracyMatrix | None:
    """Returns one metric's matrix along the lineage, or none where there is nothing of it."""
    rows = lineage(model)
    if not rows or metric not in model.matrices:
        return None
    learned = tuple(model.updates[row].site for row in rows)
    sites = [column.site for column in model.columns]
    order = [sites.index(site) for site in dict.fromkeys(learned)]
    cells = tuple(tuple(_number(model.matrices[metric][row][i]) for i in order) for row in rows)
    return AccuracyMatrix(learned, cells, model.baseline if metric == PRIMARY else {})


def assemble(title: str, created: str, models: Sequence[ModelReport], warnings: Sequence[str] = ()) -> ReportData:
    """Returns the report of one or several models, with their metrics of continual learning.

    Intransigence is measured against the model whose method is ``joint``, where it learned the same sequence.
    """
    joint = next((model for model in models if model.method == "joint"), None)
    complete = tuple(replace(model, continual=_continual(model, joint)) for model in models)
    return ReportData(title, created, complete, tuple(dict.fromkeys((*warnings, *STANDING_WARNINGS))))


def _judges(evaluation: Evaluation, by_site: Mapping[str, Column]) -> bool:
    column = by_site.get(evaluation.site)
    return column is not None and column.test_set == evaluation.test_set


def _matrices(
    columns: Sequence[Column], updates: Sequence[UpdateRow], scores: Mapping[tuple[str, str, str], Metric]
) -> dict[str, Scores]:
    def rows(names: Sequence[str]) -> Scores:
        pairs = list(zip(columns, names, strict=True))
        return tuple(tuple(scores.get((name, row.version, column.site)) for column, name in pairs) for row in updates)

    matrices = {PRIMARY: rows([column.task.primary_metric for column in columns])}
    return matrices | {metric: rows([metric] * len(columns)) for metric in sorted({metric for metric, _, _ in scores})}


def _continual(model: ModelReport, joint: ModelReport | None) -> dict[str, dict[str, float]]:
    result = {}
    for metric in (PRIMARY, "Accuracy", "ClassIncrementalAccuracy"):
        if (matrix := matrix_of(model, metric)) is not None:
            bound = matrix_of(joint, metric) if joint is not None else None
            comparable = bound is not None and bound.learned == matrix.learned
            result[metric] = continual_metrics(matrix, bound if comparable else None)
    if (maps := matrix_of(model, "IoU")) is not None:
        kept = [iou for site in maps.old if (iou := maps.final(site)) is not None]
        result["IoU"] = {"SaliencyForgetting": round(1 - sum(kept) / len(kept), 6)} if kept else {}
    return result


def _number(metric: Metric | None) -> float | None:
    return None if metric is None else float(metric.value)
