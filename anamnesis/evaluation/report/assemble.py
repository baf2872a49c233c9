"""From evaluations to a report: matrices, lineage, metrics of continual learning."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from anamnesis.evaluation.accuracy_matrix import AccuracyMatrix, continual_metrics, saliency_forgetting
from anamnesis.evaluation.report.data import PRIMARY, ModelReport, ReportData, Scores, SiteColumn, UpdateRow
from anamnesis.evaluation.report.publishable import SmallTestSets
from anamnesis.records import Evaluation, EvaluationSet, InputError, Metric
from anamnesis.records.metric_names import ACCURACY, CLASS_INCREMENTAL_ACCURACY, IOU

COMMON_WARNINGS = (
    "Nothing clinical is claimed. These are research measurements on the images listed here and on no others.",
    "Patients with different numbers at two hospitals are not recognised: one person may be in the training data of "
    "one hospital and in the test set of the other.",
    "Where a source gives no patient numbers, only near-identical images are kept on one side of the split: the "
    "scores of that site are optimistic.",
    "A saliency map shows where the score is sensitive, not why the model decides so. An unchanged map does not prove "
    "sound reasoning, and a changed map does not prove an error.",
)
"""They apply to every report."""


def build_model_report(
    name: str,
    method: str,
    columns: Sequence[SiteColumn],
    updates: Sequence[UpdateRow],
    evaluations: Iterable[Evaluation],
    champion: str = "",
) -> ModelReport:
    """Returns a model's report with its matrices; add floors, pictures and warnings by ``dataclasses.replace``.

    Args:
        name: of the model.
        method: of the model.
        columns: in any order; sites that no update learned are left out.
        updates: in order.
        evaluations: of any versions; evaluations on other test sets or on recent cases are left out. Of two evaluators
            the last one counts.
        champion: digest of the version in use.

    Raises:
        InputError: an update's site has no column, or no update made the champion.
    """
    by_site = {column.site: column for column in columns}
    if sites_without_column := [row.site for row in updates if row.site not in by_site]:
        raise InputError(
            f"report {name!r}: an update learned site {sites_without_column[0]!r}, but the report has no column for "
            "that site; add the site to the columns"
        )
    if champion and champion not in {row.version for row in updates}:
        raise InputError(f"report {name!r}: no update in the report made the champion {champion}; add that update")
    learned_columns = tuple(by_site[site] for site in dict.fromkeys(row.site for row in updates))
    frozen_evaluations = [
        evaluation
        for evaluation in evaluations
        if evaluation.evaluation_set is EvaluationSet.FROZEN and _is_on_test_set(evaluation, by_site)
    ]
    small_sets = SmallTestSets.of(frozen_evaluations)
    shown_evaluations = [small_sets.publishable_evaluation(evaluation) for evaluation in frozen_evaluations]
    scores = {
        (metric, evaluation.version, evaluation.site): value
        for evaluation in shown_evaluations
        for metric, value in evaluation.metrics.items()
    }
    test_sets = {column.site: column.test_set for column in columns}
    rows = tuple(
        replace(row, decision=row.decision and small_sets.publishable_decision(row.decision, test_sets))
        for row in updates
    )
    model = ModelReport(
        name=name,
        method=method,
        columns=learned_columns,
        updates=rows,
        matrices=_build_matrices(learned_columns, rows, scores),
        champion=champion,
    )
    shown_versions = {row.version for row in shown_rows(model)}
    return replace(model, evaluations=tuple(item for item in shown_evaluations if item.version in shown_versions))


def shown_rows(model: ModelReport) -> tuple[UpdateRow, ...]:
    """Returns the updates whose results are shown by site: the one in use, and the newest one that waits.

    Without a version in use it is the last update.
    """
    in_use = next((row for row in model.updates if row.version == model.champion), None)
    rows = [row for row in (in_use, model.waiting) if row is not None]
    return tuple(rows) or model.updates[-1:]


def champion_lineage(model: ModelReport) -> tuple[int, ...]:
    """Returns the rows of the ancestors of the version in use (or of the last update), itself included, oldest first.

    Rejected updates are not among them: the model in use has not forgotten anything through them.
    """
    last = model.updates[-1].version if model.updates else ""
    return ancestor_rows(model.updates, model.champion or last)


def ancestor_rows(updates: Sequence[UpdateRow], version: str) -> tuple[int, ...]:
    """Returns the rows of a version's ancestors, itself included, oldest first."""
    rows = {row.version: index for index, row in enumerate(updates)}
    digest: str | None = version
    rows_to_root: list[int] = []
    while digest in rows and rows[digest] not in rows_to_root:
        rows_to_root.append(rows[digest])
        digest = updates[rows[digest]].base
    return tuple(reversed(rows_to_root))


