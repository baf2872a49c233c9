"""The report as JSON and back."""

import json

from anamnesis.evaluation.report.data import SCHEMA, ReportData
from anamnesis.records import InputError, decode, encode


def report_json(report: ReportData) -> bytes:
    """Returns ``report.json``: indented, ending in a line break; pictures by digest only."""
    return json.dumps(encode(report), indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def read_report(data: bytes) -> ReportData:
    """Returns the report that ``report_json`` wrote.

    Raises:
        InputError: the data is not JSON, has another schema, or has a wrong field.
    """
    try:
        value = json.loads(data)
    except ValueError as error:
        raise InputError(
            f"report.json: invalid JSON: {error}; write the report again with: anamnesis report -f FILE"
        ) from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        actual_schema = value.get("schema") if isinstance(value, dict) else type(value).__name__
        raise InputError(
            f"report.json: expected schema {SCHEMA}, found {actual_schema!r}; write the report again with: anamnesis "
            "report -f FILE"
        )
    return decode(ReportData, value, "report")
