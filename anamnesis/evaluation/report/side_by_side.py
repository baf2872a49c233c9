"""Several models side by side: their current scores on the sites that all of them learned."""

from dataclasses import dataclass

from anamnesis.evaluation.report.assemble import champion_lineage
from anamnesis.evaluation.report.data import PRIMARY, ModelReport, ReportData
from anamnesis.evaluation.report.names import metric_head
from anamnesis.records import Metric
from anamnesis.records.metric_names import CLASS_INCREMENTAL_ACCURACY


@dataclass(frozen=True, slots=True)
class CommonSiteRow:
    """One measure at one site: its value in each model, none where not measured."""

    site: str
    measure: str
    values: tuple[Metric | None, ...]


def common_site_rows(report: ReportData) -> list[CommonSiteRow]:
    """Returns the primary metric and the class-incremental accuracy of each common site."""
    if len(report.models) < 2:
        return []
    rows = []
    for site in report.common_sites:
        column = next(item for item in report.models[0].columns if item.site == site)
        names = {PRIMARY: metric_head(column.task.primary_metric), CLASS_INCREMENTAL_ACCURACY: "site not given"}
        rows += [
            CommonSiteRow(site, name, tuple(_current_score(model, metric, site) for model in report.models))
            for metric, name in names.items()
        ]
    return [row for row in rows if any(value is not None for value in row.values)]


def left_out_sites(report: ReportData) -> tuple[str, ...]:
    """Returns the sites of any model that a comparison leaves out."""
    sites = dict.fromkeys(column.site for model in report.models for column in model.columns)
    return tuple(site for site in sites if site not in report.common_sites)


def _current_score(model: ModelReport, metric: str, site: str) -> Metric | None:
    rows = champion_lineage(model)
    sites = [column.site for column in model.columns]
    if not rows or metric not in model.matrices or site not in sites:
        return None
    return model.matrices[metric][rows[-1]][sites.index(site)]
