"""The report: data in, one JSON file and one self-contained HTML page out. Without torch."""

from anamnesis.evaluation.report.assemble import assemble, lineage, model_report
from anamnesis.evaluation.report.data import Column, ModelReport, Picture, ReportData, UpdateRow
from anamnesis.evaluation.report.page import report_html
from anamnesis.evaluation.report.serialisation import read_report, report_json

__all__ = [
    "Column",
    "ModelReport",
    "Picture",
    "ReportData",
    "UpdateRow",
    "assemble",
    "lineage",
    "model_report",
    "read_report",
    "report_html",
    "report_json",
]
