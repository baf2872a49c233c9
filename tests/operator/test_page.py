"""``docs/operator.md`` is the page that a person on call has open: every word that a status may show is in it."""

import re
from pathlib import Path

import pytest

from anamnesis.operator.plan.planned_status import ApprovalState, SiteState, UpdateState

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [SiteState, UpdateState, ApprovalState])
def test_every_state_is_explained(words: type[SiteState] | type[UpdateState] | type[ApprovalState]) -> None:
    assert [word.value for word in words if f"`{word.value}`" not in PAGE] == []


def test_every_reason_is_explained() -> None:
    sources = [
        *(ROOT / "anamnesis/operator/controllers/continualmodel/conditions").glob("*.py"),
        ROOT / "anamnesis/operator/controllers/site/controller.py",
    ]
    text = "".join(source.read_text(encoding="utf-8") for source in sources)
    found = re.findall(r'condition\(\s*"(\w+)", [^,]+, "(\w+)"', text) + re.findall(r'Error, ("")?"?(\w+)"', text)
    reasons = {reason for kind, reason in found if kind not in ("Claimed", "RunSucceeded")}
    assert {"ChampionInUse", "ScoreFell", "Refused"} <= reasons
    assert sorted(reason for reason in reasons if f"`{reason}`" not in PAGE) == []


def test_every_command_and_file_that_it_names_is_there() -> None:
    from anamnesis.cli.app import app

    commands = {each.name or getattr(each.callback, "__name__", "") for each in app.registered_commands} | {"registry"}
    ours = re.sub(r"helm .*|create namespace anamnesis|-n anamnesis|get anamnesis", "", PAGE)  # not of other programs
    named = set(re.findall(r"anamnesis ([a-z-]+)", ours))
    assert named <= commands | {"status"}
    files = set(re.findall(r"manifests/[\w/.-]+\b", PAGE))
    assert [file for file in files if not (ROOT / file).exists()] == []
