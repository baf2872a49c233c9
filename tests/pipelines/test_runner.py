"""Real runs of the Kubeflow local runner in a child process."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from anamnesis.pipelines.evaluation import scheduled_evaluation
from anamnesis.pipelines.run_record import ExecutionState, read_record, read_records
from anamnesis.pipelines.runner import run_local
from anamnesis.pipelines.training.continual_update import compiled_pipeline, pipeline_arguments
from anamnesis.records import AnamnesisError, ConflictError, InputError, RefusedError, digest_bytes, ignore_progress
from anamnesis.updates import EvaluationRequest

AWKWARD = 'it\'s "quoted" {curly} {{twice}} ü 漢 $HOME `x` python3 \\n \n\t% &amp; end'


def process_ended(pid: int) -> bool:
    """Whether the process ends within a few seconds."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_run_is_recorded_and_reports_progress(stub_pipeline: Path, tmp_path: Path) -> None:
    progress_calls: list[tuple[int, int, str]] = []
    record = run_local(stub_pipeline, {"text": AWKWARD}, tmp_path / "one", lambda *call: progress_calls.append(call))
    assert record == read_record(tmp_path / "one")
    assert (record.id, record.pipeline, record.state) == ("one", "stub", ExecutionState.SUCCEEDED)
    assert record.pipeline_digest == digest_bytes(stub_pipeline.read_bytes())
    assert [step.name for step in record.steps] == ["first", "second"]
    assert record.step("first").outputs == {"text": AWKWARD, "numbers": {}}
    assert record.step("second").outputs == {"length": len(AWKWARD)}
    assert record.seconds >= sum(step.seconds for step in record.steps)
    assert progress_calls[:4] == [(0, 1, "first"), (1, 2, "first: halves"), (2, 2, "first: halves"), (1, 1, "first")]
    assert progress_calls[4:] == [(0, 1, "second"), (1, 1, "second")]
    assert "KFP Executor" in (tmp_path / "one" / "run.log").read_text()


def test_protobuf_spoils_integers_which_is_why_the_request_is_a_string(stub_pipeline: Path, tmp_path: Path) -> None:
    record = run_local(stub_pipeline, {"text": "", "numbers": {"n": 3}}, tmp_path / "one", ignore_progress)
    assert json.dumps(record.step("first").outputs["numbers"]) == '{"n": 3.0}'


def test_a_failing_step_gives_its_own_error(stub_pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"^second: the guard refuses x$"):
        run_local(stub_pipeline, {"text": "x", "what": "refuse"}, tmp_path / "one", ignore_progress)
    record = read_record(tmp_path / "one")
    assert (record.state, record.exit_code, record.error) == (ExecutionState.FAILED, 3, "second: the guard refuses x")
    assert record.step("first").state is ExecutionState.SUCCEEDED
    assert (record.step("second").state, record.step("second").error) == (ExecutionState.FAILED, "the guard refuses x")


