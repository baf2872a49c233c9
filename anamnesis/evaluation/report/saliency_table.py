"""The saliency columns of the table of earlier sites: how much of each site's saliency maps is left."""

from collections.abc import Mapping
from dataclasses import dataclass

from anamnesis.evaluation.report.assemble import champion_lineage
from anamnesis.evaluation.report.data import ModelReport
from anamnesis.records import Metric
from anamnesis.records.metric_names import COSINE, IOU, SPEARMAN, SSIM

FORMULAS = {
    IOU: "Intersection over union of the most salient fifth of the pixels, before and now",
    SSIM: "Mean structural similarity of the two maps, each divided by its maximum",
    COSINE: "Cosine of the angle between the two maps as vectors",
    SPEARMAN: "Correlation of the ranks of the two maps' pixels",
}
FORGETTING_FORMULA = "1 \N{MINUS SIGN} IoU; the last row is the mean over the earlier sites"


@dataclass(frozen=True, slots=True)
class SaliencyColumn:
    """One measure of the version in use.

    Attributes:
        name: of the measure.
        formula: what it computes, in words.
        scores: by site, where measured.
        mean: over the earlier sites, where the report states one.
    """

    name: str
    formula: str
    scores: Mapping[str, Metric]
    mean: float | None = None


def saliency_columns(model: ModelReport) -> list[SaliencyColumn]:
    """Returns a column for each saliency metric that was measured; the last one is saliency forgetting."""
    columns = [
        SaliencyColumn(name, formula, _current_scores(model, name))
        for name, formula in FORMULAS.items()
        if name in model.matrices
    ]
    mean = model.continual.get(IOU, {}).get("SaliencyForgetting")
    if mean is not None:
        losses = {site: _loss(iou) for site, iou in _current_scores(model, IOU).items()}
        columns.append(SaliencyColumn("Saliency forgetting", FORGETTING_FORMULA, losses, mean))
    return columns


def _current_scores(model: ModelReport, metric: str) -> dict[str, Metric]:
    scores = model.matrices[metric][champion_lineage(model)[-1]]
    pairs = zip(model.columns, scores, strict=True)
    return {column.site: score for column, score in pairs if score is not None}


def _loss(iou: Metric) -> Metric:
    if iou.low is None or iou.high is None:
        return Metric(1 - iou.value, iou.n)
    return Metric(1 - iou.value, iou.n, low=1 - iou.high, high=1 - iou.low)
