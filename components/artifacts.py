"""What components write for people: metrics that Kubeflow can show, and the gate's table."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def finite(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Returns the numbers among ``metrics`` that are finite: Kubeflow's local runner ends on a NaN."""
    numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def decision_table(decision: Mapping[str, Any]) -> str:
    """Returns an encoded ``Decision`` as Markdown: the verdict, and each criterion with value and limit."""
    title = f"## {_cell(decision['verdict'])}\n\n{_cell(decision['reason'])}\n"
    names = ("candidate", "base", "champion", "enforcement")
    facts = "\n".join(f"- {name}: {_code(decision.get(name))}" for name in names)
    return f"{title}\n{facts}\n\n{_criteria(decision['criteria'])}\n"


def _criteria(criteria: Sequence[Mapping[str, Any]]) -> str:
    if not criteria:
        return "No criterion was judged."
    rows = ["| criterion | site | task | value | limit | passed |", "|---|---|---|---:|---:|---|"]
    for one in criteria:
        passed = {True: "yes", False: "**no**", None: "missing"}[one["passed"]]
        cells = [_cell(one[name]) for name in ("name", "site", "task", "value", "limit")]
        rows.append(f"| {' | '.join(cells)} | {passed} |")
    return "\n".join(rows)


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    for special, harmless in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("\n", " ")):
        text = text.replace(special, harmless)
    return text


def _code(value: object) -> str:
    return f"`{value}`" if value else "none"
