"""What goes wrong between a Kubeflow back end and its server, and what a person reads then."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes.pipelines_server import HttpReply, PipelinesServer

from anamnesis.operator.backends import kubeflow_client
from anamnesis.operator.backends.base import PipelineJob, RunState
from anamnesis.operator.backends.kubeflow import KubeflowBackend, experiment_name
from anamnesis.operator.backends.kubeflow_client import connect
from anamnesis.operator.backends.kubeflow_run_parser import parse_run
from anamnesis.pipelines.evaluation.scheduled_evaluation import compiled_pipeline as compiled_evaluation
from anamnesis.pipelines.runtime import Runtime
from anamnesis.pipelines.specialise import load_ir
from anamnesis.pipelines.training.continual_update import COMPILED_FOLDER, compiled_pipeline
from anamnesis.records import AnamnesisError, ConflictError, InputError, RefusedError, UnreachableError

UNAVAILABLE = HttpReply(503, b'{"message": "no upstream"}')
PAGE = HttpReply(200, b"<html>Kubeflow</html>", {"Content-Type": "text/html; charset=utf-8"})


@pytest.fixture
def job(probe_pipeline: Path) -> PipelineJob:
    return PipelineJob("chest-5aa-1", probe_pipeline, {"what": "ok"})


def test_a_server_that_fails_for_a_moment_is_tried_again(server: PipelinesServer, backend: KubeflowBackend) -> None:
    server.faults.replies = [UNAVAILABLE, HttpReply(429), HttpReply(504)]
    assert backend.runs("chest-") == ()
    assert server.requests == ["GET /experiments"] * 4


def test_a_server_that_stays_unreachable_is_reported(server: PipelinesServer, backend: KubeflowBackend) -> None:
    server.faults.permanent_reply = UNAVAILABLE
    with pytest.raises(UnreachableError, match=rf"{server.url}: 503 no upstream; the operator retries"):
        backend.runs("chest-")


def test_a_refused_connection_is_reported(job: PipelineJob) -> None:
    backend = KubeflowBackend("http://127.0.0.1:9", connect("http://127.0.0.1:9", {}))
    for call in (lambda: backend.runs("chest-"), lambda: backend.submit(job)):
        with pytest.raises(UnreachableError, match=r"http://127.0.0.1:9 is unreachable: .*refused.*endpoint"):
            call()


def test_a_slow_server_is_not_waited_for(
    server: PipelinesServer, backend: KubeflowBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeflow_client, "_TIMEOUT_SECONDS", (0.05, 0.05))
    server.faults.delay = 0.3
    with pytest.raises(UnreachableError, match="timed out"):
        backend.runs("chest-")


@pytest.mark.parametrize(
    "lost", ["POST /experiments", "POST /pipelines", "POST /pipelines/upload_version", "POST /runs"]
)
def test_a_lost_reply_makes_nothing_twice(
    server: PipelinesServer, backend: KubeflowBackend, job: PipelineJob, lost: str
) -> None:
    server.faults.lose = f"{lost}$"
    with pytest.raises(UnreachableError, match="is unreachable"):
        backend.submit(job)
    assert server.requests.count(lost) == 1, "what changes something is not sent again"
    run = backend.submit(job)
    assert [listed_run.id for listed_run in backend.runs("chest-")] == [run.id]
    assert [len(collection) for collection in (server.experiments, server.pipelines, server.versions, server.runs)] == [
        1
    ] * 4


def test_somebody_else_makes_the_experiment_first(
    server: PipelinesServer, backend: KubeflowBackend, job: PipelineJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_backend = dataclasses.replace(backend)
    make = KubeflowBackend._create_experiment

    def both(self: KubeflowBackend) -> None:
        make(other_backend)
        make(self)

    monkeypatch.setattr(KubeflowBackend, "_create_experiment", both)
    backend.submit(job)
    assert len(server.experiments) == len(server.runs) == 1


def test_a_pipeline_is_uploaded_once_for_each_content(
    server: PipelinesServer, backend: KubeflowBackend, job: PipelineJob
) -> None:
    backend.submit(job)
    backend.submit(dataclasses.replace(job, name="chest-5aa-2"))
    dataclasses.replace(backend, runtime=lambda _: Runtime(queue="research")).submit(
        dataclasses.replace(job, name="chest-5aa-3")
    )
    assert server.requests.count("POST /pipelines/upload_version") == 2
    names = {version["display_name"] for version in server.versions.values()}
    assert len(names) == 2
    assert all(name.startswith("probe-") for name in names)


def test_many_runs_come_in_pages_oldest_first(
    server: PipelinesServer, backend: KubeflowBackend, job: PipelineJob
) -> None:
    first = backend.submit(job)
    for number in range(249):
        minute, second = divmod(number, 60)
        copy = server.runs[first.id] | {
            "run_id": f"id{number}",
            "display_name": f"chest-5ab-{number}",
            "created_at": f"2026-01-01T00:{minute:02}:{second:02}Z",
        }
        server.runs[copy["run_id"]] = copy
    runs = backend.runs("chest-")
    assert len(runs) == 250
    assert list(runs) == sorted(runs, key=lambda run: run.created_at)
    assert runs[-1] == first


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (PAGE, "expected JSON, found text/html; set spec.backend.kubeflow.endpoint to the server ml-pipeline"),
        (HttpReply(302, b"", {"Location": "/dex/auth"}), "302 Found; this is a login page"),
        (HttpReply(400, b'{"message": "first line\\nsecond line"}'), "400 first line; check spec.backend.kubeflow"),
        (HttpReply(400, b"[]"), "400 Bad Request; check spec.backend.kubeflow"),
    ],
)
def test_an_unusable_response_is_reported_with_a_remedy(
    server: PipelinesServer, backend: KubeflowBackend, answer: HttpReply, message: str
) -> None:
    server.faults.permanent_reply = answer
    with pytest.raises(InputError, match=message):
        backend.runs("chest-")


def test_a_server_that_does_not_list_what_it_created(
    server: PipelinesServer, backend: KubeflowBackend, job: PipelineJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KubeflowBackend, "_create_run", lambda *_: None)
    with pytest.raises(UnreachableError, match="does not list an object that it created"):
        backend.submit(job)


def test_a_run_that_cannot_be_cancelled_is_reported(
    server: PipelinesServer, backend: KubeflowBackend, job: PipelineJob
) -> None:
    run = backend.submit(job)
    server.faults.replies = [HttpReply(403, b'{"message": "you may not"}')]
    with pytest.raises(RefusedError, match="403 you may not"):
        backend.cancel(run)
    server.faults.replies = [UNAVAILABLE]
    with pytest.raises(UnreachableError):
        backend.cancel(run)
    backend.cancel(run)
    assert server.runs[run.id]["state"] == "CANCELING"


def test_a_missing_page_is_not_a_missing_run(
    server: PipelinesServer, backend: KubeflowBackend, job: PipelineJob
) -> None:
    run = backend.submit(job)
    server.faults.permanent_reply = HttpReply(404, b"<html>no such page</html>", {"Content-Type": "text/html"})
    with pytest.raises(InputError, match="404 Not Found"):
        backend.cancel(run)


def test_a_conflict_is_a_conflict_error(server: PipelinesServer, backend: KubeflowBackend) -> None:
    server.faults.replies = [HttpReply(409, b'{"message": "it is there"}')]
    with pytest.raises(ConflictError, match="409 it is there"):
        backend.runs("chest-")


def test_the_token_of_the_cluster_is_read_again(server: PipelinesServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one")
    backend = KubeflowBackend(server.url, connect(server.url, {"KF_PIPELINES_SA_TOKEN_PATH": str(token)}))
    backend.runs("chest-")
    token.write_text("two")
    backend.runs("chest-")
    assert server.tokens == ["Bearer one", "Bearer two"]
    with pytest.raises(InputError, match="KF_PIPELINES_SA_TOKEN_PATH: the file /nowhere does not exist"):
        connect(server.url, {"KF_PIPELINES_SA_TOKEN_PATH": "/nowhere"})


def test_connecting_sends_no_request_and_writes_no_file(
    server: PipelinesServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    connect(server.url, {})
    assert server.requests == []
    assert list(tmp_path.iterdir()) == []


def test_a_missing_right_is_a_refusal(server: PipelinesServer, backend: KubeflowBackend) -> None:
    server.faults.permanent_reply = HttpReply(401, b'{"message": "no token"}')
    with pytest.raises(RefusedError, match="401 no token; give the operator's service account a token"):
        backend.runs("chest-")


@pytest.mark.parametrize(
    ("chain", "error", "message"),
    [
        (
            "Failed to create experiment: InternalServerError: Failed to convert: Invalid input error: "
            "Experiment.Name length cannot exceed 128",
            InputError,
            "500 Experiment.Name length cannot exceed 128; correct what this names, in spec.backend.kubeflow",
        ),
        (
            "Failed to create experiment: InternalServerError: dial tcp mysql:3306: connection refused",
            UnreachableError,
            "500 Failed to create experiment: .* connection refused; the operator retries",
        ),
    ],
)
def test_a_server_error_is_told_in_the_words_of_the_server(
    server: PipelinesServer, backend: KubeflowBackend, chain: str, error: type[AnamnesisError], message: str
) -> None:
    """The details of each say only: Internal Server Error."""
    details = [{"code": 13, "message": "Internal Server Error"}]
    body = {"error": chain, "code": 13, "message": chain, "details": details}
    server.faults.permanent_reply = HttpReply(500, json.dumps(body).encode())
    with pytest.raises(error, match=message):
        backend.runs("chest-")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"RBAC: access denied", "400 RBAC: access denied;"),
        (b"<html><body>Bad Request</body></html>", "400 Bad Request;"),
        (b'{"message": "<html>", "details": "no such model"}', "400 no such model;"),
        (b'{"message": "  ", "details": ["", 7, "no such model"]}', "400 no such model;"),
        (b'{"error": {"message": "no such model"}, "details": {"a": 1}}', "400 no such model;"),
        (b'{"detail": "\\n no\\u001b such\\u0000 model\\nstack"}', "400 no such model;"),
        (b'{"message": {"a": "b"}}', "400 Bad Request;"),
        (b"[]", "400 Bad Request;"),
        (b'{"message": "' + b"x" * 99_999 + b'"}', "400 x{300};"),
        (b"\xff", "not text in UTF-8"),
    ],
    ids=range(10),
)
def test_an_error_of_any_form_is_told_in_one_short_line(
    server: PipelinesServer, backend: KubeflowBackend, body: bytes, words: str
) -> None:
    server.faults.permanent_reply = HttpReply(400, body)
    with pytest.raises(AnamnesisError, match=words):
        backend.runs("chest-")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"ok"', b'{"runs": [{"run_id": "a"', b"<html>"], ids=str)
def test_a_response_that_is_no_object_is_not_taken_for_an_empty_list(
    server: PipelinesServer, backend: KubeflowBackend, job: PipelineJob, body: bytes
) -> None:
    """The operator would submit runs that exist."""
    backend.submit(job)
    server.faults.permanent_reply = HttpReply(200, body)
    with pytest.raises(UnreachableError, match="empty, cut, or not an object in JSON"):
        backend.runs("chest-")


def test_the_name_of_an_experiment_has_room_on_every_server() -> None:
    assert experiment_name("anamnesis", "hospital", "chest") == "anamnesis/hospital/chest"
    long_names = {experiment_name("é" * 60, "hospital", model) for model in ("chest", "chest-2", "chest-3")}
    assert len(long_names) == 3
    assert all(len(name.encode()) <= 128 and name.startswith("éé") for name in long_names)


@pytest.mark.parametrize("name", [*(file.stem for file in COMPILED_FOLDER.glob("*.yaml")), "evaluation"])
def test_our_pipelines_have_names_that_every_server_takes(name: str) -> None:
    ir = load_ir(compiled_evaluation() if name == "evaluation" else compiled_pipeline(name))
    assert len(ir.pipeline["pipelineInfo"]["name"]) <= 128
    assert len(ir.version_name) <= 127


def test_an_argument_that_is_too_long_is_named(
    server: PipelinesServer, backend: KubeflowBackend, job: PipelineJob
) -> None:
    request = json.dumps({"sites": ["x" * 90_000], "site": "y" * 20_000})
    sizes = r"found 1100\d\d of 1100\d\d bytes \(the largest: sites 90004, site 20002\)"
    with pytest.raises(InputError, match=f"parameter what: expected at most 100000 .* {sizes}"):
        backend.submit(dataclasses.replace(job, arguments={"what": request}))
    assert server.requests == []


@pytest.mark.parametrize(
    ("server_state", "state"),
    [
        (None, RunState.PENDING),
        ("RUNTIME_STATE_UNSPECIFIED", RunState.PENDING),
        ("PENDING", RunState.PENDING),
        ("RUNNING", RunState.RUNNING),
        ("PAUSED", RunState.RUNNING),
        ("CANCELING", RunState.CANCELLING),
        ("SUCCEEDED", RunState.SUCCEEDED),
        ("SKIPPED", RunState.FAILED),
        ("FAILED", RunState.FAILED),
        ("CANCELED", RunState.CANCELLED),
    ],
)
def test_every_state_is_read(server_state: str | None, state: RunState) -> None:
    time = datetime(2026, 11, 21, tzinfo=UTC)
    run = parse_run(
        SimpleNamespace(
            run_id="a",
            display_name="b",
            state=server_state,
            created_at=time,
            finished_at=time,
            run_details=None,
            state_history=None,
        )
    )
    assert run.state is state
    assert (run.finished_at == time) is state.is_final
    assert bool(run.message) is (state is RunState.FAILED)


@pytest.mark.parametrize("unknown_time", [None, datetime(1970, 1, 1, tzinfo=UTC)])
@pytest.mark.parametrize("has_history", [True, False])
def test_a_run_that_ended_at_an_unknown_time_has_a_time_that_stays(
    unknown_time: datetime | None, has_history: bool
) -> None:
    """The wait for the next attempt would never end."""
    created, failed = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)
    run = parse_run(
        SimpleNamespace(
            run_id="a",
            display_name="b",
            state="FAILED",
            created_at=created,
            finished_at=unknown_time,
            run_details=None,
            state_history=[SimpleNamespace(state="FAILED", update_time=failed)] if has_history else None,
        )
    )
    assert run.finished_at == (failed if has_history else created)
