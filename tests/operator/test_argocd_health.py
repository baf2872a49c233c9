"""The health checks for Argo CD give the answer of kstatus, and show a person what the column PROBLEM shows."""

from pathlib import Path
from typing import Any

import lupa
import pytest
import yaml
from builders.kstatus import CURRENT, FAILED, IN_PROGRESS, kstatus_of_document

from anamnesis.operator.api.load_files import KINDS

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = yaml.safe_load((ROOT / "manifests" / "argocd" / "health.yaml").read_text(encoding="utf-8"))["data"]
ARGO_STATE = {CURRENT: "Healthy", FAILED: "Degraded", IN_PROGRESS: "Progressing"}


def condition(condition_type: str, status: str, message: str = "") -> dict[str, str]:
    return {"type": condition_type, "status": status, "message": message}


READY, NOT_READY = condition("Ready", "True", "in use"), condition("Ready", "False", "no version yet")
STATES: dict[str, tuple[int, list[dict[str, str]], str]] = {
    "before the operator": (-1, [], "the operator has not reported on this change yet"),
    "a changed spec": (1, [READY], "the operator has not reported on this change yet"),
    "on its way": (
        2,
        [NOT_READY, condition("Reconciling", "True", "it trains"), condition("Stalled", "False")],
        "it trains",
    ),
    "needs a person": (
        2,
        [NOT_READY, condition("Reconciling", "False"), condition("Stalled", "True", "wrong")],
        "wrong",
    ),
    "in use": (2, [READY, condition("Reconciling", "False"), condition("Stalled", "False")], "in use"),
    "in use, with a notice": (2, [READY, condition("Stalled", "False", "approve it")], "approve it"),
    "an update that runs": (
        2,
        [condition("Decided", "False", "x"), condition("Reconciling", "True", "run 1")],
        "run 1",
    ),
    "an update that failed": (2, [condition("Decided", "True", "x"), condition("Stalled", "True", "x")], "x"),
    "an update that ended": (2, [condition("Decided", "True", "promoted")], "promoted"),
    "an approval that is recorded": (2, [condition("Recorded", "True", "entry 4")], "entry 4"),
}


def run_script(document: dict[str, Any]) -> tuple[str, str]:
    """Runs the script as Argo CD does: Lua with the object as ``obj``."""
    lua = lupa.LuaRuntime()
    lua.globals().obj = lua.table_from(document, recursive=True)
    health = lua.execute(SETTINGS["resource.customizations.health.anamnesis.dev_Site"])
    return health.status, health.message


def document_in(step: str, **spec: str) -> dict[str, Any]:
    observed_generation, conditions, _ = STATES[step]
    status = {"observedGeneration": observed_generation, "conditions": conditions}
    return {"metadata": {"generation": 2}, "spec": spec, "status": status}


def test_every_kind_has_the_same_script() -> None:
    assert set(SETTINGS) == {f"resource.customizations.health.anamnesis.dev_{kind}" for kind in KINDS}
    assert len(set(SETTINGS.values())) == 1


@pytest.mark.parametrize("state", STATES)
def test_argo_cd_sees_what_kstatus_sees(state: str) -> None:
    expected = ARGO_STATE[kstatus_of_document(document_in(state))]
    assert run_script(document_in(state)) == (expected, STATES[state][2])


def test_a_suspended_model_without_a_champion_is_suspended() -> None:
    assert run_script(document_in("on its way", state="Suspended"))[0] == "Suspended"
    assert run_script(document_in("in use", state="Suspended"))[0] == "Healthy"
    assert run_script({"metadata": {"generation": 1}, "spec": {}})[0] == "Progressing"
