"""Tiny pipelines that stand in for the real ones, and steps that do nothing behind the real one."""

import json
from pathlib import Path

import pytest
from kfp import dsl

from anamnesis.components.image import component
from anamnesis.pipelines.compile import compile_pipeline
from anamnesis.pipelines.runner_process import PRELOADED_MODULES

STUB_STEPS = '''
"""Loaded by every Python process that has this folder in PYTHONPATH: steps without images and without torch."""
import sys
import types

RESULT = {"snapshot": "sha256:" + "1" * 64, "test_set": "sha256:" + "2" * 64, "counts": {"train": 8, "test": 2}}


def begin_update(request, workers, progress):
    from anamnesis.records import InputError
    site = request["site"]["name"]
    if site == "broken":
        raise InputError("site.source: nothing can be read")
    progress(1, 1, f"files of {site} by {workers}")
    trigger = request.get("trigger")
    return RESULT | {"learn": site != "nothing-new", "update_result": trigger and {"trigger": trigger}}


def train(request, snapshot, test_set, progress):
    assert (snapshot, test_set) == (RESULT["snapshot"], RESULT["test_set"])
    assert type(request["configuration"]["options"]["penalty"]) is int
    return {"version": "sha256:" + "3" * 64, "input": "sha256:" + "4" * 64, "reused": False, "seconds": 1.5,
            "stored_bytes": 10}


def evaluate(request, version, test_set, progress):
    return {"evaluations": [], "summary": {"lyon/AUROC": 0.75, "undefined": float("nan")}}


def evaluate_forgetting(request, version, test_set, progress):
    return evaluate(request, version, test_set, progress) | {"summary": {"lyon/AUROC": 0.75}}


def evaluate_saliency(request, version, test_set, progress):
    return {"evaluations": [], "summary": {}}


def promote_model(request, version, test_set, author, update_result):
    assert update_result == (request.get("trigger") and {"trigger": request["trigger"]})
    decision = {"verdict": "promote", "candidate": version, "base": None, "champion": None, "criteria": [],
                "evaluations": [], "reason": f"asked by {author}", "enforcement": "Enforced"}
    return {"verdict": "promote", "promoted": True, "champion": version, "reason": "", "decision": decision}


def evaluate_scheduled(request, workers, progress):
    progress(1, 1, f"sites by {workers}")
    return {"scheduled_evaluation": {"name": request["name"]}, "summary": {"lyon/frozen/AUROC": 0.75}}


steps = types.ModuleType("anamnesis.steps")
for step in (begin_update, train, evaluate_forgetting, evaluate_saliency, promote_model, evaluate_scheduled):
    setattr(steps, step.__name__, step)
sys.modules["anamnesis.steps"] = steps
for module in {preloaded}:  # no step needs them: they take seconds to load
    sys.modules[module] = types.ModuleType(module)
'''


@component
def first(text: str, numbers: dict) -> str:  # type: ignore[type-arg]
    from anamnesis.components.step_reporter import report_step

    with report_step("first") as running_step:
        running_step.progress(1, 2, "halves")
        running_step.progress(2, 2, "halves")
        running_step.outputs = {"text": text, "numbers": numbers}
    return text


@component
def second(text: str, what: str) -> str:
    import os
    import signal
    import time

    from anamnesis.components.step_reporter import report_step
    from anamnesis.records import RefusedError

    with report_step("second") as running_step:
        if what == "refuse":
            raise RefusedError(f"the guard refuses {text}")
        if what == "crash":
            raise KeyError("patient 4711")
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "wait":
            running_step.progress(1, 1, str(os.getpid()))
            time.sleep(60)
        running_step.outputs = {"length": len(text)}
    return text


@dsl.pipeline(name="stub")
def stub(text: str, what: str = "", numbers: dict = {}) -> None:  # type: ignore[type-arg]  # noqa: B006
    second(text=first(text=text, numbers=numbers).output, what=what)


@pytest.fixture(scope="session")
def stub_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled pipeline of two steps; ``what``: refuse, crash, die, wait, or nothing."""
    path = tmp_path_factory.mktemp("stub") / "stub.yaml"
    path.write_bytes(compile_pipeline(stub))
    return path


@pytest.fixture
def stub_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python process started from now on has steps that do nothing."""
    folder = tmp_path / "stub_steps"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(STUB_STEPS.replace("{preloaded}", repr(PRELOADED_MODULES)))
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.fixture
def encoded_request() -> dict[str, object]:
    """An encoded ``UpdateRequest``, as far as components look into it."""
    text = json.dumps(
        {
            "model": "chest",
            "registry": "file:///models/chest",
            "site": {"name": "lyon"},
            "store": "file:///stores/lyon",
            "configuration": {"method": "joint", "options": {"penalty": 3000}},
            "split_key": "env:SPLIT_KEY",
            "author": 'Ünal "the tester"',
        }
    )
    return dict(json.loads(text))
