"""The report as one self-contained HTML page: no script, no network, style and pictures inside."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from anamnesis.evaluation.report import charts, gate_table, statements
from anamnesis.evaluation.report.assemble import lineage
from anamnesis.evaluation.report.colours import STOPS
from anamnesis.evaluation.report.data import ModelReport, ReportData
from anamnesis.evaluation.report.heatmaps import CHANCE, MATRICES, heat_maps
from anamnesis.evaluation.report.measures import measures, seconds, size
from anamnesis.records import InputError, Metric

SALIENCY = ("IoU", "SSIM", "Cosine", "Spearman")


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
    environment.filters |= {
        "short": statements.short,
        "decimal": _decimal,
        "seconds": seconds,
        "size": size,
        "time": _time,
        "minute": _minute,
    }
    page = environment.get_template("report.html.j2").render(
        report=report,
        summary=statements.summary(report),
        statements=[statements.state(model) for model in report.models],
        labels=[statements.label(model, report) for model in report.models],
        measures=measures(report),
        curves=[(title, note, found) for metric, title, note in MATRICES if (found := charts.panels(report, metric))],
        chart=charts,
        heat_maps=heat_maps,
        saliency=SALIENCY,
        stops=STOPS,
        tolerance=statements.TOLERANCE,
        overview_loss=statements.OVERVIEW_LOSS,
        lineage=lineage,
        verdict=gate_table.verdict,
        comparison=gate_table.comparison,
        criteria_of=gate_table.criteria_of,
        gate_lines=gate_table.gate_lines,
        chance=CHANCE,
        saliency_now=_saliency_now,
        same_environment=_same_environment,
        source={digest: "data:image/png;base64," + b64encode(png).decode() for digest, png in pictures.items()},
    )
    return page.encode()


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
    """ISO 8601 as ``20 November 2026, 14:05 UTC``."""
    return f"{_moment(value):%-d %B %Y, %H:%M} UTC"


def _minute(value: str) -> str:
    """ISO 8601 as ``2026-11-20 14:05``, or nothing where there is no time."""
    return f"{_moment(value):%Y-%m-%d %H:%M}" if value else ""


def _moment(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise InputError(f"report: expected a time in ISO 8601, found {value!r}") from None
    return moment if moment.tzinfo is None else moment.astimezone(UTC)
