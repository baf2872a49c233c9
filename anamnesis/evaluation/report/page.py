"""The report as one self-contained HTML page: no script, no network, style and pictures inside."""

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from anamnesis.evaluation.report import charts, gate_table, plots, statements
from anamnesis.evaluation.report.assemble import champion_lineage
from anamnesis.evaluation.report.colours import STOPS
from anamnesis.evaluation.report.data import ModelReport, ReportData
from anamnesis.evaluation.report.heatmaps import CHANCE_AUROC, MATRICES, heat_maps
from anamnesis.evaluation.report.measures import build_measures, format_bytes, format_duration
from anamnesis.evaluation.report.model_card import ModelCard
from anamnesis.evaluation.report.names import class_name, metric_label, model_label, short_digest
from anamnesis.evaluation.report.options import learning_rates, option_rows
from anamnesis.evaluation.report.reasons import DROPS, unsettled_and_failed
from anamnesis.evaluation.report.saliency_table import saliency_columns
from anamnesis.evaluation.report.side_by_side import common_site_rows, left_out_sites
from anamnesis.evaluation.report.site_results import calibration_is_off, site_results
from anamnesis.records import MINIMUM_CELL_PATIENTS, InputError
from anamnesis.records.metric_names import CLASS_INCREMENTAL_ACCURACY


def report_html(report: ReportData, pictures: Mapping[str, bytes]) -> bytes:
    """Returns the page.

    Args:
        report: made by ``assemble_report``.
        pictures: PNG by digest. The page names the pictures that are missing here.
    """
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            summary=statements.report_summary(report),
            statements=[statements.model_statement(model) for model in report.models],
            labels=[model_label(model, report) for model in report.models],
            measures=build_measures(report),
            curves=[
                (title, note, site_panels)
                for metric, title, note in MATRICES
                if (site_panels := charts.site_panels(report, metric))
            ],
            chart=charts,
            heat_maps=heat_maps,
            saliency_columns=saliency_columns,
            stops=STOPS,
            tolerance=statements.TOLERANCE,
            class_incremental_limit=statements.CLASS_INCREMENTAL_LOSS_LIMIT,
            lineage=champion_lineage,
            verdict=gate_table.describe_verdict,
            gate_lines=gate_table.gate_rows,
            mark=gate_table.row_mark,
            unsettled=unsettled_and_failed,
            outcome=_outcome,
            loss_rows=_loss_rows,
            class_losses=_class_losses,
            common_rows=common_site_rows(report),
            left_out=left_out_sites(report) if len(report.models) > 1 else (),
            option_rows=option_rows,
            learning_rates=learning_rates,
            site_results=site_results,
            off=calibration_is_off,
            squares=plots,
            minimum=MINIMUM_CELL_PATIENTS,
            chance=CHANCE_AUROC,
            same_environment=_shared_environment,
            source={digest: "data:image/png;base64," + b64encode(png).decode() for digest, png in pictures.items()},
        )
    )
    return page.encode()


def card_html(card: ModelCard) -> bytes:
    """Returns a model card as a page of its own."""
    return _environment().get_template("card.html.j2").render(card=card).encode()


def card_markdown(card: ModelCard) -> bytes:
    """Returns a model card as Markdown; text of people and sites cannot make headings, links or tags."""
    environment = _environment()
    environment.autoescape = False
    environment.filters["plain"] = _escape_markdown
    return environment.get_template("card.md.j2").render(card=card).encode()


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "short": short_digest,
        "decimal": _format_decimal,
        "metric": metric_label,
        "class_name": class_name,
        "seconds": format_duration,
        "size": format_bytes,
        "time": _format_time,
        "minute": _format_minute,
    }
    return environment


def _outcome(model: ModelReport, version: str) -> str:
    row = next(row for row in model.updates if row.version == version)
    return statements.describe_outcome(row, model.champion)


def _loss_rows(model: ModelReport) -> list[gate_table.GateRow]:
    """The tests of a loss in the decision on the version in use."""
    rows = champion_lineage(model)
    return [row for row in gate_table.gate_rows(model.updates[rows[-1]]) if row.criterion.name in DROPS] if rows else []


def _class_losses(model: ModelReport) -> dict[str, statements.SiteLoss]:
    return {loss.site: loss for loss in statements.site_losses(model, CLASS_INCREMENTAL_ACCURACY)}


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _shared_environment(model: ModelReport) -> Mapping[str, str] | None:
    """The environment of all updates, or none where they differ."""
    environments = [row.environment for row in model.updates]
    return (
        environments[0]
        if environments and environments[0] and all(environment == environments[0] for environment in environments)
        else None
    )


def _format_decimal(value: Decimal | float, places: int = 2) -> str:
    return f"{value:.{places}f}".replace("-", "\N{MINUS SIGN}")


def _format_time(value: str) -> str:
    """ISO 8601 as ``20 November 2026, 14:05 UTC``."""
    return f"{_parse_time(value):%-d %B %Y, %H:%M} UTC"


def _format_minute(value: str) -> str:
    """ISO 8601 as ``2026-11-20 14:05``, or nothing where there is no time."""
    return f"{_parse_time(value):%Y-%m-%d %H:%M}" if value else ""


def _parse_time(value: str) -> datetime:
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise InputError(
            f"report: expected a time in ISO 8601, found {value!r}; correct this time in the report's data"
        ) from None
    return time if time.tzinfo is None else time.astimezone(UTC)
