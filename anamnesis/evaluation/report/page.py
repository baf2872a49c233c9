"""The report as one self-contained HTML page: no script, no network, style and pictures inside."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from anamnesis.evaluation.report import charts, words
from anamnesis.evaluation.report.assemble import lineage
from anamnesis.evaluation.report.data import ModelReport, ReportData, UpdateRow
from anamnesis.evaluation.report.heatmaps import MATRICES, heat_maps
from anamnesis.evaluation.report.measures import measures, seconds, size
from anamnesis.evaluation.report.shades import STOPS
from anamnesis.records import Criterion, Enforcement, Metric, Verdict

SALIENCY = ("IoU", "SSIM", "Cosine", "Spearman")

VERDICTS = {
    Verdict.PROMOTE: "promote",
    Verdict.AWAIT_EVALUATIONS: "await evaluations",
    Verdict.AWAIT_APPROVAL: "await approval",
    Verdict.REJECT: "reject",
    Verdict.SUPERSEDED: "superseded",
}


def report_html(report: ReportData, pictures: Mapping[str, bytes]) -> bytes:
    """Returns the page.

    Args:
        report: made by ``assemble``.
        pictures: PNG by digest, those that are readable here; the page says which are not.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"short": words.short, "decimal": _decimal, "seconds": seconds, "size": size, "time": _time}
    page = environment.get_template("report.html.j2").render(
        report=report,
        summary=words.summary(report),
        statements=[words.state(model) for model in report.models],
        labels=[words.label(model, report) for model in report.models],
        measures=measures(report),
        curves=[(title, note, found) for metric, title, note in MATRICES if (found := charts.panels(report, metric))],
        chart=charts,
        heat_maps=heat_maps,
        saliency=SALIENCY,
        stops=STOPS,
        tolerance=words.TOLERANCE,
        overview_loss=words.OVERVIEW_LOSS,
        lineage=lineage,
        verdict=_verdict,
        comparison=_comparison,
        saliency_now=_saliency_now,
        same_environment=_same_environment,
        source={digest: "data:image/png;base64," + b64encode(png).decode() for digest, png in pictures.items()},
    )
    return page.encode()


def _verdict(row: UpdateRow) -> str:
    """The gate's word, and what was done where it did not bind."""
    if row.decision is None:
        return "promoted" if row.promoted else "not judged"
    word = VERDICTS[row.decision.verdict]
    if row.decision.enforcement is Enforcement.ADVISORY and row.promoted and row.decision.verdict != Verdict.PROMOTE:
        return f"{word} (advice only: promoted all the same)"
    return word


def _comparison(criterion: Criterion) -> str:
    return "\N{LESS-THAN OR EQUAL TO}" if criterion.name == "forgetting" else "\N{GREATER-THAN OR EQUAL TO}"


def _saliency_now(model: ModelReport, metric: str, site: str) -> Metric | None:
    """A saliency metric of the version in use."""
    column = [column.site for column in model.columns].index(site)
    return model.matrices[metric][lineage(model)[-1]][column]


def _same_environment(model: ModelReport) -> Mapping[str, str] | None:
    """The environment of all updates, where they share one."""
    found = [row.environment for row in model.updates]
    return found[0] if found and found[0] and all(other == found[0] for other in found) else None


def _decimal(value: Decimal | float, places: int = 2) -> str:
    return f"{value:.{places}f}".replace("-", "\N{MINUS SIGN}")


def _time(value: str) -> str:
    """ISO 8601 as ``20 November 2026, 14:05 UTC``; what is no time stays as it is."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
