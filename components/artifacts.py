"""Artifacts for people: metrics that Kubeflow shows, and the decision of the gate as a table."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def finite_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Returns the finite numbers in ``metrics``; Kubeflow's local runner fails on a NaN."""
    numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def decision_table(decision: Mapping[str, Any]) -> str:
    """Returns an encoded ``Decision`` as Markdown: verdict, reason, and each criterion with value and limit."""
    title = f"## {_escape_cell(decision['verdict'])}\n\n{_escape_cell(decision['reason'])}\n"
    names = ("candidate", "base", "champion", "enforcement")
    field_lines = "\n".join(f"- {name}: {_format_code(decision.get(name))}" for name in names)
    return f"{title}\n{field_lines}\n\n{_criteria_table(decision['criteria'])}\n"


def _criteria_table(criteria: Sequence[Mapping[str, Any]]) -> str:
    if not criteria:
        return "No criterion was evaluated."
    rows = ["| criterion | site | task | value | limit | result | why |", "|---|---|---|---:|---:|---|---|"]
    for criterion in criteria:
        names = ("name", "site", "task", "value", "limit", "result", "reason")
        rows.append(f"| {' | '.join(_escape_cell(criterion[name]) for name in names)} |")
    return "\n".join(rows)


def _escape_cell(value: object) -> str:
    text = "" if value is None else str(value)
    for character, replacement in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("\n", " ")):
        text = text.replace(character, replacement)
    return text


def _format_code(value: object) -> str:
    return f"`{value}`" if value else "none"
