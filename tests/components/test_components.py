"""What each component promises: its files follow from its code, and its code is thin."""

import ast
import json
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import dsl

import anamnesis
from anamnesis.components import generate
from anamnesis.components.catalogue import ROOT, ComponentEntry, list_components, load_trainer, trained_methods
from anamnesis.components.image import IMAGE
from anamnesis.methods import registered_methods
from anamnesis.records import InputError

ALL = list(list_components())
DIGEST = "sha256:" + "1" * 64
REQUEST = {
    "model": "chest",
    "registry": "file:///models/chest",
    "site": {"name": "lyon"},
    "store": "file:///stores/lyon",
    "configuration": {"method": "joint"},
    "split_key": "env:SPLIT_KEY",
    "author": "tester",
}
TEXT = json.dumps(REQUEST)


def entry_name(entry: ComponentEntry) -> str:
    return entry.name


def table(text: str, title: str) -> dict[str, tuple[str, str]]:
    """The rows of a README's table: name -> (type, description)."""
    part = text.split(f"## {title}\n\n")[1].split("\n\n")[0]
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in part.splitlines()[2:]]
    return {name: (kind, description) for name, kind, description in rows}


def test_generated_files_are_current() -> None:
    assert generate.main(["--check"]) == 0, "run `make generate`"


def test_a_stale_file_is_found_and_a_fresh_one_left_alone(tmp_path: Path) -> None:
    files = {tmp_path / "a": "1", tmp_path / "sub" / "b": "2"}
    assert generate.stale_files(files) == list(files)
    generate.write_files(files)
    assert generate.stale_files(files) == []
    (tmp_path / "a").write_text("x")
    assert generate.stale_files(files) == [tmp_path / "a"]


def test_every_method_has_a_trainer_and_every_trainer_a_method() -> None:
    assert trained_methods() == tuple(registered_methods(include_research=False))
    with pytest.raises(InputError, match=r"expected one of .*, found 'nonsense'"):
        load_trainer("nonsense")


@pytest.mark.parametrize("entry", ALL, ids=entry_name)
def test_readme_says_what_the_code_does(entry: ComponentEntry) -> None:
    text = (entry.folder / "README.md").read_text()
    container = entry.load().pipeline_spec.components[f"comp-{entry.name.replace('_', '-')}"]
    inputs, outputs = container.input_definitions, container.output_definitions
    assert set(table(text, "Inputs")) == set(inputs.parameters)
    assert set(table(text, "Outputs")) == set(outputs.parameters) | set(outputs.artifacts)
    for name, (kind, description) in (table(text, "Inputs") | table(text, "Outputs")).items():
        assert description, name
        if name in outputs.artifacts:
            assert kind.replace("dsl", "system") == outputs.artifacts[name].artifact_type.schema_title


@pytest.mark.parametrize("entry", ALL, ids=entry_name)
def test_metadata_names_the_component(entry: ComponentEntry) -> None:
    metadata = yaml.safe_load((entry.folder / "metadata.yaml").read_text())
    assert (metadata["name"], metadata["tags"][0]) == (entry.name, entry.category)
    assert metadata["stability"] in ("experimental", "alpha", "beta", "stable")
    assert metadata["dependencies"]["kubeflow"][0]["name"] == "Pipelines"


@pytest.mark.parametrize("entry", ALL, ids=entry_name)
def test_module_imports_only_the_standard_library_and_kfp_at_its_top(entry: ComponentEntry) -> None:
    tree = ast.parse((entry.folder / "component.py").read_text())
    modules = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    modules |= {name.name for node in tree.body if isinstance(node, ast.Import) for name in node.names}
    assert modules - set(sys.stdlib_module_names) <= {"kfp", "anamnesis.components.image"}


@pytest.mark.parametrize("entry", ALL, ids=entry_name)
def test_component_installs_nothing(entry: ComponentEntry) -> None:
    container = entry.load().component_spec.implementation.container
    assert container.image == IMAGE
    assert "pip" not in " ".join(container.command[:3])