def test_an_unexpected_error_reports_its_type_and_not_its_text(stub_pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(AnamnesisError, match="second: unexpected KeyError") as caught:
        run_local(stub_pipeline, {"text": "x", "what": "crash"}, tmp_path / "one", ignore_progress)
    assert caught.value.exit_code == 1
    assert "4711" not in str(caught.value)
    assert "4711" not in (tmp_path / "one" / "run.json").read_text()
    log = (tmp_path / "one" / "run.log").read_text()
    assert "4711" not in log
    assert "KeyError" in log


def test_a_killed_step_differs_from_a_failed_one(stub_pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(AnamnesisError, match=r"second: exited without reporting a result .*run\.log"):
        run_local(stub_pipeline, {"text": "x", "what": "die"}, tmp_path / "one", ignore_progress)
    assert read_record(tmp_path / "one").step("second").state is ExecutionState.FAILED


def test_runs_go_side_by_side_and_never_in_one_folder(stub_pipeline: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(run_local, stub_pipeline, {"text": name}, tmp_path / name, ignore_progress) for name in "ab"
        ]
        assert [run.result().step("first").outputs["text"] for run in runs] == ["a", "b"]
    assert {record.id for record in read_records(tmp_path)} == {"a", "b"}
    with pytest.raises(ConflictError, match="already contains a run"):
        run_local(stub_pipeline, {"text": "a"}, tmp_path / "a", ignore_progress)


def test_an_interrupt_ends_every_process(stub_pipeline: Path, tmp_path: Path) -> None:
    pids: list[int] = []

    def interrupt(completed: int, total: int, unit: str) -> None:
        if unit.startswith("second: "):
            pids.append(int(unit.removeprefix("second: ")))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_local(stub_pipeline, {"text": "x", "what": "wait"}, tmp_path / "one", interrupt)
    record = read_record(tmp_path / "one")
    assert (record.state, record.step("second").state) == (ExecutionState.INTERRUPTED, ExecutionState.INTERRUPTED)
    assert record.step("first").state is ExecutionState.SUCCEEDED
    assert process_ended(pids[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_reads_as_interrupted(stub_pipeline: Path, tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "one"
    code = (
        "import sys; from pathlib import Path; from anamnesis.pipelines.runner import run_local\n"
        "run_local(Path(sys.argv[1]), {'text': 'x', 'what': 'wait'}, Path(sys.argv[2]),"
        " lambda *call: print(*call, flush=True))"
    )
    command = [sys.executable, "-c", code, str(stub_pipeline), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        pid = next(int(line.split()[-1]) for line in process.stdout if "second: " in line)
        assert read_record(folder).state is ExecutionState.RUNNING
        assert read_record(folder).step("second").state is ExecutionState.RUNNING
        process.send_signal(number)
    record = read_record(folder)
    assert (record.state, record.step("second").state) == (ExecutionState.INTERRUPTED, ExecutionState.INTERRUPTED)
    assert process_ended(pid)


def test_a_path_with_spaces_can_hold_the_interpreter(stub_pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "with space").symlink_to(Path(sys.executable).parents[1])
    python = tmp_path / "with space" / "bin" / Path(sys.executable).name
    code = (
        "import sys; from pathlib import Path; from anamnesis.pipelines.runner import run_local\n"
        "from anamnesis.records import ignore_progress\n"
        "run_local(Path(sys.argv[1]), {'text': 'x'}, Path(sys.argv[2]), ignore_progress)"
    )
    subprocess.run([python, "-c", code, str(stub_pipeline), str(tmp_path / "a run")], check=True)
    assert read_record(tmp_path / "a run").state is ExecutionState.SUCCEEDED


@pytest.mark.usefixtures("stub_steps")
@pytest.mark.parametrize("trigger", [None, {"update": 'chest-"1"', "counter": 1}])
def test_the_real_pipeline_passes_everything_on(
    encoded_request: dict[str, object], tmp_path: Path, trigger: dict[str, object] | None
) -> None:
    arguments = pipeline_arguments(encoded_request | {"trigger": trigger}, workers=3)
    record = run_local(compiled_pipeline("joint"), arguments, tmp_path / "one", ignore_progress)
    names = ["ingest_site", "train_joint", "evaluate_forgetting", "evaluate_saliency", "promote_model"]
    assert [step.name for step in record.steps] == names
    assert record.step("promote_model").outputs["champion"] == "sha256:" + "3" * 64
    (decision,) = (tmp_path / "one" / "outputs").glob("*/promote-model/decision")
    assert 'asked by Ünal "the tester"' in decision.read_text()
    (model,) = (tmp_path / "one" / "outputs").glob("*/train-joint/model")
    assert json.loads(model.read_text())["version"] == "sha256:" + "3" * 64


@pytest.mark.usefixtures("stub_steps")
def test_where_nothing_is_new_nothing_but_the_ingest_starts(encoded_request: dict[str, object], tmp_path: Path) -> None:
    request = encoded_request | {"site": {"name": "nothing-new"}}
    record = run_local(compiled_pipeline("joint"), pipeline_arguments(request), tmp_path / "one", ignore_progress)
    assert record == read_record(tmp_path / "one")
    assert record.state is ExecutionState.SUCCEEDED
    assert [step.state for step in record.steps] == [ExecutionState.SUCCEEDED, *[ExecutionState.SKIPPED] * 4]
    assert not list((tmp_path / "one" / "outputs").glob("*/train-joint"))


@pytest.mark.usefixtures("stub_steps")
def test_a_scheduled_evaluation_is_one_step(tmp_path: Path) -> None:
    request = EvaluationRequest(
        name="chest-evaluation-1",
        model="chest",
        registry="r",
        version="v",
        sites=(),
        split_keys={},
        time="2026-01-01T00:00:00Z",
    )
    arguments = scheduled_evaluation.pipeline_arguments(request)
    record = run_local(scheduled_evaluation.compiled_pipeline(), arguments, tmp_path / "one", ignore_progress)
    assert record.pipeline == "scheduled-evaluation"
    assert [step.name for step in record.steps] == ["evaluate_scheduled"]
    assert record.step("evaluate_scheduled").outputs["scheduled_evaluation"] == {"name": request.name}
    with pytest.raises(InputError, match="model: expected 'chest' as in the parameter request, found 'brain'"):
        run_local(
            scheduled_evaluation.compiled_pipeline(), arguments | {"model": "brain"}, tmp_path / "two", ignore_progress
        )


@pytest.mark.usefixtures("stub_steps")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"site": {"name": "broken"}}, "ingest_site: site.source: nothing can be read"),
        ({"configuration": {"method": "finetune"}}, "train_joint: .* configuration.method is 'finetune'"),
    ],
)
def test_the_real_pipeline_reports_errors(
    encoded_request: dict[str, object], tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run_local(
            compiled_pipeline("joint"), pipeline_arguments(encoded_request | change), tmp_path / "one", ignore_progress
        )


def test_nothing_is_left_in_the_temporary_folder(
    stub_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    run_local(stub_pipeline, {"text": "x"}, tmp_path / "one", ignore_progress)
    assert list((tmp_path / "temporary").iterdir()) == []
