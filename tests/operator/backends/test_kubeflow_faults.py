"""What goes wrong between a Kubeflow back end and its server, and what a person reads then."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes.pipelines_server import HttpReply, PipelinesServer

from anamnesis.operator.backends import kubeflow_client
from anamnesis.operator.backends.base import PipelineJob, RunState
from anamnesis.operator.backends.kubeflow import KubeflowBackend
from anamnesis.operator.backends.kubeflow_client import connect
from anamnesis.operator.backends.kubeflow_run_parser import parse_run
from anamnesis.pipelines.specialise import Runtime
from anamnesis.records import ConflictError, InputError, UnreachableError

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
        (HttpReply(401, b'{"message": "no token"}'), "401 no token; give the operator's service account a token"),
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
    with pytest.raises(InputError, match="403 you may not"):
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


@pytest.mark.parametrize(
    ("server_state", "state"),
    [
        (None, RunState.PENDING),
        ("RUNTIME_STATE_UNSPECIFIED", RunState.PENDING),
        ("PENDING", RunState.PENDING),
        ("RUNNING", RunState.RUNNING),
        ("PAUSED", RunState.RUNNING),
        ("CANCELING", RunState.RUNNING),
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
            run_id="a", display_name="b", state=server_state, created_at=time, finished_at=time, run_details=None
        )
    )
    assert run.state is state
    assert (run.finished_at == time) is state.is_final
    assert bool(run.message) is (state is RunState.FAILED)
