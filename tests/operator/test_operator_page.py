"""``docs/operator.md`` is the page for people on call: it explains every state and reason, with what to do."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from anamnesis.operator.api import condition_types, reasons
from anamnesis.operator.backends.base import RunState
from anamnesis.operator.plan import states_page
from anamnesis.operator.plan.planned_status import ApprovalState, SiteState, UpdateState
from anamnesis.operator.plan.site_readiness import SITE_CHECKS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
WORD = re.compile(r"`(\w+)`")
SUBJECT_HEADERS = ("state", "reason", "condition `Decided`, reason", "condition `Recorded`, reason")


def constants(module: object) -> dict[str, str]:
    return {name: value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}


def table_rows(page: str) -> Iterator[dict[str, str]]:
    """Yields the rows of every table: header -> cell."""
    header: list[str] = []
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            header = []
        elif not header:
            header = cells
        elif not set(line) <= set("|-: "):
            yield dict(zip(header, cells, strict=True))


def explained_reasons(page: str) -> set[tuple[str, str]]:
    """Returns (condition type, or ``site``; reason or state) of the rows that say what to do."""
    explained, condition_type = set(), ""
    for row in table_rows(page):
        subject_header = next((header for header in row if header in SUBJECT_HEADERS), "")
        explanation = list(row.values())[-1]
        if subject_header and len(explanation.split()) >= 2:
            types = WORD.findall(subject_header) or WORD.findall(row.get("condition", ""))
            condition_type = types[0] if types else condition_type
            kind = "site" if subject_header == "state" else condition_type
            explained |= {(kind, word) for word in WORD.findall(row[subject_header])}
    return explained


def conditions_in_code() -> Iterator[tuple[str, str]]:
    """Yields (type, reason) of every condition that the operator makes, where both are constants."""
    for path in (ROOT / "anamnesis" / "operator").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "make_condition":
                arguments = dict(zip(("type", "status", "reason", "message"), node.args, strict=False))
                arguments |= {keyword.arg or "": keyword.value for keyword in node.keywords}
                condition_type, reason = constant_value(arguments["type"]), constant_value(arguments["reason"])
                if condition_type and reason:
                    yield condition_type, reason


def constant_value(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return (constants(condition_types) | constants(reasons)).get(name, "")


@pytest.mark.parametrize(
    ("kind", "states"),
    [("site", SiteState), (condition_types.DECIDED, UpdateState), (condition_types.RECORDED, ApprovalState)],
)
def test_every_state_is_explained(kind: str, states: type[SiteState | UpdateState | ApprovalState]) -> None:
    assert {(kind, state.value) for state in states} - explained_reasons(PAGE) == set()


def test_every_condition_of_the_code_is_explained() -> None:
    pairs = set(conditions_in_code())
    assert len(pairs) > 20
    assert {("Ready", "NoChampion"), ("Forgetting", "ScoreFell"), ("RunSucceeded", "NoResult")} <= pairs
    assert pairs - explained_reasons(PAGE) == set()


def test_every_type_and_reason_is_explained() -> None:
    explained = explained_reasons(PAGE)
    assert set(constants(condition_types).values()) - {condition_type for condition_type, _ in explained} == set()
    assert set(constants(reasons).values()) - {reason for _, reason in explained} == set()
    run_states = {(condition_types.RUN_SUCCEEDED, state.value) for state in RunState}
    assert run_states - explained == set()


def test_a_reason_without_its_row_is_noticed() -> None:
    for condition_type, reason in conditions_in_code():
        if condition_type != "RunSucceeded":
            page = re.sub(rf"^\|.*`{reason}`.*\n", "", PAGE, flags=re.MULTILINE)
            assert (condition_type, reason) not in explained_reasons(page)
    assert ("Ready", "NoChampion") not in explained_reasons("The reason `NoChampion` of `Ready` is in no table.")


def test_the_page_lists_the_checks_in_their_order() -> None:
    rows = [row for row in table_rows(PAGE) if "when" in row]
    assert [row["when"] for row in rows if row["when"]] == [check.decide.__doc__ for check in SITE_CHECKS]
    assert [WORD.findall(row["state"])[0] for row in rows] == [
        state for check in SITE_CHECKS for state in check.actions
    ]


def test_the_tables_of_states_follow_from_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert states_page.main(check=True) == 0
    page = tmp_path / "operator.md"
    page.write_text(PAGE.replace("| `Waiting` |", "| `Sleeping` |"), encoding="utf-8")
    monkeypatch.setattr(states_page, "PAGE_FILE", page)
    assert states_page.main(check=True) == 1
    assert (states_page.main(check=False), page.read_text(encoding="utf-8")) == (0, PAGE)
    page.write_text(PAGE.replace("<!-- end of site states -->", ""), encoding="utf-8")
    with pytest.raises(ValueError, match="end of site states"):
        states_page.main(check=True)


def test_every_command_and_file_of_the_page_exists() -> None:
    from anamnesis.cli.app import app

    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    commands |= {group.name or "" for group in app.registered_groups}
    ours = re.sub(r"helm .*|create namespace anamnesis|-n anamnesis|get anamnesis", "", PAGE)  # not of other programs
    named_commands = set(re.findall(r"anamnesis ([a-z-]+)", ours))
    assert {"approve", "evaluate", "update"} <= named_commands
    assert named_commands <= commands
    files = set(re.findall(r"manifests/[\w/.-]+\b", PAGE))
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []
