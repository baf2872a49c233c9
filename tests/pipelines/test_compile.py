"""The committed pipelines are what the code compiles to."""

import json
from pathlib import Path

import pytest
import yaml

from anamnesis.components.catalogue import trained_methods
from anamnesis.components.image import IMAGE
from anamnesis.pipelines import compile as compile_module
from anamnesis.pipelines.compile import main, stale_files
from anamnesis.pipelines.compiled_pipeline import MAXIMUM_BYTES, check_arguments, read_compiled
from anamnesis.pipelines.training.continual_update import COMPILED_FOLDER, compiled_pipeline, pipeline_arguments
from anamnesis.records import InputError


def test_committed_files_are_current() -> None:
    assert list(stale_files()) == [], "run `make generate`"
    assert main(["--check"]) == 0


def test_a_changed_byte_and_a_file_of_no_method_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in COMPILED_FOLDER.glob("*.yaml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(compile_module, "UPDATES", tmp_path)
    (tmp_path / "joint.yaml").write_bytes((tmp_path / "joint.yaml").read_bytes() + b"\n")
    (tmp_path / "forgotten.yaml").touch()
    assert {path.name for path in stale_files()} == {"joint.yaml", "forgotten.yaml"}
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert stale_files() == {}


@pytest.mark.parametrize("method", trained_methods())
def test_steps_run_in_the_projects_image_uncached_and_install_nothing(method: str) -> None:
    ir = yaml.safe_load(compiled_pipeline(method).read_text())
    for executor in ir["deploymentSpec"]["executors"].values():
        assert executor["container"]["image"] == IMAGE
        assert "pip" not in executor["container"]["command"][2].split()
    tasks = {**ir["root"]["dag"]["tasks"], **ir["components"]["comp-condition-1"]["dag"]["tasks"]}
    assert all(task["cachingOptions"] == {} for name, task in tasks.items() if name != "condition-1")
    steps = read_compiled(compiled_pipeline(method)).steps
    assert steps[:2] == ("ingest_site", f"train_{method}")
    assert set(steps[2:4]) == {"evaluate_forgetting", "evaluate_saliency"}
    assert steps[4:] == ("promote_model",)


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(InputError, match=r"expected one of .*ewc_prototype.*, found 'nonsense'"):
        compiled_pipeline("nonsense")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nonsense": 1}, "nonsense: continual-update-joint has no such parameter; use one of model, request"),
        ({"workers": "2"}, "workers: expected NUMBER_INTEGER, found str"),
        ({"workers": True}, "workers: expected NUMBER_INTEGER, found bool"),
        ({"request": {"model": "chest"}}, "request: expected STRING, found dict"),
        ({"request": "{{$.inputs}}"}, "which Kubeflow would replace"),
        ({"request": "x" * MAXIMUM_BYTES}, "request: expected at most .* bytes for all parameters together, found"),
    ],
)
def test_arguments_are_checked(encoded_request: dict[str, object], change: dict[str, object], message: str) -> None:
    pipeline = read_compiled(compiled_pipeline("joint"))
    arguments = pipeline_arguments(encoded_request)
    check_arguments(pipeline, arguments)
    with pytest.raises(InputError, match=message):
        check_arguments(pipeline, arguments | change)


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(InputError, match="request: missing; pipeline continual-update-joint requires this parameter"):
        check_arguments(read_compiled(compiled_pipeline("joint")), {})


@pytest.mark.parametrize("text", ["", "{", "a: 1", "[]"])
def test_what_is_no_pipeline_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"x\.yaml: not a compiled pipeline"):
        read_compiled(path)
    with pytest.raises(InputError, match="the file does not exist"):
        read_compiled(tmp_path / "missing.yaml")


def test_the_request_travels_exactly(encoded_request: dict[str, object]) -> None:
    arguments = pipeline_arguments(encoded_request)
    assert json.loads(str(arguments["request"])) == encoded_request
    assert (arguments["model"], arguments["site"]) == ("chest", "lyon")
