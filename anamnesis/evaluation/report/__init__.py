"""The report: data in, one JSON file and one self-contained HTML page out. Without torch."""

from anamnesis.evaluation.report.assemble import assemble_report, build_model_report, champion_lineage
from anamnesis.evaluation.report.data import LogLine, ModelReport, ReportData, SaliencyPicture, SiteColumn, UpdateRow
from anamnesis.evaluation.report.model_card import model_cards
from anamnesis.evaluation.report.page import card_html, card_markdown, report_html
from anamnesis.evaluation.report.serialisation import read_report, report_json

__all__ = [
    "LogLine",
    "ModelReport",
    "ReportData",
    "SaliencyPicture",
    "SiteColumn",
    "UpdateRow",
    "assemble_report",
    "build_model_report",
    "card_html",
    "card_markdown",
    "champion_lineage",
    "model_cards",
    "read_report",
    "report_html",
    "report_json",
]