def lineage_matrix(
    model: ModelReport, metric: str, counted_sites: tuple[str, ...] | None = None
) -> AccuracyMatrix | None:
    """Returns one metric's matrix along the lineage, or none where it was never measured.

    Args:
        model: the model.
        metric: name of the matrix.
        counted_sites: the sites that means are over; all where it is none.
    """
    rows = champion_lineage(model)
    if not rows or metric not in model.matrices:
        return None
    update_tasks = tuple(model.updates[row].site for row in rows)
    sites = [column.site for column in model.columns]
    order = [sites.index(site) for site in dict.fromkeys(update_tasks)]
    cells = tuple(tuple(_to_float(model.matrices[metric][row][i]) for i in order) for row in rows)
    primary = {column.site: column.task.primary_metric for column in model.columns}
    return AccuracyMatrix(
        update_tasks,
        cells,
        baseline_scores=model.baseline if metric == PRIMARY else {},
        counted_tasks=counted_sites,
        metrics=primary if metric == PRIMARY else dict.fromkeys(primary, metric),
    )


def assemble_report(
    title: str, created: str, models: Sequence[ModelReport], warnings: Sequence[str] = ()
) -> ReportData:
    """Returns the report of one or several models, with their metrics of continual learning.

    Intransigence compares with the model of the method ``joint``, where both learned the same sequence.
    """
    joint = next((model for model in models if model.method == "joint"), None)
    common_sites = find_common_sites(models)
    completed_models = tuple(
        replace(
            model,
            continual=_continual_metrics(model, joint),
            compared=_continual_metrics(model, joint, common_sites) if common_sites else {},
        )
        for model in models
    )
    all_warnings = tuple(dict.fromkeys((*warnings, *COMMON_WARNINGS)))
    return ReportData(title, created, completed_models, all_warnings, common_sites)


def find_common_sites(models: Sequence[ModelReport]) -> tuple[str, ...]:
    """Returns the sites that the versions in use of all models learned, and that all judge by the same test set."""
    learned = [_learned_test_sets(model) for model in models]
    if not learned:
        return ()
    return tuple(site for site, test_set in learned[0].items() if all(sets.get(site) == test_set for sets in learned))


def _learned_test_sets(model: ModelReport) -> dict[str, str]:
    sites = {model.updates[row].site for row in champion_lineage(model)}
    return {column.site: column.test_set for column in model.columns if column.site in sites}


def _is_on_test_set(evaluation: Evaluation, by_site: Mapping[str, SiteColumn]) -> bool:
    column = by_site.get(evaluation.site)
    return column is not None and column.test_set == evaluation.test_set


def _build_matrices(
    columns: Sequence[SiteColumn], updates: Sequence[UpdateRow], scores: Mapping[tuple[str, str, str], Metric]
) -> dict[str, Scores]:
    def score_rows(names: Sequence[str]) -> Scores:
        pairs = list(zip(columns, names, strict=True))
        return tuple(tuple(scores.get((name, row.version, column.site)) for column, name in pairs) for row in updates)

    matrices = {PRIMARY: score_rows([column.task.primary_metric for column in columns])}
    return matrices | {
        metric: score_rows([metric] * len(columns)) for metric in sorted({metric for metric, _, _ in scores})
    }


def _continual_metrics(
    model: ModelReport, joint: ModelReport | None, counted_sites: tuple[str, ...] | None = None
) -> dict[str, dict[str, float]]:
    result = {}
    for metric in (PRIMARY, ACCURACY, CLASS_INCREMENTAL_ACCURACY):
        if (matrix := lineage_matrix(model, metric, counted_sites)) is not None:
            joint_matrix = lineage_matrix(joint, metric, counted_sites) if joint is not None else None
            is_comparable = joint_matrix is not None and joint_matrix.update_tasks == matrix.update_tasks
            result[metric] = continual_metrics(matrix, joint_matrix if is_comparable else None)
    if (iou_matrix := lineage_matrix(model, IOU, counted_sites)) is not None:
        mean_loss = saliency_forgetting(iou_matrix)
        result[IOU] = {} if mean_loss is None else {"SaliencyForgetting": round(mean_loss, 6)}
    return result


def _to_float(metric: Metric | None) -> float | None:
    return None if metric is None else float(metric.value)
