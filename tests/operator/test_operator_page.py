"""``docs/operator.md`` is the page that a person on call has open: every word that a status may show is in it."""

import re
from pathlib import Path

import pytest

from anamnesis.operator.plan.planned_status import ApprovalState, SiteState, UpdateState

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("state_type", [SiteState, UpdateState, ApprovalState])
def test_every_state_is_explained(state_type: type[SiteState] | type[UpdateState] | type[ApprovalState]) -> None:
    assert [state.value for state in state_type if f"`{state.value}`" not in PAGE] == []


def test_every_reason_is_explained() -> None:
    sources = [
        *(ROOT / "anamnesis/operator/controllers/continualmodel/conditions").glob("*.py"),
        ROOT / "anamnesis/operator/controllers/site/controller.py",
    ]
    text = "".join(source.read_text(encoding="utf-8") for source in sources)
    kind_reason_pairs = re.findall(r'condition\(\s*"(\w+)", [^,]+, "(\w+)"', text) + re.findall(
        r'Error, ("")?"?(\w+)"', text
    )
    reasons = {reason for kind, reason in kind_reason_pairs if kind not in ("Claimed", "RunSucceeded")}
    assert {"ChampionInUse", "ScoreFell", "Refused"} <= reasons
    assert sorted(reason for reason in reasons if f"`{reason}`" not in PAGE) == []


def test_every_command_and_file_that_it_names_is_there() -> None:
    from anamnesis.cli.app import app

    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands} | {
        "registry"
    }
    ours = re.sub(r"helm .*|create namespace anamnesis|-n anamnesis|get anamnesis", "", PAGE)  # not of other programs
    named_commands = set(re.findall(r"anamnesis ([a-z-]+)", ours))
    assert named_commands <= commands | {"status"}
    files = set(re.findall(r"manifests/[\w/.-]+\b", PAGE))
    assert [file for file in files if not (ROOT / file).exists()] == []