def test_components_load_without_torch() -> None:
    code = (
        "import sys; from anamnesis.components.catalogue import list_components;"
        "[entry.load() for entry in list_components()];"
        "assert not {'torch', 'numpy', 'monai'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT.parent)


Answer = Callable[[dict[str, Any]], None]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Stands in for ``anamnesis.steps``."""
    stub = types.SimpleNamespace()
    monkeypatch.setattr(anamnesis, "steps", stub, raising=False)
    monkeypatch.setitem(sys.modules, "anamnesis.steps", stub)
    return stub


def run(name: str, **inputs: Any) -> Any:
    (entry,) = (candidate for candidate in ALL if candidate.name == name)
    return entry.load().python_func(**inputs)


@pytest.mark.parametrize("update_result", [None, {"kind": "Candidate"}])
def test_ingest_site(steps: types.SimpleNamespace, update_result: dict[str, str] | None) -> None:
    def begin_update(request: Any, workers: int, progress: Any) -> Any:
        assert (request, workers) == (REQUEST, 2)
        progress(1, 1, "files")
        return {"snapshot": "s", "test_set": "t", "counts": {"train": 8}, "learn": True, "update_result": update_result}

    steps.begin_update = begin_update
    counts = dsl.Metrics()
    outputs = run("ingest_site", request=TEXT, model="", site="lyon", workers=2, counts=counts)
    assert outputs == ("s", "t", json.dumps(update_result), True)
    assert counts.metadata == {"train": 8.0}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"site": "paris"}, "site: expected 'lyon' as in the parameter request, found 'paris'"),
        ({"model": "brain"}, "model: expected 'chest' as in the parameter request, found 'brain'"),
        ({"request": "{"}, "request: invalid JSON"),
        ({"request": "[]"}, "request: expected a JSON object, found list"),
    ],
)
def test_a_contradiction_is_refused(steps: types.SimpleNamespace, inputs: dict[str, str], message: str) -> None:
    steps.begin_update = lambda *_: pytest.fail("the step must not start")
    arguments = {"request": TEXT, "model": "chest", "site": "lyon", "workers": 2, "counts": dsl.Metrics()} | inputs
    with pytest.raises(InputError, match=message):
        run("ingest_site", **arguments)


def test_train(steps: types.SimpleNamespace, tmp_path: Path) -> None:
    def train(request: Any, snapshot: str, test_set: str, progress: Any) -> Any:
        assert (request, snapshot, test_set) == (REQUEST, "s", "t")
        return {"version": DIGEST, "input": "i", "reused": True, "seconds": 1.5, "stored_bytes": 7}

    steps.train = train
    model, metrics = dsl.Model(uri=str(tmp_path / "model")), dsl.Metrics()
    assert run("train_joint", request=TEXT, snapshot="s", test_set="t", model=model, metrics=metrics) == (DIGEST,)
    assert metrics.metadata == {"seconds": 1.5, "stored_bytes": 7.0}
    assert model.metadata == {
        "version": DIGEST,
        "registry": "file:///models/chest",
        "method": "joint",
        "input": "i",
        "reused": True,
    }
    assert json.loads(Path(model.path).read_text())["version"] == DIGEST
    with pytest.raises(InputError, match=r"configuration\.method is 'joint', but this pipeline trains with 'finetune'"):
        run("train_finetune", request=TEXT, snapshot="s", test_set="t", model=model, metrics=metrics)


@pytest.mark.parametrize("name", ["evaluate_forgetting", "evaluate_saliency"])
def test_evaluations_show_finite_numbers_only(steps: types.SimpleNamespace, name: str) -> None:
    def evaluate(request: Any, version: str, test_set: str, progress: Any) -> Any:
        assert (request, version, test_set) == (REQUEST, "v", "t")
        return {"evaluations": [], "summary": {"AUROC": 0.75, "empty": float("nan"), "far": float("inf"), "no": None}}

    setattr(steps, name, evaluate)
    metrics = dsl.Metrics()
    run(name, request=TEXT, version="v", test_set="t", metrics=metrics)
    assert metrics.metadata == {"AUROC": 0.75}


def test_evaluate_scheduled(steps: types.SimpleNamespace) -> None:
    def evaluate(request: Any, workers: int, progress: Any) -> Any:
        assert (request, workers) == (REQUEST, 3)
        return {"scheduled_evaluation": {}, "summary": {"lyon/recent/AUROC": 0.75}}

    steps.evaluate_scheduled = evaluate
    metrics = dsl.Metrics()
    run("evaluate_scheduled", request=TEXT, model="chest", workers=3, metrics=metrics)
    assert metrics.metadata == {"lyon/recent/AUROC": 0.75}


def test_promote_model(steps: types.SimpleNamespace, tmp_path: Path) -> None:
    criterion = {"name": "floor", "site": "ly|on", "task": "<b>", "value": "0.7", "limit": "0.8",
                 "result": "failed", "reason": ""}  # fmt: skip
    decision = {
        "verdict": "reject",
        "candidate": DIGEST,
        "base": None,
        "champion": None,
        "criteria": [criterion, criterion | {"value": None, "result": "missing"}, criterion | {"result": "passed"}],
        "evaluations": [],
        "reason": "below the floor",
        "enforcement": "Enforced",
    }

    def promote_model(request: Any, version: str, test_set: str, author: str, update_result: Any) -> Any:
        assert (request, version, test_set, author, update_result) == (
            REQUEST,
            DIGEST,
            "t",
            "tester",
            {"kind": "Candidate"},
        )
        return {"verdict": "reject", "promoted": False, "champion": None, "reason": "", "decision": decision}

    steps.promote_model = promote_model
    artifact = dsl.Markdown(uri=str(tmp_path / "decision.md"))
    arguments = {"request": TEXT, "version": DIGEST, "test_set": "t", "update_result": '{"kind": "Candidate"}'}
    assert run("promote_model", **arguments, decision=artifact) == ("reject", False, "")
    text = Path(artifact.path).read_text()
    assert text.startswith("## reject\n\nbelow the floor\n")
    assert "| floor | ly\\|on | &lt;b> | 0.7 | 0.8 | failed |  |" in text
    assert "| floor | ly\\|on | &lt;b> |  | 0.8 | missing |  |" in text
    assert "- champion: none" in text
