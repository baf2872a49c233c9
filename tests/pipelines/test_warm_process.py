"""The warm process: what a fork of it sees is what a process of its own would see."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anamnesis.pipelines.evaluation import scheduled_evaluation
from anamnesis.pipelines.runner_process import PRELOADED_MODULES, STEPS_PACKAGE
from anamnesis.pipelines.training.continual_update import compiled_pipeline
from anamnesis.pipelines.warm_process import EXECUTOR, warm_process

COMPONENT = """
import json, os, signal, sys
def probe(what: str) -> str:
    if what == "raise":
        raise ValueError("on purpose")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    seen = {"folder": os.getcwd(), "word": os.environ.get("WORD"), "input": sys.stdin.read(),
            "loaded": "wave" in sys.modules, "marker": os.environ.get("ONLY_IN_THE_WARM_PROCESS")}
    print(json.dumps(seen))
    return json.dumps(seen)
"""


@pytest.fixture(scope="module")
def python3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("w")
    lifeline, write_end = os.pipe()
    os.environ["ONLY_IN_THE_WARM_PROCESS"] = "yes"
    try:
        with warm_process(folder, ["wave", "there_is_no_such_module"], lifeline) as path:
            yield path
    finally:
        del os.environ["ONLY_IN_THE_WARM_PROCESS"]
        os.close(write_end)
        os.close(lifeline)


def run_step(python3: str, folder: Path, behaviour: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    (folder / "component.py").write_text(COMPONENT)
    output = {"outputFile": str(folder / "out" / "executor_output.json"), "parameters": {}}
    executor_input = json.dumps({"inputs": {"parameterValues": {"what": behaviour}}, "outputs": output})
    arguments = ["--component_module_path", str(folder / "component.py"), "--function_to_execute", "probe"]
    return subprocess.run(
        [python3, "-m", EXECUTOR, *arguments, "--executor_input", executor_input],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "_KFP_RUNTIME": "true", **environment},
        input="from outside",
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_step_has_its_own_files_folder_and_environment(python3: str, tmp_path: Path) -> None:
    result = run_step(python3, tmp_path, WORD="ü")
    assert result.returncode == 0, result.stdout + result.stderr
    step_view = next(json.loads(line) for line in result.stdout.splitlines() if line.startswith('{"folder"'))
    assert step_view == {"folder": str(tmp_path), "word": "ü", "input": "from outside", "loaded": True, "marker": None}
    written = json.loads((tmp_path / "out" / "executor_output.json").read_text())
    assert json.loads(written["parameterValues"]["Output"]) == step_view


def test_steps_do_not_see_each_other(python3: str, tmp_path: Path) -> None:
    for word in ("one", "two"):
        assert f'"word": "{word}"' in run_step(python3, tmp_path, WORD=word).stdout


@pytest.mark.parametrize(("what", "code", "text"), [("raise", 1, "ValueError: on purpose"), ("die", 137, "")])
def test_a_step_ends_as_a_process_does(python3: str, tmp_path: Path, what: str, code: int, text: str) -> None:
    result = run_step(python3, tmp_path, what)
    assert result.returncode == code
    assert text in result.stderr
    assert run_step(python3, tmp_path).returncode == 0, "the warm process must live on"


def test_anything_else_gets_the_real_interpreter(python3: str) -> None:
    code = "import os, sys; print(sys.prefix, sys.flags.isolated, os.environ.get('WORD'), sys.argv[1]); sys.exit(7)"
    result = subprocess.run(
        [python3, "-c", code, "x y"], env={"WORD": "w"}, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (7, f"{sys.prefix} 0 w x y\n")


def test_what_is_loaded_ahead_can_be_forked() -> None:
    """A fork must not inherit a thread or a device context: both would be dead in it."""
    code = (
        "import importlib, pathlib, sys, torch; [importlib.import_module(name) for name in sys.argv[1:]];"
        "print(torch.cuda.is_initialized(), len(list(pathlib.Path('/proc/self/task').iterdir())))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code, *PRELOADED_MODULES], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False", "1"]


@pytest.mark.parametrize("file", [compiled_pipeline("joint"), scheduled_evaluation.compiled_pipeline()])
def test_modules_are_preloaded_for_our_own_pipelines(file: Path) -> None:
    assert STEPS_PACKAGE in file.read_text()
